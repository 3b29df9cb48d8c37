"""What `kubectl get img` prints of a tag."""

from __future__ import annotations

from sealoshub.imagehub.controller.kinds import picture
from sealoshub.imagehub.controller.shown import shown

DIGEST = "sha256:1d2f9f42d2270000"


def test_what_is_shown_is_what_the_tag_names() -> None:
    """The first digits and the size, without the size as long as nobody knows it."""
    assert shown(None) is None
    assert shown({"digest": DIGEST, "since": "now"}) == {"digest": "1d2f9f42d227"}
    tag = {"digest": DIGEST, "since": "now", "size": 2048}
    assert shown(tag) == {"digest": "1d2f9f42d227", "size": "2.0 KiB"}


def test_it_is_not_kept_beside_the_tag() -> None:
    """A controller remembers the tag of a hundred thousand images, and works the rest out."""
    tag = {"digest": DIGEST, "since": "now", "size": 2048}
    status = {"observedGeneration": 1, "tag": tag, "shown": shown(tag), "conditions": []}
    obj = {"metadata": {"name": "team.app.v1"}, "spec": {"name": "team/app:v1"}, "status": status}
    assert picture(obj).status == status
