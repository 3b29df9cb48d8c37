"""Pushing to a registry, or through a proxy, that answers an upload with whatever hurts.

Each answer ends in a push that succeeded or in one clean error with its exit code; never in a
traceback, a full memory, a secret or an escape sequence on the terminal, or a token elsewhere.
"""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sealoshub.errors import ContentRefusedError, SealosHubError, UnavailableError
from sealoshub.reference import Reference
from sealoshub.registry.failure import retry_after
from sealoshub.registry.push import push
from sealoshub.registry.response import Headers
from sealoshub.registry.source import open_image
from tests.images import Layout, oci_layout
from tests.unit.registry.fake_registry import FakeRegistry, Fault

if TYPE_CHECKING:
    from sealoshub.registry.client import Client
    from tests.unit.registry.conftest import ClientMaker

UPLOAD: Final = r"/blobs/uploads/id"
BOMB: Final = gzip.compress(bytes(50_000_000))
FLOOD: Final = b"x" * 5_000_000
PACKED: Final = (("Content-Encoding", "gzip"),)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """An image of three small blobs."""
    return oci_layout(tmp_path_factory.mktemp("small") / "layout", layer_bytes=200_000)


def send(client: Client, image: Layout) -> None:
    """Push *image* to o/app:v1, one blob after the other."""
    reference = Reference.parse(f"{client.host}/o/app:v1")
    with open_image(str(image.path)) as source:
        push(client, source, reference, jobs=1)


def blob_size(image: Layout, digest: str) -> int:
    """Return the bytes of a blob."""
    return (image.path / "blobs/sha256" / digest.removeprefix("sha256:")).stat().st_size


@pytest.mark.parametrize(
    "location",
    [
        "ftp://h/v2/o/app/blobs/uploads/1",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://[::1",
        "http://",
        "//",
        "http://h:99999/",
        "http://user:planted@h:0/",
        "http://" + "a" * 300 + "/",
        "/\x7f" + "a" * 10,
        "http://exa mple/",
    ],
)
def test_locations_that_lead_nowhere(
    registry: FakeRegistry, connect: ClientMaker, small: Layout, location: str
) -> None:
    """An address that is none, or nobody's, ends the push with exit code 6."""
    registry.faults.append(
        Fault("POST", "/uploads/", times=99, status=202, headers=(("Location", location),))
    )
    with pytest.raises(UnavailableError) as caught:
        send(connect(registry.host), small)
    assert "planted" not in caught.value.message
    assert caught.value.message.isprintable()


def test_redirect_of_a_body_gets_no_token(
    registry: FakeRegistry, connect: ClientMaker, small: Layout
) -> None:
    """A PUT that is sent to another host takes the content there, and not who asks."""
    registry.knobs.auth = "bearer"
    with FakeRegistry() as storage:
        storage.uploads, storage.blobs = registry.uploads, registry.blobs
        first = max(small.blobs, key=lambda digest: blob_size(small, digest))
        there = f"{storage.url}/v2/o/app/blobs/uploads/id1?_state=x&digest={first}"
        registry.faults.append(Fault("PUT", UPLOAD, status=307, headers=(("Location", there),)))
        send(connect(registry.host, "alice"), small)
        assert sorted(registry.blobs["o/app"]) == sorted(small.blobs)
        assert [seen.method for seen in storage.seen] == ["PUT"]
        assert "Authorization" not in storage.seen[0].headers
        assert len(storage.seen[0].body) > 0


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_header_without_end(
    registry: FakeRegistry, connect: ClientMaker, small: Layout, method: str
) -> None:
    """A header of 10 MB is not read to its end, and the push ends with exit code 6."""
    registry.faults.append(
        Fault(method, "/uploads/", times=99, status=202, headers=(("X", "y" * 10_000_000),))
    )
    with pytest.raises(UnavailableError):
        send(connect(registry.host), small)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(method, "/uploads/", 99, status=status, headers=PACKED, body=body)
        for method, status in (("POST", 400), ("PUT", 400), ("PUT", 507))
        for body in (FLOOD, BOMB)
    ],
    ids=lambda fault: f"{fault.method} {fault.status} {len(fault.body)}",
)
def test_error_bodies_without_end(
    registry: FakeRegistry, connect: ClientMaker, small: Layout, fault: Fault
) -> None:
    """Of an error not more is read than fits on a page, and nothing is unpacked."""
    registry.faults.append(replace(fault))  # the table's own stays as it is
    with pytest.raises(SealosHubError) as caught:
        send(connect(registry.host), small)
    assert len(caught.value.message) < 700
    assert caught.value.message.isprintable()


def test_bodies_where_none_belongs(
    registry: FakeRegistry, connect: ClientMaker, small: Layout
) -> None:
    """A good answer with a flood behind it is a good answer."""
    registry.faults.append(Fault("HEAD", "/blobs/", status=404, body=FLOOD))
    where = ("Location", "/v2/o/app/blobs/uploads/mine?_state=a")
    registry.faults.append(Fault("POST", "/uploads/", status=202, headers=(where,), body=FLOOD))
    registry.uploads["mine"] = bytearray()
    send(connect(registry.host), small)
    assert sorted(registry.blobs["o/app"]) == sorted(small.blobs)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((("Content-Type", "application/json"),), b'{"errors":[{"code":"\\u001b[2JX"}]}'),
        ((), b"<html><title>\x1b]0;owned\x07no</title></html>"),
        ((), b"\x1b[31mred\x1b[0m \x9b31m \xe2\x80\xae"),
    ],
)
def test_escape_sequences(
    registry: FakeRegistry,
    connect: ClientMaker,
    small: Layout,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
) -> None:
    """Nothing of a refusal moves the cursor."""
    registry.faults.append(Fault("PUT", UPLOAD, times=99, status=400, headers=headers, body=body))
    with pytest.raises(ContentRefusedError) as caught:
        send(connect(registry.host), small)
    assert caught.value.message.isprintable()
    assert (caught.value.code or "").isprintable()


@pytest.mark.parametrize("least", ["-1", "x", "", "9" * 30, "1.5", "٣"])
def test_least_chunk_that_is_none(
    registry: FakeRegistry, connect: ClientMaker, small: Layout, least: str
) -> None:
    """A wish that cannot be read is none."""
    where = ("Location", "/v2/o/app/blobs/uploads/mine?_state=a")
    header = ("OCI-Chunk-Min-Length", least.encode().decode("latin-1"))
    registry.faults.append(Fault("POST", "/uploads/", status=202, headers=(where, header)))
    registry.uploads["mine"] = bytearray()
    send(connect(registry.host), small)
    assert sorted(registry.blobs["o/app"]) == sorted(small.blobs)


@given(st.text(st.characters(max_codepoint=255)))
@example("Mon, 01 Jan 0001 00:00:00 -0000")
@example("Fri, 31 Dec 9999 23:59:60 +2400")
@example("Thu, 01 Jan 1970 00:00:00 " + "9" * 50)
def test_retry_after_is_seconds_or_nothing(text: str) -> None:
    """No text ends in anything but a time that can be waited, or none."""
    found = retry_after(Headers([("Retry-After", text)]), now=0.0)
    assert found is None or 0.0 <= found < float("inf")


@pytest.mark.parametrize("after", ["999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_endless_retry_after(
    registry: FakeRegistry, connect: ClientMaker, small: Layout, naps: list[float], after: str
) -> None:
    """A server that wants us to wait for years is not waited for."""
    registry.faults.append(
        Fault("POST", "/uploads/", times=99, status=429, headers=(("Retry-After", after),))
    )
    with pytest.raises(UnavailableError):
        send(connect(registry.host), small)
    assert naps == []
