"""Platforms as a user writes them, and the image of an index that fits one."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.pattern import pattern
from sealoshub.registry.image import Platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealoshub.registry.image import Descriptor

_WORD: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_PLATFORM: Final = pattern(rf"({_WORD})/({_WORD})(?:/({_WORD}))?")
# From `uname -m` to what Go, and so every image, calls it.
_ARCHITECTURES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "x86_64": ("amd64", ""),
        "aarch64": ("arm64", ""),
        "armv6l": ("arm", "v6"),
        "armv7l": ("arm", "v7"),
        "armv8l": ("arm", "v7"),
        "i386": ("386", ""),
        "i686": ("386", ""),
        "loongarch64": ("loong64", ""),
    }
)
# What nobody writes because there is nothing else (containerd, platforms/database.go).
_USUAL: Final = frozenset({("arm64", "v8"), ("amd64", "v1"), ("arm", "v7")})


def parse(text: str) -> Platform:
    """Read `os/architecture[/variant]`.

    Raises:
        InvalidInputError: It is not of that form.
    """
    found = _PLATFORM.fullmatch(text)
    if found is None:
        raise InvalidInputError(
            f"{text[:80]!r} is not a platform",
            hint="A platform is written os/architecture or os/architecture/variant, for example"
            " linux/arm64.",
        )
    return Platform(found[1], found[2], found[3] or "")


def of_this_machine() -> Platform:
    """Return the platform of the containers that run here: always Linux, as docker does."""
    import platform as machine  # noqa: PLC0415  # 2 ms, for few commands

    name = machine.machine().lower()
    architecture, variant = _ARCHITECTURES.get(name, (name, ""))
    return Platform("linux", architecture, variant)


def fits(wanted: Platform, offered: Platform) -> bool:
    """Tell whether *offered* is what *wanted* asks for; without a variant any is good."""
    if (wanted.os, wanted.architecture) != (offered.os, offered.architecture):
        return False
    return not wanted.variant or _variant(wanted) == _variant(offered)


def choose(name: str, wanted: Platform, children: Iterable[Descriptor]) -> Descriptor:
    """Return the first of an index's *children* that fits *wanted*.

    Args:
        name: Of the image, for messages.
        wanted: The platform.
        children: What the index lists.

    Raises:
        NotFoundError: None does; the hint lists those there are.
    """
    offered = [
        (child, child.platform)
        for child in children
        if child.platform is not None and not child.is_attestation
    ]
    for child, platform in offered:
        if fits(wanted, platform):
            return child
    there = ", ".join(dict.fromkeys(str(platform) for _, platform in offered[:20]))
    raise NotFoundError(
        f"{name} has no image for {wanted}", hint=f"There are: {there}." if there else None
    )


def _variant(platform: Platform) -> str:
    usual = (platform.architecture, platform.variant) in _USUAL
    return "" if usual else platform.variant
