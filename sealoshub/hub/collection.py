"""Free the space of what was deleted: the registry's own `garbage-collect`, made safe to run.

It knows nothing of pushes under way, so it must run while nothing is written; and with
`--delete-untagged` it deletes what is needed still: 2.8 the images of an index, 3.1 their blobs if
another repository, which comes first, has that index and not the image. Its dry run says what it
would delete; that is compared with what the storage itself says is needed.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import yaml

from sealoshub.errors import SealosHubError, UnavailableError, UsageError
from sealoshub.hub import maintenance, parts, storage
from sealoshub.hub import settings as hub_settings
from sealoshub.hub import state as hub_state
from sealoshub.hub.paths import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from sealoshub.hub.paths import HubPaths
    from sealoshub.hub.settings import Settings

RESTART_SECONDS: Final = 240.0  # `hub up` may be on its way, with all that it starts
POLL: Final = 0.05  # seconds
_LAST_LINES: Final = 8  # of the program, in an error
_REPOSITORY: Final = re.compile(r"[a-z0-9][a-z0-9._/-]*")
_BLOB: Final = re.compile(r"blob eligible for deletion: (sha256:[0-9a-f]{64})")
# Registry 3 says `{org/repo sha256:… [tags]}`, 2.8 only the digest, below the repository's name.
_MANIFEST: Final = re.compile(
    r"manifest eligible for deletion: (?:\{(\S+) )?(sha256:[0-9a-f]{64})(?: \[.*\]\})?"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the registry would delete.

    Args:
        blobs: Digests of blobs, manifests among them.
        manifests: Repository and digest of manifests without a tag.
    """

    blobs: frozenset[str]
    manifests: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Collected:
    """What was deleted, or would be.

    Args:
        dry_run: Nothing was deleted.
        blobs: How many blobs.
        manifests: How many manifests without a tag.
        bytes: How much space.
    """

    dry_run: bool
    blobs: int
    manifests: int
    bytes: int


def collect(
    paths: HubPaths,
    *,
    untagged: bool,
    dry_run: bool,
    idle: float,
    on_progress: Callable[[str], None],
) -> Collected:
    """Delete what belongs to no image any more; the hub may run or not.

    While it is done, a running registry answers pulls and refuses pushes. It starts twice for
    that, and for a moment nobody listens.

    Args:
        paths: Folder of the hub.
        untagged: Delete images without a tag too, but those that a tagged index lists.
        dry_run: Only look.
        idle: Seconds; refuse if somebody has uploaded something in the last so many.
        on_progress: Receives one line for every step.

    Raises:
        UsageError: There is no hub.
        UnavailableError: Somebody pushes now, or another collection runs.
        SealosHubError: The registry fails, or would delete what is needed.
    """
    settings = hub_settings.load(paths)
    if settings is None:
        raise UsageError(f"there is no hub in {paths.data}", hint="Make one with: sealoshub hub up")
    on_progress("looking for what belongs to no image")
    found = _checked_plan(paths, settings, untagged=untagged)
    if dry_run or not (found.blobs or found.manifests):
        return _outcome(paths, found, dry_run=dry_run)
    _require_idle(paths, found, idle)
    with maintenance.hold(paths) as lock:
        _await_registry(paths, "read-only", on_progress)
        # Again, because somebody may have pushed until now; from here on nobody can.
        found = _checked_plan(paths, settings, untagged=untagged)
        _require_idle(paths, found, idle)
        outcome = _outcome(paths, found, dry_run=False)
        on_progress(f"deleting {outcome.blobs} blobs")
        _run(paths, settings, untagged=untagged, dry_run=False, lock=lock)
    _await_registry(paths, "running", on_progress)
    return outcome


def read_plan(lines: Iterable[str]) -> Plan:
    """Read what `garbage-collect` prints, of which there may be a line for each blob."""
    blobs: set[str] = set()
    manifests: set[tuple[str, str]] = set()
    repository = ""
    for line in lines:
        stripped = line.strip()
        if _REPOSITORY.fullmatch(stripped):
            repository = stripped
        elif (blob := _BLOB.fullmatch(stripped)) is not None:
            blobs.add(blob[1])
        elif (manifest := _MANIFEST.fullmatch(stripped)) is not None:
            manifests.add((manifest[1] or repository, manifest[2]))
    return Plan(frozenset(blobs), frozenset(manifests))


def require_harmless(plan: Plan, needed: storage.Needed) -> None:
    """Compare what the registry would delete with what is needed.

    Raises:
        SealosHubError: It would delete something of an image; the message names one.
    """
    lost = [needed.blobs[digest] for digest in plan.blobs & needed.blobs.keys()]
    lost += [needed.manifests[key] for key in plan.manifests & needed.manifests.keys()]
    if not lost:
        return
    others = len(set(lost)) - 1
    more = f" and {others} other images" if others else ""
    raise SealosHubError(
        f"this registry would delete parts of {min(lost)}{more}; nothing was deleted",
        hint="Leave --untagged away. Registry 2.8 cannot tell images without a tag from those of an"
        " index, nor can registry 3 if another repository has that index and not the image.",
    )


def _checked_plan(paths: HubPaths, settings: Settings, *, untagged: bool) -> Plan:
    if untagged:
        # Where there never was a tag, 2.8 fails, and 3 deletes manifests and keeps their links.
        for folder in storage.untagged_folders(paths.storage):
            folder.mkdir(exist_ok=True)
    # Before and after: what is pushed or deleted while we look is no fault of the registry.
    before = storage.needed(paths.storage, tagged_only=untagged)
    plan = _run(paths, settings, untagged=untagged, dry_run=True)
    after = storage.needed(paths.storage, tagged_only=untagged)
    require_harmless(plan, before.and_also(after))
    return plan


def _require_idle(paths: HubPaths, plan: Plan, idle: float) -> None:
    if idle <= 0:
        return
    when, where = storage.last_written(paths.storage, plan.blobs)
    ago = max(0.0, time.time() - when)
    if ago < idle:
        what = f"to {where}" if where else "blobs that no image has"
        raise UnavailableError(
            f"somebody uploaded {what} {ago:.0f} s ago, and a push may be under way",
            hint=f"Try again in {idle - ago:.0f} s. `--idle 0` deletes at once, and what is being"
            " pushed now has to be pushed again.",
        )


def _outcome(paths: HubPaths, plan: Plan, *, dry_run: bool) -> Collected:
    return Collected(
        dry_run=dry_run,
        blobs=len(plan.blobs),
        manifests=len(plan.manifests),
        bytes=storage.size(paths.storage, plan.blobs),
    )


def _run(
    paths: HubPaths, settings: Settings, *, untagged: bool, dry_run: bool, lock: int | None = None
) -> Plan:
    """Run the program; return what it says that it deletes, or would.

    With *lock*, it holds the lock as well: killed with us or not, nobody writes while it deletes.
    """
    command = [settings.registry_binary, "garbage-collect", str(_configuration(paths))]
    command += ["--dry-run"] if dry_run else []
    command += ["--delete-untagged"] if untagged else []
    last: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        with subprocess.Popen(  # noqa: S603  # the hub's own registry
            command,
            env={**parts.environment(), "OTEL_TRACES_EXPORTER": "none"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=() if lock is None else (lock,),
        ) as process:
            plan = read_plan(_noted(process.stdout or (), last))
    except OSError as exc:
        raise SealosHubError(f"{settings.registry_binary} cannot be run: {exc.strerror}") from exc
    if process.returncode != 0:
        shown = "".join(f"\n    {line[:300]}" for line in last)
        raise SealosHubError(f"the registry could not collect garbage:{shown}")
    return plan


def _noted(lines: Iterable[str], last: deque[str]) -> Iterator[str]:
    """Yield *lines*, and keep the last that say something."""
    for line in lines:
        if line.strip():
            last.append(line.rstrip())
        yield line


def _configuration(paths: HubPaths) -> Path:
    """Write a configuration for the collection alone: that of the server is the supervisor's."""
    content = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {
            "filesystem": {"rootdirectory": str(paths.storage)},
            "delete": {"enabled": True},
        },
    }
    file = paths.run / "collection.yml"
    write_private(file, yaml.safe_dump(content, sort_keys=False))
    return file


def _await_registry(paths: HubPaths, word: str, on_progress: Callable[[str], None]) -> None:
    """Wait until the registry is in that state, or there is no hub that runs."""
    deadline = time.monotonic() + RESTART_SECONDS
    told = False
    while hub_state.is_running(paths):
        state = hub_state.read(paths)
        is_up = state is not None and state.phase in {"ready", "degraded"}
        rows = state.parts if state is not None and is_up else ()
        if any(part.name == "registry" and part.state == word for part in rows):
            return
        if not told:
            told = True
            on_progress(f"waiting for the registry to be {word}")
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"the registry is not {word} after {RESTART_SECONDS:.0f} s",
                hint=f"See {paths.logs}",
            )
        time.sleep(POLL)
