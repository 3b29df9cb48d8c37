"""The registry as the controller sees it: our client, as the controller's ServiceAccount."""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError
from sealoshub.imagehub.names import CONTROLLER
from sealoshub.registry import catalog, delete, tags
from sealoshub.registry.auth import Credential
from sealoshub.registry.client import Client
from sealoshub.registry.retry import Retry
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sealoshub.registry.catalog import Description

POD_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  # a path
BUDGET: Final = 5.0  # seconds of retries; the controller asks again later anyway
INDEXES: Final = 20_000  # manifests of which it is kept what they list, because that never changes


class RegistryContent:
    """What a registry holds (`sealoshub.imagehub.controller.content.Registry`).

    It is a class because it owns a client. Whoever asks is who the token says; the token is read
    again for every question, because kubelet and `hub up` replace it before it ends.

    Args:
        host: `name[:port]`.
        token_file: A token of the controller's ServiceAccount; None asks anonymously.
        ca_file: PEM file of a further authority.
        plain_http: As for :class:`Client`.

    Raises:
        InvalidInputError: *ca_file* cannot be used.
    """

    def __init__(
        self,
        host: str,
        token_file: Path | None,
        *,
        ca_file: Path | None = None,
        plain_http: bool | None = None,
    ) -> None:
        self._token_file = token_file
        self._lock = threading.Lock()
        self._thread = threading.local()  # `wait`: what `slowly` was told
        self._listed = functools.lru_cache(INDEXES)(self._ask_listed)
        self._client = Client(
            host,
            plain_http=plain_http,
            ca_file=None if ca_file is None else str(ca_file),
            trust_realm=True,  # the operator named this registry, and it names its token server
            retry=Retry(budget=BUDGET),
            before=self._wait,
        )

    def repositories(self) -> Iterator[str]:
        """Yield the name of every repository.

        Raises:
            SealosHubError: Not now.
        """
        return catalog.repositories(self._current())

    def tags(self, path: str) -> Iterator[str]:
        """Yield the tags of `org/repo`; none if there is no such repository.

        Raises:
            SealosHubError: Not now.
        """
        return catalog.tags(self._current(), path)

    def digest_of(self, path: str, target: str) -> str | None:
        """Return the digest that a tag or digest names; None if it names nothing.

        Raises:
            SealosHubError: Not now.
        """
        return catalog.digest_of(self._current(), path, target)

    def describe(self, path: str, digest: str) -> Description | None:
        """Return what a manifest says; None if it is not there.

        Raises:
            SealosHubError: Not now.
        """
        return catalog.describe(self._current(), path, digest)

    def delete(self, path: str) -> None:
        """Delete every tag and manifest of `org/repo`.

        Raises:
            SealosHubError: The registry does not delete, or not now.
        """
        delete.delete_repository(self._current(), path)

    def point(self, path: str, tag: str, digest: str) -> bool:
        """Let a tag name a manifest again; False if the registry does not have it any more.

        Raises:
            SealosHubError: The registry does not take it, or not now.
        """
        return tags.point(self._current(), path, tag, digest)

    def remove(self, path: str, tag: str) -> bool:
        """Take a tag away; False if this registry only deletes whole manifests.

        Raises:
            SealosHubError: The registry does not delete, or not now.
        """
        return tags.remove(self._current(), path, tag)

    def remove_manifest(self, path: str, digest: str) -> None:
        """Delete a manifest and every tag that names it.

        Raises:
            SealosHubError: The registry does not delete, or not now.
        """
        tags.remove_manifest(self._current(), path, digest)

    def listed(self, path: str, digest: str) -> tuple[str, ...]:
        """Return the digests of the manifests that an index lists; none for an image.

        Raises:
            NotFoundError: It is not there.
            SealosHubError: Not now.
        """
        return self._listed(path, digest)

    def _ask_listed(self, path: str, digest: str) -> tuple[str, ...]:
        return tags.listed(self._current(), path, digest)

    @contextlib.contextmanager
    def slowly(self, wait: Callable[[], None]) -> Iterator[None]:
        """Call *wait* before each request that this thread sends inside of the block."""
        self._thread.wait = wait
        try:
            yield
        finally:
            del self._thread.wait

    def _wait(self) -> None:
        wait: Callable[[], None] | None = getattr(self._thread, "wait", None)
        if wait is not None:
            wait()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _current(self) -> Client:
        """Return the client with the token as it is now.

        Raises:
            InvalidInputError: The token cannot be read.
        """
        if self._token_file is None:
            return self._client
        try:
            token = self._token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidInputError(f"cannot read the token in {self._token_file}: {exc}") from exc
        with self._lock:
            self._client.credential = Credential(CONTROLLER, Secret(token), is_refresh_token=False)
        return self._client
