"""Rules for the tags of a repository: some never change, some go when they are old.

A registry knows neither rule, and a token for a push does not say which tag it is for. So a tag
that must not move is put back when it was, and what is due is deleted afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import (
    AuthenticationError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.imagehub import limits
from sealoshub.imagehub.controller import kinds
from sealoshub.imagehub.controller.announce import announce
from sealoshub.imagehub.controller.conditions import condition
from sealoshub.imagehub.controller.record import recorded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sealoshub.imagehub.controller.content import Registry
    from sealoshub.imagehub.controller.kinds import Picture
    from sealoshub.imagehub.controller.world import World
    from sealoshub.kube import Object

IMMUTABLE: Final = "TagsImmutable"
RETENTION: Final = "RetentionApplied"
MOST_DELETED: Final = 100  # tags at a time, so that a wrong rule is seen before all is gone
MOST_NAMED: Final = 20  # tags in a message

_FIELDS: Final = {IMMUTABLE: "immutableTags", RETENTION: "retention"}  # of the spec
_NOTHING: Final = {IMMUTABLE: "NoTagMoved", RETENTION: "NothingDue"}
_SAID: Final = ("reason", "message")


def enforce(  # noqa: PLR0913, PLR0917  # what one look at a repository knows
    world: World,
    registry: Registry,
    path: str,
    tags: Mapping[str, str],
    asked: Iterable[str],
    images: Mapping[str, Sequence[Picture]],
    actors: Mapping[str, str],
) -> tuple[Mapping[str, str], set[str]]:
    """Put back what must not move, then delete what is due; see the two functions.

    Returns:
        What the tags name then, and which were deleted.

    Raises:
        UnavailableError: Not now.
    """
    repository = world.repository(path)
    if repository is None or "deletionTimestamp" in repository["metadata"]:
        return tags, set()
    found = put_back(world, registry, repository, tags, asked, images, actors)
    gone = delete_due(world, registry, repository, found, images)
    if gone:
        found = {tag: digest for tag, digest in found.items() if tag not in gone}
    return found, gone


def put_back(  # noqa: PLR0913, PLR0917  # as above
    world: World,
    registry: Registry,
    repository: Object,
    tags: Mapping[str, str],
    asked: Iterable[str],
    images: Mapping[str, Sequence[Picture]],
    actors: Mapping[str, str],
) -> Mapping[str, str]:
    """Put back each tag that must not move and did; return what the tags name then.

    A tag whose manifest is gone stays moved: there is nothing to put back.

    Args:
        world: The cluster.
        registry: Where the tags are.
        repository: Whose rules they are.
        tags: What each tag names now.
        asked: Those that may have moved.
        images: The Images of each tag, which remember what it named.
        actors: Who pushed a tag, if that is known.

    Raises:
        UnavailableError: Not now; what was moved is still remembered.
    """
    path, patterns = kinds.spec_path(repository), _immutable(repository)
    if not patterns:
        return tags
    found = dict(tags)
    for tag in sorted(set(asked) & tags.keys()):
        was, now = recorded(images.get(tag, ())), tags[tag]
        if was is None or was.digest == now or not limits.matches_any(patterns, tag):
            continue
        who = f" by {actors[tag]}" if actors.get(tag) else ""
        try:
            done = registry.point(path, tag, was.digest)
        except (UnavailableError, AuthenticationError):
            raise
        except SealosHubError as exc:
            done, why = False, exc.message
        else:
            why = "the registry does not have that any more"
        if done:
            found[tag] = was.digest
            message = (
                f"{tag} was moved to {now}{who} and put back to {was.digest} at {world.moment()}"
            )
            _say(world, path, IMMUTABLE, good=True, reason="PutBack", message=message)
            announce(world, repository, "TagPutBack", message, about=tag)
        else:
            message = f"{tag} was moved from {was.digest} to {now}{who} and stays there: {why}"
            _say(world, path, IMMUTABLE, good=False, reason="NotPutBack", message=message)
            announce(world, repository, "TagMoved", message, about=tag)
    return found


def delete_due(
    world: World,
    registry: Registry,
    repository: Object,
    tags: Mapping[str, str],
    images: Mapping[str, Sequence[Picture]],
) -> set[str]:
    """Delete the tags that are due by the repository's retention; return them.

    Raises:
        UnavailableError: Not now.
    """
    path, rule = kinds.spec_path(repository), limits.Retention.read(repository.get("spec") or {})
    if rule is None:
        return set()
    due = rule.due(_aged(world, tags, images), _immutable(repository), world.now())
    if not due:
        return set()
    names = [tag.name for tag in due[:MOST_DELETED]]
    try:
        gone = _delete(registry, path, tags, names)
    except (UnavailableError, AuthenticationError):
        raise
    except SealosHubError as exc:
        _say(world, path, RETENTION, good=False, reason="NotDeleted", message=exc.message)
        return set()
    stuck = [name for name in names if name not in gone]
    if gone:
        done = _named([name for name in names if name in gone])
        message = f"deleted at {world.moment()}: {done}"
        _say(world, path, RETENTION, good=True, reason="Deleted", message=message)
        announce(world, repository, "TagsDeleted", message)
    if stuck:
        message = (
            f"not deleted: {_named(stuck)}; a tag or index that stays needs the same manifest, and"
            " this registry does not delete a tag alone"
        )
        _say(world, path, RETENTION, good=False, reason="ManifestNeeded", message=message)
    return gone


def conditions(world: World, repository: Object, path: str) -> list[dict[str, Any]]:
    """Return what there is to say about the rules that *repository* has."""
    spec = repository.get("spec") or {}
    told = {item.get("type"): item for item in _conditions_of(repository)}
    found = []
    for kind, field in _FIELDS.items():
        if not spec.get(field):
            continue
        if world.registry is None:
            message = "this controller was started without a registry"
            found.append(condition(kind, good=False, reason="NoRegistry", message=message))
        elif said := world.findings.get((path, kind)):
            found.append(said)
        elif kind in told and told[kind].get("reason") != "NoRegistry":  # as it was
            words = {key: str(told[kind].get(key) or "") for key in _SAID}
            found.append(condition(kind, good=told[kind].get("status") == "True", **words))
        else:
            found.append(condition(kind, good=True, reason=_NOTHING[kind]))
    return found


def is_new(repository: Object) -> bool:
    """Tell whether *repository* has rules that nobody has looked at yet."""
    spec, status = repository.get("spec") or {}, repository.get("status") or {}
    ruled = any(spec.get(field) for field in _FIELDS.values())
    return ruled and repository["metadata"].get("generation") != status.get("observedGeneration")


def _delete(
    registry: Registry, path: str, tags: Mapping[str, str], names: Collection[str]
) -> set[str]:
    """Delete *names*, each with its manifest if nothing else needs that.

    Of a manifest that is needed only the tag goes, where the registry can do that.
    """
    new = set(registry.tags(path)) - tags.keys()
    if any(registry.digest_of(path, tag) for tag in new):
        return set()  # somebody is pushing, maybe one of these manifests; that is told soon
    kept = {digest for tag, digest in tags.items() if tag not in names}
    needed = kept.union(*(_listed(registry, path, digest) for digest in kept))
    gone: set[str] = set()
    for digest in dict.fromkeys(tags[name] for name in names):
        same = [name for name in names if tags[name] == digest]
        if digest in needed:
            gone |= {name for name in same if registry.remove(path, name)}
            continue
        parts = _listed(registry, path, digest)
        registry.remove_manifest(path, digest)
        gone |= set(same)
        for part in parts:
            if part not in needed and part not in tags.values():
                registry.remove_manifest(path, part)
    return gone


def _listed(registry: Registry, path: str, digest: str) -> Sequence[str]:
    try:
        return registry.listed(path, digest)
    except NotFoundError:
        return ()


def _aged(
    world: World, tags: Mapping[str, str], images: Mapping[str, Sequence[Picture]]
) -> list[limits.Tag]:
    """Return the tags with their ages; what was not seen before is new."""
    found = []
    for name, digest in tags.items():
        was = recorded(images.get(name, ()))
        since = was.time if was is not None and was.digest == digest else None
        found.append(limits.Tag(name, digest, since or world.now()))
    return found


def _immutable(repository: Object) -> tuple[str, ...]:
    return limits.patterns((repository.get("spec") or {}).get("immutableTags"))


def _conditions_of(repository: Object) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = (repository.get("status") or {}).get("conditions") or ()
    return found


def _say(  # noqa: PLR0913  # the parts of a condition
    world: World, path: str, kind: str, *, good: bool, reason: str, message: str
) -> None:
    said = condition(kind, good=good, reason=reason, message=message[:4096])
    world.findings[path, kind] = said


def _named(tags: Sequence[str]) -> str:
    more = f" and {len(tags) - MOST_NAMED} more" if len(tags) > MOST_NAMED else ""
    return f"{', '.join(tags[:MOST_NAMED])}{more}"
