"""DataPack → its answer, with nothing in it that its creator may not pull; and its end.

An image that is not there and one that may not be pulled are left out alike, so that nobody learns
from a DataPack what exists. Rights are asked as the creator with the groups that every user of the
kind has: other groups are not written down anywhere, and a right that comes by one of them is not
seen here. That errs on the side of silence.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.imagehub import names
from sealoshub.imagehub.controller.conditions import condition, status_patch
from sealoshub.imagehub.controller.kinds import spec_path
from sealoshub.imagehub.controller.world import remove, write_status
from sealoshub.imagehub.rights import Verb
from sealoshub.kube.account import account_groups, service_account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.imagehub.controller.world import World
    from sealoshub.kube import Object

DONE: Final = 1  # status.code, as in the original
MAX_ANSWER: Final = 1 << 20  # bytes; an object in etcd holds 1.5 MiB
MAX_LIFE: Final = timedelta(days=365)

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s)")
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "base": ("keywords", "description", "icon", "authorIcon"),
    "grid": ("keywords", "description", "icon", "authorIcon", "rating", "size", "url"),
    "detail": (
        "keywords",
        "description",
        "icon",
        "authorIcon",
        "rating",
        "size",
        "url",
        "ID",
        "arch",
        "creatTime",
        "actions",
        "docs",
    ),
}


def life_of(text: str) -> timedelta:
    """Return how long a Go duration such as `1h30m` is; nothing readable is two hours."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return timedelta(hours=2)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return min(timedelta(seconds=min(seconds, MAX_LIFE.total_seconds())), MAX_LIFE)


def data_of(image: Object, kind: str, tags: list[Any]) -> dict[str, Any]:
    """Return what a DataPack of type *kind* says about *image*.

    Args:
        image: The Image.
        kind: `base`, `grid` or `detail`.
        tags: Of its repository; for `detail`.
    """
    spec = image.get("spec") or {}
    detail = spec.get("detail") or {}
    path, _, tag = str(spec.get("name") or "").partition(":")
    data: dict[str, Any] = {"name": f"{path}:{tag}", "repoName": path}
    data |= {field: detail[field] for field in _FIELDS[kind] if field in detail}
    if kind == "detail":
        data["tags"] = tags
    return data


def groups_of(user: str) -> list[str]:
    """Return the groups that *user* has for certain."""
    namespace, _ = service_account(user)
    return ["system:authenticated", *(account_groups(namespace) if namespace else ())]


@dataclass(frozen=True, slots=True)
class _Found:
    """A repository: whether whoever asked may pull from it, and its tags."""

    allowed: bool
    tags: list[Any]


def reconcile(world: World, name: str) -> float | None:
    """Answer the DataPack *name*, or delete it; return in how many seconds it ends.

    Raises:
        SealosHubError: Something is not possible now; the caller tries again later.
    """
    pack = world.datapacks.get(name)
    if pack is None or "deletionTimestamp" in pack["metadata"]:
        return None
    spec = pack.get("spec") or {}
    made = datetime.fromisoformat(str(pack["metadata"]["creationTimestamp"])).astimezone(UTC)
    left = made + life_of(str(spec.get("expireTime") or "2h")) - world.now()
    if left <= timedelta():
        remove(world.cluster, pack)
        return None
    status = pack.get("status") or {}
    answered = (status.get("code"), status.get("observedGeneration"))
    if answered != (DONE, pack["metadata"].get("generation")):
        _answer(world, pack)
    return left.total_seconds()


def _answer(world: World, pack: Object) -> None:
    spec = pack.get("spec") or {}
    creator = str(spec.get("creator") or "")
    kind = str(spec.get("type") or "base")
    found: dict[str, _Found] = {}
    datas: dict[str, Any] = {}
    size = 0
    cut = False
    for wanted in dict.fromkeys(spec.get("names") or ()):
        data = _look_up(world, str(wanted), kind, creator, found)
        if data is None:
            continue
        weight = len(json.dumps(data).encode())
        if size + weight > MAX_ANSWER:
            cut = True
            data.pop("docs", None)
            weight = len(json.dumps(data).encode())
            if size + weight > MAX_ANSWER:
                continue
        size += weight
        datas[str(wanted)] = data
    ready = condition(
        "Ready",
        good=True,
        reason="Truncated" if cut else "Answered",
        message="the answer would be too long; docs or images were left out" if cut else "",
    )
    patch = status_patch(pack, {"code": DONE, "datas": datas}, [ready], world.moment())
    write_status(world.cluster, pack, patch)


def _look_up(
    world: World, wanted: str, kind: str, creator: str, found: dict[str, _Found]
) -> dict[str, Any] | None:
    try:
        path = names.split_image(wanted).path
    except InvalidInputError:
        return None
    if path not in found:
        found[path] = _find(world, path, creator)
    if not found[path].allowed:
        return None
    for object_name in (names.object_name(wanted), names.folded_name(wanted)):
        try:
            image = world.cluster.get("Image", object_name)
        except NotFoundError:
            continue
        if (image.get("spec") or {}).get("name") == wanted:
            return data_of(image, kind, found[path].tags)
    return None


def _find(world: World, path: str, creator: str) -> _Found:
    """Ask the API server for the repository *path*.

    Not our copy of it: the answer is given once, and the copy may be a moment behind.
    """
    try:
        repository = world.cluster.get("Repository", names.object_name(path))
    except NotFoundError:
        repository = {}
    if spec_path(repository) != path:
        repository = {}
    tags = (repository.get("status") or {}).get("tags") or []
    is_public = (repository.get("spec") or {}).get("isPrivate") is False
    return _Found(is_public or _may_pull(world, path, creator), tags)


def _may_pull(world: World, path: str, creator: str) -> bool:
    if not creator:
        return False
    named = names.split_repository(path)
    answer = world.cluster.review(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": creator,
                "groups": groups_of(creator),
                "resourceAttributes": {
                    "namespace": names.organization_namespace(named.organization),
                    "group": names.GROUP,
                    "resource": "repositories",
                    "name": named.repository,
                    "verb": Verb.PULL.value,
                },
            },
        }
    )
    return (answer.get("status") or {}).get("allowed") is True
