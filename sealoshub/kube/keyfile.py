"""Client certificates for a TLS library that reads files only, without leaving files behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path


class KeyFiles:
    """Give each content a path, until closed.

    On Linux the path leads to anonymous memory, which nothing can outlive, not even `kill -9`.
    Elsewhere it is a file with mode 0600 in a directory of its own with mode 0700.

    It is a class because the descriptors and the directory have to be closed together.
    """

    __slots__ = ("_descriptors", "_folder", "_in_memory")

    def __init__(self, *, in_memory: bool = hasattr(os, "memfd_create")) -> None:
        self._in_memory = in_memory
        self._descriptors: list[int] = []
        self._folder: Path | None = None

    def add(self, content: bytes) -> str:
        """Return a path that reads as *content*."""
        if self._in_memory:
            descriptor = os.memfd_create("sealoshub-key", os.MFD_CLOEXEC)
            self._descriptors.append(descriptor)
            _write_all(descriptor, content)
            return f"/proc/self/fd/{descriptor}"
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="sealoshub-"))
        descriptor, path = tempfile.mkstemp(dir=self._folder)
        try:
            _write_all(descriptor, content)
        finally:
            os.close(descriptor)
        return path

    def close(self) -> None:
        """Drop every content; the paths read as nothing from now on."""
        for descriptor in self._descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._descriptors.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __del__(self) -> None:
        """Drop what a caller forgot to close."""
        self.close()


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
