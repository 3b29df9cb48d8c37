"""Roles and rights as `whoami` shows them, asked with nothing but the stored login."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.integration.hub import Hub
    from tests.integration.people import Person

ACCEPTED: Final = 0
PATIENCE: Final = 90.0  # seconds; roles are read and decisions kept for 10


def seen_by(person: Person, host: str, *arguments: str) -> Any:  # noqa: ANN401  # JSON
    """Return what `whoami` shows to *person*, whose kubeconfig cannot help."""
    blind = person.with_settings({"KUBECONFIG": "/nonexistent"})
    done = blind.run("sealoshub", "whoami", host, "-o", "json", *arguments, expect=ACCEPTED)
    return json.loads(done.stdout)["data"]


def test_roles_and_rights_come_from_the_hub(hub: Hub, unique: str) -> None:
    """An owner, a member by group, and somebody without any role each see their own."""
    alice, dave = hub.user(f"alice-{unique}"), hub.user(f"dave-{unique}")
    carol = hub.user(f"carol-{unique}", groups=[f"devs-{unique}"])
    alice.run("sealoshub", "org", "create", unique, "--wait", "90s", expect=ACCEPTED)
    share = ("org", "share", unique, "--group", f"devs-{unique}", "--role", "developer")
    alice.run("sealoshub", *share, expect=ACCEPTED)
    for person in (alice, carol, dave):
        person.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)

    everything = {"pull": True, "push": True, "delete": True}
    wanted: tuple[tuple[Person, list[dict[str, str]], dict[str, bool]], ...] = (
        (alice, [{"name": unique, "role": "owner"}], everything),
        (carol, [{"name": unique, "role": "developer"}], {**everything, "delete": False}),
        (dave, [], dict.fromkeys(everything, False)),
    )
    for person, roles, rights in wanted:
        deadline = time.monotonic() + PATIENCE
        expected = (roles, {"name": f"{unique}/app", **rights})
        while True:
            data = seen_by(person, hub.host, "--repo", f"{unique}/app")
            if (data["organizations"], data["repository"]) == expected:
                break
            assert time.monotonic() < deadline, (data, expected)
            time.sleep(0.5)
