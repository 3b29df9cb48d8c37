"""Blobs in chunks: where a proxy lets no large request through, or because somebody wishes it."""

from __future__ import annotations

import io
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.errors import ContentRefusedError, InvalidInputError, UnavailableError
from sealoshub.reference import Digest, MediaType, Reference
from sealoshub.registry.chunks import LARGEST, SMALLEST, ChunkLimit
from sealoshub.registry.connection import FileSlice
from sealoshub.registry.failure import TransientError
from sealoshub.registry.feed import Feed, StoppedError
from sealoshub.registry.image import Blob, Descriptor, FileRegion
from sealoshub.registry.journal import Journal
from sealoshub.registry.push import push
from sealoshub.registry.source import open_image
from sealoshub.registry.throttle import Throttle
from sealoshub.registry.upload import received
from tests.images import Layout, oci_layout
from tests.unit.registry.fake_registry import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealoshub.registry.client import Client
    from sealoshub.registry.image import Readable
    from sealoshub.registry.push_events import PushResult
    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry

UPLOAD: Final = r"/blobs/uploads/id"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """An image with one layer of a little over 1 MiB."""
    folder = tmp_path_factory.mktemp("large") / "layout"
    return oci_layout(folder, layers=1, layer_bytes=1024 * 1024)


def send(client: Client, image: Layout, **options: object) -> PushResult:
    """Push *image* to o/app:v1, one blob after the other."""
    reference = Reference.parse(f"{client.host}/o/app:v1")
    with open_image(str(image.path)) as source:
        return push(client, source, reference, jobs=1, **options)  # type: ignore[arg-type]  # any keyword


def chunks(registry: FakeRegistry) -> list[tuple[int, int]]:
    """Return first and last offset of every PATCH."""
    found = [seen.headers["Content-Range"] for seen in registry.seen if seen.method == "PATCH"]
    pairs = [text.split("-") for text in found]
    return [(int(first), int(last)) for first, last in pairs]


def assert_complete(registry: FakeRegistry, image: Layout) -> None:
    """The registry has all of the image, byte for byte, and nothing is left open."""
    for digest, content in registry.blobs["o/app"].items():
        assert Digest.of(content).text == digest
    assert sorted(registry.blobs["o/app"]) == sorted(image.blobs)
    assert not registry.uploads


def test_chunk_size(registry: FakeRegistry, connect: ClientMaker, large: Layout) -> None:
    """Larger blobs go in chunks of the size that was asked for, the others as always."""
    send(connect(registry.host), large, chunk_size=300_000)
    assert_complete(registry, large)
    assert [first for first, _ in chunks(registry)] == [0, 300_000, 600_000, 900_000]
    assert all(last - first == 299_999 for first, last in chunks(registry)[:-1])
    closing = [s for s in registry.seen if s.method == "PUT" and not s.body]
    assert len(closing) == 1


def test_least_length(registry: FakeRegistry, connect: ClientMaker, large: Layout) -> None:
    """A chunk is at least as long as the registry wants."""
    registry.knobs.least = 500_000
    send(connect(registry.host), large, chunk_size=300_000)
    assert [first for first, _ in chunks(registry)] == [0, 500_000, 1_000_000]
    assert_complete(registry, large)


def test_refused_by_a_proxy(
    registry: FakeRegistry, connect: ClientMaker, large: Layout, tmp_path: Path
) -> None:
    """After a 413 the blob goes in halves until they fit, in the same upload."""
    registry.knobs.body_limit = 300_000
    journal = Journal(tmp_path / "uploads")
    send(connect(registry.host), large, journal=journal)
    assert_complete(registry, large)
    refused = [(first, last) for first, last in chunks(registry) if last - first >= 300_000]
    assert refused == [(0, 1024 * 1024 - 1), (0, 524_287)]
    assert registry.count("POST") == len(large.blobs)
    assert journal.limit(registry.host) == 262_144


def test_limit_is_remembered(
    registry: FakeRegistry, connect: ClientMaker, large: Layout, tmp_path: Path
) -> None:
    """The next push begins with what the host takes."""
    registry.knobs.body_limit = 300_000
    journal = Journal(tmp_path / "uploads")
    journal.remember_limit(registry.host, 262_144)
    send(connect(registry.host), large, journal=journal)
    assert_complete(registry, large)
    assert all(last - first < 262_144 for first, last in chunks(registry))


def test_limit_is_shared(registry: FakeRegistry, connect: ClientMaker, tmp_path: Path) -> None:
    """What one blob learned holds for the next."""
    image = oci_layout(tmp_path / "image", layers=3, layer_bytes=200_000)
    registry.knobs.body_limit = 150_000
    send(connect(registry.host), image)
    assert_complete(registry, image)
    puts = [s for s in registry.seen if s.method == "PUT" and len(s.body) > 150_000]
    assert len(puts) == 1


def test_registry_that_takes_nothing(
    registry: FakeRegistry, connect: ClientMaker, large: Layout
) -> None:
    """If the smallest chunk is too large it is the blob that is refused, and nothing is left."""
    registry.knobs.body_limit = SMALLEST - 1
    with pytest.raises(ContentRefusedError, match=r"413 Request Entity Too Large$"):
        send(connect(registry.host), large)
    assert not registry.uploads
    lengths = [last - first + 1 for first, last in chunks(registry)]
    assert lengths == [1 << power for power in range(20, 15, -1)]


def test_registry_and_proxy_contradict_each_other(
    registry: FakeRegistry, connect: ClientMaker, large: Layout
) -> None:
    """A proxy that takes less than the registry wants at least ends the push, with exit code 7."""
    registry.knobs.body_limit = 100_000
    registry.knobs.least = 200_000
    with pytest.raises(ContentRefusedError) as caught:
        send(connect(registry.host), large)
    assert caught.value.hint is not None
    assert not registry.uploads


@pytest.mark.parametrize("location", [True, False])
@pytest.mark.parametrize("lost", ["answer", "half"])
def test_offset_is_set_right(
    registry: FakeRegistry, connect: ClientMaker, large: Layout, lost: str, *, location: bool
) -> None:
    """After a 416, with a Location or without, the registry is asked and the upload goes on."""
    registry.knobs.range_location = location
    fault = Fault("PATCH", UPLOAD, skip=1, lose=lost == "answer")
    registry.faults.append(fault if lost == "answer" else replace(fault, cut_at=100_000))
    # The first question is answered with an old truth.
    old = Fault("GET", UPLOAD, status=204, headers=(("Range", "0-299999"),))
    registry.faults.append(old)
    send(connect(registry.host), large, chunk_size=300_000)
    assert_complete(registry, large)
    assert registry.count("POST") == len(large.blobs)
    begun = [first for first, _ in chunks(registry)]
    there = 600_000 if lost == "answer" else 400_000
    assert begun[:4] == [0, 300_000, 300_000, there]


def test_signature_of_an_earlier_start(
    registry: FakeRegistry, connect: ClientMaker, large: Layout
) -> None:
    """A registry that does not know its own signature any more knows the bare address."""
    registry.faults += [
        Fault("PATCH", UPLOAD, skip=2, status=404),
        Fault("GET", UPLOAD + r"\d+\?_state", status=404),
    ]
    send(connect(registry.host), large, chunk_size=300_000)
    assert_complete(registry, large)
    assert registry.count("POST") == len(large.blobs)
    # The third begins where the second ended, so the registry only has to confirm it.
    assert [first for first, _ in chunks(registry)] == [0, 300_000, 600_000, 600_000, 900_000]


def test_endless_contradiction_ends(
    registry: FakeRegistry, connect: ClientMaker, large: Layout
) -> None:
    """A registry that refuses every offset, also the one it named itself, is given up."""
    registry.faults.append(Fault("PATCH", UPLOAD, times=10**6, status=416))
    with pytest.raises(UnavailableError):
        send(connect(registry.host), large, chunk_size=300_000)
    assert registry.count("PATCH") < 20
    assert not registry.uploads


def test_wandering_offset_ends(registry: FakeRegistry, connect: ClientMaker, large: Layout) -> None:
    """So is one that names another offset each time."""
    registry.faults.append(Fault("PATCH", UPLOAD, skip=2, times=10**6, status=416))
    registry.faults += [
        Fault("GET", UPLOAD, status=204, headers=(("Range", f"0-{end}"),))
        for end in range(500_000, 400_000, -1000)
    ]
    with pytest.raises(UnavailableError):
        send(connect(registry.host), large, chunk_size=300_000)
    assert registry.count("PATCH") < 50


def test_unauthorized_between_chunks(
    registry: FakeRegistry, connect: ClientMaker, large: Layout
) -> None:
    """A token that dies between chunks is renewed once, and no chunk before it is sent again."""
    registry.knobs.auth = "bearer"
    challenge = f'Bearer realm="{registry.url}/token",service="hub",error="invalid_token"'
    registry.faults.append(
        Fault("PATCH", UPLOAD, skip=2, status=401, headers=(("WWW-Authenticate", challenge),))
    )
    send(connect(registry.host, "alice"), large, chunk_size=300_000)
    assert_complete(registry, large)
    assert len(registry.tokens_asked()) == 2
    assert [first for first, _ in chunks(registry)] == [0, 300_000, 600_000, 600_000, 900_000]


def test_token_is_renewed_before_it_runs_out(
    registry: FakeRegistry, connect: ClientMaker, large: Layout, naps: list[float]
) -> None:
    """At four fifths of its life a token is fetched again, without a refusal, in mid-blob."""
    registry.knobs.auth = "bearer"
    registry.knobs.expires_in = 60
    # The fake clock of the client runs with its waits: each makes it 20 seconds later.
    wait = (("Retry-After", "20"),)
    registry.faults += [Fault("PATCH", UPLOAD, skip=n, status=503, headers=wait) for n in (0, 0, 0)]
    client = connect(registry.host, "alice", clock=lambda: sum(naps))
    send(client, large, chunk_size=300_000)
    assert_complete(registry, large)
    assert sum(naps) == 60.0
    assert len(registry.tokens_asked()) == 2


# ---------------------------------------------------------------- the parts


@given(st.integers(1, 1 << 50), st.integers(0, 1 << 30))
def test_halving_ends(length: int, least: int) -> None:
    """Every refusal makes the next request smaller, until nothing smaller is allowed."""
    limit = ChunkLimit()
    for _ in range(70):
        asked = limit.length(length, least)
        assert 0 < asked <= length
        if not limit.refused(asked, least):
            assert asked <= max(SMALLEST, least)
            return
        following = limit.length(length, least)
        assert following < asked
        assert following <= max(LARGEST, least)
    raise AssertionError("endless")


def test_passed_is_told_once() -> None:
    """A limit is worth remembering when it was found by a refusal and proved by a success."""
    told: list[int] = []
    limit = ChunkLimit(None, told.append)
    limit.passed()
    assert limit.refused(10_000_000)
    assert told == []
    for _ in range(3):
        limit.passed()
    assert told == [8_388_608]


def test_late_refusal_makes_nothing_larger() -> None:
    """A refusal of another blob's large request comes late: what was learned stays."""
    limit = ChunkLimit(100_000)
    assert limit.refused(10_000_000)
    assert limit.length(10_000_000) == 100_000


CONTENT: Final = bytes(range(256)) * 40


class Source:
    """Content that counts how often it is opened."""

    def __init__(self) -> None:
        self.opened = 0

    def __call__(self) -> io.BytesIO:
        """Open it."""
        self.opened += 1
        return io.BytesIO(CONTENT)

    def feed(self, throttle: Throttle | None = None, stop: threading.Event | None = None) -> Feed:
        """Make a feed of it."""
        descriptor = Descriptor(MediaType.OCI_LAYER, Digest.of(CONTENT), len(CONTENT))
        return Feed(Blob(descriptor, self), stop or threading.Event(), throttle)


def take(feed: Feed, start: int, end: int) -> bytes:
    """Read a range."""
    pieces = list(feed.pieces(start, end, lambda _at: None, lambda _at: None))
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))


@given(st.lists(st.tuples(st.integers(0, len(CONTENT)), st.integers(0, len(CONTENT))), max_size=10))
def test_feed_gives_any_range(ranges: list[tuple[int, int]]) -> None:
    """Whatever is asked for in whatever order, the bytes are those."""
    feed = Source().feed()
    for start, end in (sorted(pair) for pair in ranges):
        assert take(feed, start, end) == CONTENT[start:end]
    feed.close()


def test_feed_reads_once() -> None:
    """Ranges in order are one pass over the content, and so one hash."""
    source = Source()
    feed = source.feed()
    for start in range(0, len(CONTENT), 1000):
        take(feed, start, min(start + 1000, len(CONTENT)))
    assert source.opened == 1
    take(feed, 500, 600)
    assert source.opened == 2
    feed.close()


@pytest.mark.parametrize("start", [0, 4000])
@pytest.mark.parametrize("good", [0, 1, 3])
def test_feed_of_content_that_breaks(start: int, good: int) -> None:
    """What could not be read once is read again from its beginning by the next try."""
    source = Source()
    reads = iter([*[True] * good, False])

    class Breaking:
        """Reads up to 2000 bytes, and breaks when it is its turn."""

        def __init__(self) -> None:
            self._file = source()

        def read(self, size: int, /) -> bytes:
            """Return some bytes."""
            if not next(reads, True):
                raise TransientError("the line broke")
            return self._file.read(min(size, 2000))

        def close(self) -> None:
            """Close it."""
            self._file.close()

    descriptor = Descriptor(MediaType.OCI_LAYER, Digest.of(CONTENT), len(CONTENT))
    feed = Feed(Blob(descriptor, Breaking), threading.Event(), None)
    with pytest.raises(TransientError):
        take(feed, start, len(CONTENT))
    assert take(feed, start, len(CONTENT)) == CONTENT[start:]
    assert source.opened == 2
    feed.close()


def test_feed_of_nothing_that_breaks() -> None:
    """The digest of an empty blob is looked at by the next try, too."""
    files: Iterator[Readable] = iter([FailingFile(), io.BytesIO(b"")])
    descriptor = Descriptor(MediaType.OCI_LAYER, Digest.of(b"x"), 0)
    feed = Feed(Blob(descriptor, lambda: next(files)), threading.Event(), None)
    with pytest.raises(TransientError):
        take(feed, 0, 0)
    with pytest.raises(InvalidInputError, match="has another digest"):
        take(feed, 0, 0)
    feed.close()


class FailingFile:
    """A file that breaks."""

    def read(self, size: int, /) -> bytes:
        """Break."""
        raise TransientError(f"no {size} bytes")

    def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("rate", [None, 8 * 1000])
def test_feed_of_a_file(tmp_path: Path, rate: int | None) -> None:
    """Content in a plain file is given out as slices of it, which the kernel sends."""
    file = tmp_path / "content"
    file.write_bytes(b"head" + CONTENT + b"tail")
    with file.open("rb") as opened:
        region = FileRegion(opened.fileno(), 4, len(CONTENT))
        descriptor = Descriptor(MediaType.OCI_LAYER, Digest.of(CONTENT), len(CONTENT))
        throttle = None if rate is None else Throttle(rate, sleep=lambda _seconds: None)
        feed = Feed(Blob(descriptor, lambda: region), threading.Event(), throttle)
        for start, end in ((0, 5000), (5000, 10_240), (100, 100), (9000, 10_240), (0, 10_240)):
            found = list(feed.pieces(start, end, lambda _at: None, lambda _at: None))
            slices = [piece for piece in found if isinstance(piece, FileSlice)]
            assert len(slices) == len(found)
            parts = [os.pread(opened.fileno(), each.size, each.start) for each in slices]
            assert b"".join(parts) == CONTENT[start:end]
            assert rate is None or all(each.size <= 1024 for each in slices)
        feed.close()


def test_feed_stops() -> None:
    """Who is stopped gives out nothing more."""
    stop = threading.Event()
    pieces = Source().feed(Throttle(10**9), stop).pieces(0, 10_000, lambda _at: None, print)
    stop.set()
    with pytest.raises(StoppedError):
        next(pieces)


@given(st.text(st.sampled_from("0123456789-bytes= ,x٣")))
def test_range(text: str) -> None:
    """No text proves an offset but a range from 0, in plain digits."""
    found = received(text)
    assert found is None or (found > 1 and text.strip(" \t").endswith(f"0-{text.split('-')[1]}"))


@given(st.integers(1, 10**17), st.sampled_from(["", "bytes="]))
def test_good_range(end: int, prefix: str) -> None:
    """A range from 0 to the last byte proves one byte more than its end."""
    assert received(f"{prefix}0-{end}") == end + 1
    assert received(f"{prefix}1-{end}") is None
    assert received("0-0") is None
