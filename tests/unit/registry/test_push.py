"""Pushing to a registry where everything goes wrong that can."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import (
    AuthenticationError,
    ContentRefusedError,
    DeniedError,
    InvalidInputError,
    UnavailableError,
)
from sealoshub.reference import Digest, Reference
from sealoshub.registry.pool import interleave
from sealoshub.registry.presence import ENOUGH, SMALL
from sealoshub.registry.push import push
from sealoshub.registry.push_events import (
    BlobProgress,
    BlobState,
    Event,
    ManifestPushed,
    PushResult,
    Started,
)
from sealoshub.registry.source import open_image
from tests.images import oci_layout
from tests.unit.registry.fake_registry import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.registry.client import Client
    from tests.images import Layout
    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry

UPLOAD = r"/blobs/uploads/id"


def send(
    client: Client, image: Layout, tags: tuple[str, ...] = (), **options: object
) -> tuple[PushResult, list[Event]]:
    """Push *image* to o/app:v1 and return the result and all events."""
    events: list[Event] = []
    reference = Reference.parse(f"{client.host}/o/app:v1")
    with open_image(str(image.path)) as source:
        result = push(client, source, reference, tags, events=events.append, **options)  # type: ignore[arg-type]  # any keyword
    return result, events


def states(events: list[Event]) -> list[BlobState]:
    """Return the last state of each blob."""
    last = {event.digest: event.state for event in events if isinstance(event, BlobProgress)}
    return sorted(last.values())


def assert_complete(registry: FakeRegistry, image: Layout, tag: str = "v1") -> None:
    """The registry has exactly what the layout has."""
    kind, content = registry.manifests["o/app"][tag]
    assert Digest.of(content).text == image.digest
    assert json.loads(content)["mediaType"] == kind
    for digest in image.blobs:
        stored = registry.blobs["o/app"][digest]
        file = image.path / "blobs" / "sha256" / digest.removeprefix("sha256:")
        assert stored == file.read_bytes()


def test_first_push(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """A first push sends every blob once, then the manifest, and says so in events."""
    result, events = send(connect(registry.host), image)
    assert_complete(registry, image)
    assert result.reference == f"{registry.host}/o/app@{image.digest}"
    assert result.uploaded == image.size
    assert registry.count("PUT", UPLOAD) == len(image.blobs)
    assert registry.count("PATCH") == 0
    assert not registry.uploads
    assert isinstance(events[0], Started)
    assert events[0].size == image.size
    assert states(events) == [BlobState.DONE] * len(image.blobs)
    assert isinstance(events[-2], ManifestPushed)
    assert events[-2].tag == "v1"
    assert events[-1] == result


def test_second_push(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """A second push asks once for the tag: who has a manifest has what it needs."""
    send(connect(registry.host), image)
    registry.seen.clear()
    result, events = send(connect(registry.host), image)
    assert states(events) == [BlobState.EXISTS] * len(image.blobs)
    assert result.uploaded == 0
    assert [request.method for request in registry.seen] == ["GET", "HEAD"]


def test_push_under_another_tag(
    registry: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """Of an image that is there under another name only the manifest is sent."""
    send(connect(registry.host), image)
    registry.seen.clear()
    result, events = send(connect(registry.host), image, tags=("v2", "v3"))
    assert states(events) == [BlobState.EXISTS] * len(image.blobs)
    assert result.tags == ("v1", "v2", "v3")
    assert registry.count("HEAD", "/blobs/") == 0
    assert registry.count("PUT") == 2
    stored = registry.manifests["o/app"]
    assert stored["v1"] == stored["v2"] == stored["v3"]


def test_tag_that_was_moved(
    registry: FakeRegistry, connect: ClientMaker, image: Layout, tmp_path: Path
) -> None:
    """A tag that leads to another image meanwhile is put back without sending a blob."""
    send(connect(registry.host), image)
    send(connect(registry.host), oci_layout(tmp_path / "other", seed=1))
    registry.seen.clear()
    _, events = send(connect(registry.host), image)
    assert states(events) == [BlobState.EXISTS] * len(image.blobs)
    assert registry.manifests["o/app"]["v1"] == registry.manifests["o/app"][image.digest]
    assert [request.method for request in registry.seen] == ["GET", *["HEAD"] * 3, "PUT", "HEAD"]


def test_small_blobs_of_a_new_repository(
    registry: FakeRegistry, connect: ClientMaker, tmp_path: Path
) -> None:
    """After a few blobs that are not there, small ones are sent unasked; large ones never."""
    image = oci_layout(tmp_path / "many", layers=20)
    send(connect(registry.host), image, jobs=1)
    assert_complete(registry, image)
    assert registry.count("HEAD", "/blobs/") == ENOUGH
    registry.manifests.clear()
    registry.seen.clear()
    send(connect(registry.host), image, jobs=1)
    assert registry.count("HEAD", "/blobs/") == len(image.blobs)
    assert registry.count("POST") == 0
    large = oci_layout(tmp_path / "large", seed=2, layers=8, layer_bytes=SMALL + 1)
    send(connect(registry.host), large, jobs=1)
    assert registry.count("HEAD", "/blobs/") >= len(image.blobs) + 8


def test_extra_tags(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """Every tag gets the manifest; the blobs are sent once."""
    result, _ = send(connect(registry.host), image, ("latest", "v1"))
    assert result.tags == ("v1", "latest")
    assert_complete(registry, image, "latest")
    assert registry.count("PUT", UPLOAD) == len(image.blobs)


def test_index(registry: FakeRegistry, connect: ClientMaker, tmp_path: Path) -> None:
    """The manifests of an index arrive before the index."""
    image = oci_layout(tmp_path / "multi", platforms=("linux/amd64", "linux/arm64"))
    send(connect(registry.host), image)
    assert_complete(registry, image)
    puts = [
        r.path.rpartition("/")[2]
        for r in registry.seen
        if "manifests" in r.path and r.method == "PUT"
    ]
    assert puts == [*image.manifests.values(), "v1"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("HEAD", "/blobs/sha256", cut_at=0),
        Fault("HEAD", "/blobs/sha256", status=503),
        Fault("POST", "/blobs/uploads/", cut_at=0),
        Fault("POST", "/blobs/uploads/", lose=True),
        Fault("POST", "/blobs/uploads/", status=500),
        Fault("PUT", UPLOAD, cut_at=0),
        Fault("PUT", UPLOAD, cut_at=100),
        Fault("PUT", UPLOAD, cut_at=2_000_000),
        Fault("PUT", UPLOAD, lose=True),
        Fault("PUT", UPLOAD, status=502, body=b"<html>bad gateway</html>"),
        Fault("PUT", UPLOAD, cut_at=2_000_000, times=3),
        Fault("PUT", "/manifests/", cut_at=10),
        Fault("PUT", "/manifests/", lose=True),
        Fault("PUT", "/manifests/", status=504),
        Fault("HEAD", "/manifests/", cut_at=0),
        Fault("GET", "/v2/$", status=503),
        Fault("GET", "/v2/$", cut_at=0, times=3),
    ],
    ids=lambda fault: f"{fault.method} {fault.path} {fault.cut_at} {fault.lose} {fault.status}",
)
@pytest.mark.parametrize("resumable", [True, False])
def test_faults_heal(
    registry: FakeRegistry, connect: ClientMaker, image: Layout, fault: Fault, *, resumable: bool
) -> None:
    """A passing fault anywhere costs a retry and nothing else."""
    registry.knobs.resumable = resumable
    fault = replace(fault)  # the table's own is used by other cases too
    registry.faults.append(fault)
    send(connect(registry.host), image)
    assert fault.times == 0
    assert_complete(registry, image)
    assert not registry.uploads or fault.method == "POST", "a session was left open"


def test_resume(
    registry: FakeRegistry, connect: ClientMaker, naps: list[float], tmp_path: Path
) -> None:
    """After a cut only what had not arrived is sent: GET, PATCH from the proven offset, PUT."""
    image = oci_layout(tmp_path / "one", layers=1, layer_bytes=4 * 1024 * 1024)
    registry.faults.append(Fault("PUT", UPLOAD, cut_at=3_000_000))
    _, events = send(connect(registry.host), image, jobs=1)
    assert_complete(registry, image)
    (patch,) = [request for request in registry.seen if request.method == "PATCH"]
    size = max(len(blob) for blob in registry.blobs["o/app"].values())
    assert patch.headers["Content-Range"] == f"3000000-{size - 1}"
    assert len(patch.body) == size - 3_000_000
    resumed = [e for e in events if isinstance(e, BlobProgress) and e.state is BlobState.RESUMED]
    assert [event.done for event in resumed] == [3_000_000]
    assert naps == [0.5]


def test_resume_with_quays_prefix(
    registry: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """`Range: bytes=0-N` is understood too."""
    registry.knobs.range_prefix = "bytes="
    registry.faults.append(Fault("PUT", UPLOAD, cut_at=2_000_000))
    send(connect(registry.host), image, jobs=1)
    assert registry.count("PATCH") == 1
    assert_complete(registry, image)


@pytest.mark.parametrize("told", ["0-0", "0-999999999", "5-10", "", "0-x", "bytes 0-5"])
def test_unproven_offset(
    registry: FakeRegistry, connect: ClientMaker, image: Layout, told: str
) -> None:
    """An offset that proves nothing is not used: the blob is sent again in a new session."""
    registry.faults += [
        Fault("PUT", UPLOAD, cut_at=2_000_000),
        Fault("GET", UPLOAD, status=204, headers=(("Range", told),)),
    ]
    send(connect(registry.host), image, jobs=1)
    assert registry.count("PATCH") == 0
    assert_complete(registry, image)


@pytest.mark.parametrize("ranges", [True, False])
def test_lying_offset(
    registry: FakeRegistry, connect: ClientMaker, image: Layout, *, ranges: bool
) -> None:
    """A wrong offset is set right by a 416, or else the digest tells and the blob is sent again."""
    registry.knobs.ranges = ranges
    registry.faults += [
        Fault("PUT", UPLOAD, cut_at=2_000_000),
        Fault("GET", UPLOAD, status=204, headers=(("Range", "0-1000000"),)),
    ]
    send(connect(registry.host), image, jobs=1)
    ranges_sent = [r.headers["Content-Range"] for r in registry.seen if r.method == "PATCH"]
    starts = [int(sent.partition("-")[0]) for sent in ranges_sent]
    assert starts == ([1_000_001, 2_000_000] if ranges else [1_000_001])
    assert_complete(registry, image)


def test_endless_breaks_end(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """A registry that forgets every session is given up, with exit code 6."""
    registry.faults.append(
        Fault("PUT", UPLOAD, times=1000, status=404, body=b'{"errors":[{"code":"X"}]}')
    )
    with pytest.raises(UnavailableError):
        send(connect(registry.host), image)


def test_budget(
    registry: FakeRegistry, connect: ClientMaker, naps: list[float], image: Layout
) -> None:
    """The retries end when the budget is spent, and say what the server said."""
    registry.faults.append(Fault("POST", "/uploads/", times=10**6, status=503, body=b"too busy"))
    with pytest.raises(UnavailableError, match="503: too busy"):
        send(connect(registry.host), image, jobs=1)
    assert naps[:7] == [0.5, 1, 2, 4, 8, 16, 30]
    assert sum(naps) <= 100


@pytest.mark.parametrize("after", ["7", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_retry_after(
    registry: FakeRegistry, connect: ClientMaker, naps: list[float], image: Layout, after: str
) -> None:
    """`Retry-After` wins over the policy's own waits, as seconds and as a date."""
    registry.faults.append(
        Fault("PUT", "/manifests/", status=429, headers=(("Retry-After", after),))
    )
    send(connect(registry.host), image)
    assert naps == [7.0 if after == "7" else 0.0]


def test_unauthorized_in_the_middle(
    registry: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """A token that dies in the middle is renewed, and the body is sent again."""
    registry.knobs.auth = "bearer"
    challenge = f'Bearer realm="{registry.url}/token",service="hub",error="invalid_token"'
    registry.faults.append(
        Fault("PUT", UPLOAD, status=401, headers=(("WWW-Authenticate", challenge),))
    )
    send(connect(registry.host, "alice"), image)
    assert_complete(registry, image)
    assert len(registry.tokens_asked()) == 2


def test_one_token(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """All workers share one token, asked for pull and push at once."""
    registry.knobs.auth = "bearer"
    send(connect(registry.host, "alice"), image, jobs=8)
    (asked,) = registry.tokens_asked()
    assert "scope=repository%3Ao%2Fapp%3Apull%2Cpush" in asked.path


@pytest.mark.parametrize("denial", [401, 403])
def test_insufficient_scope(
    registry: FakeRegistry, connect: ClientMaker, image: Layout, denial: int
) -> None:
    """Fewer rights than asked is a denial that names account, repository and scope."""
    registry.knobs.auth = "bearer"
    registry.knobs.denial = denial
    registry.knobs.may[("alice", "o/app")] = {"pull"}
    with pytest.raises(DeniedError) as caught:
        send(connect(registry.host, "alice"), image)
    assert caught.value.message.startswith(
        f"alice may not push to {registry.host}/o/app (scope repository:o/app:pull,push)"
    )
    assert not registry.blobs["o/app"] if "o/app" in registry.blobs else True


def test_not_logged_in(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """Without a credential the way out is a login."""
    registry.knobs.auth = "bearer"
    registry.knobs.anonymous = True
    with pytest.raises(AuthenticationError) as caught:
        send(connect(registry.host), image)
    assert caught.value.hint == f"Log in with `sealoshub login {registry.host}`."


def test_unaccepted_credential_is_no_denial(
    registry: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """If the token is nobody's, the login is what is wrong, not the rights."""
    registry.knobs.auth = "bearer"
    registry.knobs.anonymous = True
    with pytest.raises(AuthenticationError, match="refused the login of alice"):
        send(connect(registry.host, "alice", "wrong"), image)


@pytest.mark.parametrize("mounts", [True, False])
def test_mount(
    registry: FakeRegistry, connect: ClientMaker, image: Layout, *, mounts: bool
) -> None:
    """A blob that another repository has is mounted; a 202 is a session and is used."""
    registry.knobs.auth = "bearer"
    (first, *_) = image.blobs
    content = (image.path / "blobs/sha256" / first.removeprefix("sha256:")).read_bytes()
    registry.blobs["o/base"] = {first: content}
    registry.knobs.mounts = mounts
    _, events = send(connect(registry.host, "alice"), image, mount_from=("o/base",))
    assert_complete(registry, image)
    assert states(events).count(BlobState.MOUNTED) == (1 if mounts else 0)
    assert registry.count("POST") == len(image.blobs)
    assert not registry.uploads


def test_mount_denied(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """A refused mount falls back to the upload with the narrow token."""
    challenge = f'Bearer realm="{registry.url}/token",service="hub",error="insufficient_scope"'
    registry.knobs.auth = "bearer"
    registry.faults.append(
        Fault("POST", "mount=", 99, status=401, headers=(("WWW-Authenticate", challenge),))
    )
    send(connect(registry.host, "alice"), image, mount_from=("secret/base",))
    assert_complete(registry, image)


def test_self_heal(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """If the registry misses a blob that it said it had, that one is sent again, once."""
    client = connect(registry.host)
    send(client, image)
    registry.manifests.clear()
    registry.knobs.forget = {image.blobs[0]}
    registry.seen.clear()
    send(client, image)
    assert_complete(registry, image)
    assert registry.count("PUT", UPLOAD) == 1


@pytest.mark.parametrize("told", ["sha256:" + "0" * 64, "sha512:" + "0" * 128, "junk"])
def test_lying_digest(
    registry: FakeRegistry, connect: ClientMaker, image: Layout, told: str
) -> None:
    """A registry that stores under another name has not stored it."""
    registry.knobs.digest = told
    with pytest.raises(ContentRefusedError):
        send(connect(registry.host), image)


def test_no_digest_header(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """The header is optional: without it the manifest is fetched and hashed."""
    registry.knobs.digest = ""
    send(connect(registry.host), image)
    assert registry.count("GET", "/manifests/v1") == 1


def test_manifest_is_not_there_afterwards(
    registry: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """A server that says 201 to everything is found out."""
    registry.faults.append(Fault("PUT", "/manifests/", 99, status=201))
    with pytest.raises(ContentRefusedError, match="missing after the push"):
        send(connect(registry.host), image)


@pytest.mark.parametrize("place", ["relative", "absolute"])
def test_locations(registry: FakeRegistry, connect: ClientMaker, image: Layout, place: str) -> None:
    """Relative and absolute Locations work, and their signed query arrives untouched."""
    registry.knobs.location = place
    send(connect(registry.host), image)
    assert_complete(registry, image)
    puts = [r.path for r in registry.seen if r.method == "PUT" and "uploads" in r.path]
    assert all("?_state=a%3D" in path and "==&digest=sha256:" in path for path in puts)


def test_foreign_location_gets_no_token(
    registry: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """An upload on another host is followed without a credential."""
    from tests.unit.registry.fake_registry import FakeRegistry as Other  # noqa: PLC0415  # a class

    with Other() as storage:
        registry.knobs.auth = "bearer"
        registry.knobs.location = storage.url
        storage.uploads, storage.blobs = registry.uploads, registry.blobs
        send(connect(registry.host, "alice"), image)
        assert_complete(registry, image)
        assert storage.count("PUT") == len(image.blobs)
        assert not any("Authorization" in request.headers for request in storage.seen)


def test_refused_content(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """A proxy's HTML becomes one clean sentence and exit code 7, and no session stays open."""
    page = b"<html><head><title>413 Request Entity Too Large</title></head><body>x</body></html>"
    registry.faults.append(Fault("PUT", UPLOAD, 99, status=413, body=page))
    with pytest.raises(ContentRefusedError, match=r"413: 413 Request Entity Too Large$") as caught:
        send(connect(registry.host), image)
    assert "_state" not in caught.value.message
    assert not registry.uploads


def test_damaged_blob(registry: FakeRegistry, connect: ClientMaker, tmp_path: Path) -> None:
    """Content that is not what its name says never arrives in full, and ends with exit code 5."""
    image = oci_layout(tmp_path / "damaged")
    victim = image.path / "blobs/sha256" / image.blobs[0].removeprefix("sha256:")
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    with pytest.raises(InvalidInputError, match="another digest"):
        send(connect(registry.host), image)
    assert image.blobs[0] not in registry.blobs["o/app"]
    assert not registry.uploads


def test_other_digest_asked(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """A reference with a digest accepts only that image."""
    reference = Reference.parse(f"{registry.host}/o/app@sha256:{'0' * 64}")
    with (
        open_image(str(image.path)) as source,
        pytest.raises(InvalidInputError, match="not sha256:0"),
    ):
        push(connect(registry.host), source, reference)
    assert not registry.seen


def test_by_digest(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """Without a tag the manifest is stored under its digest."""
    reference = Reference.parse(f"{registry.host}/o/app")
    with open_image(str(image.path)) as source:
        push(connect(registry.host), source, reference)
    assert list(registry.manifests["o/app"]) == [image.digest]


def test_interrupt(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """Ctrl-C ends the push at once and cancels the sessions that were open."""
    began = threading.Event()

    def stop(event: Event) -> None:
        if isinstance(event, BlobProgress) and event.state is BlobState.UPLOADING and event.done:
            began.set()
            raise KeyboardInterrupt

    reference = Reference.parse(f"{registry.host}/o/app:v1")
    with open_image(str(image.path)) as source, pytest.raises(KeyboardInterrupt):
        push(connect(registry.host), source, reference, events=stop)
    assert began.is_set()
    assert not registry.uploads
    assert "v1" not in registry.manifests.get("o/app", {})
    threads = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("push-") for name in threads)


def test_events_come_one_at_a_time(
    registry: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """The callback is never entered twice at once."""
    inside = threading.Lock()

    def watch(_event: Event) -> None:
        assert inside.acquire(blocking=False)
        inside.release()

    reference = Reference.parse(f"{registry.host}/o/app:v1")
    with open_image(str(image.path)) as source:
        push(connect(registry.host), source, reference, events=watch, jobs=8)


def test_order(tmp_path: Path) -> None:
    """The largest begins beside the smallest."""
    image = oci_layout(tmp_path / "image", layers=3)
    with open_image(str(image.path)) as source:
        sizes = [blob.size for blob in interleave(source.blobs)]
    assert sizes[0] == max(sizes)
    assert sizes[1] == min(sizes)
    assert sorted(sizes) == sorted(blob.size for blob in source.blobs)
