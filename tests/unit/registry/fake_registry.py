"""A registry and its token server on a real socket, with knobs for everything that can go wrong."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import socket
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

from tests.loopback import Fake
from tests.unit.registry import serving
from tests.unit.registry.serving import Serving

if TYPE_CHECKING:
    import ssl


@dataclass(slots=True)
class Fault:
    """Something that goes wrong with the next requests that fit.

    Args:
        method: Of the request.
        path: Regular expression, searched in path and query.
        times: How many requests.
        skip: How many requests are let through before.
        cut_at: Close the connection after this many bytes of the body.
        cut_answer_at: Close the connection after this many bytes of a blob that is fetched.
        lose: Do what was asked, then close the connection without an answer.
        status: Answer this instead of doing anything.
        headers: Of that answer.
        body: Of that answer.
    """

    method: str
    path: str
    times: int = 1
    skip: int = 0
    cut_at: int | None = None
    cut_answer_at: int | None = None
    lose: bool = False
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Knobs:
    """How the registry behaves.

    Args:
        auth: None, `basic` or `bearer`.
        users: Password of each account.
        refresh: Account of each refresh token.
        may: Actions granted per account and repository; others get all.
        post: The token server knows POST.
        anonymous: Requests without or with wrong credentials get a token with no rights.
        jwt: Tokens say whose they are.
        expires_in: As the token server tells it; None leaves it away.
        challenge: The whole `WWW-Authenticate`, one line each, instead of the usual; `{realm}`.
        denial: Status for a token without the right: 401 insufficient_scope, or 403.
        resumable: A broken upload keeps its bytes (distribution 3), or is forgotten (2.8).
        mounts: A mount is done (201) or answered with a session (202).
        location: `relative`, `absolute`, or the base of another server.
        digest: What `Docker-Content-Digest` says instead of the truth; empty leaves it away.
        forget: Digests that the registry loses when it first sees a manifest.
        range_prefix: Quay's `bytes=`.
        warning: What the header `Warning` says.
        page: Tags in one answer.
        deletes: Manifests can be deleted.
        untags: A tag can be deleted alone (distribution 3), or only a manifest with all its (2.8).
        ranges: A wrong `Content-Range` is refused (416); 2.8 does not look at it.
        range_location: Such an answer says where the upload is (Quay).
        bare: An upload is known without its `_state`, as by distribution 3.
        body_limit: Bytes that a request may have (a proxy's 413); None for no limit.
        least: What `OCI-Chunk-Min-Length` says, and what every chunk but the last must have.
        serving: How blobs are given away.
        explained: What its hub answers to who asks why; nothing if it is no hub of ours.
    """

    auth: str | None = None
    users: dict[str, str] = field(default_factory=lambda: {"alice": "wonder"})
    refresh: dict[str, str] = field(default_factory=lambda: {"shr_refresh": "alice"})
    may: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    post: bool = True
    anonymous: bool = False
    jwt: bool = True
    expires_in: object = 300
    challenge: tuple[str, ...] | None = None
    denial: int = 401
    resumable: bool = True
    mounts: bool = True
    location: str = "absolute"
    digest: str | None = None
    forget: set[str] = field(default_factory=set)
    range_prefix: str = ""
    warning: str | None = None
    page: int = 1000
    deletes: bool = True
    untags: bool = True
    ranges: bool = True
    range_location: bool = False
    bare: bool = True
    body_limit: int | None = None
    least: int = 0
    serving: Serving = field(default_factory=Serving)
    explained: dict[str, object] = field(default_factory=dict)


class FakeRegistry(Fake["_Server"]):
    """The servers; use it in a `with` block."""

    def __init__(self, knobs: Knobs | None = None) -> None:
        self.knobs = knobs or Knobs()
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.manifests: dict[str, dict[str, tuple[str, bytes]]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.identities = itertools.count(1)
        self.tokens: dict[str, dict[str, Any]] = {}
        self.revoked: list[str] = []
        self.lock = threading.RLock()
        self._server = _Server(("localhost", 0), _Handler)
        self._server.owner = self

    @property
    def host(self) -> str:
        """`localhost:PORT`."""
        return f"localhost:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """`http://localhost:PORT`."""
        return f"http://{self.host}"

    def speak(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        plain = self._server.socket
        # The handshake is for the thread of a visitor, and not for the one that lets them in.
        self._server.socket = context.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        )

    def count(self, method: str, path: str = "") -> int:
        """Count the requests that fit, tokens apart."""
        with self.lock:
            return sum(
                1
                for request in self.seen
                if request.method == method
                and re.search(path, request.path)
                and not request.path.startswith("/token")
            )

    def tokens_asked(self) -> list[Seen]:
        """Return the requests to the token server."""
        with self.lock:
            return [request for request in self.seen if request.path.startswith("/token")]

    def fault_for(self, method: str, path: str) -> Fault | None:
        """Return the next fault that fits a request."""
        with self.lock:
            for fault in self.faults:
                if fault.method == method and re.search(fault.path, path) and fault.times:
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    owner: FakeRegistry

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: broken connections are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    asked: serving.Asked | None

    @property
    def owner(self) -> FakeRegistry:
        return cast("_Server", self.server).owner

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has
        """Say nothing."""

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        if self.fault is not None and self.fault.lose:
            self.cut()
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.owner.knobs.warning:
            self.send_header("Warning", self.owner.knobs.warning)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"errors": [{"code": code, "message": f"it is {code}"}]}).encode()
        self.answer(status, {"Content-Type": "application/json", **(headers or {})}, body)

    def cut(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def handle_any(self) -> None:
        self.fault = self.owner.fault_for(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        cut_at = self.fault.cut_at if self.fault is not None else None
        wanted = length if cut_at is None else min(length, cut_at)
        self.body = self.rfile.read(wanted) if wanted else b""
        if self.headers.get("Transfer-Encoding") == "chunked":  # containers/image asks so
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        with self.owner.lock:
            self.owner.seen.append(
                Seen(self.command, self.path, dict(self.headers.items()), self.body)
            )
        limit = self.owner.knobs.body_limit
        if cut_at is not None:
            self._keep_part()
            self.cut()
        elif limit is not None and length > limit:
            page = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
            self.answer(413, {"Content-Type": "text/html"}, page)
        elif self.fault is not None and self.fault.status is not None:
            self.send_response(self.fault.status)
            for name, value in self.fault.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(self.fault.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(self.fault.body)
        else:
            self.asked = None
            with self.owner.lock:
                self._route()
            self._serve(self.asked)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815  # its names

    def _route(self) -> None:
        path, _, query = self.path.partition("?")
        self.query = urllib.parse.parse_qs(query)
        if path == "/token":
            self._token()
        elif path.startswith("/v1/"):
            self._hub(path)
        elif path == "/v2/":
            if self._allowed("", ""):
                self.answer(200, {"Content-Type": "application/json"}, b"{}")
        elif found := re.fullmatch(r"/v2/(.+)/(blobs|manifests|tags)/(.*)", path):
            self._content(*found.groups())
        else:
            self.answer(404, {"Content-Type": "text/html"}, b"<html><h1>404 page</h1></html>")

    def _content(self, name: str, kind: str, rest: str) -> None:
        if name.endswith("/blobs"):  # /v2/N/blobs/uploads/ID
            name, kind, rest = name.removesuffix("/blobs"), "blobs", f"uploads/{rest}"
        action = "pull" if self.command in {"GET", "HEAD"} else "push"
        if (self.command, kind) == ("DELETE", "manifests"):
            action = "delete"  # an upload is cancelled by whoever may push
        if not self._allowed(name, action):
            return
        if kind == "tags":
            self._tags(name)
        elif kind == "manifests":
            self._manifest(name, rest)
        elif rest.startswith("uploads/"):
            self._upload(name, rest.removeprefix("uploads/"))
        else:
            self._blob(name, rest)

    # ------------------------------------------------------------------ who and what

    def _allowed(self, name: str, action: str) -> bool:
        knobs = self.owner.knobs
        if knobs.auth is None:
            return True
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if knobs.auth == "basic":
            if kind == "Basic" and _pair(value) in knobs.users.items():
                return True
            self._challenge('Basic realm="fake"', "")
            return False
        scope = f',scope="repository:{name}:{action}"' if name else ""
        token = self.owner.tokens.get(value) if kind == "Bearer" else None
        if token is None:
            self._challenge("", scope + (',error="invalid_token"' if value else ""))
            return False
        if name and (name, action) not in token["granted"]:
            if knobs.denial == 401:
                self._challenge("", scope + ',error="insufficient_scope"')
            else:
                self.error(403, "DENIED")
            return False
        return True

    def _challenge(self, line: str, more: str) -> None:
        realm = f"{self.owner.url}/token"
        lines = self.owner.knobs.challenge or (
            line or f'Bearer realm="{realm}",service="hub"{more}',
        )
        body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
        self.send_response(401)
        for one in lines:
            self.send_header("WWW-Authenticate", one.replace("{realm}", realm))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _token(self) -> None:
        knobs = self.owner.knobs
        if self.command == "POST" and not knobs.post:
            self.answer(404, {"Content-Type": "text/html"}, b"<h1>no POST</h1>")
            return
        form = urllib.parse.parse_qs(self.body.decode()) if self.command == "POST" else self.query
        account, known = self._who(form)
        if known is False and not knobs.anonymous:
            self.error(401, "UNAUTHORIZED")
            return
        scopes = [one for many in form.get("scope", []) for one in many.split()]
        granted = set()
        for scope in scopes:
            name, _, actions = scope.removeprefix("repository:").rpartition(":")
            for action in actions.split(",") if known else ():
                if action in knobs.may.get((account, name), {"pull", "push"}):
                    granted.add((name, action))
        access = [{"type": "repository", "name": n, "actions": [a]} for n, a in sorted(granted)]
        value = f"opaque-{len(self.owner.tokens)}"
        if knobs.jwt:
            claims = {"sub": account if known else "", "access": access, "jti": value}
            value = f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()}.sig"
        self.owner.tokens[value] = {"account": account, "granted": granted}
        document: dict[str, object] = {"token": value}
        if self.command == "POST":
            document["access_token"] = value  # OAuth 2.0; stock clients look for nothing else
        if knobs.expires_in is not None:
            document["expires_in"] = knobs.expires_in
        offline = form.get("access_type") == ["offline"] or form.get("offline_token") == ["true"]
        if offline and known and knobs.refresh:
            document["refresh_token"] = next(iter(knobs.refresh))
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _who(self, form: dict[str, list[str]]) -> tuple[str, bool | None]:
        """Return the account and whether its secret is right; None for nobody."""
        knobs = self.owner.knobs
        if form.get("grant_type") == ["refresh_token"]:
            account = knobs.refresh.get(form["refresh_token"][0], "")
            return account, bool(account)
        if form.get("grant_type") == ["password"]:
            account = form["username"][0]
            return account, knobs.users.get(account) == form["password"][0]
        if basic := self.headers.get("Authorization", "").removeprefix("Basic "):
            account, password = _pair(basic)
            return account, knobs.users.get(account) == password or password in knobs.refresh
        return "", None

    def _hub(self, path: str) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        account = self.owner.knobs.refresh.get(token)
        if account is None:
            self.error(401, "UNAUTHORIZED")
        elif (self.command, path) == ("DELETE", "/v1/logins/self"):
            self.owner.revoked.append(token)
            self.answer(204)
        elif (self.command, path) == ("GET", "/v1/whoami"):
            self.answer(200, {}, json.dumps({"name": account}).encode())
        elif (self.command, path) == ("GET", "/v1/explain") and self.owner.knobs.explained:
            said = {"user": account, **self.owner.knobs.explained}
            self.answer(200, {}, json.dumps(said).encode())
        else:
            self.error(404, "NOT_FOUND")

    # ------------------------------------------------------------------ content

    def _digest_headers(self, digest: str) -> dict[str, str]:
        told = self.owner.knobs.digest
        if told == "":
            return {}
        return {"Docker-Content-Digest": told or digest}

    def _blob(self, name: str, digest: str) -> None:
        content = self.owner.blobs.get(name, {}).get(digest)
        if content is None:
            self.error(404, "BLOB_UNKNOWN")
        else:
            self._give(digest, content)

    def _give(self, digest: str, content: bytes) -> None:
        """Send a blob when the lock is free again, because others are fetched at the same time."""
        headers = self._digest_headers(digest)
        if self.command == "HEAD":
            self.answer(200, headers, content)
            return
        cut_at = self.fault.cut_answer_at if self.fault is not None else None
        self.asked = serving.Asked(digest, content, headers, cut_at)

    def _serve(self, asked: serving.Asked | None) -> None:
        if asked is not None:
            serving.give(self, self.owner.knobs.serving, asked)
            if asked.cut_at is not None:
                self.cut()

    def _tags(self, name: str) -> None:
        stored = self.owner.manifests.get(name)
        if stored is None:
            self.error(404, "NAME_UNKNOWN")
            return
        last = self.query.get("last", [""])[0]
        tags = sorted(tag for tag in stored if ":" not in tag and tag > last)
        page = tags[: self.owner.knobs.page]
        more = {"Link": "</nowhere>; rel=next"} if len(page) < len(tags) else {}
        body = json.dumps({"name": name, "tags": page or None}).encode()
        self.answer(200, {"Content-Type": "application/json", **more}, body)

    def _manifest(self, name: str, target: str) -> None:
        stored = self.owner.manifests.setdefault(name, {})
        if self.command == "DELETE":
            if not self.owner.knobs.deletes:
                self.error(405, "UNSUPPORTED")
            elif ":" not in target and not self.owner.knobs.untags:
                self.error(400, "DIGEST_INVALID")
            elif target not in stored:
                self.error(404, "MANIFEST_UNKNOWN")
            else:
                gone = stored[target]
                alone = ":" not in target
                for key in [target] if alone else [k for k in stored if stored[k] == gone]:
                    del stored[key]
                self.answer(202)
            return
        if self.command in {"GET", "HEAD"}:
            if target not in stored:
                self.error(404, "MANIFEST_UNKNOWN")
                return
            kind, content = stored[target]
            content = self.owner.knobs.serving.instead.get(target, content)
            headers = {"Content-Type": kind, **self._digest_headers(_digest(content))}
            self.answer(200, headers, content)
            return
        document = json.loads(self.body)
        blobs = self.owner.blobs.setdefault(name, {})
        while self.owner.knobs.forget:
            blobs.pop(self.owner.knobs.forget.pop(), None)
        listed = [*document.get("layers", []), *filter(None, [document.get("config")])]
        missing = [d for d in listed if d["digest"] not in blobs and not d.get("urls")]
        missing += [d for d in document.get("manifests", []) if d["digest"] not in stored]
        if missing:
            self.error(404, "MANIFEST_BLOB_UNKNOWN")
            return
        digest = _digest(self.body)
        stored[target] = stored[digest] = (self.headers["Content-Type"], self.body)
        self.answer(201, self._digest_headers(digest))

    def _upload(self, name: str, identity: str) -> None:
        blobs = self.owner.blobs.setdefault(name, {})
        if self.command == "POST":
            mounted = self.query.get("mount", [""])[0]
            source = self.owner.blobs.get(self.query.get("from", [""])[0], {})
            if mounted and mounted in source and self.owner.knobs.mounts:
                blobs[mounted] = source[mounted]
                self.answer(201, self._digest_headers(mounted))
                return
            identity = f"id{next(self.owner.identities)}"
            self.owner.uploads[identity] = bytearray()
            least = self.owner.knobs.least
            more = {"OCI-Chunk-Min-Length": str(least)} if least else {}
            opened = {"Location": self._location(name, identity), "Range": "0-0", **more}
            self.answer(202, opened)
            return
        content = self.owner.uploads.get(identity)
        if content is None or ("_state" not in self.query and not self._may_be_bare()):
            self.error(404, "BLOB_UPLOAD_UNKNOWN")
        elif self.command == "GET":
            end = max(0, len(content) - 1)
            where = {"Location": self._location(name, identity)}
            self.answer(204, {**where, "Range": f"{self.owner.knobs.range_prefix}0-{end}"})
        elif self.command == "DELETE":
            del self.owner.uploads[identity]
            self.answer(204)
        elif self.command == "PATCH":
            start = int(self.headers["Content-Range"].partition("-")[0])
            if start != len(content) and self.owner.knobs.ranges:
                where = {"Location": self._location(name, identity)}
                self.error(416, "RANGE_INVALID", where if self.owner.knobs.range_location else {})
                return
            content += self.body
            self.answer(202, {"Location": self._location(name, identity)})
        else:
            content += self.body
            wanted = self.query["digest"][0]
            del self.owner.uploads[identity]
            if _digest(bytes(content)) != wanted:
                self.error(400, "DIGEST_INVALID")
                return
            blobs[wanted] = bytes(content)
            self.answer(201, self._digest_headers(wanted))

    def _may_be_bare(self) -> bool:
        return self.owner.knobs.bare and self.command in {"GET", "DELETE"}

    def _keep_part(self) -> None:
        identity = self.path.partition("?")[0].rpartition("/")[2]
        with self.owner.lock:
            if identity in self.owner.uploads:
                if self.owner.knobs.resumable:
                    self.owner.uploads[identity] += self.body
                else:
                    del self.owner.uploads[identity]

    def _location(self, name: str, identity: str) -> str:
        path = f"/v2/{name}/blobs/uploads/{identity}?_state=a%3D{len(self.owner.seen)}=="
        place = self.owner.knobs.location
        if place == "relative":
            return path
        return (self.owner.url if place == "absolute" else place) + path


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _pair(value: str) -> tuple[str, str]:
    try:
        account, _, password = base64.b64decode(value).decode().partition(":")
    except ValueError:
        return "", ""
    return account, password
