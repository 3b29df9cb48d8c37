"""Kubeconfig files, read and merged into one, without judging what they hold.

The first file wins for every name, and for the current context, as in client-go's
`ClientConfigLoadingRules`.
"""

from __future__ import annotations

import base64
import binascii
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

MAX_FILE: Final = 4 << 20  # bytes; hundreds of contexts fit, a wrong file does not


@dataclass(frozen=True, slots=True)
class Entry:
    """One named entry and the directory its relative paths start from."""

    body: Mapping[str, object]
    file: Path

    def text(self, key: str) -> str:
        """Return a string field; empty if it is absent."""
        value = self.body.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise InvalidInputError(
                f"{key} in {self.file} is not a string", hint="Put it into quotes."
            )
        return value

    def content(self, key: str) -> bytes | None:
        """Return `<key>-data`, decoded, or else the content of the file that `<key>` names."""
        data = self.text(f"{key}-data")
        if data:
            try:
                return base64.b64decode(data, validate=False)
            except (binascii.Error, ValueError) as exc:
                raise InvalidInputError(f"{key}-data in {self.file} is not base64") from exc
        path = self.path(key)
        return None if path is None else read(path, f"{key} of {self.file}")

    def path(self, key: str) -> Path | None:
        """Return a path field, resolved against the kubeconfig's own directory."""
        text = self.text(key)
        return self.file.parent / text if text else None


@dataclass(frozen=True, slots=True)
class Merged:
    """Several kubeconfig files as one; for every name the first file wins."""

    files: tuple[Path, ...]
    current: str
    contexts: dict[str, Entry]
    clusters: dict[str, Entry]
    users: dict[str, Entry]

    @classmethod
    def read(cls, files: Sequence[Path], on_note: Callable[[str], None]) -> Merged:
        """Read and merge *files*."""
        merged = cls(tuple(files), "", {}, {}, {})
        for file in files:
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                on_note(f"{file} can be read by others; chmod 600 {file}")
            body = _load(file)
            current = Entry(body, file).text("current-context")
            merged = replace(merged, current=merged.current or current)
            for names, section, field in (
                (merged.contexts, "contexts", "context"),
                (merged.clusters, "clusters", "cluster"),
                (merged.users, "users", "user"),
            ):
                for name, entry in _named(body.get(section), field, section, file):
                    names.setdefault(name, entry)
        return merged

    def impersonates(self, context: str) -> bool:
        """Tell whether the user of *context* asks to act as somebody else."""
        entry = self.contexts.get(context)
        user = self.users.get(entry.text("user")) if entry else None
        return user is not None and any(key in user.body for key in ("as", "as-uid", "as-groups"))


def _load(file: Path) -> dict[str, object]:
    """Parse one kubeconfig; an empty file is an empty kubeconfig, as for kubectl."""
    import yaml  # noqa: PLC0415  # 20 ms that commands without a kubeconfig need not wait

    loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        body = yaml.load(read(file, "kubeconfig"), Loader=loader)  # noqa: S506  # a safe loader
    except yaml.MarkedYAMLError as exc:
        # Not str(exc): its excerpt of the file may show a secret.
        mark = exc.problem_mark
        where = f" in line {mark.line + 1}" if mark else ""
        raise InvalidInputError(f"{file} is not YAML: {exc.problem}{where}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise InvalidInputError(f"{file} is not YAML") from None
    if body is None:
        return {}
    if not isinstance(body, dict) or body.get("kind", "Config") != "Config":
        raise InvalidInputError(f"{file} is not a kubeconfig")
    return body


def _named(entries: object, field: str, section: str, file: Path) -> list[tuple[str, Entry]]:
    """Read a list of `{name, <field>: {...}}`."""
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise InvalidInputError(f"{section} in {file} is not a list")
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise InvalidInputError(
                f"an entry of {section} in {file} has no name",
                hint="A name that looks like a number needs quotes.",
            )
        body = entry.get(field)
        found.append((entry["name"], Entry(body if isinstance(body, dict) else {}, file)))
    return found


def read(path: Path, what: str) -> bytes:
    """Read a file of at most :data:`MAX_FILE` bytes."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE + 1)
    except FileNotFoundError as exc:
        raise NotFoundError(f"{path} ({what}) does not exist") from exc
    except OSError as exc:
        raise InvalidInputError(f"{path} ({what}) cannot be read: {exc.strerror}") from exc
    if len(content) > MAX_FILE:
        raise InvalidInputError(f"{path} ({what}) is larger than {MAX_FILE >> 20} MiB")
    return content
