"""What a registry holds: repositories, tags, and what a tag names, without reading any layer.

Distribution specification 1.1, "Content Discovery", and `_catalog` of distribution.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from sealoshub.errors import InvalidInputError, UnavailableError
from sealoshub.reference import INDEX_TYPES, MANIFEST_TYPES, Digest, is_tag
from sealoshub.registry.image import MAX_MANIFEST
from sealoshub.registry.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealoshub.registry.client import Client
    from sealoshub.registry.failure import Answer

PAGE: Final = 1000  # names in one answer; distribution 3 gives no more
MAX_PAGES: Final = 10_000  # a registry that goes round in circles is left
MAX_PAGE: Final = 4 << 20  # bytes; a name has 255 characters at most
MAX_CONFIG: Final = 4 << 20  # bytes
MAX_CHILDREN: Final = 64  # manifests of an index that are looked at
CATALOG: Final = ("registry:catalog:*",)

_ACCEPT: Final[Mapping[str, str]] = {"Accept": ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))}


@dataclass(frozen=True, slots=True)
class Description:
    """What a manifest says about an image, by plain values.

    Args:
        digest: Of the manifest or index.
        platforms: `os/architecture[/variant]` of each manifest; empty for what is not an image.
        size: Bytes of all distinct blobs and manifests.
        image_id: Digest of the configuration; empty for an index of several images.
        created: When the image was built, as its configuration says; or empty.
    """

    digest: str
    platforms: tuple[str, ...]
    size: int
    image_id: str
    created: str


def repositories(client: Client) -> Iterator[str]:
    """Yield the name of every repository, also of those that hold nothing any more.

    Raises:
        DeniedError: The user may not see the catalogue.
        SealosHubError: The registry has none, or not now.
    """
    return _pages(client, "/v2/_catalog", "repositories", CATALOG, expect={200})


def tags(client: Client, name: str, scopes: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every tag of *name* (`org/repo`); none if there is no such repository.

    Args:
        client: Of the registry.
        name: The repository.
        scopes: What the token is for; by default `pull`.
    """
    wanted = scopes or _pull(name)
    for tag in _pages(client, f"/v2/{name}/tags/list", "tags", wanted, expect={200, 404}):
        if is_tag(tag):
            yield tag


def digest_of(client: Client, name: str, target: str) -> str | None:
    """Return the digest that *target*, a tag or digest, names; None if it names nothing."""
    answer = _ask(client, "HEAD", name, f"manifests/{target}")
    if answer.status == Status.NOT_FOUND:
        return None
    told = answer.headers.get("docker-content-digest", "")
    if told:
        return Digest.parse(told).text
    answer = _ask(client, "GET", name, f"manifests/{target}", limit=MAX_MANIFEST + 1)
    return None if answer.status == Status.NOT_FOUND else Digest.of(answer.body).text


def describe(client: Client, name: str, digest: str) -> Description | None:
    """Return what the manifest or index *digest* of *name* says; None if it is not there.

    Whatever cannot be read in it is left out: whoever pushed it wrote it.
    """
    root = _manifest(client, name, digest)
    if root is None:
        return None
    content, size = root
    sizes = {digest: size}
    platforms: list[str] = []
    configs: list[dict[str, Any]] = []
    listed = content.get("manifests")
    if isinstance(listed, list):
        for entry in listed[:MAX_CHILDREN]:
            child = _child(client, name, entry)
            if child is None:
                continue
            inner, inner_size = child
            sizes[str(entry["digest"])] = inner_size
            _add_blobs(sizes, inner)
            if platform := _platform(entry.get("platform")):
                platforms.append(platform)
                configs.append(inner)
    else:
        _add_blobs(sizes, content)
        configs.append(content)
    config: dict[str, Any] = {}
    image_id = ""
    if len(configs) == 1:
        config, image_id = _config(client, name, configs[0])
        if not platforms and (platform := _platform(config)):
            platforms.append(platform)
    created = config.get("created")
    return Description(
        digest,
        tuple(dict.fromkeys(platforms)),
        sum(sizes.values()),
        image_id,
        created if isinstance(created, str) else "",
    )


def _pages(
    client: Client, path: str, word: str, scopes: tuple[str, ...], *, expect: set[int]
) -> Iterator[str]:
    """Yield page after page; the next one is found by the last name, not by a URL."""
    last = ""
    for _ in range(MAX_PAGES):
        query = urlencode({"n": str(PAGE)} | ({"last": last} if last else {}))
        ask = partial(
            client.request,
            "GET",
            f"{path}?{query}",
            expect=expect,
            scopes=scopes,
            limit=MAX_PAGE,
        )
        answer = client.retry.run(ask)
        if answer.status == Status.NOT_FOUND:
            return  # never pushed to, or deleted before
        page = _listed(answer, word)
        yield from page
        if "link" not in answer.headers or not page or page[-1] == last:
            return
        last = page[-1]
    raise UnavailableError(f"{client.host} does not come to the end of {path}")


def _listed(answer: Answer, word: str) -> list[str]:
    try:
        value = json.loads(answer.body)
        found = list(value[word] or [])
    except (ValueError, RecursionError, KeyError, TypeError):
        raise UnavailableError(f"{answer.url.host} sent a list of {word} that is none") from None
    return [name for name in found if isinstance(name, str)]


def _pull(name: str) -> tuple[str, ...]:
    return (f"repository:{name}:pull",)


def _ask(  # noqa: PLR0913  # the parts of one request
    client: Client,
    method: str,
    name: str,
    path: str,
    *,
    headers: Mapping[str, str] = _ACCEPT,
    limit: int = 0,
) -> Answer:
    ask = partial(
        client.request,
        method,
        f"/v2/{name}/{path}",
        expect={200, 404},
        scopes=_pull(name),
        headers=headers,
        limit=limit,
    )
    return client.retry.run(ask)


def _manifest(client: Client, name: str, digest: str) -> tuple[dict[str, Any], int] | None:
    """Return a manifest and its bytes; an empty one if it is no JSON object."""
    answer = _ask(client, "GET", name, f"manifests/{digest}", limit=MAX_MANIFEST + 1)
    if answer.status == Status.NOT_FOUND:
        return None
    return _object(answer.body), len(answer.body)


def _child(client: Client, name: str, entry: object) -> tuple[dict[str, Any], int] | None:
    if not isinstance(entry, dict):
        return None
    try:
        return _manifest(client, name, Digest.parse(str(entry.get("digest"))).text)
    except InvalidInputError:
        return None


def _config(client: Client, name: str, manifest: dict[str, Any]) -> tuple[dict[str, Any], str]:
    described = manifest.get("config")
    if not isinstance(described, dict):
        return {}, ""
    try:
        digest = Digest.parse(str(described.get("digest"))).text
    except InvalidInputError:
        return {}, ""
    size = described.get("size")
    if not isinstance(size, int) or size > MAX_CONFIG:
        return {}, digest
    answer = _ask(client, "GET", name, f"blobs/{digest}", headers={}, limit=MAX_CONFIG)
    return _object(answer.body) if answer.status == Status.OK else {}, digest


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _add_blobs(sizes: dict[str, int], manifest: dict[str, Any]) -> None:
    layers = manifest.get("layers")
    for blob in [manifest.get("config"), *(layers if isinstance(layers, list) else ())]:
        if isinstance(blob, dict) and isinstance(size := blob.get("size"), int) and size > 0:
            sizes[str(blob.get("digest"))] = size


def _platform(value: object) -> str:
    """Return `os/architecture[/variant]` of a platform or configuration; empty if it says none."""
    if not isinstance(value, dict):
        return ""
    words = [value.get("os"), value.get("architecture")]
    if not all(isinstance(word, str) and word and word != "unknown" for word in words):
        return ""  # `unknown` is what an attestation beside the images has
    variant = value.get("variant")
    return "/".join(
        [*map(str, words), *([variant] if isinstance(variant, str) and variant else ())]
    )
