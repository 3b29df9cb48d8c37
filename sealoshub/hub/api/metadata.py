"""`metadata`: names, labels, and the fields that the server owns."""

from __future__ import annotations

import datetime as dt
import re
import secrets
import uuid
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api.status import Cause, forbidden_field, invalid_value, required

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.hub.api.resources import Resource

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_TEXT: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and"
    " must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex"
    f" used for validation is '{_LABEL}')"
)
_SUBDOMAIN_TEXT: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or"
    " '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used"
    " for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_KEY: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_KEY_TEXT: Final = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
    " alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
    f" validation is '{_KEY}')"
)
_VALUE_TEXT: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or"
    " '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',"
    "  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
# The alphabet of generated names: no vowels, so that no words appear (k8s.io/apimachinery rand).
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_PREFIX: Final = 58
_LABEL_LENGTH: Final = 63
_SUBDOMAIN_LENGTH: Final = 253
_ANNOTATIONS_SIZE: Final = 256 * 1024  # bytes


def now() -> str:
    """Return the time as `metav1.Time` writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def begin(resource: Resource, body: dict[str, Any], namespace: str) -> None:
    """Fill in what the server decides about a new object, in place."""
    metadata = body["metadata"]
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        metadata.pop(name, None)
    if not metadata.get("name") and metadata.get("generateName"):
        suffix = "".join(secrets.choice(_ALPHABET) for _ in range(5))
        metadata["name"] = metadata["generateName"][:_LONGEST_PREFIX] + suffix
    if namespace:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now()
    metadata.pop("generation", None)
    metadata.pop("resourceVersion", None)
    if resource.generation:
        metadata["generation"] = 1


def keep_system_fields(body: dict[str, Any], old: dict[str, Any]) -> None:
    """Take from *old* what an update cannot change, in place."""
    metadata, before = body["metadata"], old["metadata"]
    for name in (
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generateName",
        "generation",
        "namespace",
        "uid",
    ):
        if name in before:
            metadata[name] = before[name]
        else:
            metadata.pop(name, None)
    metadata.pop("selfLink", None)


def validate_new(resource: Resource, body: dict[str, Any]) -> list[Cause]:
    """Return the faults of a new object's metadata."""
    metadata = body["metadata"]
    check = name_check(resource)
    faults: list[Cause] = []
    if metadata.get("generateName"):
        # A prefix may end where a name may not; what is appended puts that right.
        prefix = metadata["generateName"]
        faults += [
            invalid_value("metadata.generateName", prefix, text) for text in check(prefix + "x")
        ]
    if not metadata.get("name"):
        faults.append(required("metadata.name", "name or generateName is required"))
    else:
        faults += [
            invalid_value("metadata.name", metadata["name"], text)
            for text in check(metadata["name"])
        ]
    return faults + _common(metadata)


def validate_change(body: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
    """Return the faults of a changed object's metadata."""
    metadata, before = body["metadata"], old["metadata"]
    faults: list[Cause] = []
    if before.get("deletionTimestamp"):
        known = set(before.get("finalizers") or ())
        new = sorted(set(metadata.get("finalizers") or ()) - known)
        if new:
            shown = ", ".join(f'"{one}"' for one in new)
            text = (
                "no new finalizers can be added if the object is being deleted, found new"
                f" finalizers []string{{{shown}}}"
            )
            faults.append(forbidden_field("metadata.finalizers", text))
    return faults + _common(metadata)


def name_check(resource: Resource) -> Callable[[str], list[str]]:
    """Return the function that finds the faults of a name of this resource."""
    if resource.path_names:
        return path_segment
    if resource.plural == "namespaces" and not resource.group:
        return dns_label
    return dns_subdomain


def dns_label(name: str) -> list[str]:
    """Return the faults of a DNS label (RFC 1123)."""
    faults = []
    if len(name) > _LABEL_LENGTH:
        faults.append(f"must be no more than {_LABEL_LENGTH} bytes")
    if not re.fullmatch(_LABEL, name):
        dots = re.fullmatch(_SUBDOMAIN, name)
        faults.append("must not contain dots" if dots else _LABEL_TEXT)
    return faults


def dns_subdomain(name: str) -> list[str]:
    """Return the faults of a DNS name (RFC 1123)."""
    faults = []
    if len(name) > _SUBDOMAIN_LENGTH:
        faults.append(f"must be no more than {_SUBDOMAIN_LENGTH} bytes")
    if not re.fullmatch(_SUBDOMAIN, name):
        faults.append(_SUBDOMAIN_TEXT)
    return faults


def path_segment(name: str) -> list[str]:
    """Return the faults of a name that only has to fit into a URL."""
    if name in {".", ".."}:
        return [f"may not be '{name}'"]
    return [f"may not contain '{one}'" for one in ("/", "%") if one in name]


def label_key(key: str) -> list[str]:
    """Return the faults of the key of a label or annotation."""
    prefix, slash, name = key.rpartition("/")
    faults = []
    if slash:
        if not prefix:
            faults.append("prefix part must be non-empty")
        else:
            faults += [f"prefix part {text}" for text in dns_subdomain(prefix)]
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > _LABEL_LENGTH:
        faults.append(f"name part must be no more than {_LABEL_LENGTH} bytes")
    if not re.fullmatch(_KEY, name):
        faults.append(f"name part {_KEY_TEXT}")
    return faults


def label_value(value: str) -> list[str]:
    """Return the faults of the value of a label."""
    faults = []
    if len(value) > _LABEL_LENGTH:
        faults.append(f"must be no more than {_LABEL_LENGTH} bytes")
    if value and not re.fullmatch(_KEY, value):
        faults.append(_VALUE_TEXT)
    return faults


def _common(metadata: dict[str, Any]) -> list[Cause]:
    faults: list[Cause] = []
    for key, value in (metadata.get("labels") or {}).items():
        faults += [invalid_value("metadata.labels", key, text) for text in label_key(key)]
        faults += [invalid_value("metadata.labels", value, text) for text in label_value(value)]
    total = 0
    for key, value in (metadata.get("annotations") or {}).items():
        total += len(key.encode()) + len(value.encode())
        faults += [
            invalid_value("metadata.annotations", key, text) for text in label_key(key.lower())
        ]
    if total > _ANNOTATIONS_SIZE:
        text = f"Too long: may not be more than {_ANNOTATIONS_SIZE} bytes"
        faults.append(Cause("FieldValueTooLong", text, "metadata.annotations"))
    for at, owner in enumerate(metadata.get("ownerReferences") or ()):
        faults += [
            _missing(f"metadata.ownerReferences[{at}].{name}", name)
            for name in ("apiVersion", "kind", "name", "uid")
            if not owner.get(name)
        ]
    for at, finalizer in enumerate(metadata.get("finalizers") or ()):
        field = f"metadata.finalizers[{at}]"
        faults += [invalid_value(field, finalizer, text) for text in label_key(finalizer)]
    return faults


def _missing(field: str, name: str) -> Cause:
    if name == "apiVersion":
        return invalid_value(field, "", "version must not be empty")
    return required(field, "must not be empty")
