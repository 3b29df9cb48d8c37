"""Build the Image resource of a push from plain values, and from what the image says about itself.

Images of sealos carry `metadata/config.yaml`, an Image resource whose `spec.detail` describes the
image, and `README.md`. Whoever built the image wrote them, so nothing in them is trusted: what is
of the wrong type is left out, what is too long is cut.
"""

from __future__ import annotations

import itertools
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import yaml

from sealoshub.imagehub.names import API_VERSION, labels_for, object_name, split_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealoshub.kube import Object

MAX_CONFIG: Final = 1 << 20  # bytes of metadata/config.yaml
MAX_EVENTS: Final = 20_000  # scalars, and both ends of lists and maps, in it
MAX_DOCS: Final = 512 << 10  # bytes; an object in etcd holds 1.5 MiB in all
MAX_KEYWORDS: Final = 64
MAX_KEYWORD: Final = 128  # characters
MAX_ACTIONS: Final = 16
MAX_PLATFORMS: Final = 64

# Characters; as the CRD has them, and less where many of them together would be too much.
_TEXTS: Final[Mapping[str, int]] = {
    "url": 4096,
    "description": 16384,
    "icon": 65536,
    "authorIcon": 65536,
    "ID": 256,
    "arch": 256,
}
_ACTION_TEXTS: Final[Mapping[str, int]] = {
    "name": 256,
    "actionType": 256,
    "actions": 16384,
    "cmd": 4096,
}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ud800-\udfff]")
_PLATFORM: Final = re.compile(r"[A-Za-z0-9._/-]{1,128}")


def image_from(  # noqa: PLR0913  # plain values of one push, given by keyword
    reference: str,
    digest: str,
    platforms: Iterable[str] = (),
    detail: Mapping[str, Any] | None = None,
    *,
    size: int | None = None,
    image_id: str | None = None,
    created: str | None = None,
) -> Object:
    """Return the Image resource for `org/repo:tag`.

    Args:
        reference: `org/repo:tag`, without a host.
        digest: Of the manifest or index that was pushed.
        platforms: `os/architecture[/variant]` of each manifest.
        detail: What `detail_from` read.
        size: Bytes of the whole image.
        image_id: Digest of the configuration.
        created: When the image was built, RFC 3339.

    Raises:
        InvalidInputError: *reference* is not of that form.
    """
    split_image(reference)
    known = [p for p in dict.fromkeys(platforms) if _PLATFORM.fullmatch(p)][:MAX_PLATFORMS]
    described = dict(detail or {})
    if size is not None:
        described["size"] = size
    if image_id:
        described["ID"] = image_id
    if created and (moment := _time(created)):
        described["creatTime"] = moment
    architectures = list(dict.fromkeys(p.split("/")[1] for p in known if "/" in p))
    if architectures:
        described["arch"] = ",".join(architectures)[: _TEXTS["arch"]]
    spec: dict[str, Any] = {"name": reference, "digest": digest}
    if known:
        spec["platforms"] = known
    if described:
        spec["detail"] = described
    return {
        "apiVersion": API_VERSION,
        "kind": "Image",
        "metadata": {"name": object_name(reference), "labels": labels_for(reference)},
        "spec": spec,
    }


def detail_from(config_yaml: bytes | None, readme: bytes | None) -> dict[str, Any]:
    """Return the `spec.detail` that *config_yaml* and *readme* give; empty if they give nothing.

    The README becomes `docs`, unless the configuration brings its own.
    """
    found = _detail_of(config_yaml)
    detail: dict[str, Any] = {}
    for name, limit in _TEXTS.items():
        if text := _text(found.get(name), limit):
            detail[name] = text
    if keywords := _keywords(found.get("keywords")):
        detail["keywords"] = keywords
    if moment := _time(_text(found.get("creatTime"), 64)):
        detail["creatTime"] = moment
    size = _text(found.get("size"), 20)
    if size.isdecimal() and int(size) < 1 << 63:
        detail["size"] = int(size)
    if actions := _actions(found.get("actions")):
        detail["actions"] = actions
    docs = _text(found.get("docs"), MAX_DOCS) or _text(
        (readme or b"")[:MAX_DOCS].decode("utf-8", "replace"), MAX_DOCS
    )
    if docs:
        detail["docs"] = docs.encode()[:MAX_DOCS].decode("utf-8", "ignore")
    return detail


def _detail_of(content: bytes | None) -> Mapping[str, Any]:
    """Return `spec.detail` of an Image resource; every scalar in it is a string."""
    if not content or len(content) > MAX_CONFIG:
        return {}
    try:
        text = content.decode("utf-8", "replace")
        if not _is_modest(text):
            return {}
        # BaseLoader makes strings, lists and dicts and obeys no tag.
        loaded = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError, ValueError, TypeError):
        return {}  # TypeError: a key that is a list
    spec = loaded.get("spec") if isinstance(loaded, dict) else None
    detail = spec.get("detail") if isinstance(spec, dict) else None
    return detail if isinstance(detail, dict) else {}


def _is_modest(text: str) -> bool:
    """Tell whether YAML can be loaded in a moment: a MiB of tiny lists would take 14 s.

    The parser of libyaml is fast and keeps no tree; its loader would crash on deep nesting.
    """
    events = yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    return next(itertools.islice(events, MAX_EVENTS, None), None) is None


def _text(value: object, limit: int) -> str:
    if not isinstance(value, str) or value in {"~", "null"}:
        return ""
    return _CONTROL.sub("", value[:limit].replace("\r\n", "\n"))


def _keywords(value: object) -> list[str]:
    words = (_text(item, MAX_KEYWORD).strip() for item in value) if isinstance(value, list) else ()
    return list(dict.fromkeys(word for word in words if word))[:MAX_KEYWORDS]


def _actions(value: object) -> list[dict[str, str]]:
    """Read the actions: a list, or as older manifests have it an object by name."""
    items: list[object] = []
    if isinstance(value, list):
        items = value
    elif isinstance(value, dict):
        items = [{"name": name, **item} for name, item in value.items() if isinstance(item, dict)]
    actions = []
    for item in items[:MAX_ACTIONS]:
        if isinstance(item, dict):
            texts = {name: _text(item.get(name), limit) for name, limit in _ACTION_TEXTS.items()}
            if action := {name: text for name, text in texts.items() if text}:
                actions.append(action)
    return actions


def _time(text: str) -> str:
    """Return *text* as RFC 3339 with whole seconds; empty if it is no time."""
    try:
        moment = datetime.fromisoformat(text[:64])
        if moment.tzinfo is None or not 1 < moment.year < 9999:  # noqa: PLR2004  # room for the zone
            return ""
    except ValueError:
        return ""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
