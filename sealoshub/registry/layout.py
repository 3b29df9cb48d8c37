"""OCI image layouts (image specification, image-layout.md): from `index.json` to the blobs."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.reference import Digest, MediaType
from sealoshub.registry import attached, platforms, walk
from sealoshub.registry.failure import clean
from sealoshub.registry.image import (
    MAX_DESCRIPTORS,
    MAX_MANIFEST,
    Descriptor,
    Manifest,
    Platform,
    parse_object,
)
from sealoshub.registry.store import blob_at, gather, small_file
from sealoshub.value import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sealoshub.registry.store import Contents, Store

    Fetch = Callable[[Descriptor], bytes]

REF_NAME: Final = "org.opencontainers.image.ref.name"
NAME_KEYS: Final = (REF_NAME, "io.containerd.image.name")
_IMAGE_CONFIGS: Final = frozenset({MediaType.OCI_CONFIG, MediaType.DOCKER_CONFIG})


def is_layout(store: Store) -> bool:
    """Tell whether *store* looks like an OCI layout."""
    return store.size("index.json") is not None and (
        store.size("oci-layout") is not None or store.size("manifest.json") is None
    )


def read_layout(store: Store, ref: str | None, platform: Platform | None = None) -> Contents:
    """Read every manifest below one entry of `index.json`, with signatures and the like.

    Args:
        store: Where the layout lies.
        ref: Name or digest of the entry; None if there is only one.
        platform: Of an index only the image for it; None: all.

    Raises:
        NotFoundError: There is no such entry, or none for *platform*.
        InvalidInputError: Something is missing, too large, or not what it says.
    """
    entries = read_index(store)
    fetch = fetcher(store, blob_path)
    others = _Others(store.name, fetch)
    chosen = _choose(store, entries, ref, others)
    root = chosen[0]
    if platform is not None:
        root = narrow(store.name, root, platform, fetch)
    manifests = walk.collect(store.name, root, fetch)
    referrers, tags = others.belonging_to(manifests, entries)
    names = (
        entry.annotations[key] for entry in chosen for key in NAME_KEYS if key in entry.annotations
    )
    return replace(gather(store, (*referrers, *manifests), names, blob_path), attached=tags)


def read_index(store: Store) -> list[Descriptor]:
    """Return the entries of `index.json`.

    Raises:
        InvalidInputError: It is not the index of a layout.
    """
    _check_version(store)
    where = f"{store.name}: index.json"
    entries = parse_object(small_file(store, "index.json"), where).get("manifests")
    if not isinstance(entries, list) or not entries:
        raise InvalidInputError(f"{store.name}: index.json lists no image")
    if len(entries) > MAX_DESCRIPTORS:
        raise InvalidInputError(f"{where} lists more than {MAX_DESCRIPTORS} images")
    return [Descriptor.parse(entry, where) for entry in entries]


def blob_path(descriptor: Descriptor) -> str:
    """Return where a blob lies in a layout."""
    return f"blobs/{descriptor.digest.algorithm}/{descriptor.digest.hex}"


def fetcher(store: Store, path_of: Callable[[Descriptor], str]) -> Fetch:
    """Return what reads a manifest and compares it with its descriptor."""

    def fetch(descriptor: Descriptor) -> bytes:
        if descriptor.size > MAX_MANIFEST:
            raise InvalidInputError(
                f"{store.name}: manifest {descriptor.digest} is larger than {MAX_MANIFEST} bytes"
            )
        return blob_at(store, path_of(descriptor), descriptor).content()

    return fetch


def narrow(name: str, root: Descriptor, wanted: Platform, fetch: Fetch) -> Descriptor:
    """Go down from *root* to the image for a platform.

    Raises:
        NotFoundError: There is none; the hint says which there are.
        InvalidInputError: A manifest on the way is damaged.
    """
    for _ in range(walk.MAX_DEPTH + 1):
        manifest = Manifest.parse(root, fetch(root))
        if manifest.config is not None:
            _check_platform(name, manifest.config, wanted, fetch)
            return root
        root = platforms.choose(name, wanted, manifest.children)
    raise InvalidInputError(f"{name}: indexes within indexes, more than {walk.MAX_DEPTH} deep")


def _check_platform(name: str, config: Descriptor, wanted: Platform, fetch: Fetch) -> None:
    """Compare *wanted* with what an image says about itself; an artifact says nothing."""
    if config.media_type not in _IMAGE_CONFIGS:
        return
    document = parse_object(fetch(config), f"the configuration of {name}")
    system, architecture, variant = (
        clean(str(document.get(key) or ""), 64) for key in ("os", "architecture", "variant")
    )
    found = Platform(system, architecture, variant)
    if system and architecture and not platforms.fits(wanted, found):
        raise NotFoundError(f"{name} has no image for {wanted}", hint=f"It is for {found}.")


class _Others:
    """The entries of an index beside the image: signatures, attestations, other images.

    It is a class because each is read at most once, and all of them together are bounded.
    """

    def __init__(self, name: str, fetch: Fetch) -> None:
        self._name = name
        self._fetch = fetch
        self._known: dict[Digest, Manifest | None] = {}
        self._bytes = 0

    def belonging_to(
        self, manifests: Iterable[Manifest], entries: Iterable[Descriptor]
    ) -> tuple[tuple[Manifest, ...], dict[str, Digest]]:
        """Return what among *entries* is about one of *manifests*, what is about that, and so on.

        Returns:
            The manifests, and what those are called that are found by their names only.
        """
        there = {manifest.descriptor.digest: manifest for manifest in manifests}
        self._known = {**there, **self._known}
        about = self._by_subject(entries)
        found: dict[Digest, Manifest] = {}
        tags: dict[str, Digest] = {}
        subjects = deque(there)
        weight = 0  # bytes of manifests: they stay in memory
        while subjects:
            subject = subjects.popleft()
            for entry in about.get(subject, ()):
                tag = entry.annotations.get(REF_NAME, "")
                if entry.digest in there:
                    continue
                if attached.subject_of(tag) == subject:
                    tags[tag] = entry.digest
                if entry.digest in found:
                    continue
                for manifest in walk.collect(self._name, entry, self._fetch):
                    digest = manifest.descriptor.digest
                    if digest not in there and digest not in found:
                        found[digest] = manifest
                        weight += len(manifest.content)
                        subjects.append(digest)
                if len(found) > walk.MAX_MANIFESTS or weight > walk.MAX_MANIFEST_BYTES:
                    raise InvalidInputError(f"{self._name}: more belongs to the image than it can")
        return tuple(found.values()), tags

    def _by_subject(self, entries: Iterable[Descriptor]) -> dict[Digest, list[Descriptor]]:
        about: dict[Digest, list[Descriptor]] = {}
        for entry in self._unfolded(entries):
            for subject in self.subjects(entry):
                about.setdefault(subject, []).append(entry)
        return about

    def _unfolded(self, entries: Iterable[Descriptor]) -> Iterator[Descriptor]:
        """Yield *entries*, and instead of a list of referrers what it lists."""
        for entry in entries:
            if attached.subject_of_list(entry.annotations.get(REF_NAME, "")) is None:
                yield entry
                continue
            listed = self._manifest(entry)
            for child in () if listed is None else listed.children:
                yield replace(child, annotations={})  # what they say there names nothing here

    def subjects(self, entry: Descriptor) -> set[Digest]:
        """Return what an entry is about, by its content or by its name."""
        name = entry.annotations.get(REF_NAME, "")
        by_name = (attached.subject_of(name), attached.subject_of_list(name))
        return {digest for digest in (self._subject(entry), *by_name) if digest is not None}

    def _subject(self, entry: Descriptor) -> Digest | None:
        """Return what an entry refers to; None if nothing, or if it cannot be read."""
        manifest = self._manifest(entry)
        return None if manifest is None else subject_of(manifest.document)

    def _manifest(self, entry: Descriptor) -> Manifest | None:
        if entry.digest not in self._known:
            self._known[entry.digest] = self._read(entry)
        return self._known[entry.digest]

    def _read(self, entry: Descriptor) -> Manifest | None:
        self._bytes += entry.size
        if self._bytes > walk.MAX_MANIFEST_BYTES:
            raise InvalidInputError(
                f"{self._name}: its manifests are larger than {walk.MAX_MANIFEST_BYTES}"
            )
        try:
            return Manifest.parse(entry, self._fetch(entry))
        except InvalidInputError:
            return None  # of another image, which nobody asked for


def subject_of(document: Mapping[str, object]) -> Digest | None:
    """Return the digest of the manifest that a manifest refers to."""
    subject = document.get("subject")
    digest = subject.get("digest") if isinstance(subject, dict) else None
    try:
        return Digest.parse(digest) if isinstance(digest, str) else None
    except InvalidInputError:
        return None


def _check_version(store: Store) -> None:
    if store.size("oci-layout") is None:
        return  # containerd's and buildx's older exports have none
    version = parse_object(small_file(store, "oci-layout"), f"{store.name}: oci-layout")
    if version.get("imageLayoutVersion") != "1.0.0":
        raise InvalidInputError(
            f"{store.name}: is an OCI layout of a version that is not supported"
            f" ({clean(str(version.get('imageLayoutVersion')), 40)})"
        )


def _choose(
    store: Store, entries: list[Descriptor], ref: str | None, others: _Others
) -> list[Descriptor]:
    """Return the entries of one image: the same digest may be there under several names."""
    found = entries
    if ref is not None:
        found = [
            entry
            for entry in entries
            if ref == entry.digest.text or ref in (entry.annotations.get(key) for key in NAME_KEYS)
        ]
        if not found:
            raise NotFoundError(
                f"{store.name}: there is no image {ref!r}", hint=_there_are(entries)
            )
    elif len({entry.digest for entry in entries}) > 1:
        # A signature beside the image that it signs does not make two images, nor does that of one
        # of its platforms, which is not listed here itself.
        found = [entry for entry in entries if not others.subjects(entry)]
        if not found:
            there = {entry.digest for entry in entries}
            found = [entry for entry in entries if there.isdisjoint(others.subjects(entry))]
    if len({entry.digest for entry in found}) != 1:
        raise InvalidInputError(
            f"{store.name}: has {len(found)} images"
            + (f" called {ref!r}" if ref is not None else ""),
            hint=_there_are(entries),
        )
    return found


def _there_are(entries: list[Descriptor]) -> str:
    shown = [clean(entry.annotations.get(REF_NAME) or entry.digest.text, 90) for entry in entries]
    more = f" and {len(shown) - 10} more" if len(shown) > 10 else ""  # noqa: PLR2004  # a short list
    return (
        f"Name one behind the path, as in oci:PATH:NAME. There are: {', '.join(shown[:10])}{more}."
    )
