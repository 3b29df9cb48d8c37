"""Read the hub's resources from YAML or JSON, and find all that is wrong with them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from sealoshub.errors import InvalidInputError
from sealoshub.imagehub import names, schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealoshub.kube import Object

MAX_NODES: Final = 200_000  # in one document, aliases counted as often as they are used
MAX_FAULTS: Final = 100  # more of them help nobody
_ANONYMOUS: Final = ("system:anonymous", "system:unauthenticated")
_DERIVED: Final = ("Organization", "Repository", "Image")  # kinds whose name follows spec.name


@dataclass(frozen=True, slots=True)
class Document:
    """One resource, ready to apply.

    Args:
        obj: The resource; name and labels filled in, namespace and status dropped.
        file: Where it was read, for messages.
        line: Line of its first field, from 1.
    """

    obj: Object
    file: str
    line: int


class _Loader(yaml.SafeLoader):
    """As kubectl reads YAML: a time is a string, and a key that comes twice is a mistake."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str, source: str) -> list[Document]:
    """Read every document of *text*; empty ones are skipped.

    Args:
        text: YAML, several documents allowed, or JSON.
        source: Name of the file, for messages.

    Raises:
        InvalidInputError: The message has one line `file:line: fault` for each fault of each
            document.
    """
    documents: list[Document] = []
    wrong: list[str] = []
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            lines = _Lines()
            found = list(lines.read(node))
            value: Any = None if found else loader.construct_document(node)
            if not found and value is None:
                continue
            if not found:
                found = [(lines.of(path), _where(path) + what) for path, what in _check(value)]
            wrong += [f"{source}:{line}: {what}" for line, what in sorted(found)]
            if not found:
                documents.append(Document(_filled(value), source, node.start_mark.line + 1))
    except yaml.YAMLError as exc:
        wrong.append(_broken(exc, source))
    except (RecursionError, ValueError) as exc:
        wrong.append(f"{source}: this is no YAML that can be read ({type(exc).__name__})")
    finally:
        if loader is not None:
            loader.dispose()
    if wrong:
        more = len(wrong) - MAX_FAULTS
        shown = wrong[:MAX_FAULTS] + ([f"{source}: and {more} more"] if more > 0 else [])
        raise InvalidInputError("\n".join(shown), hint="Nothing was applied.")
    return documents


class _Lines:
    """Where each field stands. A class because one walk finds both lines and faults."""

    __slots__ = ("_count", "_lines")

    def __init__(self) -> None:
        self._lines: dict[schema.Path, int] = {}
        self._count = 0

    def read(self, node: yaml.Node, path: schema.Path = ()) -> Iterator[tuple[int, str]]:
        """Note the lines of *node* and all below; yield `(line, fault)`."""
        self._count += 1
        if self._count > MAX_NODES:
            if self._count == MAX_NODES + 1:
                yield node.start_mark.line + 1, "the document is too large"
            return
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                name = str(key.value)
                if name in seen and key.tag != "tag:yaml.org,2002:merge":
                    yield key.start_mark.line + 1, f"{_where((*path, name))}is there twice"
                seen.add(name)
                self._lines[(*path, name)] = key.start_mark.line + 1
                yield from self.read(value, (*path, name))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                yield from self.read(item, (*path, index))

    def of(self, path: schema.Path) -> int:
        """Return the line of *path*, or of the nearest thing above it that is there."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)


def _check(value: object) -> Iterator[schema.Fault]:
    if not isinstance(value, dict):
        yield (), "a document must be an object with apiVersion, kind, metadata and spec"
        return
    version, kind = value.get("apiVersion"), value.get("kind")
    if version != names.API_VERSION:
        yield ("apiVersion",), f"must be {names.API_VERSION}"
    if kind not in names.KINDS:
        yield ("kind",), f"must be one of {', '.join(names.KINDS)}"
        return
    shape = schema.schema_of(kind)["properties"]
    for name in value:
        if name not in {"apiVersion", "kind", "metadata", "spec", "status"}:
            yield (name,), "there is no such field"
    yield from schema.faults(shape["spec"], value.get("spec"), ("spec",))
    yield from _metadata(value.get("metadata"))
    yield from _members(value)
    yield from _names(value, kind)


def _metadata(meta: object) -> Iterator[schema.Fault]:
    if meta is None:
        return
    if not isinstance(meta, dict):
        yield ("metadata",), "must be an object"
        return
    if not isinstance(meta.get("name", ""), str):
        yield ("metadata", "name"), "must be a string"
    for field in ("labels", "annotations"):
        found = meta.get(field) or {}
        if not isinstance(found, dict):
            yield ("metadata", field), "must be an object"
            continue
        for key, text in found.items():
            if not isinstance(key, str) or not isinstance(text, str):
                yield ("metadata", field, str(key)), "must be a string; put it in quotes"


def _members(value: Mapping[str, Any]) -> Iterator[schema.Fault]:
    spec = value.get("spec")
    members = spec.get("members") if isinstance(spec, dict) else None
    for index, member in enumerate(members if isinstance(members, list) else ()):
        if not isinstance(member, dict):
            continue
        path: schema.Path = ("spec", "members", index)
        if (member.get("kind") == "ServiceAccount") != bool(member.get("namespace")):
            yield path, "a ServiceAccount needs a namespace, and nothing else has one"
        if member.get("name") in _ANONYMOUS:
            yield path, "nobody and everybody cannot be members; make a repository public instead"


def _names(value: Mapping[str, Any], kind: str) -> Iterator[schema.Fault]:
    """Check that the names agree, unless they are malformed, which is said already."""
    meta, spec = value.get("metadata") or {}, value.get("spec") or {}
    if not isinstance(meta, dict) or not isinstance(spec, dict):
        return
    name, wanted = meta.get("name"), spec.get("name")
    if name is not None and not isinstance(name, str):
        return
    if kind not in _DERIVED or not isinstance(wanted, str):
        if not name:
            derives = "metadata.name or spec.name is missing" if kind in _DERIVED else ""
            yield ("metadata",), derives or "metadata.name is missing"
        return
    try:
        expected = _names_of(kind, wanted)
        labels = {} if kind == "Organization" else names.labels_for(wanted)
    except InvalidInputError:
        return
    if name and name not in expected:
        yield (
            ("metadata", "name"),
            f"must be {expected[0]}, because spec.name is {wanted}; or leave it away",
        )
    given = meta.get("labels")
    given = given if isinstance(given, dict) else {}
    for key, text in labels.items():
        if given.get(key, text) != text:
            yield ("metadata", "labels", key), f"must be {text}, because spec.name is {wanted}"


def _names_of(kind: str, spec_name: str) -> list[str]:
    """Return the names that the resource may have, the one that it should have first."""
    if kind == "Organization":
        return [spec_name]
    if kind == "Repository":
        names.split_repository(spec_name)
        return [names.object_name(spec_name)]
    names.split_image(spec_name)
    return [names.object_name(spec_name), names.folded_name(spec_name)]


def _filled(value: dict[str, Any]) -> Object:
    """Return the resource with everything that follows from the rest."""
    meta = {key: item for key, item in (value.get("metadata") or {}).items() if item is not None}
    # The kinds belong to no namespace; manifests of the original name one all the same.
    meta.pop("namespace", None)
    spec = value.get("spec") or {}
    kind, name = str(value["kind"]), spec.get("name")
    if kind in _DERIVED and isinstance(name, str):
        meta.setdefault("name", _names_of(kind, name)[0])
        if kind != "Organization":
            meta["labels"] = {**(meta.get("labels") or {}), **names.labels_for(name)}
    return {"apiVersion": value["apiVersion"], "kind": kind, "metadata": meta, "spec": spec}


def _where(path: schema.Path) -> str:
    if not path:
        return ""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"{text.removeprefix('.')}: "


def _broken(exc: yaml.YAMLError, source: str) -> str:
    mark = getattr(exc, "problem_mark", None)
    problem = getattr(exc, "problem", None) or "it cannot be read as YAML"
    line = f":{mark.line + 1}" if mark is not None else ""
    return f"{source}{line}: {problem}"
