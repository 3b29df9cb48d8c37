"""How the fake registry gives blobs away: ranges, lies, and ends that come too early or never."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.server import BaseHTTPRequestHandler


@dataclass(slots=True)
class Serving:
    """Knobs for the answers to a GET of a blob or manifest.

    Args:
        ranges: What a `Range` gets: the `part`, the `whole` (200), `refused` (416), or the `wrong`
            part.
        instead: What is given instead of a digest or tag.
        sized: Answers have a `Content-Length`; without it they are chunked.
        endless: Digests whose content never ends.
        served: Digest and bytes of each answer that was begun.
    """

    ranges: str = "part"
    instead: dict[str, bytes] = field(default_factory=dict)
    sized: bool = True
    endless: set[str] = field(default_factory=set)
    served: list[tuple[str, int]] = field(default_factory=list)

    def bytes_of(self, digest: str) -> int:
        """Return how much of a blob was sent altogether."""
        return sum(size for known, size in self.served if known == digest)


@dataclass(frozen=True, slots=True)
class Asked:
    """A GET of a blob.

    Args:
        digest: Which.
        content: What it is.
        headers: Of the answer, beside those about its length.
        cut_at: Bytes of the content after which the answer ends.
    """

    digest: str
    content: bytes
    headers: Mapping[str, str]
    cut_at: int | None


def give(handler: BaseHTTPRequestHandler, knobs: Serving, asked: Asked) -> None:
    """Answer a GET as *knobs* say."""
    digest, cut_at = asked.digest, asked.cut_at
    content = knobs.instead.get(digest, asked.content)
    total, start, status = len(content), 0, 200
    told = dict(asked.headers)
    wanted = re.fullmatch(r"bytes=([0-9]+)-", handler.headers.get("Range", ""))
    if wanted is not None and knobs.ranges != "whole":
        start = int(wanted[1])
        if knobs.ranges == "refused" or start >= total:
            _refuse(handler, total)
            return
        start = 0 if knobs.ranges == "wrong" else start
        status = 206
        told["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
    sent = content[start:] if cut_at is None else content[start : start + cut_at]
    endless = digest in knobs.endless
    handler.send_response(status)
    for name, value in told.items():
        handler.send_header(name, value)
    if knobs.sized and not endless:
        handler.send_header("Content-Length", str(total - start))
    else:
        handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    knobs.served.append((digest, len(sent)))
    while endless:  # until the other side has had enough, and writing fails
        _chunk(handler, content)
    if knobs.sized:
        handler.wfile.write(sent)
    else:
        if sent:
            _chunk(handler, sent)
        if cut_at is None:
            _chunk(handler, b"")


def _chunk(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    handler.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")


def _refuse(handler: BaseHTTPRequestHandler, total: int) -> None:
    body = json.dumps({"errors": [{"code": "RANGE_INVALID", "message": "it is"}]}).encode()
    handler.send_response(416)
    handler.send_header("Content-Range", f"bytes */{total}")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
