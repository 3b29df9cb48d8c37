"""The registry as the controller sees it: our client, as the controller's ServiceAccount."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError
from sealoshub.imagehub.names import CONTROLLER
from sealoshub.registry import catalog, delete
from sealoshub.registry.auth import Credential
from sealoshub.registry.client import Client
from sealoshub.registry.retry import Retry
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealoshub.registry.catalog import Description

POD_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  # a path
BUDGET: Final = 5.0  # seconds of retries; the controller asks again later anyway


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
        self._client = Client(
            host,
            plain_http=plain_http,
            ca_file=None if ca_file is None else str(ca_file),
            trust_realm=True,  # the operator named this registry, and it names its token server
            retry=Retry(budget=BUDGET),
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
