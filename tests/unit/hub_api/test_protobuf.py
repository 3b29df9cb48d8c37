"""Kubernetes' protobuf."""

from __future__ import annotations

import pytest

from sealoshub.hub.api.protobuf import parse
from sealoshub.hub.api.status import ApiError


def field(number: int, content: bytes | int) -> bytes:
    """Return one field of a message; short ones only."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    return bytes([number << 3 | 2, len(content)]) + content


def envelope(version: str, kind: str, raw: bytes) -> bytes:
    """Return a body as kubectl sends it."""
    head = field(1, version.encode()) + field(2, kind.encode())
    return b"k8s\x00" + field(1, head) + field(2, raw) + field(3, b"") + field(4, b"")


def test_namespace() -> None:
    """Empty strings, which Go always writes, are left out, as its JSON does."""
    metadata = field(1, b"x") + field(2, b"") + field(3, b"") + field(7, 0) + field(8, b"")
    body = parse(envelope("v1", "Namespace", field(1, metadata) + field(2, b"")))
    assert body == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}, "spec": {}}


def test_map_and_lists() -> None:
    """Maps, bytes and lists of texts come out as JSON has them."""
    entry = field(1, b"k") + field(2, b"v")
    secret = parse(envelope("v1", "Secret", field(2, entry)))
    assert secret["data"] == {"k": "dg=="}
    rule = field(1, b"get") + field(1, b"list") + field(2, b"")
    role = parse(envelope("rbac.authorization.k8s.io/v1", "Role", field(2, rule)))
    assert role["rules"] == [{"verbs": ["get", "list"], "apiGroups": [""]}]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"k8s\x00",
        b"k8s\x00\xff",
        b"nope",
        envelope("v1", "Pod", b""),
        envelope("v1", "Secret", b"\x12\x7f"),
        envelope("v1", "Secret", b"\x0b"),
        envelope("v1", "Secret", b"\x80" * 20),
        envelope("v1", "Secret", field(3, 1)),
        envelope("v1", "Secret", field(3, b"\xff")),
    ],
)
def test_malformed(raw: bytes) -> None:
    """Malformed bodies, and kinds that are not served so, are 400."""
    with pytest.raises(ApiError) as caught:
        parse(raw)
    assert caught.value.http == 400
