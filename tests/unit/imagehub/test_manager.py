"""Controllers that start, stop, take turns and are asked how they are."""

from __future__ import annotations

import contextlib
import threading

import httpx
import pytest

from sealoshub.errors import NotFoundError, UsageError
from sealoshub.imagehub import names
from sealoshub.imagehub.controller.health import serving
from sealoshub.imagehub.controller.lease import LEASE_NAME, Timing
from tests.integration.servers.process import free_port
from tests.unit.imagehub.conftest import People, ready, resource, running, until

KINDS = ("Organization", "Repository", "Image", "Namespace", "RoleBinding", "Role")


def test_a_hub_at_rest_is_written_to_by_nobody(people: People) -> None:
    """A controller that starts and finds everything as it should be changes nothing."""
    people.alice.create(resource("Organization", "quiet", creator="alice"))
    people.admin.apply(resource("Image", "quiet/app:v1", detail={"keywords": ["GPU"]}))

    def versions() -> dict[str, str]:
        return {
            f"{kind} {obj['metadata'].get('namespace')}/{obj['metadata']['name']}": obj["metadata"][
                "resourceVersion"
            ]
            for kind in KINDS
            for obj in people.admin.list(kind)
        }

    def settled() -> bool:
        # Those of other tests, too.
        found = {
            str(obj["metadata"]["name"]): obj.get("status") or {}
            for obj in people.admin.list("Organization")
        }
        return found["quiet"].get("repoCount") == 1 and all(
            "conditions" in status for status in found.values()
        )

    def at_rest() -> bool:
        seen = versions()
        threading.Event().wait(0.3)  # in which a controller that has something to write writes it
        return versions() == seen

    with running(people.controller):
        ready(people.admin, "Organization", "quiet")
        ready(people.admin, "Repository", "quiet.app")
        ready(people.admin, "Image", "quiet.app.v1")
        until(settled, "every organisation was looked at")
    # What that one was stopped before, if anything, another one does.
    people.alice.create(resource("Organization", "zzy", creator="alice"))
    with running(people.controller):
        ready(people.admin, "Organization", "zzy")
        until(at_rest, "nothing changes any more")
    before = versions()
    # The new organisation is the last thing in the queue: when it is ready, all has been seen.
    people.alice.create(resource("Organization", "zzz", creator="alice"))
    with running(people.controller):
        ready(people.admin, "Organization", "zzz")
    after = versions()
    assert {name: after[name] for name in before} == before


def test_the_probes_tell_how_the_controller_is(people: People) -> None:
    """`/readyz` is 200 once the cluster is read, `/healthz` always, everything else 404."""
    port = free_port()
    with running(people.controller, health_port=port):
        until(lambda: is_ready(port), "it is ready")
        url = f"http://localhost:{port}"
        assert httpx.get(f"{url}/healthz").text == "ok\n"
        assert httpx.get(f"{url}/nothing").status_code == 404


def test_a_controller_that_has_not_read_the_cluster_is_not_ready() -> None:
    """`/readyz` is 503 until then."""
    with serving("localhost", 0, lambda: False, str) as port:
        assert httpx.get(f"http://localhost:{port}/readyz").status_code == 503


def test_a_port_that_is_taken_is_an_error_of_the_command_line() -> None:
    """The message names the address."""
    with (
        serving("localhost", 0, lambda: True, str) as port,
        pytest.raises(UsageError, match=f"localhost:{port}"),
        serving("localhost", port, lambda: True, str),
    ):
        pass


def is_ready(port: int) -> bool:
    """Ask the probe."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://localhost:{port}/readyz").status_code == 200
    return False


PATIENT = Timing(lease=120.0, renew=100.0, retry=0.02)  # nobody loses it on a busy machine
HASTY = Timing(lease=1.0, renew=0.5, retry=0.02)


def test_one_replica_works_and_the_other_takes_over(people: People) -> None:
    """The lease has one holder; when it stops, the next one gets it at once."""

    def holder() -> str:
        with contextlib.suppress(NotFoundError):
            spec = people.admin.get("Lease", LEASE_NAME, names.HUB_NAMESPACE)["spec"]
            return str(spec["holderIdentity"])
        return ""

    two = people.api.cluster("two", "system:masters")
    with contextlib.ExitStack() as second:
        with running(
            people.controller, identity="one", leader_election=True, timing=PATIENT
        ) as ended:
            until(lambda: holder() == "one", "the first one holds it")
            second.enter_context(running(two, identity="two", leader_election=True, timing=PATIENT))
            assert holder() == "one"
        assert ended == []
        until(lambda: holder() == "two", "the second one holds it")


def test_a_replica_that_loses_the_lease_ends(people: People) -> None:
    """Two controllers never work at the same time: the one without the lease stops."""
    with running(people.controller, identity="loser", leader_election=True, timing=HASTY) as ended:

        def steal() -> bool:
            lease = people.admin.get("Lease", LEASE_NAME, names.HUB_NAMESPACE)
            if lease["spec"]["holderIdentity"] != "loser":
                return False
            lease["spec"]["holderIdentity"] = "thief"
            lease["spec"]["leaseDurationSeconds"] = 60
            people.admin.replace(lease)
            return True

        def attempt() -> bool:
            with contextlib.suppress(Exception):
                return steal()
            return False

        until(attempt, "the lease is stolen")
        until(lambda: ended, "the controller ends")
    assert "lost the lease" in ended[0].args[0]
    people.admin.delete("Lease", LEASE_NAME, names.HUB_NAMESPACE)  # the thief has it for a minute
