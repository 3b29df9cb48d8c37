"""Charts of a real helm in the hub, with both registries.

How the API server comes about makes no difference to it, so it is the embedded one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.integration.test_way_through import ACCEPTED, organization, token_of
from tests.real_servers import need

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.hub import Hub


@pytest.mark.parametrize(
    "hub", ["embedded-registry-2.8", "embedded-registry-3"], indirect=True, scope="session"
)
def test_a_chart_is_pushed_after_our_login_and_pulled_after_helms(
    hub: Hub, unique: str, tmp_path: Path
) -> None:
    """Its repository is its name, in the organisation; a stranger neither pushes nor pulls it."""
    need("helm")
    alice, bob = hub.user(f"alice-{unique}"), hub.user(f"bob-{unique}")
    robot = hub.robot(f"robot-{unique}")
    developer = {"kind": "User", "name": alice.name, "role": "developer"}
    organization(robot, unique, members=[developer])
    for person in (alice, bob):
        person.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    login = ("helm", "registry", "login", "--plain-http", "--username=token", "--password-stdin")
    robot.run(*login, hub.host, stdin=token_of(robot), expect=ACCEPTED)

    chart = tmp_path / "small"
    chart.mkdir()
    content = {"apiVersion": "v2", "name": "small", "version": "0.1.0"}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(content))
    alice.run("helm", "package", chart, "--destination", tmp_path, expect=ACCEPTED)
    archive = tmp_path / "small-0.1.0.tgz"
    there = f"oci://{hub.host}/{unique}"
    push = ("helm", "push", "--plain-http", archive, there)
    pull = ("helm", "pull", "--plain-http", f"{there}/small", "--version=0.1.0", "--destination")

    refused = bob.run(*push)
    assert refused.returncode != ACCEPTED
    assert "401" in refused.stderr
    pushed = alice.run(*push, expect=ACCEPTED)
    hub.wait_for(alice, "images.imagehub.sealos.io", f"{unique}.small.0.1.0")
    image = hub.get(alice, "images.imagehub.sealos.io", f"{unique}.small.0.1.0")
    assert image["spec"]["digest"] in pushed.stdout + pushed.stderr

    robot.run(*pull, robot.home, expect=ACCEPTED)
    assert (robot.home / archive.name).read_bytes() == archive.read_bytes()
    refused = bob.run(*pull, bob.home)
    assert refused.returncode != ACCEPTED
    assert "401" in refused.stderr
