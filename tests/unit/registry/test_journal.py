"""What a push writes down, and the next push that goes on where a dead one ended."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.errors import SealosHubError, UnavailableError
from sealoshub.reference import Digest, Reference
from sealoshub.registry import journal as journal_room
from sealoshub.registry.journal import LIFE, LIMIT_LIFE, MIN_SIZE, Journal, bare
from sealoshub.registry.push import push
from sealoshub.registry.push_events import BlobProgress, BlobState, Event, PushResult
from sealoshub.registry.source import open_image
from tests.images import oci_layout
from tests.unit.registry.fake_registry import FakeRegistry, Fault

if TYPE_CHECKING:
    from sealoshub.registry.client import Client
    from sealoshub.registry.journal import Entry
    from tests.images import Layout
    from tests.unit.registry.conftest import ClientMaker

DIGEST: Final = Digest.of(b"content")
URL: Final = "https://hub.example.com/v2/o/app/blobs/uploads/id1"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """An image with one blob that is worth being written down."""
    folder = tmp_path_factory.mktemp("large") / "layout"
    return oci_layout(folder, layers=1, layer_bytes=2 * MIN_SIZE)


@pytest.fixture
def notes() -> list[str]:
    """What the journal told."""
    return []


@pytest.fixture
def journal(tmp_path: Path, notes: list[str]) -> Journal:
    """A journal in a folder that is not there yet."""
    return Journal(tmp_path / "state" / "sealoshub" / "uploads", notes.append)


def claim(journal: Journal, host: str = "hub.example.com", digest: Digest = DIGEST) -> Entry:
    """Take an upload to o/app that nobody else has."""
    entry = journal.claim(host, "o/app", digest, MIN_SIZE)
    assert entry is not None
    return entry


def leave(journal: Journal, url: str = URL, host: str = "hub.example.com") -> None:
    """Write an upload down and die."""
    entry = claim(journal, host)
    entry.remember(url)
    entry.close()


def files(journal: Journal) -> list[str]:
    """Return the endings of all files."""
    return sorted(file.suffix for file in journal.folder.iterdir())


# ---------------------------------------------------------------- the files


def test_folder_follows_the_rules() -> None:
    """It is the state folder, wherever that is."""
    home = Path("/home/a")
    assert journal_room.folder({}, home) == home / ".local/state/sealoshub/uploads"
    assert journal_room.folder({"XDG_STATE_HOME": "/s"}, home) == Path("/s/sealoshub/uploads")


def test_what_was_left_is_found(journal: Journal) -> None:
    """The next process finds the address; nobody else's upload is mixed up with it."""
    leave(journal)
    assert claim(journal, "other.example.com").url is None
    assert claim(journal, digest=Digest.of(b"other")).url is None
    assert claim(journal).url == URL


def test_nothing_is_left_of_what_ended(journal: Journal) -> None:
    """An upload that is done leaves no file."""
    leave(journal)
    entry = claim(journal)
    entry.forget()
    entry.close()
    assert files(journal) == []


def test_no_secret_is_written(journal: Journal) -> None:
    """User, query and fragment of an address stay in memory, and nobody else reads the rest."""
    leave(journal, "https://u:planted@hub.example.com/v2/o/app/blobs/uploads/id1?_state=planted#x")
    (file,) = journal.folder.glob("*.json")
    assert "planted" not in file.read_text()
    assert "_state" not in file.read_text()
    assert claim(journal).url == URL
    assert file.stat().st_mode & 0o777 == 0o600
    folders = [journal.folder, journal.folder.parent]
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700, 0o700]


def test_claimed_once(journal: Journal) -> None:
    """Of two at once only one has the upload; the other goes without."""
    first = claim(journal)
    assert journal.claim("hub.example.com", "o/app", DIGEST, MIN_SIZE) is None
    first.close()
    claim(journal).close()


def test_claim_of_the_dead(journal: Journal) -> None:
    """A process that was killed holds nothing."""
    leave(journal)
    (lock,) = journal.folder.glob("*.lock")
    code = (
        "import fcntl, os, sys, time\n"
        "fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-ISc", code, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        assert journal.claim("hub.example.com", "o/app", DIGEST, MIN_SIZE) is None
        other.kill()
        other.wait()
        assert claim(journal).url == URL


def test_small_blobs_are_not_written_down(journal: Journal) -> None:
    """They are sent again sooner."""
    assert journal.claim("hub.example.com", "o/app", DIGEST, MIN_SIZE - 1) is None
    assert not journal.folder.exists()


@pytest.mark.parametrize("hours", [25, -25])
def test_expired(journal: Journal, hours: int) -> None:
    """What is older than a day, or from a wrong clock, is not used."""
    leave(journal)
    later = Journal(journal.folder, now=lambda: time.time() + hours * 3600)
    assert claim(later).url is None


def test_sweep(journal: Journal, tmp_path: Path) -> None:
    """Old files go, but not those of an upload under way, nor what is not ours."""
    leave(journal, host="old.example.com")
    leave(journal)
    busy = claim(journal)
    stranger = journal.folder / "notes.json"
    stranger.write_text("mine")
    draft = journal.folder / f"{'0' * 40}.1-2.tmp"
    draft.write_text("half")
    Journal(journal.folder, now=lambda: time.time() + LIFE + 60).sweep()
    assert files(journal) == [".json", ".json", ".lock"]
    assert stranger.read_text() == "mine"
    busy.close()
    Journal(tmp_path / "none").sweep()
    assert not (tmp_path / "none").exists()


def test_fresh_files_stay(journal: Journal) -> None:
    """A sweep leaves what may still be of use."""
    leave(journal)
    journal.remember_limit("hub.example.com", 1000)
    Journal(journal.folder, now=lambda: time.time() + LIFE - 60).sweep()
    assert files(journal) == [".json", ".json", ".lock"]


GOOD: Final = {"version": 1, "host": "hub.example.com", "repository": "o/app", "url": URL}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 20_000,
        b"null",
        b"\xff\xfe",
        json.dumps({"version": 2}).encode(),
        *(
            json.dumps({**GOOD, "digest": DIGEST.text, "at": 0, **wrong}).encode()
            for wrong in (
                {"version": 9},
                {"at": "now"},
                {"at": True},
                {"at": None},
                {"host": "other"},
                {"repository": None},
                {"digest": "sha256:0"},
                {"url": 5},
                {"url": "ftp://hub.example.com/x"},
                {"url": "https://hub.example.com/x?_state=y"},
                {"url": "https://a@hub.example.com/x"},
                {"url": "https://hub.example.com/x y"},
                {"url": "https://hub.example.com/\u001b[2J"},
            )
        ),
    ],
)
def test_corrupt_files_are_ignored(tmp_path: Path, content: bytes) -> None:
    """Whatever is in the file, a push begins as if it were not there."""
    journal = Journal(tmp_path / "uploads", now=lambda: 0.0)
    leave(journal)
    (file,) = journal.folder.glob("*.json")
    file.write_bytes(content)
    assert claim(journal).url is None


def test_the_good_file_is_used(tmp_path: Path) -> None:
    """The table above is of files that differ from a good one in one thing."""
    journal = Journal(tmp_path / "uploads", now=lambda: 0.0)
    leave(journal)
    (file,) = journal.folder.glob("*.json")
    file.write_text(json.dumps({**GOOD, "digest": DIGEST.text, "at": 0}))
    assert claim(journal).url == URL


@given(content=st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["version", "at", "url", "host", "size"]), inner
    ),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_content_breaks_it(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Reading any file at all ends in an entry or in none."""
    journal = Journal(tmp_path_factory.getbasetemp() / "fuzzed")
    leave(journal)
    journal.remember_limit("h", 1)
    for file in journal.folder.glob("*.json"):
        file.write_bytes(content)
    entry = claim(journal)
    assert entry.url is None
    entry.forget()
    entry.close()
    assert journal.limit("h") is None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#@/\\[]:")))
def test_bare(word: str) -> None:
    """The address without its secrets is the same however often they are taken away."""
    found = bare(f"https://{word}:{word}@h:5000/v2/x?{word}#{word}")
    assert found == "https://h:5000/v2/x"
    assert bare(found) == found


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_unwritable(
    journal: Journal, notes: list[str], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A folder that cannot be written is told once, and everything goes on without it."""

    def refuse(*_args: object, **_options: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("sealoshub.registry.journal.os.open", refuse)
    for _ in range(2):
        assert journal.claim("hub.example.com", "o/app", DIGEST, MIN_SIZE) is None
        journal.remember_limit("hub.example.com", 1000)
        journal.sweep()
    assert notes == [
        f"{journal.folder}: {os.strerror(code)}; a push that is killed will not be resumed"
    ]


def test_full_while_it_is_used(
    journal: Journal, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up in the middle leaves no half file."""
    entry = claim(journal)

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sealoshub.registry.journal.Path.replace", full)
    entry.remember(URL)
    assert files(journal) == [".lock"]
    assert len(notes) == 1
    entry.close()


@pytest.mark.parametrize("kind", ["file", "link", "open"])
def test_folder_of_others(tmp_path: Path, notes: list[str], kind: str) -> None:
    """A folder that is none, leads elsewhere, or that others can write to is not used."""
    folder = tmp_path / "uploads"
    if kind == "file":
        folder.write_text("")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    journal = Journal(folder, notes.append)
    assert journal.claim("hub.example.com", "o/app", DIGEST, MIN_SIZE) is None
    assert len(notes) == 1


def test_links_are_not_followed(journal: Journal, tmp_path: Path) -> None:
    """A file that was replaced by a link is neither read nor written."""
    leave(journal)
    (file,) = journal.folder.glob("*.json")
    target = tmp_path / "target"
    file.rename(target)
    file.symlink_to(target)
    entry = claim(journal)
    assert entry.url is None
    before = target.read_text()
    entry.remember("https://hub.example.com/other")
    assert target.read_text() == before
    entry.close()


def test_limit(journal: Journal) -> None:
    """What one host takes is remembered for a week."""
    assert journal.limit("hub.example.com") is None
    journal.remember_limit("hub.example.com", 1000)
    assert journal.limit("hub.example.com") == 1000
    assert journal.limit("other.example.com") is None
    later = Journal(journal.folder, now=lambda: time.time() + LIMIT_LIFE + 60)
    assert later.limit("hub.example.com") is None
    later.sweep()
    assert files(journal) == []


@pytest.mark.parametrize("size", [0, -5, "7", None, True, 1.5, []])
def test_wrong_limit(journal: Journal, size: object) -> None:
    """A limit that is none is none."""
    journal.write(journal_room._name("h").join(["limit-", ""]), {"host": "h", "size": size})
    assert journal.limit("h") is None


# ---------------------------------------------------------------- pushes


def send(client: Client, image: Layout, journal: Journal | None) -> tuple[PushResult, list[Event]]:
    """Push *image* to o/app:v1."""
    events: list[Event] = []
    reference = Reference.parse(f"{client.host}/o/app:v1")
    with open_image(str(image.path)) as source:
        result = push(client, source, reference, events=events.append, journal=journal)
    return result, events


def large_of(image: Layout) -> tuple[Digest, bytes]:
    """Return the large blob."""
    found = [(image.path / "blobs/sha256" / d[7:]).read_bytes() for d in image.blobs]
    content = max(found, key=len)
    return Digest.of(content), content


def die_in(registry: FakeRegistry, journal: Journal, image: Layout, arrived: int) -> None:
    """Leave what a push leaves that was killed when *arrived* bytes of the blob were there."""
    digest, content = large_of(image)
    registry.uploads["dead"] = bytearray(content[:arrived])
    entry = journal.claim(registry.host, "o/app", digest, len(content))
    assert entry is not None
    entry.remember(f"{registry.url}/v2/o/app/blobs/uploads/dead?_state=signed")
    entry.close()


def assert_stored(registry: FakeRegistry, image: Layout) -> None:
    """The registry has all of the image, and nothing is left open."""
    assert sorted(registry.blobs["o/app"]) == sorted(image.blobs)
    assert registry.manifests["o/app"]["v1"]
    assert not registry.uploads


def test_dead_upload_is_taken_up(
    registry: FakeRegistry, connect: ClientMaker, journal: Journal, large: Layout
) -> None:
    """Only what had not arrived is sent, and said to have been sent."""
    die_in(registry, journal, large, 1_500_000)
    result, events = send(connect(registry.host), large, journal)
    assert_stored(registry, large)
    (patch,) = [seen for seen in registry.seen if seen.method == "PATCH"]
    assert patch.headers["Content-Range"] == f"1500000-{len(large_of(large)[1]) - 1}"
    assert result.uploaded == large.size - 1_500_000
    resumed = [e for e in events if isinstance(e, BlobProgress) and e.state is BlobState.RESUMED]
    assert [event.done for event in resumed] == [1_500_000]
    assert files(journal) == []


def test_dead_upload_that_was_complete(
    registry: FakeRegistry, connect: ClientMaker, journal: Journal, large: Layout
) -> None:
    """If all bytes had arrived, only the closing request is missing."""
    die_in(registry, journal, large, len(large_of(large)[1]))
    send(connect(registry.host), large, journal)
    assert_stored(registry, large)
    assert registry.count("PATCH") == 0


@pytest.mark.parametrize("fault", ["forgotten", "unknown", "foreign content"])
def test_dead_upload_that_is_lost(
    registry: FakeRegistry, connect: ClientMaker, journal: Journal, large: Layout, fault: str
) -> None:
    """If the registry cannot go on, or has something else there, the blob is sent whole."""
    die_in(registry, journal, large, 1_500_000)
    if fault == "forgotten":
        registry.knobs.bare = False
        registry.faults.append(Fault("DELETE", "/dead", status=404))
    elif fault == "unknown":
        del registry.uploads["dead"]
    else:
        registry.uploads["dead"][:] = b"x" * 1_500_000
    result, _ = send(connect(registry.host), large, journal)
    assert result.uploaded == large.size
    registry.uploads.pop("dead", None)  # 2.8 has no name for it without `_state`
    assert_stored(registry, large)
    assert files(journal) == []


def test_blob_that_has_come_meanwhile(
    registry: FakeRegistry, connect: ClientMaker, journal: Journal, large: Layout
) -> None:
    """If somebody else brought the blob, the dead upload is cancelled."""
    send(connect(registry.host), large, None)
    die_in(registry, journal, large, 1_500_000)
    result, _ = send(connect(registry.host), large, journal)
    assert result.uploaded == 0
    assert_stored(registry, large)
    assert files(journal) == []


def test_claimed_upload_is_left_alone(
    registry: FakeRegistry, connect: ClientMaker, journal: Journal, large: Layout
) -> None:
    """While another push has the upload, this one opens its own."""
    die_in(registry, journal, large, 1_500_000)
    digest, content = large_of(large)
    other = journal.claim(registry.host, "o/app", digest, len(content))
    assert other is not None
    send(connect(registry.host), large, journal)
    assert bytes(registry.uploads.pop("dead")) == content[:1_500_000]
    assert_stored(registry, large)
    assert not [seen for seen in registry.seen if "/dead" in seen.path]
    assert other.url is not None
    other.close()
    assert files(journal) == [".json", ".lock"]


def test_address_on_another_host(
    registry: FakeRegistry,
    connect: ClientMaker,
    journal: Journal,
    large: Layout,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without its query a foreign address is void: it is neither written down nor used."""
    with FakeRegistry() as storage:
        registry.knobs.location = storage.url
        storage.uploads, storage.blobs = registry.uploads, registry.blobs
        written: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "write", lambda _self, name, _content: written.append(name))
            send(connect(registry.host), large, journal)
        assert written == []
        digest, content = large_of(large)
        entry = journal.claim(registry.host, "o/other", digest, len(content))
        assert entry is not None
        entry.remember(f"{storage.url}/v2/o/other/blobs/uploads/dead")
        entry.close()
        storage.seen.clear()
        registry.knobs.location = "absolute"
        reference = Reference.parse(f"{registry.host}/o/other:v1")
        with open_image(str(large.path)) as source:
            push(connect(registry.host), source, reference, journal=journal)
        assert storage.seen == []


def test_failure_leaves_nothing(
    registry: FakeRegistry, connect: ClientMaker, journal: Journal, large: Layout
) -> None:
    """A push that fails and can say so to the registry ends its uploads."""
    registry.faults.append(Fault("PUT", "/uploads/", times=99, status=403))
    with pytest.raises(SealosHubError):
        send(connect(registry.host), large, journal)
    assert not registry.uploads
    assert files(journal) == []


def test_failure_of_the_network_leaves_the_upload(
    registry: FakeRegistry, connect: ClientMaker, journal: Journal, large: Layout
) -> None:
    """A push that gave up because nobody answered is taken up by the next one."""
    client = connect(registry.host)
    registry.faults += [
        Fault("PUT", "/uploads/", cut_at=1_500_000),  # the large one comes first
        Fault("HEAD", "/blobs/", skip=1, times=99, cut_at=0),
        Fault("DELETE", "/uploads/", times=99, cut_at=0),
    ]
    reference = Reference.parse(f"{registry.host}/o/app:v1")
    with open_image(str(large.path)) as source, pytest.raises(UnavailableError):
        push(client, source, reference, journal=journal, jobs=1)
    registry.faults.clear()
    sent = sum(len(s.body) for s in registry.seen if s.method in {"PUT", "PATCH"})
    registry.seen.clear()
    send(connect(registry.host), large, journal)
    assert_stored(registry, large)
    sent += sum(len(s.body) for s in registry.seen if "/uploads/" in s.path)
    assert sent == large.size
    assert files(journal) == []


def test_two_pushes_at_once(
    registry: FakeRegistry, connect: ClientMaker, journal: Journal, large: Layout
) -> None:
    """Both succeed, whoever is first."""
    failed: list[BaseException] = []

    def go() -> None:
        try:
            send(connect(registry.host), large, Journal(journal.folder))
        except BaseException as exc:  # noqa: BLE001  # told to the test
            failed.append(exc)

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(registry.blobs["o/app"]) == sorted(large.blobs)
    assert not registry.uploads
    assert files(journal) == []


def test_push_without_a_writable_folder(
    registry: FakeRegistry, connect: ClientMaker, large: Layout, tmp_path: Path
) -> None:
    """A state folder that cannot be made costs a note and nothing else."""
    (tmp_path / "state").write_text("")
    told: list[str] = []
    send(connect(registry.host), large, Journal(tmp_path / "state" / "uploads", told.append))
    assert_stored(registry, large)
    assert len(told) == 1
