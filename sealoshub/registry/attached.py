"""What cosign keeps beside an image: signatures, attestations, bills of materials, under tags.

cosign wrote them before manifests had a subject, and still does for registries without a referrers
API (sigstore/cosign, specs/SIGNATURE_SPEC.md): the tag is the digest of the image with a dash in
place of the colon, and `.sig`, `.att` or `.sbom` behind it. Nothing in the manifest itself says
what it is about, so it is of use under this tag only, and goes with it.
"""

from __future__ import annotations

from typing import Final

from sealoshub.pattern import pattern
from sealoshub.reference import Digest

# Those whose content grows: cosign adds a layer for each signature. The others are written anew.
GROWING: Final = ("sig", "att")
KINDS: Final = (*GROWING, "sbom")
_BEGIN: Final = "sha256-"  # without it no expression is needed, and none is compiled
# Of sha512 there are none: the tag would be longer than tags may be.
_TAG: Final = pattern(rf"sha256-([0-9a-f]{{64}})\.({'|'.join(KINDS)})")
_LIST: Final = pattern(r"sha256-([0-9a-f]{64})")


def tags_of(subject: Digest) -> tuple[str, ...]:
    """Return the tags that what is attached to *subject* would have."""
    if subject.algorithm != "sha256":
        return ()
    return tuple(f"sha256-{subject.hex}.{kind}" for kind in KINDS)


def subject_of(tag: str) -> Digest | None:
    """Return what the content of *tag* is attached to; None if it is an ordinary tag."""
    found = _TAG.fullmatch(tag) if tag.startswith(_BEGIN) else None
    return None if found is None else Digest(f"sha256:{found[1]}")


def subject_of_list(tag: str) -> Digest | None:
    """Return what the manifests refer to that are listed under *tag*; None if it is no such tag.

    Of the kind of :func:`sealoshub.registry.referrers.fallback_tag`, which some clients (regctl)
    use in layouts, too.
    """
    found = _LIST.fullmatch(tag) if tag.startswith(_BEGIN) else None
    return None if found is None else Digest(f"sha256:{found[1]}")


def grows(tag: str) -> bool:
    """Tell whether the content of such a *tag* may hold what others have added."""
    return tag.endswith(GROWING)
