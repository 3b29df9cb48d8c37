"""What a push writes down so that the next one can go on after `kill -9` or a power cut.

`$XDG_STATE_HOME/sealoshub/uploads/` holds one small file for each upload under way: where it is,
without query (the registry's `_state` and any signature stay in memory), and nothing about who
pushes. Beside it lies a lock file: the kernel frees the lock of a process that died, so a session
is used by one process only and nobody waits for a dead one. How large a request a host takes is
remembered here as well.

Nothing here may make a push fail: whatever goes wrong is said once, and the push does without.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import threading
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealoshub.pattern import pattern
from sealoshub.reference import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Smaller blobs are sent again sooner than their file is written and read.
MIN_SIZE: Final = 1024 * 1024  # bytes
LIFE: Final = 24 * 3600.0  # seconds; registries purge uploads after some days
LIMIT_LIFE: Final = 7 * LIFE  # seconds; an operator who raises a proxy's limit waits no longer
MAX_FILE: Final = 16 * 1024  # bytes; ours are below 1 KiB
_VERSION: Final = 1
_TRIES: Final = 5  # to lock a file that another process removes meanwhile
_URL: Final = pattern(r"https?://[!-~]+")
_OURS: Final = pattern(r"((?:limit-)?[0-9a-f]{40})\.(json|lock|[0-9]+-[0-9]+\.tmp)")


def folder(env: Mapping[str, str], home: Path) -> Path:
    """Return `$XDG_STATE_HOME/sealoshub/uploads`."""
    state = Path(env.get("XDG_STATE_HOME") or home / ".local" / "state")
    return state / "sealoshub" / "uploads"


class Entry:
    """The right to one upload, and what is known of it; closed when the upload ends in any way.

    It is a class because it holds a lock.

    Args:
        journal: Whose.
        name: Of its files, without the ending.
        lock: File descriptor of the lock.
        about: What is uploaded, as written into the file.

    Attributes:
        url: Where an earlier process left the same upload; None if there is nothing to take up.
    """

    def __init__(self, journal: Journal, name: str, lock: int, about: Mapping[str, str]) -> None:
        self._journal = journal
        self._name = name
        self._lock = lock
        self._about = about
        self.url = self._read()

    def remember(self, url: str) -> None:
        """Write down that the upload is at *url*; its query, user and fragment are left out."""
        self._journal.write(self._name, {**self._about, "url": bare(url)})

    def forget(self) -> None:
        """Remove what was written down: the upload is done, cancelled or lost."""
        self._journal.remove(f"{self._name}.json")

    def close(self) -> None:
        """Let others have the upload."""
        if not (self._journal.folder / f"{self._name}.json").exists():
            self._journal.remove(f"{self._name}.lock")
        os.close(self._lock)

    def _read(self) -> str | None:
        found = self._journal.read(self._name, LIFE)
        url = found.get("url")
        if any(found.get(key) != value for key, value in self._about.items()):
            return None
        if not isinstance(url, str) or not _URL.fullmatch(url) or bare(url) != url:
            return None
        return url


class Journal:
    """The folder with the uploads under way, safe for threads and processes.

    It is a class because it says only once that it cannot be written.

    Args:
        path: The folder; made when it is needed.
        note: Told, once, why it cannot be used.
        now: The time, in seconds of the epoch: files outlive a boot.
    """

    def __init__(
        self,
        path: Path,
        note: Callable[[str], None] = lambda _text: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.folder = path
        self._note = note
        self._now = now
        self._told = False
        self._mutex = threading.Lock()

    def claim(self, host: str, repository: str, digest: Digest, size: int) -> Entry | None:
        """Take the upload of a blob for this process.

        Args:
            host: Registry.
            repository: In it.
            digest: Of the blob.
            size: Of the blob, in bytes.

        Returns:
            The entry, to be closed; None if the blob is small, another process has it, or nothing
            can be written here.
        """
        if size < MIN_SIZE:
            return None
        about = {"host": host, "repository": repository, "digest": digest.text}
        name = _name("\n".join(about.values()))
        try:
            self._prepare()
            lock = _take(self.folder / f"{name}.lock")
        except OSError as exc:
            self._tell(exc)
            return None
        return None if lock is None else Entry(self, name, lock, about)

    def limit(self, host: str) -> int | None:
        """Return how many bytes one request to *host* may have; None if nothing is known."""
        found = self.read(f"limit-{_name(host)}", LIMIT_LIFE)
        size = found.get("size")
        known = found.get("host") == host and isinstance(size, int) and not isinstance(size, bool)
        return size if known and isinstance(size, int) and size > 0 else None

    def remember_limit(self, host: str, size: int) -> None:
        """Write down that *host* takes *size* bytes in one request, and not twice as many."""
        self.write(f"limit-{_name(host)}", {"host": host, "size": size})

    def sweep(self) -> None:
        """Remove what is too old to be of use and belongs to nobody who lives."""
        try:
            with os.scandir(self.folder) as found:
                old = [item.name for item in found if self._is_old(item)]
            for file in old:
                self._sweep(file)
        except FileNotFoundError:
            return  # nothing was ever written
        except OSError as exc:
            self._tell(exc)

    # ------------------------------------------------------------------ files

    def read(self, name: str, life: float) -> Mapping[str, object]:
        """Return the content of a file; nothing if it is missing, corrupt, or older than *life*."""
        try:
            handle = os.open(self.folder / f"{name}.json", os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(handle, "rb") as file:
                content = json.loads(file.read(MAX_FILE))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(content, dict) or content.get("version") != _VERSION:
            return {}
        at = content.get("at")
        # From the future: the clock was wrong then or is wrong now.
        if isinstance(at, bool) or not isinstance(at, int | float) or abs(self._now() - at) > life:
            return {}
        return content

    def write(self, name: str, content: Mapping[str, object]) -> None:
        """Put *content* into a file, all of it or nothing.

        The data is not forced to the disk: the system does so within seconds, and an upload of
        which more than that would be lost has run for longer.
        """
        text = json.dumps({"version": _VERSION, "at": self._now(), **content})
        draft = self.folder / f"{name}.{os.getpid()}-{threading.get_ident()}.tmp"
        try:
            self._prepare()
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                with os.fdopen(os.open(draft, flags, 0o600), "w", encoding="ascii") as file:
                    file.write(text)
                draft.replace(self.folder / f"{name}.json")
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
        except OSError as exc:
            self._tell(exc)

    def remove(self, file: str) -> None:
        """Remove a file, if it is there."""
        try:
            (self.folder / file).unlink(missing_ok=True)
        except OSError as exc:
            self._tell(exc)

    def _prepare(self) -> None:
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        found = self.folder.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if not ours or found.st_mode & 0o022:
            # Whoever can write here could have us send a blob to an upload of his own.
            raise PermissionError(errno.EPERM, "others can write there", str(self.folder))

    def _is_old(self, item: os.DirEntry[str]) -> bool:
        if not _OURS.fullmatch(item.name):
            return False
        life = LIMIT_LIFE if item.name.startswith("limit-") else LIFE
        return abs(self._now() - item.stat(follow_symlinks=False).st_mtime) > life

    def _sweep(self, file: str) -> None:
        stem = file.partition(".")[0]
        lock = _take(self.folder / f"{stem}.lock")
        if lock is None:
            return  # an upload that has been running for a day
        try:
            self.remove(file)
            self.remove(f"{stem}.lock")
        finally:
            os.close(lock)

    def _tell(self, exc: OSError) -> None:
        with self._mutex:
            told, self._told = self._told, True
        if not told:
            self._note(
                f"{self.folder}: {exc.strerror or exc}; a push that is killed will not be resumed"
            )


def bare(url: str) -> str:
    """Return *url* without user, query and fragment, which may be secret."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(
        (parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")
    )


def _name(text: str) -> str:
    return Digest.of(text.encode()).hex[:40]


def _take(path: Path) -> int | None:
    """Lock the file at *path*; None if another process has it.

    Raises:
        OSError: It cannot be made or locked.
    """
    for _ in range(_TRIES):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held, found = os.fstat(handle), path.stat(follow_symlinks=False)
            if (held.st_ino, held.st_dev) == (found.st_ino, found.st_dev):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass  # its owner removed it between our two calls
        except OSError:
            os.close(handle)
            raise
        os.close(handle)
    return None
