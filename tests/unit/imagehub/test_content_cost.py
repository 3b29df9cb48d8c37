"""What the controller asks of a registry: as little as what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealoshub.imagehub import names
from sealoshub.imagehub.controller import content
from tests.unit.imagehub.conftest import gone, people, running, until
from tests.unit.imagehub.test_content import V1, V2, V3, FakeContent, Live, organization

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.imagehub.conftest import People

__all__ = ["people"]

PATH = "asked/app"


@pytest.fixture(scope="module")
def live(people: People) -> Iterator[Live]:
    """A controller that has swept once, and does not sweep again."""
    content = FakeContent({PATH: {f"t{number}": V3 for number in range(40)} | {"old": V1}})
    with running(people.controller, registry=content, sweep_seconds=3600):
        found = Live(people, content)
        organization(found, "asked")
        found.tell(PATH)
        found.heard(PATH)
        yield found


def asked(live: Live) -> set[str]:
    """Return what the registry was asked since the last time, about the repository."""
    found = {name for name in live.content.asked if name.startswith(PATH)}
    live.content.asked.clear()
    return found


def test_only_what_changed_is_asked_about(live: Live) -> None:
    """A push is about its tag and a delete about the tags that it removed, of however many."""
    for tag in ("t0", "t39", "old"):
        live.present(f"{PATH}:{tag}", "True")
    assert f"{PATH}:t39" in asked(live)
    live.push(PATH, "last", V2)
    live.present(f"{PATH}:last", "True")
    live.heard(PATH, "last")
    assert asked(live) == {f"{PATH}:last", f"{PATH}:{V2}"}
    del live.content.tagged[PATH]["old"]
    live.tell(PATH, V1)
    live.heard(PATH, V1)
    until(lambda: gone(live.people.admin, "Image", "asked.app.old"), "the Image is removed")
    assert asked(live) == {f"{PATH}:old", f"{PATH}:{V1}"}


def test_a_push_is_looked_for_until_its_tag_is_there(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry tells of a manifest before it writes the tag; also of a tag that moves."""
    monkeypatch.setattr(content, "LOOKS", 1000)  # however long this machine takes to write it
    live.content.untagged |= {V1, V2}
    for before, pushed in ((None, V1), (V1, V2)):
        live.content.asked.clear()
        note = live.tell(PATH, "early", "bob", pushed)
        until(lambda: live.content.asked.count(f"{PATH}:early") > 1, "it is looked for again")
        assert not gone(live.people.admin, "Lease", note, names.HUB_NAMESPACE)
        live.content.tagged[PATH]["early"] = pushed

        def seen(digest: str = pushed) -> bool:
            found = live.people.admin.list("Image")
            return any(
                obj["metadata"]["name"] == "asked.app.early" and obj["spec"]["digest"] == digest
                for obj in found
            )

        until(seen, f"{pushed} after {before}")
        live.heard(PATH, "early")


def test_a_push_that_is_never_seen_is_given_up(live: Live) -> None:
    """Somebody may have pushed or deleted since."""
    live.tell(PATH, "never", "bob", V2)
    live.heard(PATH, "never")
    assert f"{PATH}:never" in live.content.asked
