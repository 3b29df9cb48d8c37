"""The controller's numbers, as Prometheus would read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from tests.images import oci_layout
from tests.integration.servers.process import wait_until
from tests.integration.test_way_through import ACCEPTED, organization

if TYPE_CHECKING:
    from tests.integration.hub import Hub

SECONDS: Final = 90.0  # it takes one or two; the machine may be busy


@pytest.mark.parametrize(
    "hub", ["embedded-registry-3", "kube-registry-3"], indirect=True, scope="session"
)
def test_a_push_is_in_the_numbers(hub: Hub, unique: str, tmp_path: Path) -> None:
    """Notification, looks, writes and objects are counted, and no name is told."""
    alice = hub.user(f"alice-{unique}")
    before = numbers(hub)
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    layout = oci_layout(tmp_path / "image")
    reference = f"{hub.host}/{unique}/app:v1"
    alice.run("crane", "push", layout.path, reference, expect=ACCEPTED)
    grown = (
        'notifications_total{result="received"}',
        'reconciles_total{kind="Organization",outcome="done"}',
        'reconciles_total{kind="Repository",outcome="done"}',
        'reconciles_total{kind="Image",outcome="done"}',
        'reconciles_total{kind="Content",outcome="done"}',
        'reconcile_seconds_count{kind="Content"}',
        'writes_total{kind="Image",verb="apply"}',
        'writes_total{kind="Repository",verb="patch_status"}',
    )

    def more() -> list[str]:
        now = numbers(hub)
        return [name for name in grown if now.get(name, 0) > before.get(name, 0)]

    wait_until(lambda: more() == list(grown), "all of them to grow", SECONDS)
    swept = 'sweeps_total{outcome="done"}'
    wait_until(lambda: numbers(hub).get(swept, 0) >= 1, "a sweep", SECONDS)
    now = numbers(hub)
    assert now["leader"] == 1
    assert now["sweep_requests_total"] >= 1
    assert now['objects{kind="Image"}'] >= 1
    said = scraped(hub)
    assert not [name for name in (unique, "alice", hub.host) if name in said]


def scraped(hub: Hub) -> str:
    """Read the metrics of the controller, wherever it listens."""
    arguments = Path(f"/proc/{hub.pids()['controller']}/cmdline").read_text().split("\0")
    port = arguments[arguments.index("--health-port") + 1]
    answer = httpx.get(f"http://localhost:{port}/metrics", trust_env=False, timeout=60.0)
    assert answer.status_code == httpx.codes.OK
    return answer.text


def numbers(hub: Hub) -> dict[str, float]:
    """Return the controller's own numbers, by names without their prefix."""
    found = re.findall(r"^sealoshub_controller_(\S+) (\S+)$", scraped(hub), re.MULTILINE)
    return {name: float(value) for name, value in found}
