"""A Kubernetes API with knobs on a real loopback socket: reviews, accounts, our resources."""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.loopback import Fake

if TYPE_CHECKING:
    from pathlib import Path

OWN_TOKEN: Final = "own-token-of-the-token-server"
LOGINS: Final = "/apis/imagehub.sealos.io/v1/namespaces/imagehub-system/logins"
REPOSITORIES: Final = "/apis/imagehub.sealos.io/v1/repositories"
ORGANIZATIONS = "/apis/imagehub.sealos.io/v1/organizations"
API_AUDIENCE: Final = "https://kubernetes.default.svc"
_POLL: Final = 0.02  # seconds between two looks of a watch
_BOOKMARK: Final = 2.0  # seconds before its end, as Kubernetes does


@dataclass
class FakeUser:
    """A user of the fake, and the audiences that his token is for."""

    name: str
    uid: str = ""
    groups: list[str] = field(default_factory=lambda: ["system:authenticated"])
    extra: dict[str, list[str]] = field(default_factory=dict)
    audiences: list[str] = field(default_factory=lambda: [API_AUDIENCE])

    @property
    def info(self) -> dict[str, Any]:
        """The `UserInfo` of a review."""
        return {
            "username": self.name,
            "uid": self.uid,
            "groups": self.groups,
            "extra": self.extra,
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    fake: FakeKubernetes

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that go away."""


class FakeKubernetes(Fake["_Server"]):
    """What a token server asks of an API server.

    Knobs: `users` by token, `allowed` rights, `accounts` by (namespace, name) with their UID,
    `objects` by path, `forbidden` parts of paths (which end with `$`), `status` to answer
    everything with, `stalled` to answer nothing, `muted` to let watches tell of nothing, `cut_off`
    from its etcd: such watches and reviews are all that it serves. `asked` records method and path
    of every request, `bodies` the reviews.
    """

    def __init__(self, *, tls: tuple[Path, Path, Path] | None = None) -> None:
        self.users: dict[str, FakeUser] = {
            OWN_TOKEN: FakeUser("system:serviceaccount:imagehub-system:imagehub-auth-server")
        }
        self.allowed: set[tuple[str, str, str, str]] = set()  # user, namespace, name, verb
        self.accounts: dict[tuple[str, str], str] = {}
        self.objects: dict[str, dict[str, Any]] = {}
        self.forbidden: set[str] = set()
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.version = 1
        self.oldest = 0
        self.status: int | None = None
        self.self_review_status: int | None = None
        self.evaluation_error = ""
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.stalled = False
        self.muted = False
        self.cut_off = False
        self.closing = threading.Event()
        self.lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self.scheme = "http"
        if tls is not None:
            certificate, key, ca = tls
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            context.load_verify_locations(ca)
            context.verify_mode = ssl.CERT_OPTIONAL
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.scheme = "https"

    @property
    def url(self) -> str:
        """Address of the API."""
        return f"{self.scheme}://localhost:{self._server.server_address[1]}"

    def let_go(self) -> None:
        """End what waits to be told."""
        self.closing.set()

    # ------------------------------------------------------------------ knobs
    def allow(self, user: str, repository: str, *verbs: str) -> None:
        """Let *user* do *verbs* on `org/repo`."""
        organization, _, name = repository.partition("/")
        self.allowed |= {(user, f"hub-{organization}", name, verb) for verb in verbs}

    def put_repository(self, name: str, *, private: bool, object_name: str | None = None) -> None:
        """Create or change a Repository."""
        key = object_name or name.replace("/", ".")
        path = f"{REPOSITORIES}/{key}"
        body = {"metadata": {"name": key}, "spec": {"name": name, "isPrivate": private}}
        self.change(path, body)

    def change(self, path: str, body: dict[str, Any] | None) -> None:
        """Write the object at *path*, or delete it; watches see it."""
        with self.lock:
            self.version += 1
            before = self.objects.pop(path, None)
            kind = "DELETED" if body is None else "MODIFIED" if before else "ADDED"
            shown = dict(body if body is not None else before or {})
            shown["metadata"] = {**shown.get("metadata", {}), "resourceVersion": str(self.version)}
            if body is not None:
                self.objects[path] = shown
            self.events.append((self.version, kind, {**shown, "_path": path}))

    def count(self, part: str) -> int:
        """Return how many requests had *part* in their path."""
        return sum(part in path for _, path in self.asked)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits 40 ms for an acknowledgement
    timeout = 30
    server: _Server

    @property
    def fake(self) -> FakeKubernetes:
        """The fake that this connection belongs to."""
        return self.server.fake

    def setup(self) -> None:
        """Do the handshake in the thread of the connection, not in that of the server."""
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    def finish(self) -> None:
        """Close even when the peer is gone."""
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer()

    do_POST = do_DELETE = do_PATCH = do_GET  # noqa: N815  # names that the base class looks for

    # ------------------------------------------------------------------
    def _answer(self) -> None:
        fake = self.fake
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        parts = urlsplit(self.path)
        with fake.lock:
            fake.asked.append((self.command, self.path))
            fake.bodies.append(body)
        while fake.stalled and not fake.closing.wait(_POLL):
            pass
        if fake.closing.is_set():
            self.close_connection = True
            return
        if fake.status is not None:
            self._status(fake.status, "knob")
            return
        if parts.path.endswith("/selfsubjectreviews"):
            self._self_review()
            return
        if self._token() != OWN_TOKEN:
            self._status(401, "Unauthorized")
            return
        self._own(parts.path, parse_qs(parts.query), body)

    def _own(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> None:
        if any(part in f"{path}$" for part in self.fake.forbidden):
            self._status(403, "forbidden")
        elif path.endswith("/tokenreviews"):
            self._token_review(body["spec"])
        elif path.endswith("/subjectaccessreviews"):
            self._access_review(body["spec"])
        elif "/serviceaccounts/" in path:
            namespace, _, name = path.split("/")[4:7]
            uid = self.fake.accounts.get((namespace, name))
            if uid is None:
                self._status(404, "no such account")
            else:
                self._send(200, {"metadata": {"name": name, "uid": uid}})
        elif query.get("watch"):
            self._watch(path, query)
        elif self.fake.cut_off:
            self._status(500, "etcdserver: request timed out")
        else:
            self._object(path, query, body)

    def _object(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> None:
        fake = self.fake
        with fake.lock:
            if self.command == "POST":
                target = f"{path}/{body['metadata']['name']}"
                if target in fake.objects:
                    self._status(409, "exists", "AlreadyExists")
                    return
                fake.change(target, body)
                self._send(201, fake.objects[target])
            elif self.command == "PATCH":
                target = path.removesuffix("/status")
                if target not in fake.objects:
                    self._status(404, "not found")
                    return
                fake.change(target, {**fake.objects[target], **body})
                self._send(200, fake.objects[target])
            elif self.command == "DELETE":
                if path not in fake.objects:
                    self._status(404, "not found")
                    return
                fake.change(path, None)
                self._send(200, {"kind": "Status", "status": "Success"})
            elif path in fake.objects:
                self._send(200, fake.objects[path])
            elif path in {LOGINS, REPOSITORIES, ORGANIZATIONS}:
                self._list(path, query)
            else:
                self._status(404, "not found")

    def _list(self, path: str, query: dict[str, list[str]]) -> None:
        fake = self.fake
        items = [item for key, item in fake.objects.items() if key.startswith(path + "/")]
        field, _, name = (query.get("fieldSelector") or [""])[0].partition("=")
        if field:
            items = [item for item in items if item["metadata"]["name"] == name]
        label, _, value = (query.get("labelSelector") or [""])[0].partition("=")
        if label:
            items = [i for i in items if i["metadata"].get("labels", {}).get(label) == value]
        # Pages of two, so that everybody who lists must follow `continue`.
        start = int((query.get("continue") or ["0"])[0])
        end = start + min(2, int((query.get("limit") or ["2"])[0]))
        metadata = {"resourceVersion": str(fake.version)}
        if len(items) > end:
            metadata["continue"] = str(end)
        self._send(200, {"metadata": metadata, "items": items[start:end]})

    def _watch(self, path: str, query: dict[str, list[str]]) -> None:
        fake = self.fake
        seen = int(query["resourceVersion"][0])
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        if seen < fake.oldest:
            gone = {"kind": "Status", "code": 410, "message": "too old"}
            self.wfile.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
            return
        rounds = int(float(query["timeoutSeconds"][0]) / _POLL)
        bookmark = max(1, rounds - int(_BOOKMARK / _POLL))
        with suppress(OSError):
            while rounds > 0 and fake.status is None:
                silent = fake.stalled or fake.muted or fake.cut_off
                with fake.lock:
                    new = [event for event in fake.events if event[0] > seen and not silent]
                for version, kind, item in new:
                    seen = version
                    if item["_path"].startswith(path + "/"):
                        line = json.dumps({"type": kind, "object": item}) + "\n"
                        self.wfile.write(line.encode())
                        self.wfile.flush()
                if rounds == bookmark and not silent:
                    metadata = {"resourceVersion": str(seen)}
                    line = json.dumps({"type": "BOOKMARK", "object": {"metadata": metadata}})
                    self.wfile.write(line.encode() + b"\n")
                    self.wfile.flush()
                    bookmark = 0
                if fake.closing.wait(_POLL):
                    return
                rounds -= 0 if fake.stalled else 1

    def _self_review(self) -> None:
        fake = self.fake
        if fake.self_review_status is not None:
            self._status(fake.self_review_status, "knob")
            return
        user = self._certificate_user() or fake.users.get(self._token())
        if user is None or API_AUDIENCE not in user.audiences:
            self._status(401, "Unauthorized")
        else:
            self._send(201, {"status": {"userInfo": user.info}})

    def _certificate_user(self) -> FakeUser | None:
        if not isinstance(self.connection, ssl.SSLSocket):
            return None
        found: dict[str, Any] = self.connection.getpeercert() or {}
        names = [pair for entry in found.get("subject", ()) for pair in entry]
        common = [value for key, value in names if key == "commonName"]
        groups = [value for key, value in names if key == "organizationName"]
        if not common:
            return None
        der = self.connection.getpeercert(binary_form=True) or b""
        fingerprint = hashlib.sha256(der).hexdigest()
        extra = {"authentication.kubernetes.io/credential-id": [f"X509SHA256={fingerprint}"]}
        return FakeUser(
            str(common[0]), groups=[*map(str, groups), "system:authenticated"], extra=extra
        )

    def _token_review(self, spec: dict[str, Any]) -> None:
        user = self.fake.users.get(spec["token"])
        wanted = spec.get("audiences") or [API_AUDIENCE]
        found = [item for item in wanted if user and item in user.audiences]
        if user is None or not found:
            self._send(201, {"status": {"authenticated": False}})
            return
        status = {"authenticated": True, "user": user.info, "audiences": found}
        self._send(201, {"status": status})

    def _access_review(self, spec: dict[str, Any]) -> None:
        fake = self.fake
        asked = spec["resourceAttributes"]
        names = [spec.get("user", ""), *(f"group:{group}" for group in spec.get("groups", ()))]
        rest = (asked.get("namespace", ""), asked["name"], asked["verb"])
        allowed = any((name, *rest) in fake.allowed for name in names)
        status = {"allowed": allowed, "reason": "RBAC: allowed by a binding" if allowed else ""}
        if fake.evaluation_error:
            status["evaluationError"] = fake.evaluation_error
        self._send(201, {"status": status})

    def _token(self) -> str:
        return (self.headers.get("authorization") or "").removeprefix("Bearer ")

    def _status(self, code: int, message: str, reason: str = "") -> None:
        body = {"kind": "Status", "code": code, "message": message, "reason": reason}
        self._send(code, body)

    def _send(self, code: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        with suppress(OSError):
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
