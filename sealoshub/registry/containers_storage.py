"""Images of podman, buildah and sealos, through one of the programs that know their storage.

The image is copied to a directory of the `dir:` kind, which every one of these programs writes
without compressing anything. The directory is removed with the image.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.registry.failure import clean
from sealoshub.registry.store import DirectoryStore
from sealoshub.undisturbed import undisturbed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# In this order: buildah and podman find short names as they are shown, skopeo needs the full one.
_COMMANDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "buildah": ("push", "--quiet", "--disable-compression", "{name}", "dir:{folder}"),
        "podman": ("push", "--quiet", "{name}", "dir:{folder}"),
        "skopeo": ("copy", "--quiet", "containers-storage:{name}", "dir:{folder}"),
    }
)
# A name must not be taken for an option, nor for another transport's syntax.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,1023}")
_UNKNOWN: Final = re.compile(r"not known|does not resolve to an image|not an image|no such image")
_LOGGED: Final = re.compile(r'msg="((?:[^"\\]|\\.)*)"')
MAX_SAID: Final = 64 * 1024  # characters of what a program says that are looked at


def open_stored_image(
    name: str, env: Mapping[str, str], folder: Path
) -> tuple[DirectoryStore, Callable[[], None]]:
    """Copy an image out of the storage.

    Args:
        name: As `buildah images` shows it.
        env: Of the program, which finds the storage by it.
        folder: Where the copy is made.

    Returns:
        The copy, of the `dir:` kind, and what removes it.

    Raises:
        NotFoundError: There is no such image, or no program that could look.
        InvalidInputError: The program failed.
    """
    if not _NAME.fullmatch(name):
        raise NotFoundError(f"{name[:80]!r} is not the name of a stored image")
    program, words = _program(env)
    try:
        copy = tempfile.TemporaryDirectory(dir=folder, prefix="sealoshub-")
    except OSError as exc:
        raise InvalidInputError(f"{folder}: {exc.strerror}", hint="Set TMPDIR.") from exc
    try:
        into = Path(copy.name) / "image"
        _run([program, *(word.format(name=name, folder=into) for word in words)], name, env)
        return DirectoryStore(into), copy.cleanup
    except BaseException:
        copy.cleanup()
        raise


def _program(env: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    for name, words in _COMMANDS.items():
        path = shutil.which(name, path=env.get("PATH"))
        if path is not None:
            return path, words
    raise NotFoundError(
        f"none of {', '.join(_COMMANDS)} is installed, so there is no containers-storage to read",
        hint="Install buildah, or save the image as an archive and push the file.",
    )


def _run(command: list[str], name: str, env: Mapping[str, str]) -> None:
    try:
        code, words = _ended(command, env)
    except OSError as exc:
        raise InvalidInputError(
            f"{command[0]} cannot be run: {exc.strerror}",
            code="STORAGE_UNREADABLE",
        ) from exc
    if code == 0:
        return
    said = _last_words(words.decode(errors="replace")[-MAX_SAID:])
    program = Path(command[0]).name
    if _UNKNOWN.search(said):
        raise NotFoundError(
            f"containers-storage has no image {name!r}",
            hint=f"`{program if program != 'skopeo' else 'buildah'} images` lists what there is.",
        )
    raise InvalidInputError(
        f"{program} could not read {name!r} from containers-storage ({clean(said, 300)})",
        code="STORAGE_UNREADABLE",
    )


def _ended(command: list[str], env: Mapping[str, str]) -> tuple[int, bytes]:
    """Run *command*; return its exit code and what it said on standard error.

    It never outlives us. `subprocess.run` leaves it running if a signal comes while it starts.
    """
    with contextlib.ExitStack() as stack:
        with undisturbed():
            process = stack.enter_context(
                subprocess.Popen(  # noqa: S603  # our own words, and a name that was checked
                    command,
                    env=dict(env),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
            )
            stack.callback(process.kill)
        _, said = process.communicate()
        return process.returncode, said


def _last_words(text: str) -> str:
    """Return the error that a program ended with, from a line of its log if it was one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "no word of why"
    logged = _LOGGED.search(last)
    said = logged[1].replace('\\"', '"') if logged else last
    return said.removeprefix("Error: ")
