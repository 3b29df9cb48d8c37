"""What one asks an API server without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from sealoshub.errors import AuthenticationError, NotFoundError, UnavailableError
from sealoshub.kube import GoneError, Object, UserInfo
from sealoshub.kube.answer import user as user_of
from sealoshub.kube.connection import Request
from sealoshub.kube.manifest import label_of
from sealoshub.kube.resources import resource_of

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterator, Mapping

    from sealoshub.kube.connection import Connection

WATCH_GRACE_SECONDS: Final = 10.0  # after the time that the server was asked to end a watch at
PAGE: Final = 500  # objects in one answer of a list, as kubectl asks
RELISTS: Final = 3  # a continue token can expire in the middle of a long list

T = TypeVar("T")


class Reader:
    """One API server, of which only questions are asked.

    It is a class of its own so that what only reads can say so: whoever takes a `Reader` writes
    nothing. A `Cluster` is one that writes as well.

    Args:
        connection: To the API server.
        source: Where the credential comes from, for messages.
    """

    def __init__(self, connection: Connection, source: str) -> None:
        self.server = connection.server
        self.source = source
        self._connection = connection

    def whoami(self) -> UserInfo:
        """Ask the API server who the credential is.

        Raises:
            AuthenticationError: The credential is refused, or is nobody.
        """
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            answer = self.review(body)
        except NotFoundError as exc:
            raise UnavailableError(
                f"{self.server} cannot say who you are",
                hint="It needs Kubernetes 1.28 or later, or `sealoshub hub up`.",
            ) from exc
        user = user_of(answer, "userInfo")
        if not user.name or user.name == "system:anonymous":
            raise AuthenticationError(
                f"{self.source} has no credential that the cluster knows",
                hint="Get one where the kubeconfig came from, then repeat this command.",
            )
        return user

    def review(self, question: Mapping[str, Any]) -> Object:
        """Ask a question that is a resource without a name, and return it with its status.

        Args:
            question: A SelfSubjectReview, TokenReview, SubjectAccessReview or
                SelfSubjectAccessReview.
        """
        kind = str(question["kind"])
        return self._connection.call(
            Request("POST", resource_of(kind).path(), f"ask a {kind}", body=question)
        )

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """Read one object.

        Raises:
            NotFoundError: There is none.
        """
        path = resource_of(kind).path(name, namespace)
        return self._connection.call(
            Request("GET", path, f"read {label_of(kind, name, namespace)}")
        )

    def list(
        self, kind: str, namespace: str | None = None, *, label_selector: str | None = None
    ) -> builtins.list[Object]:
        """Read every object of *kind*, page by page."""
        return self.snapshot(kind, lambda item: item, namespace, label_selector=label_selector)[0]

    def snapshot(
        self,
        kind: str,
        keep: Callable[[Object], T],
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
    ) -> tuple[builtins.list[T], str]:
        """Read every object of *kind*, and the resourceVersion to watch from.

        Args:
            kind: What to read.
            keep: Turns an object into what is kept of it, page by page, because all of them can
                be more than the memory holds. It has the `apiVersion` and `kind` that the API
                server leaves out in lists.
            namespace: Where; None: everywhere.
            label_selector: Only objects with these labels.
        """
        resource = resource_of(kind)
        where = resource.path(None, namespace)
        named = {"apiVersion": resource.api_version, "kind": kind}
        for _ in range(RELISTS):
            kept: builtins.list[T] = []
            query: dict[str, str | int] = {"limit": PAGE}
            if label_selector:
                query["labelSelector"] = label_selector
            try:
                while True:
                    page = self._connection.call(
                        Request("GET", where, f"list {resource.plural}", query=query)
                    )
                    kept += [keep({**named, **item}) for item in page.get("items") or ()]
                    meta = page.get("metadata") or {}
                    if not meta.get("continue"):
                        return kept, str(meta.get("resourceVersion") or "")
                    query["continue"] = meta["continue"]
            except GoneError:
                continue  # the token expired while we were reading; begin again
        raise UnavailableError(f"cannot list {resource.plural}: it changes faster than it is read")

    def watch(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        resource_version: str,
        timeout: float,
        label_selector: str | None = None,
    ) -> Iterator[tuple[str, Object]]:
        """Yield `(type, object)` for each change after *resource_version*.

        Types are `ADDED`, `MODIFIED`, `DELETED` and `BOOKMARK`, whose object has a
        resourceVersion only.

        Args:
            kind: What to watch.
            namespace: Where; None: everywhere.
            resource_version: Of a snapshot, or of the last object seen.
            timeout: Seconds after which the watch just ends.
            label_selector: Only objects with these labels.

        Raises:
            GoneError: The resourceVersion is too old (410); take a snapshot and watch from there.
        """
        resource = resource_of(kind)
        query: dict[str, str | int] = {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": max(1, int(timeout)),
        }
        if label_selector:
            query["labelSelector"] = label_selector
        yield from self._connection.events(
            Request(
                "GET",
                resource.path(None, namespace),
                f"watch {resource.plural}",
                query=query,
                read_seconds=timeout + WATCH_GRACE_SECONDS,
            )
        )

    def supports(self, kind: str) -> bool:
        """Tell whether the API server serves *kind*."""
        resource = resource_of(kind)
        root = "/apis/" if "/" in resource.api_version else "/api/"
        try:
            answer = self._connection.call(
                Request("GET", root + resource.api_version, f"discover {kind}")
            )
        except NotFoundError:
            return False
        return any(item.get("name") == resource.plural for item in answer.get("resources") or ())
