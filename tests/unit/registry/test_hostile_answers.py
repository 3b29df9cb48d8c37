"""Claims about answers that nobody honest gives: registries, dockers, and what an archive lists."""

from __future__ import annotations

import contextlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.errors import InvalidInputError, SealosHubError, UnavailableError
from sealoshub.reference import Digest, MediaType, Reference
from sealoshub.registry import catalog, delete, docker_archive, referrers, referring, walk
from sealoshub.registry.contact import Base
from sealoshub.registry.failure import Answer
from sealoshub.registry.image import Descriptor, Manifest, parse_json, parse_object
from sealoshub.registry.metadata import read_metadata
from sealoshub.registry.remote import Remote
from sealoshub.registry.remote_image import resolve
from sealoshub.registry.response import Headers
from sealoshub.registry.retry import Retry
from sealoshub.registry.source import open_image
from sealoshub.registry.transport import transport
from sealoshub.registry.upload import Repository
from sealoshub.registry.url import Url
from sealoshub.registry.wire import Wire
from tests.images import sha256
from tests.unit.registry.test_source import Builder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sealoshub.registry.client import Client
    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry

HOST = "registry.example"
ZERO = f"sha256:{'0' * 64}"
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from(
    ["manifests", "mediaType", "digest", "size", "subject", "tags", "repositories", "Config"]
)
KEYS |= st.sampled_from(["Layers", "RepoTags", "annotations", "platform", "layers", "config"])
WORDS = st.sampled_from([str(MediaType.OCI_INDEX), str(MediaType.OCI_MANIFEST), ZERO])
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
BODY = JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)
BODY |= st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"\xff\xfe"])
BODY |= st.lists(JSON, max_size=3).map(lambda listed: json.dumps({"manifests": listed}).encode())
LINK = st.text(max_size=60) | st.sampled_from(
    ["<>; rel=next", "<//x>; rel=next", "<../../..>;rel=next", "<?a>;rel=next", "<" * 50]
)


class Liar:
    """A client whose registry answers everything with the same body, without a socket.

    Args:
        body: Of every answer.
        status: Of every answer.
        headers: Further ones.
        api: Of referrers; without it that is not found.
    """

    host = HOST
    api = True

    def __init__(
        self, body: bytes, status: int = HTTPStatus.OK, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.retry = Retry(budget=0.0)
        self.wire = Wire(
            HOST,
            transport(None, insecure_skip_tls_verify=False, environment={}),
            lambda _note: None,
        )
        self.asked = 0
        self._answer = (status, Headers((("Content-Type", MediaType.OCI_INDEX), *headers)), body)

    def base(self) -> Base:
        """Return where the registry is."""
        return Base(Url.parse(f"https://{HOST}/"), None)

    def request(self, method: str, target: str, **_: object) -> Answer:
        """Return the answer."""
        self.asked += 1
        assert self.asked < 10_000
        status, headers, body = self._answer
        if not self.api and "/referrers/" in target:
            status = HTTPStatus.NOT_FOUND
        return Answer(method, self.base().url.join(target), status, headers, body)


def client(liar: Liar) -> Client:
    """Pass *liar* off as a client."""
    return cast("Client", liar)


def manifest(**more: object) -> Manifest:
    """Return a manifest that refers to something."""
    document = {
        "config": {"mediaType": "x", "digest": ZERO, "size": 2},
        "subject": {"mediaType": MediaType.OCI_MANIFEST, "digest": ZERO, "size": 2},
        **more,
    }
    content = json.dumps(document).encode()
    described = Descriptor(MediaType.OCI_MANIFEST, Digest.of(content), len(content))
    return Manifest.parse(described, content)


@given(BODY, st.sampled_from([200, 400, 404]), LINK, st.booleans())
def test_lists_of_referrers(body: bytes, status: int, link: str, api: bool) -> None:  # noqa: FBT001  # hypothesis passes by position
    """Whatever a registry answers, what belongs to an image is found or refused, and it ends."""
    liar = Liar(body, status, (("Link", link),))
    liar.api = api
    with contextlib.suppress(SealosHubError):
        referring.find(Remote(client(liar), "o/app"), "app", [manifest()], _nothing)
    repository = Repository(client(liar), "o/app")
    with contextlib.suppress(SealosHubError):
        referrers.register(repository, [manifest()])
    with contextlib.suppress(SealosHubError):
        referrers.may_replace(repository, f"sha256-{'0' * 64}.sig", manifest())


def _nothing(_wanted: Descriptor) -> bytes:
    return b"{}"


@given(BODY, st.sampled_from([200, 404]))
def test_catalogues(body: bytes, status: int) -> None:
    """Whatever a registry lists, its content is told or refused, and it ends."""
    questions: list[Callable[[Client], object]] = [
        lambda asked: list(catalog.tags(asked, "o/app")),
        lambda asked: list(catalog.repositories(asked)),
        lambda asked: catalog.describe(asked, "o/app", ZERO),
        lambda asked: catalog.digest_of(asked, "o/app", "v1"),
        lambda asked: delete.delete_repository(asked, "o/app"),
        lambda asked: list(delete._manifests(asked, "o/app", "v1", ())),
        lambda asked: resolve(Remote(asked, "o/app"), Reference(HOST, "o/app", "v1")),
    ]
    for question in questions:
        with contextlib.suppress(SealosHubError):
            question(client(Liar(body, status)))


@given(BODY)
def test_what_an_archive_lists(body: bytes) -> None:
    """Whatever `manifest.json` of a docker archive is, it lists images or is refused."""
    with contextlib.suppress(InvalidInputError):
        saved = docker_archive.parse_manifest(body, "a.tar")
        docker_archive.choose(saved, None, "a.tar")
        docker_archive.choose(saved, "@0", "a.tar")


@given(BODY)
def test_what_an_image_says_about_itself(
    tmp_path_factory: pytest.TempPathFactory, body: bytes
) -> None:
    """Whatever a configuration is, the rest of the image is read."""
    build = Builder(tmp_path_factory.mktemp("config") / "layout")
    layer = build.blob(b"layer", "application/octet-stream")
    config = build.blob(body, MediaType.OCI_CONFIG)
    path = build.index(build.manifest(layer, config=config))
    with open_image(path, env={}) as image:
        assert read_metadata(image).config_yaml is None


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":1}', '{"x":[{"digest":"a","size":1,"digest":"b"}]}', '{"config":{},"config":{}}'],
)
def test_keys_that_come_twice(text: str) -> None:
    """What says something twice means two things to two readers, and is refused."""
    with pytest.raises(InvalidInputError, match="twice"):
        parse_object(text.encode(), "it")
    assert parse_json(b'[{"a":1},{"a":2,"A":3}]', "it") == [{"a": 1}, {"a": 2, "A": 3}]


def test_a_manifest_of_two_minds(build: Builder) -> None:
    """An image whose manifest names two configurations is not pushed."""
    entry = build.manifest(build.blob(b"layer"))
    content = (build.path / "blobs/sha256" / entry["digest"][7:]).read_bytes()
    twice = content.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "layers": []')
    path = build.index(build.blob(twice, MediaType.OCI_MANIFEST))
    with pytest.raises(InvalidInputError, match="'layers' twice"):
        open_image(path)


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """An empty layout."""
    return Builder(tmp_path / "layout")


def test_a_list_of_strangers(
    registry: FakeRegistry, connect: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list full of large manifests that are about something else does not fill the memory."""
    monkeypatch.setattr(walk, "MAX_MANIFEST_BYTES", 100_000)
    stored = registry.manifests.setdefault("o/app", {})
    registry.blobs["o/app"] = {}
    image = _store(stored, {"layers": []})
    strangers = [_store(stored, {"annotations": {"x": f"{each}" * 30_000}}) for each in range(9)]
    index = json.dumps({"schemaVersion": 2, "manifests": strangers}).encode()
    stored[image["digest"].replace(":", "-")] = (MediaType.OCI_INDEX, index)
    source = Remote(connect(registry.host), "o/app")
    with pytest.raises(InvalidInputError, match="than anybody needs"):
        resolve(source, Reference(registry.host, "o/app", digest=Digest(image["digest"])))
    asked = sum(registry.count("GET", f"/manifests/{each['digest']}$") for each in strangers)
    assert asked < len(strangers)


def _store(stored: dict[str, tuple[str, bytes]], more: dict[str, object]) -> dict[str, Any]:
    config = {"mediaType": "x", "digest": ZERO, "size": 2}
    document = {"schemaVersion": 2, "mediaType": MediaType.OCI_MANIFEST, "config": config}
    content = json.dumps(document | more).encode()
    stored[sha256(content)] = (MediaType.OCI_MANIFEST, content)
    return {
        "mediaType": MediaType.OCI_MANIFEST,
        "digest": sha256(content),
        "size": len(content),
    }


def test_a_long_chain_of_signatures(build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    """More signatures of signatures than anybody needs are refused, each having been read once."""
    monkeypatch.setattr(walk, "MAX_MANIFESTS", 200)
    entries = [build.manifest(build.blob(b"layer"))]
    for _ in range(250):
        entries.append(build.manifest(subject=entries[-1]))
    with pytest.raises(InvalidInputError, match="more belongs to the image"):
        open_image(build.index(*entries))


def test_the_same_link_again_and_again(build: Builder) -> None:
    """A layer with thousands of links called README.md is told about once."""
    import io  # noqa: PLC0415  # here only
    import tarfile  # noqa: PLC0415  # as above

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for _ in range(2000):
            entry = tarfile.TarInfo("README.md")
            entry.type, entry.linkname = tarfile.SYMTYPE, "x"
            tar.addfile(entry)
    path = build.index(build.manifest(build.blob(buffer.getvalue())))
    with open_image(path, env={}) as image:
        assert len(read_metadata(image).notes) == 1


def test_a_docker_that_talks_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A description of an image that does not end is not read to its end."""
    import socket  # noqa: PLC0415  # here only
    import threading  # noqa: PLC0415  # as above

    monkeypatch.setattr("sealoshub.registry.daemon.MAX_DESCRIPTION", 1000)
    path = tmp_path / "docker.sock"

    def talk(server: socket.socket) -> None:
        visitor, _ = server.accept()
        with visitor, contextlib.suppress(OSError):
            visitor.recv(65536)
            visitor.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                visitor.sendall(b" " * 65536)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=talk, args=(server,), daemon=True)
        thread.start()
        with pytest.raises(UnavailableError, match="far too much"):
            open_image("docker-daemon:app", env={"DOCKER_HOST": f"unix://{path}"})
        thread.join(20.0)
        assert not thread.is_alive()
