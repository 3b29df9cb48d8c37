"""The user's cluster, through the official client.

The client's transport is used and its models are not: the hub's own kinds are plain objects, a
server-side apply that creates answers `None` through the typed calls, and plain JSON is what the
manifests and the embedded API have as well.
"""

from __future__ import annotations

import contextlib
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from sealoshub.errors import DeniedError, InvalidInputError, NotFoundError, UnavailableError
from sealoshub.kube import ApplyResult, ConflictError, Object
from sealoshub.kube.connection import APPLY, MERGE, Connection, Request
from sealoshub.kube.keyfile import KeyFiles
from sealoshub.kube.manifest import content_of, key_of, label_of, without_managed_fields
from sealoshub.kube.reader import Reader
from sealoshub.kube.resources import resource_of
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from sealoshub.kube.kubeconfig import ClusterCredential

POOL: Final = 32  # connections kept; the controller has a watch for each kind, and its workers


class Cluster(Reader):
    """One API server and one credential for it, to read and to write. A context manager.

    It is a class because connections, key files and running watches have to be closed together.
    It may be used by several threads.

    Args:
        credential: Where the API server is and who asks.
        again: Reads the credential anew, for programs that outlive a token: asked when the token
            is about to expire, and once when the API server refuses it.
    """

    def __init__(
        self, credential: ClusterCredential, *, again: Callable[[], ClusterCredential] | None = None
    ) -> None:
        self.namespace = credential.namespace
        self._manager = "sealoshub"
        self._on_write: Callable[[str, str], None] = _nobody
        self._files = KeyFiles()
        try:
            rest, failures = _rest_client(credential, self._files)
        except Exception as exc:
            self._files.close()
            raise InvalidInputError(
                f"{credential.source}: cannot be used: {type(exc).__name__}"
            ) from exc
        super().__init__(Connection(rest, credential, again, failures), credential.source)

    @classmethod
    def open(cls, credential: ClusterCredential) -> Self:
        """Return the cluster of *credential*. Nothing is sent yet."""
        return cls(credential)

    @classmethod
    def open_kubeconfig(cls, path: str | Path, context: str | None = None) -> Self:
        """Return the cluster of a kubeconfig file's current (or named) context.

        Raises:
            NotFoundError: There is no such file.
            InvalidInputError: It cannot be read.
            AuthenticationError: It has no usable credential.
        """
        if not Path(path).exists():  # else a pod's own account would quietly take its place
            raise NotFoundError(f"there is no kubeconfig {path}")
        return cls._reading([Path(path)], context)

    @classmethod
    def open_in_cluster(cls) -> Self:
        """Return the cluster that this pod runs in, with the pod's own ServiceAccount.

        Raises:
            AuthenticationError: This is not a pod, or it has no ServiceAccount token.
        """
        return cls._reading([], None)

    @classmethod
    def _reading(cls, paths: Sequence[Path], context: str | None) -> Self:
        from sealoshub.kube import kubeconfig  # noqa: PLC0415  # only programs read it here

        def read() -> ClusterCredential:
            return kubeconfig.credential(paths, context, interactive=False)

        return cls(read(), again=read)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End running watches, close the connections and drop the key files."""
        self._connection.close()
        self._files.close()

    def stop_watches(self) -> None:
        """End every running watch, from any thread; their iterators just end."""
        self._connection.stop_watches()

    def as_manager(self, name: str) -> Self:
        """Return the same cluster, whose writes are by the field manager *name*.

        It shares connections and key files; closing either closes both.
        """
        other = copy(self)
        other._manager = name  # noqa: SLF001  # of the same class
        return other

    def counted_by(self, on_write: Callable[[str, str], None]) -> Self:
        """Return the same cluster, which tells of every write that it is about to send.

        It shares what :meth:`as_manager` shares.

        Args:
            on_write: Called with the kind of the object and `create`, `update`, `patch`,
                `patch_status`, `apply` or `delete`, by the thread that writes.
        """
        other = copy(self)
        other._on_write = on_write  # noqa: SLF001  # of the same class
        return other

    def create_token(
        self, namespace: str, service_account: str, audiences: Sequence[str], seconds: int
    ) -> tuple[Secret, datetime]:
        """Make a token for a ServiceAccount (`authentication.k8s.io/v1` TokenRequest).

        Args:
            namespace: The account's namespace.
            service_account: Its name.
            audiences: Whom the token is for; empty: the API server.
            seconds: Wanted life; the server may give another, and never less than 600.

        Returns:
            The token and when it ends.
        """
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": list(audiences), "expirationSeconds": seconds},
        }
        path = resource_of("ServiceAccount").path(service_account, namespace, "token")
        what = f"make a token for ServiceAccount {namespace}/{service_account}"
        status = self._connection.call(Request("POST", path, what, body=body)).get("status") or {}
        token, expires = status.get("token"), status.get("expirationTimestamp")
        if not isinstance(token, str) or not isinstance(expires, str):
            raise UnavailableError(f"cannot {what}: the answer holds no token")
        return Secret(token), datetime.fromisoformat(expires).astimezone(UTC)

    def look_up(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """Read one object, also as somebody who may write it and not read it.

        A hub may keep names private: then RBAC, which cannot tell one object of a cluster-scoped
        kind from another, lets nobody read them. Whoever may write an object sees it all the same
        in the answer to a change; a dry run of one that changes nothing is that answer alone.

        Raises:
            NotFoundError: There is none.
            DeniedError: The user may neither read nor write it.
        """
        try:
            return self.get(kind, name, namespace)
        except DeniedError as exc:
            label = label_of(kind, name, namespace)
            path = resource_of(kind).path(name, namespace)
            query = self._write_query(dry_run=True)
            try:
                return self._connection.call(
                    Request(
                        "PATCH", path, f"read {label}", query=query, body={}, content_type=MERGE
                    )
                )
            except (DeniedError, InvalidInputError, ConflictError):
                raise exc from None

    def apply(
        self,
        manifest: Mapping[str, Any],
        *,
        field_manager: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> ApplyResult:
        """Make the object what *manifest* says (server-side apply).

        Args:
            manifest: The object, with `kind` and `metadata.name`.
            field_manager: Who owns the fields; None: `sealoshub`, or as `as_manager` said.
            force: Take over fields that another manager owns.
            dry_run: Have the server check it and store nothing.

        Raises:
            ConflictError: Another manager owns a field and *force* is not set.
            InvalidInputError: The object breaks a rule.
            DeniedError: The user may not, or an admission policy refuses.
        """
        kind, name, namespace = key_of(manifest)
        manager = field_manager or self._manager
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        before: Object | None = None
        with contextlib.suppress(NotFoundError, DeniedError):  # the write will say what is denied
            before = self.look_up(kind, name, namespace)
        query |= {"dryRun": "All"} if dry_run else {}
        obj = self._apply(manifest, query)
        if before is None:
            return ApplyResult(obj, "created")
        same = content_of(obj) == content_of(before)
        return ApplyResult(obj, "unchanged" if same else "configured")

    def apply_blind(self, manifest: Mapping[str, Any], *, force: bool = False) -> Object:
        """Make the object what *manifest* says, in one request that does not tell what was there.

        Args:
            manifest: As for :meth:`apply`.
            force: Take over fields that another manager owns.

        Raises:
            ConflictError: Another manager owns a field and *force* is not set.
            InvalidInputError: The object breaks a rule.
            DeniedError: The user may not, or an admission policy refuses.
        """
        query = {"fieldManager": self._manager, "force": "true" if force else "false"}
        return self._apply(manifest, query)

    def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create the object.

        Raises:
            ConflictError: It is there already (`reason` is `AlreadyExists`).
        """
        kind, name, namespace = key_of(manifest)
        return self._write(
            kind,
            "create",
            Request(
                "POST",
                resource_of(kind).path(None, namespace),
                f"create {label_of(kind, name, namespace)}",
                query=self._write_query(dry_run=dry_run),
                body=manifest,
            ),
        )

    def replace(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Replace the object; with a resourceVersion in it, only if nobody was faster.

        Raises:
            ConflictError: Somebody else changed it since it was read.
        """
        kind, name, namespace = key_of(manifest)
        return self._write(
            kind,
            "update",
            Request(
                "PUT",
                resource_of(kind).path(name, namespace),
                f"replace {label_of(kind, name, namespace)}",
                query=self._write_query(dry_run=dry_run),
                body=manifest,
            ),
        )

    def patch(
        self, kind: str, name: str, changes: Mapping[str, Any], namespace: str | None = None
    ) -> Object:
        """Merge *changes* into the object (JSON merge patch, RFC 7386)."""
        return self._write(
            kind,
            "patch",
            Request(
                "PATCH",
                resource_of(kind).path(name, namespace),
                f"change {label_of(kind, name, namespace)}",
                query=self._write_query(),
                body=changes,
                content_type=MERGE,
            ),
        )

    def patch_status(
        self, kind: str, name: str, status: Mapping[str, Any], namespace: str | None = None
    ) -> Object:
        """Merge *status* into the object's status."""
        return self._write(
            kind,
            "patch_status",
            Request(
                "PATCH",
                resource_of(kind).path(name, namespace, "status"),
                f"write the status of {label_of(kind, name, namespace)}",
                query=self._write_query(),
                body={"status": status},
                content_type=MERGE,
            ),
        )

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete the object; with *uid*, only if it is still the one that was meant.

        With *resource_version* also only if nobody has changed it since it was read.

        Raises:
            NotFoundError: There is none.
            ConflictError: It is another object of the same name by now, or was changed.
        """
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid or resource_version:
            conditions = {"uid": uid, "resourceVersion": resource_version}
            body["preconditions"] = {key: value for key, value in conditions.items() if value}
        self._write(
            kind,
            "delete",
            Request(
                "DELETE",
                resource_of(kind).path(name, namespace),
                f"delete {label_of(kind, name, namespace)}",
                body=body,
            ),
        )

    def _apply(self, manifest: Mapping[str, Any], query: Mapping[str, str]) -> Object:
        kind, name, namespace = key_of(manifest)
        return self._write(
            kind,
            "apply",
            Request(
                "PATCH",
                resource_of(kind).path(name, namespace),
                f"apply {label_of(kind, name, namespace)}",
                query=query,
                body=without_managed_fields(manifest),
                content_type=APPLY,
            ),
        )

    def _write(self, kind: str, verb: str, request: Request) -> Object:
        self._on_write(kind, verb)
        return self._connection.call(request)

    def _write_query(self, *, dry_run: bool = False) -> dict[str, str]:
        query = {"fieldValidation": "Strict", "fieldManager": self._manager}
        return query | {"dryRun": "All"} if dry_run else query


def _nobody(_kind: str, _verb: str) -> None:
    """Tell nobody of a write."""


def _rest_client(
    credential: ClusterCredential, files: KeyFiles
) -> tuple[Any, tuple[type[Exception], ...]]:
    """Return the official client's transport, which is untyped, and what it raises."""
    from kubernetes.client import ApiException, Configuration  # noqa: PLC0415  # 0.3 s
    from kubernetes.client.rest import RESTClientObject  # noqa: PLC0415  # as above
    from urllib3.exceptions import HTTPError  # noqa: PLC0415  # as above

    settings = Configuration(host=credential.server.rstrip("/"))
    settings.verify_ssl = not credential.insecure_skip_tls_verify
    if credential.ca_pem:
        settings.ca_cert_data = credential.ca_pem.decode("ascii")  # bytes would be taken for DER
    settings.tls_server_name = credential.tls_server_name
    settings.connection_pool_maxsize = POOL
    settings.retries = False  # nor redirects: the token is for this server only
    if credential.proxy_url:
        settings.proxy = credential.proxy_url
    if credential.certificate_pem is not None and credential.key_pem is not None:
        settings.cert_file = files.add(credential.certificate_pem)
        settings.key_file = files.add(credential.key_pem.reveal().encode())
    return RESTClientObject(settings), (ApiException, HTTPError, OSError)
