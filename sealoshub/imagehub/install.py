"""Bring the resources, rules and roles of the hub into a cluster, in an order that is safe.

The admission policies come before anybody may create anything, because they take about a second to
bite and nothing would stop a user in that second. That they bite is proved, not assumed.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import yaml

from sealoshub.errors import (
    DeniedError,
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.imagehub.names import API_VERSION, ORGANIZATION_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster
    from sealoshub.kube.reader import Reader

FIELD_MANAGER: Final = "sealoshub-install"
READY_SECONDS: Final = 60.0  # for CRDs to be served and policies to bite; it takes one or two
POLL_SECONDS: Final = 0.2

CRDS: Final = (
    "crd-organizations.yaml",
    "crd-repositories.yaml",
    "crd-images.yaml",
    "crd-datapacks.yaml",
    "crd-logins.yaml",
)
# The grant is last: before it nobody but administrators can write the resources.
ORDER: Final = (
    "system.yaml",
    *CRDS,
    "policies.yaml",
    "mutations.yaml",
    "roles.yaml",
    "readers.yaml",
    "client-ca.yaml",
    "grant.yaml",
)
READER: Final = "imagehub:reader"  # a ClusterRole, and its binding to every authenticated user
_BITES: Final = "must say what spec.name says"  # of the policy imagehub-content
_ORGANIZATION_BITES: Final = "must be the name of the organisation"  # of imagehub-organizations


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation did.

    Args:
        created: Objects that are new.
        configured: Objects that were changed.
        unchanged: Objects that were right already.
        mutations: Whether the cluster fills in creators and labels itself.
        private_names: Whether only administrators may list what there is.
    """

    created: int
    configured: int
    unchanged: int
    mutations: bool
    private_names: bool


def load(name: str) -> list[Object]:
    """Return the objects of one manifest file of this package, in order."""
    text = files("sealoshub.imagehub").joinpath("manifests", name).read_text(encoding="utf-8")
    return [document for document in yaml.safe_load_all(text) if document is not None]


def manifests(*, mutations: bool = True, private_names: bool = False) -> list[Object]:
    """Return every object, in the order in which a plain apply is safest.

    Args:
        mutations: With the MutatingAdmissionPolicies, which Kubernetes serves from 1.36.
        private_names: Without the right of every user to read the resources.
    """
    files_wanted = [name for name in ORDER if mutations or name != "mutations.yaml"]
    found = [obj for name in files_wanted for obj in load(name)]
    return [obj for obj in found if not (private_names and is_reader_binding(obj))]


def is_reader_binding(obj: Object) -> bool:
    """Tell whether *obj* is what lets every user read the resources."""
    found: bool = obj["kind"] == "ClusterRoleBinding" and obj["metadata"]["name"] == READER
    return found


def render(*, mutations: bool = True, private_names: bool = False) -> str:
    """Return every object as one YAML stream, for `kubectl apply -f -`.

    `install` is better at it: it waits for the policies before it grants anything.
    """
    return yaml.safe_dump_all(
        manifests(mutations=mutations, private_names=private_names),
        sort_keys=False,
        explicit_start=True,
        width=100,
    )


def install(  # noqa: PLR0913  # knobs by keyword, three of them for tests
    cluster: Cluster,
    on_progress: Callable[[str], None] = lambda _: None,
    *,
    private_names: bool | None = None,
    ready_seconds: float = READY_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Installed:
    """Apply everything; run it again to upgrade. It changes nothing that is right already.

    An API server that has the hub's kinds built in (the embedded API) needs no CRDs and policies
    of its own; there too the rules are seen to work before anything is granted.

    Args:
        cluster: With the rights of a cluster administrator.
        on_progress: Called with a sentence for each step.
        private_names: Whether to take the right to read the resources from every user. None leaves
            it as it is; a new hub's are for everybody.
        ready_seconds: How long to wait for CRDs to be served, and then for policies to bite.
        clock: Seconds that only grow.
        sleep: Waits for so many seconds.

    Raises:
        DeniedError: The user may not install.
        InvalidInputError: The cluster is too old.
        UnavailableError: It did not become ready in time.
    """
    outcomes: list[str] = []

    def apply(name: str, *, wanted: Callable[[Object], bool] = lambda _: True) -> None:
        for obj in filter(wanted, load(name)):
            result = cluster.apply(obj, field_manager=FIELD_MANAGER, force=True)
            outcomes.append(result.outcome)
            on_progress(f"{obj['kind']} {obj['metadata']['name']}: {result.outcome}")

    def ticks() -> Iterator[None]:
        deadline = clock() + ready_seconds
        while clock() < deadline:
            yield
            sleep(POLL_SECONDS)

    built_in = not cluster.supports("CustomResourceDefinition") and cluster.supports("Organization")
    apply("system.yaml")
    if not built_in:
        _require_policies(cluster)
        for name in CRDS:
            apply(name)
        _wait_for_crds(cluster, ticks())
        apply("policies.yaml")
    mutations = cluster.supports("MutatingAdmissionPolicy")
    if mutations:
        apply("mutations.yaml")
    on_progress("waiting for the admission policies")
    _prove_policies(cluster, ticks())
    apply("roles.yaml")
    private = _has_private_names(cluster) if private_names is None else private_names
    apply("readers.yaml", wanted=lambda obj: not (private and is_reader_binding(obj)))
    if private and private_names:
        with contextlib.suppress(NotFoundError):
            cluster.delete("ClusterRoleBinding", READER)
            on_progress(f"ClusterRoleBinding {READER}: deleted, names are private now")
    try:
        apply("client-ca.yaml")
    except DeniedError as exc:  # some providers keep kube-system for themselves
        on_progress(f"the token server works without the client CA: {exc.message}")
    apply("grant.yaml")
    return Installed(
        created=outcomes.count("created"),
        configured=outcomes.count("configured"),
        unchanged=outcomes.count("unchanged"),
        mutations=mutations,
        private_names=private,
    )


def _has_private_names(cluster: Reader) -> bool:
    """Tell whether somebody has taken the binding away from a hub that had it."""
    try:
        cluster.get("ClusterRole", READER)
    except NotFoundError:
        return False  # no hub yet, or one of before there was a choice
    try:
        cluster.get("ClusterRoleBinding", READER)
    except NotFoundError:
        return True
    return False


def _require_policies(cluster: Reader) -> None:
    if not cluster.supports("ValidatingAdmissionPolicy"):
        raise InvalidInputError(
            f"{cluster.server} does not serve ValidatingAdmissionPolicy",
            hint="The hub needs Kubernetes 1.30 or later: without these policies anybody could"
            " write anybody's resources.",
        )


def _wait_for_crds(cluster: Reader, ticks: Iterator[None]) -> None:
    waiting = [obj["metadata"]["name"] for name in CRDS for obj in load(name)]
    for _ in ticks:
        waiting = [name for name in waiting if not _is_established(cluster, name)]
        if not waiting:
            return
    raise UnavailableError(f"the cluster does not serve {', '.join(waiting)} yet; try again")


def _is_established(cluster: Reader, name: str) -> bool:
    crd = cluster.get("CustomResourceDefinition", name)
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)


def _prove_policies(cluster: Cluster, ticks: Iterator[None]) -> None:
    """Ask for what the policies refuse even to an administrator, and store nothing."""
    wrong = {ORGANIZATION_LABEL: "another"}
    probes = (
        (
            {
                "apiVersion": API_VERSION,
                "kind": "Repository",
                "metadata": {"name": "sealoshub-install.probe", "labels": wrong},
                "spec": {"name": "sealoshub-install/probe"},
            },
            _BITES,
        ),
        (
            {
                "apiVersion": API_VERSION,
                "kind": "Organization",
                "metadata": {"name": "sealoshub-install", "labels": wrong},
                "spec": {"name": "sealoshub-install"},
            },
            _ORGANIZATION_BITES,
        ),
    )
    for _ in ticks:
        if all(_is_refused(cluster, probe, words) for probe, words in probes):
            return
    raise UnavailableError(
        "the admission policies do not take effect, so nothing was granted to anybody",
        hint="Look at the API server's flags: the ValidatingAdmissionPolicy plugin must be on.",
    )


def _is_refused(cluster: Cluster, probe: Object, words: str) -> bool:
    try:
        cluster.create(probe, dry_run=True)
    except (NotFoundError, UnavailableError):
        # Established, and still not known to every part of the API server: its admission plugins
        # answer 500 for a moment.
        return False
    except DeniedError:
        raise
    except SealosHubError as exc:
        if words in exc.message:
            return True
        raise
    return False
