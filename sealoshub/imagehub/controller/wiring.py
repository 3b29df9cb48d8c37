"""Which keys a change concerns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import InvalidInputError
from sealoshub.imagehub import names
from sealoshub.imagehub.controller import kinds, tagrules
from sealoshub.imagehub.controller.queue import KeyQueue

if TYPE_CHECKING:
    import threading

    from sealoshub.imagehub.controller.content import Registry
    from sealoshub.imagehub.controller.informer import Informer
    from sealoshub.imagehub.controller.world import World
    from sealoshub.kube import Object

Key = tuple[str, str]  # kind and name; of a Repository org/repo
Queue = KeyQueue[Key]
Add = Callable[[Key], None]


MOST_WAITING: Final = 100  # repositories of a sweep that wait at once; more only cost memory


def connect(world: World, queue: Queue, looks: KeyQueue[str]) -> None:
    """Have every change of *world* add its keys to *queue*, and what to ask about to *looks*."""

    def lane(informer: Informer[Any]) -> Add:
        def add(key: Key) -> None:
            # What is there at the start most likely is as it should be; what changes is not.
            (queue.add if informer.synced.is_set() else queue.add_idle)(key)

        return add

    world.organizations.on_change(partial(_organization, world, lane(world.organizations)))
    world.repositories.on_change(partial(_repository, world, lane(world.repositories)))
    world.images.on_change(partial(_image, world, lane(world.images)))
    for informer in (world.namespaces, world.roles, world.bindings):
        informer.on_change(partial(_owned, world, lane(informer)))
    world.images.on_change(partial(_look, world, looks))
    world.notes.on_change(partial(_noted, world, looks))
    world.repositories.on_change(partial(_ruled, world, looks))
    world.logins.on_change(lambda obj: queue.add(("Login", str(obj["metadata"]["name"]))))
    world.datapacks.on_change(lambda obj: queue.add(("DataPack", str(obj["metadata"]["name"]))))


def add_all(world: World, queue: Queue) -> None:
    """Add the keys of everything that is there."""
    for obj in world.organizations.all():
        queue.add_idle(("Organization", str(obj["metadata"]["name"])))
    for obj in world.repositories.all():
        _add_path(queue.add_idle, kinds.spec_path(obj))
    for picture in world.images.all():
        queue.add_idle(("Image", picture.object_name))


def sweep(world: World, registry: Registry, looks: KeyQueue[str], over: threading.Event) -> int:
    """Have the registry asked about every repository that it or the cluster knows.

    Returns:
        How many that are.

    Raises:
        SealosHubError: The registry does not tell what it holds.
    """
    paths = {kinds.spec_path(obj) for obj in world.repositories.all()}
    paths |= {picture.path for picture in world.images.all()}
    found = sorted((paths | set(registry.repositories())) - {""})
    for path in found:
        while len(looks) >= MOST_WAITING:
            if over.wait(0.05):
                return 0
        world.swept.add(path)
        looks.add_idle(path)
    while looks.has_idle() and not over.wait(0.05):
        pass
    return len(found)


def _look(world: World, looks: KeyQueue[str], picture: kinds.Picture) -> None:
    # What is there at the start is the sweep's; what is gone need not be asked about.
    is_there = world.images.get(picture.object_name) is not None
    if is_there and world.images.synced.is_set() and world.asks_about(picture):
        looks.add(picture.path)


def _noted(world: World, looks: KeyQueue[str], note: Object) -> None:
    meta = note["metadata"]
    path = kinds.path_of_grant(note) or ""
    if world.notes.get(str(meta["name"]), str(meta["namespace"])) is None:
        return  # it is gone, because it was looked at
    world.metrics.noted("received")
    if not _is_repository(path):
        world.metrics.noted("refused")
    elif world.registry is not None:
        looks.add(path)


def _ruled(world: World, looks: KeyQueue[str], obj: Object) -> None:
    # Rules for tags bite as soon as they are written.
    path = kinds.spec_path(obj)
    is_there = world.registry is not None and world.repository(path) is not None
    if is_there and tagrules.is_new(obj):
        looks.add(path)


def _organization(world: World, add: Add, obj: Object) -> None:
    name = str(obj["metadata"]["name"])
    add(("Organization", name))
    _add_repositories(world, add, name)


def _repository(world: World, add: Add, obj: Object) -> None:
    path = kinds.spec_path(obj)
    add(("Organization", str(obj["metadata"]["name"]).partition(".")[0]))
    _add_path(add, path)
    for picture in world.images.find(path):
        # One that has not been looked at yet will be, on its own account.
        if _waits(picture):
            add(("Image", picture.object_name))


def _image(world: World, add: Add, picture: kinds.Picture) -> None:
    add(("Image", picture.object_name))
    _add_path(add, picture.path)
    if world.images.get(picture.object_name) is None:
        # An organisation that is being deleted waits for its last image.
        add(("Organization", picture.path.partition("/")[0]))


def _owned(world: World, add: Add, obj: Object) -> None:
    name = kinds.organization_of(obj)
    if name is None:
        return
    path = kinds.path_of_grant(obj)
    if path is not None:
        _add_path(add, path)
        return
    add(("Organization", name))
    if obj["kind"] == "Namespace":
        _add_repositories(world, add, name)


def _add_repositories(world: World, add: Add, organization: str) -> None:
    for found in world.repositories.find(organization):
        _add_path(add, kinds.spec_path(found))


def _add_path(add: Add, path: str) -> None:
    if path:
        add(("Repository", path))


def _is_repository(path: str) -> bool:
    try:
        names.split_repository(path)
    except InvalidInputError:
        return False
    return True


def _waits(picture: kinds.Picture) -> bool:
    """Tell whether an Image has been found to lack what it belongs to."""
    conditions: list[dict[str, Any]] = picture.status.get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] != "True" for item in conditions)
