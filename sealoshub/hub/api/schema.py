"""Structural schemas: one compiled form for the built-in kinds and for those of CRDs.

From a schema follow pruning and defaulting (here), validation (`validation.py`), the rules in CEL
(`rules.py`), the field sets and merges of server-side apply (`fields.py`, `apply.py`) and
strategic merge (`patch.py`).
"""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PREFIX: Final = "#/components/schemas/"
META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
# The schemas of any JSON: their values are whatever the user wrote.
_ANY: Final = frozenset({"FieldsV1", "JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool"})

ListType = Literal["atomic", "map", "set"]


@dataclass(slots=True)
class Schema:
    """One node of a schema. It is built once and then only read; it may refer to itself.

    Args:
        type: `object`, `array`, `string`, …; empty for anything.
        properties: Fields of an object.
        additional: Schema of the values of a map; None if there are no further fields.
        items: Schema of the items of an array.
        required: Fields that must be there.
        list_type: How the items of an array are identified.
        map_keys: Fields that identify an item of a `map` list.
        atomic: An object that is replaced as a whole.
        preserve: Unknown fields are kept.
        embedded: A whole resource with apiVersion, kind and metadata.
        int_or_string: Either.
        nullable: null is a value.
        has_default: Whether `default` is to be filled in.
        default: What is filled in.
        merge_key: Key of a strategic merge of a list; empty if the list is replaced.
        merge: Whether a strategic merge unites a list of plain values.
        limits: `enum`, `pattern`, `maxLength`, … as they stand in the YAML.
        rules: `x-kubernetes-validations`.
        alternatives: `allOf`, `anyOf`, `oneOf`, `not`: what only validates.
    """

    type: str = ""
    properties: dict[str, Schema] = field(default_factory=dict)
    additional: Schema | None = None
    items: Schema | None = None
    required: tuple[str, ...] = ()
    list_type: ListType = "atomic"
    map_keys: tuple[str, ...] = ()
    atomic: bool = False
    preserve: bool = False
    embedded: bool = False
    int_or_string: bool = False
    nullable: bool = False
    has_default: bool = False
    default: Any = None
    merge_key: str = ""
    merge: bool = False
    limits: dict[str, Any] = field(default_factory=dict)
    rules: tuple[dict[str, Any], ...] = ()
    alternatives: dict[str, list[Schema]] = field(default_factory=dict)

    def child(self, name: str) -> Schema | None:
        """Return the schema of the field *name*, or None if there is no such field."""
        known = self.properties.get(name)
        if known is not None:
            return known
        if self.additional is not None:
            return self.additional
        return ANYTHING if self.preserve or not self.type else None


ANYTHING: Final = Schema(preserve=True)
_LIMITS: Final = (
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maximum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minimum",
    "minItems",
    "minLength",
    "minProperties",
    "multipleOf",
    "pattern",
    "uniqueItems",
)


class Builtin:
    """The definitions of `schemas.json`, compiled when they are first asked for.

    It is a class because it remembers what it compiled; JSONSchemaProps refers to itself.
    """

    def __init__(self) -> None:
        text = resources.files(__package__).joinpath("schemas.json").read_text("utf-8")
        self.definitions: dict[str, dict[str, Any]] = json.loads(text)
        self._compiled: dict[str, Schema] = {}

    def schema(self, name: str) -> Schema:
        """Return the compiled definition *name*."""
        known = self._compiled.get(name)
        if known is None:
            known = self._compiled[name] = Schema()
            if name.rsplit(".", 1)[-1] in _ANY:
                known.preserve = True
            else:
                self._fill(known, self.definitions[name])
        return known

    def compile(self, source: Mapping[str, Any]) -> Schema:
        """Compile a schema as CRDs hold it, or an inline one of OpenAPI."""
        reference = source.get("$ref")
        if isinstance(reference, str):
            return self.schema(reference.removeprefix(_PREFIX))
        made = Schema()
        self._fill(made, source)
        return made

    def custom(self, source: Mapping[str, Any], *, preserve: bool = False) -> Schema:
        """Compile the schema of a CRD's version; of `metadata` it can only restrict the names."""
        made = self.compile(source)
        meta, own = self.schema(META), made.properties.get("metadata")
        if own is not None and own.properties:
            meta = replace(meta, properties={**meta.properties, **own.properties})
        made.type = "object"
        made.preserve = made.preserve or preserve
        text = Schema(type="string")
        made.properties = {
            **made.properties,
            "apiVersion": text,
            "kind": text,
            "metadata": meta,
        }
        return made

    def _fill(self, made: Schema, source: Mapping[str, Any]) -> None:
        alternatives = {
            word: [self.compile(one) for one in source[word]]
            for word in ("allOf", "anyOf", "oneOf")
            if source.get(word)
        }
        referred = source.get("allOf", [])
        if len(referred) == 1 and "$ref" in referred[0]:
            # OpenAPI's way to put a description or default beside a reference.
            target = alternatives.pop("allOf")[0]
            for name in ("type", "properties", "additional", "items", "required", "preserve"):
                setattr(made, name, getattr(target, name))
            made.atomic, made.limits = target.atomic, target.limits
        if "not" in source:
            alternatives["not"] = [self.compile(source["not"])]
        made.alternatives = alternatives
        made.type = source.get("type", made.type)
        if "properties" in source:
            made.properties = {
                name: self.compile(one) for name, one in source["properties"].items()
            }
        additional = source.get("additionalProperties")
        if isinstance(additional, dict):
            made.additional = self.compile(additional) if additional else ANYTHING
        elif additional is True:
            made.additional = ANYTHING
        if "items" in source:
            made.items = self.compile(source["items"])
        made.required = tuple(source.get("required", made.required))
        made.list_type = cast("ListType", source.get("x-kubernetes-list-type", "atomic"))
        made.map_keys = tuple(source.get("x-kubernetes-list-map-keys", ()))
        made.atomic = made.atomic or source.get("x-kubernetes-map-type") == "atomic"
        made.preserve = made.preserve or bool(source.get("x-kubernetes-preserve-unknown-fields"))
        made.embedded = bool(source.get("x-kubernetes-embedded-resource"))
        made.int_or_string = bool(source.get("x-kubernetes-int-or-string"))
        made.nullable = bool(source.get("nullable"))
        made.has_default = "default" in source
        made.default = source.get("default")
        made.merge_key = source.get("x-kubernetes-patch-merge-key", "")
        made.merge = "merge" in source.get("x-kubernetes-patch-strategy", "").split(",")
        limits = {name: source[name] for name in _LIMITS if name in source}
        made.limits = {**made.limits, **limits}
        made.rules = tuple(source.get("x-kubernetes-validations", ()))


def prune(schema: Schema, value: Any, path: str = "", *, root: bool = True) -> list[str]:
    """Remove the fields that the schema does not know, in place.

    Args:
        schema: What is known.
        value: The object; changed in place.
        path: Where it stands, for the result.
        root: Whether this is a whole resource.

    Returns:
        The paths of the removed fields, as strict decoding names them.
    """
    removed: list[str] = []
    if isinstance(value, dict):
        for name in list(value):
            below = f"{path}.{name}" if path else name
            if schema.embedded and not root and name in {"apiVersion", "kind", "metadata"}:
                continue
            child = schema.child(name)
            if child is None:
                del value[name]
                removed.append(below)
            else:
                removed += prune(child, value[name], below, root=False)
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            removed += prune(schema.items, item, f"{path}[{index}]", root=False)
    return removed


def fill_defaults(schema: Schema, value: Any) -> None:
    """Fill in the defaults of missing fields, in place; null counts as missing if not nullable.

    As `structuraldefaulting` does: a default deep below appears only where its parent is.
    """
    if isinstance(value, dict):
        for name, child in schema.properties.items():
            if child.has_default and (
                name not in value or (value[name] is None and not child.nullable)
            ):
                value[name] = copy.deepcopy(child.default)
        for name, item in value.items():
            below = schema.child(name)
            if below is not None:
                fill_defaults(below, item)
    elif isinstance(value, list) and schema.items is not None:
        for item in value:
            fill_defaults(schema.items, item)


def drop_nulls(schema: Schema, value: Any) -> None:
    """Remove null values of fields that may not be null, in place.

    Custom resources keep a null only where the schema says `nullable`; fields of the built-in
    kinds never hold one.
    """
    if isinstance(value, dict):
        for name in list(value):
            child = schema.child(name)
            if value[name] is None and child is not None and not child.nullable:
                if not child.preserve:
                    del value[name]
            elif child is not None:
                drop_nulls(child, value[name])
    elif isinstance(value, list) and schema.items is not None:
        for item in value:
            drop_nulls(schema.items, item)


def unknown_fields(paths: Iterable[str]) -> list[str]:
    """Word removed fields as strict decoding does."""
    return [f'unknown field "{path}"' for path in paths]
