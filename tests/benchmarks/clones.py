"""Many organisations, quickly: copies of one that a hub has made, put where the hub keeps them.

What the API server stores in etcd and the registry in files is copied as it is, with other names,
UIDs and digests of the same length. So ten thousand organisations are there in minutes, exactly as
if they had been made and pushed to, which would take hours.
"""

from __future__ import annotations

import base64
import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATE: Final = "template"  # the organisation that is copied
THREADS: Final = 4
PREFIXES: Final = (
    "/registry/imagehub.sealos.io/organizations/",
    "/registry/imagehub.sealos.io/repositories/",
    "/registry/imagehub.sealos.io/images/",
    "/registry/namespaces/",
    "/registry/rolebindings/",
)
# A name, a SHA-256 or a UID; the last eight characters of the latter two number the copy.
# No boundaries: in a protobuf, any byte may come next.
_CHANGING: Final = re.compile(rb"template|[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def name_of(number: int) -> str:
    """Return the name of a copy: as long as that of the template."""
    return f"o{number:07d}"


def changed(content: bytes, number: int) -> bytes:
    """Return *content* as the copy *number* has it."""
    name, mark = name_of(number).encode(), f"{number:08x}".encode()

    def change(found: re.Match[bytes]) -> bytes:
        text = found[0]
        return name if text == TEMPLATE.encode() else text[: -len(mark)] + mark

    return _CHANGING.sub(change, content)


class Etcd:
    """The storage of an API server, through etcd's JSON gateway.

    Args:
        url: Of its clients.
    """

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60.0, trust_env=False)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def template(self) -> list[list[tuple[bytes, bytes]]]:
        """Return key and value of everything that belongs to the template, by kind."""
        found = []
        for prefix in PREFIXES:
            end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
            answer = self._call("range", {"key": _text(prefix), "range_end": _text(end)})
            pairs = [
                (base64.b64decode(item["key"]), base64.b64decode(item["value"]))
                for item in answer.get("kvs", ())
            ]
            found.append([(key, value) for key, value in pairs if TEMPLATE.encode() in key])
        return found

    def copy(self, template: list[list[tuple[bytes, bytes]]], numbers: range) -> None:
        """Store the copies *numbers* of *template*."""
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(partial(self._copy, template), numbers):
                pass

    def _copy(self, template: list[list[tuple[bytes, bytes]]], number: int) -> None:
        # One of each kind in a transaction: what is stored at once has one resourceVersion, and
        # somebody who watches a kind and connects anew in the middle would miss the others.
        for together in itertools.zip_longest(*template):
            puts = [
                {
                    "key": base64.b64encode(changed(pair[0], number)).decode(),
                    "value": base64.b64encode(changed(pair[1], number)).decode(),
                }
                for pair in together
                if pair is not None
            ]
            self._call("txn", {"success": [{"request_put": put} for put in puts]})

    def _call(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._http.post(f"/v3/kv/{what}", json=body)
        assert answer.status_code == httpx.codes.OK, answer.text[:500]
        found: dict[str, Any] = answer.json()
        return found


def copy_content(storage: Path, numbers: range) -> None:
    """Copy what a registry keeps of the template.

    Manifests of the copies have digests of their own, and the bytes of the template's: nothing
    that is measured reads them.

    Args:
        storage: The folder `docker/registry/v2` of the registry.
        numbers: Of the copies.
    """
    repositories = storage / "repositories"
    links = [
        (file.relative_to(repositories), file.read_bytes())
        for file in (repositories / TEMPLATE).rglob("link")
        if "_manifests" in file.parts and "index" not in file.parts
    ]
    digests = {text.removeprefix(b"sha256:") for _, text in links}
    for number in numbers:
        for place, text in links:
            file = repositories / changed(str(place).encode(), number).decode()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(changed(text, number))
        for digest in digests:
            blob = _blob(storage, changed(digest, number).decode())
            blob.parent.mkdir(parents=True, exist_ok=True)
            os.link(_blob(storage, digest.decode()), blob)


def _blob(storage: Path, digest: str) -> Path:
    return storage / "blobs" / "sha256" / digest[:2] / digest / "data"


def _text(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
