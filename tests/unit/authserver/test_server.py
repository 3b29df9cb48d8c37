"""The token server on a socket, with a fake API server behind it."""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import jwt as pyjwt
import pytest

from sealoshub.authserver import exchange, keys
from sealoshub.errors import InvalidInputError
from tests.unit.authserver.pki import Authority
from tests.unit.authserver.program import OPEN, Program
from tests.unit.authserver.running import (
    ALICE,
    BOB_TOKEN,
    SCOPE,
    TOKEN,
    RunningServer,
    basic,
    jwt,
    quoted,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.authserver.fake_kubernetes import FakeKubernetes

    Serve = Callable[..., RunningServer]

WRONG = jwt(sub="nobody")
SLACK = 20.0  # seconds for a machine that is busy


# ------------------------------------------------------------------ tokens
@pytest.mark.parametrize("path", ["/token", "/token/", "/auth/token", "/auth/token/"])
def test_a_token_by_get(token_server: RunningServer, path: str) -> None:
    """Every field that clients read is there, and none that would mislead them."""
    answer = token_server.get(
        SCOPE, login=("alice", TOKEN), path=path, account="alice", client_id="docker"
    )
    assert answer.status == 200
    assert set(answer.json) == {"token", "access_token", "expires_in", "scope"}
    assert answer.json["token"] == answer.json["access_token"]
    assert answer.json["expires_in"] == 300
    assert answer.json["scope"] == SCOPE
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


def test_the_token_is_good_for_the_published_key(token_server: RunningServer) -> None:
    """Verified with the JWKS that the server publishes, by an independent library."""
    token = token_server.get(SCOPE, login=("alice", TOKEN)).json["token"]
    (entry,) = token_server.request("GET", "/jwks.json").json["keys"]
    assert pyjwt.get_unverified_header(token)["kid"] == entry["kid"]
    claims = pyjwt.decode(
        token,
        pyjwt.PyJWK(entry).key,
        algorithms=["ES256"],
        audience="hub",
        issuer="sealoshub",
    )
    assert (claims["sub"], claims["aud"]) == (ALICE, "hub")
    assert claims["access"] == [
        {"type": "repository", "name": "team/app", "actions": ["pull", "push"]}
    ]


def test_a_token_by_post(token_server: RunningServer) -> None:
    """The same by OAuth2, with scopes repeated and joined."""
    answer = token_server.post(
        f"{SCOPE} repository:team/open:pull",
        "repository:team/other:pull",
        grant_type="password",
        username="alice",
        password=TOKEN,
    )
    assert answer.status == 200
    assert answer.access == {
        "repository:team/app": ["pull", "push"],
        "repository:team/open": ["pull"],
        "repository:team/other": [],
    }
    assert answer.json["scope"] == f"{SCOPE} repository:team/open:pull"


def test_a_chunked_post(token_server: RunningServer) -> None:
    """containers/image sends no Content-Length."""
    body = f"grant_type=password&service=hub&username=alice&password={TOKEN}".encode()
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]))
    with socket.create_connection(("localhost", token_server.port), timeout=60) as sock:
        sock.sendall(
            b"POST /token HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            b"content-type: application/x-www-form-urlencoded\r\n"
            b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        )
        assert sock.recv(20).startswith(b"HTTP/1.1 200")


def test_less_than_asked_is_no_error(token_server: RunningServer) -> None:
    """200 with what he may, in the shape that was asked for."""
    answer = token_server.get(
        "repository:team/app:pull,push,delete",
        "repository:victim/app:pull",
        "registry:catalog:*",
        "repository:/:pull",
        login=("alice", TOKEN),
    )
    assert answer.status == 200
    assert answer.access == {
        "repository:team/app": ["pull", "push"],
        "repository:victim/app": [],
        "registry:catalog": [],
        "repository:/": [],
    }


def test_a_pull_question_gets_a_pull_answer(token_server: RunningServer) -> None:
    """However much he may."""
    answer = token_server.get("repository:team/app:pull", login=("alice", TOKEN))
    assert answer.access == {"repository:team/app": ["pull"]}


def test_anonymous_gets_what_is_public(token_server: RunningServer) -> None:
    """And nothing else; the answer for missing, private and forbidden is the same."""
    open_answer = token_server.get("repository:team/open:pull,push")
    assert open_answer.claims["sub"] == "system:anonymous"
    assert open_answer.access == {"repository:team/open": ["pull"]}
    closed = [token_server.get(f"repository:team/{name}:pull") for name in ("app", "missing")]
    assert [answer.status for answer in closed] == [200, 200]
    assert [list(answer.access.values()) for answer in closed] == [[[]], [[]]]


def test_no_scope_is_a_login(token_server: RunningServer) -> None:
    """Docker login asks for nothing; the credential is verified all the same."""
    assert token_server.get(login=("alice", TOKEN)).access == {}
    assert token_server.get(login=("alice", WRONG)).status == 401


# ------------------------------------------------------------------ refusals
def test_a_wrong_credential_is_never_anonymous(token_server: RunningServer) -> None:
    """401 also for what the public may; docker and OAuth2 clients both find the reason."""
    answer = token_server.get("repository:team/open:pull", login=("alice", WRONG))
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="sealoshub"'
    assert answer.json["errors"][0]["code"] == "UNAUTHORIZED"
    assert "not accepted" in answer.message
    assert answer.json["error"] == "invalid_grant"
    assert answer.json["error_description"] == answer.message


@pytest.mark.parametrize(
    "header",
    ["Basic !!!", "Basic", "Digest x", "Basic YWxpY2U=", "Basic YWxpY2U6", "Bearer x"],
)
def test_an_unreadable_credential_is_never_anonymous(
    token_server: RunningServer, header: str
) -> None:
    """Nor is one without a password."""
    path = "/token?service=hub&scope=repository:team/open:pull"
    answer = token_server.request("GET", path, headers={"authorization": header})
    assert answer.status == 401


@pytest.mark.parametrize("service", ["", "other", None, "hub "])
def test_an_unknown_service_is_400(token_server: RunningServer, service: str | None) -> None:
    """It would become the audience of a token for somebody else's registry."""
    assert token_server.get(SCOPE, login=("alice", TOKEN), service=service).status == 400
    assert token_server.get(SCOPE, service=service).status == 400


def test_somebody_elses_name(token_server: RunningServer) -> None:
    """Whoever types another name is told his own, by GET and by POST."""
    answer = token_server.get(SCOPE, login=("admin", TOKEN))
    assert (answer.status, ALICE in answer.message) == (401, True)
    fields = {"grant_type": "password", "username": "bob", "password": BOB_TOKEN}
    assert token_server.post(SCOPE, account=ALICE, **fields).status == 400
    assert token_server.post(SCOPE, **fields).access == {"repository:team/app": []}
    assert token_server.get(SCOPE, login=("bob", BOB_TOKEN), account="alice").status == 400


def test_limits(token_server: RunningServer) -> None:
    """Too many, too long, two credentials, secrets in the address, other methods."""
    assert token_server.get(*[SCOPE] * 65).status == 400
    assert token_server.get(SCOPE, account="a" * 300).status == 400
    assert token_server.request("GET", "/token?service=hub&password=x").status == 400
    other = token_server.request("PUT", "/token?service=hub")
    assert (other.status, other.headers["allow"]) == (405, "GET, POST")
    assert token_server.request("GET", "/token?service=hub&x=" + "a" * 40_000).status == 414
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert token_server.request("POST", "/token", body=b"a" * 200_000, headers=kind).status == 413
    assert token_server.request("POST", "/token", body=b"a=1&" * 30_000, headers=kind).status == 400
    fields = {"grant_type": "password", "username": "alice", "password": TOKEN}
    assert token_server.post_with(basic(("alice", TOKEN)), **fields).status == 400


def test_a_head_without_end_is_cut(token_server: RunningServer) -> None:
    """431, and the connection is closed."""
    with socket.create_connection(("localhost", token_server.port), timeout=60) as sock:
        sock.sendall(b"GET /token?service=hub HTTP/1.1\r\nhost: x\r\n")
        received = b""
        try:
            for _ in range(100):
                sock.sendall(b"x-filler: " + b"a" * 8000 + b"\r\n")
            received = sock.recv(100)
        except OSError:
            return  # cut while we were still sending
        assert received.startswith(b"HTTP/1.1 431") or received == b""


# ------------------------------------------------------------------ outages
@pytest.mark.parametrize("status", [500, 503, 429, 401, 403])
def test_an_api_server_in_trouble_is_503(
    token_server: RunningServer, fake: FakeKubernetes, status: int
) -> None:
    """With Retry-After; neither a denial nor an empty grant. Public pulls go on."""
    token_server.get(login=("alice", TOKEN))  # who she is is known for ten seconds
    fake.status = status
    answer = token_server.get("repository:team/new:pull", login=("alice", TOKEN))
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json["errors"][0]["code"] == "UNAVAILABLE"
    unknown = token_server.get(SCOPE, login=("bob", BOB_TOKEN))
    assert unknown.status == (401 if status == 401 else 503)
    assert token_server.get("repository:team/open:pull").access == {
        "repository:team/open": ["pull"]
    }
    assert token_server.request("GET", "/healthz").status == 200


def test_a_stalled_api_server_is_503_in_time(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """Within five seconds, for identity and for rights; readiness says so too."""
    fake.stalled = True
    with ThreadPoolExecutor(3) as pool:
        began = time.monotonic()
        asked = [
            pool.submit(token_server.get, SCOPE, login=("alice", TOKEN)),
            pool.submit(
                token_server.post, grant_type="refresh_token", refresh_token="shr_" + "a" * 43
            ),
            pool.submit(token_server.get, SCOPE, login=("bob", BOB_TOKEN), offline_token="true"),
        ]
        answers = [future.result() for future in asked]
    # What is over five seconds is this machine's.
    assert exchange.ANSWER_SECONDS < 5
    assert time.monotonic() - began < exchange.ANSWER_SECONDS + SLACK
    assert [answer.status for answer in answers] == [503] * 3
    fake.stalled = False


def test_it_starts_without_the_api_server(serve: Serve, fake: FakeKubernetes) -> None:
    """Alive but not ready, and ready as soon as the API server is there."""
    fake.status = 500
    server = serve(wait=False)
    assert server.request("GET", "/healthz").status == 200
    answer = server.request("GET", "/readyz")
    assert answer.status == 503
    assert any("api" in reason for reason in answer.json["reasons"])
    assert server.get("repository:team/open:pull").status == 503
    fake.status = None
    server.ready()
    assert server.get("repository:team/open:pull").access == {"repository:team/open": ["pull"]}


def test_a_rollout_asks_the_api_server_once(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """The same question from many nodes at once: one identity, one review per verb."""
    fake.asked.clear()
    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(token_server.get, SCOPE, login=("alice", TOKEN)) for _ in range(100)]
        answers = [future.result() for future in futures]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.claims["jti"] for answer in answers}) == 100
    assert fake.count("selfsubjectreviews") == 1
    assert fake.count("subjectaccessreviews") == 2


# ------------------------------------------------------------------ guard
def test_wrong_passwords_are_slowed_and_the_true_user_gets_in(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """After a few failures 429 with Retry-After; who is known is not concerned."""
    assert token_server.get(SCOPE, login=("alice", TOKEN)).status == 200
    fake.asked.clear()
    began = time.monotonic()
    answers = [token_server.get(SCOPE, login=("alice", jwt(sub=str(n)))) for n in range(60)]
    passed = time.monotonic() - began  # beyond the first few one is looked at each second
    statuses = [answer.status for answer in answers]
    assert statuses[:10] == [401] * 10
    assert statuses.count(429) >= 45 - passed
    limited = next(answer for answer in answers if answer.status == 429)
    assert 1 <= int(limited.headers["retry-after"]) <= 5
    assert limited.json["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert fake.count("selfsubjectreviews") <= 15 + passed
    assert token_server.get(SCOPE, login=("alice", TOKEN)).status == 200
    assert token_server.get("repository:team/open:pull").status == 200


def test_who_must_wait_is_told_what_was_wrong(token_server: RunningServer) -> None:
    """A docker engine asks once for every layer and shows its user the last answer only."""
    ended = {"grant_type": "refresh_token", "refresh_token": "shr_" + "a" * 43}
    first = token_server.post(**ended)
    assert first.status == 401
    why = first.json["errors"][0]["message"]
    answers = (token_server.post(**ended) for _ in range(12))  # the waits grow to a minute
    limited = next(answer for answer in answers if answer.status == 429)
    said = limited.json["errors"][0]["message"]
    assert said.startswith(f"{why.removesuffix('.')}; too many wrong credentials from here.")
    assert limited.json["error_description"] == said


def test_forged_forwarding_is_ignored(serve: Serve) -> None:
    """Without trusted proxies the header changes nothing."""
    server = serve()
    statuses = set()
    for number in range(60):
        headers = {
            **basic(("alice", jwt(sub=str(number)))),
            "x-forwarded-for": f"10.0.0.{number}",
        }
        statuses.add(server.request("GET", "/token?service=hub", headers=headers).status)
    assert statuses == {401, 429}


def test_trusted_proxies_are_believed(serve: Serve) -> None:
    """Then every client counts for himself, and the audit log names him."""
    server = serve(trusted_proxies=["127.0.0.0/8", "::1/128"])
    for number in range(30):
        headers = {
            **basic(("alice", jwt(sub=str(number)))),
            "x-forwarded-for": f"10.9.9.9, 10.0.0.{number}",
        }
        assert server.request("GET", "/token?service=hub", headers=headers).status == 401
    assert {line["address"] for line in server.audit()} == {f"10.0.0.{n}" for n in range(30)}


# ------------------------------------------------------------------ whoami, explain
def test_whoami(token_server: RunningServer) -> None:
    """By Basic or Bearer; never without a credential."""
    for headers in (basic(("alice", TOKEN)), {"authorization": f"Bearer {TOKEN}"}):
        found = token_server.request("GET", "/v1/whoami", headers=headers).json
        assert (found["user"]["name"], found["method"]) == (ALICE, "token")
    assert token_server.request("GET", "/v1/whoami").status == 401
    own = token_server.get(SCOPE, login=("alice", TOKEN)).json["token"]
    bearer = {"authorization": f"Bearer {own}"}
    assert token_server.request("GET", "/v1/whoami", headers=bearer).status == 401


def test_explain(token_server: RunningServer) -> None:
    """The binding for what he may, a sentence for what he may not."""

    def ask(query: str) -> dict[str, object]:
        path = f"/v1/explain?{query}"
        return token_server.request("GET", path, headers=basic(("alice", TOKEN))).json

    allowed = ask(f"verb=push&repository={quoted('team/app')}")
    assert (allowed["allowed"], allowed["reason"]) == (True, "RBAC: allowed by a binding")
    denied = ask(f"verb=delete-content&repository={quoted('team/app')}")
    assert denied["allowed"] is False
    assert "no binding gives" in str(denied["reason"])
    assert "errors" in ask("verb=fly&repository=x/y")
    assert "errors" in ask("verb=pull")


def test_unknown_paths(token_server: RunningServer) -> None:
    """JSON like every other error."""
    assert token_server.request("GET", "/nothing").json["errors"][0]["message"]
    assert token_server.request("GET", "/nothing").status == 404
    other = token_server.request("POST", "/readyz")
    assert (other.status, "GET" in other.headers["allow"]) == (405, True)


# ------------------------------------------------------------------ audit, metrics, keys
def test_the_audit_log(token_server: RunningServer) -> None:
    """One line for each decision, with who, what and why, and without any secret."""
    granted = token_server.get(
        SCOPE, "repository:team/x:pull", login=("alice", TOKEN), client_id="docker"
    )
    token_server.get(SCOPE, login=("planted-password-as-name", WRONG))
    token_server.get("repository:team/open:pull")
    lines = token_server.audit()
    first = lines[0]
    assert first["jti"] == granted.claims["jti"]
    assert (first["user"], first["credential"], first["client"]) == (ALICE, "JTI=1", "docker")
    assert first["asked"] == [SCOPE, "repository:team/x:pull"]
    assert first["granted"] == [["pull", "push"], []]
    assert first["reasons"] == ["RBAC: allowed by a binding", ""]
    assert (lines[1]["event"], lines[1]["status"]) == ("refused", 401)
    assert lines[2]["user"] == "system:anonymous"
    text = (token_server.folder / "audit.log").read_text()
    for secret in (TOKEN, WRONG, granted.json["token"], "planted-password-as-name"):
        assert secret not in text


def test_metrics_have_their_own_port(serve: Serve) -> None:
    """Counters by status; not on the public port."""
    server = serve(metrics_listen="localhost:0")
    server.get(SCOPE, login=("alice", TOKEN))
    server.get(SCOPE, login=("alice", WRONG))
    assert server.request("GET", "/metrics").status == 404
    public, server.server.address = server.server.address, server.server.metrics_address
    text = server.request("GET", "/metrics").body.decode()
    server.server.address = public
    assert 'sealoshub_token_requests_total{status="200"} 1' in text
    assert 'sealoshub_token_requests_total{status="401"} 1' in text
    assert "sealoshub_token_request_seconds_count 2" in text


def test_a_new_key_signs_without_a_restart(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published with the old one as soon as its file is there."""
    monkeypatch.setattr("sealoshub.authserver.server.RELOAD_SECONDS", 0.02)
    server = serve()
    before = server.get().json["token"]
    (server.folder / "keys" / "signing.pem").rename(server.folder / "keys" / "a-old.pem")
    keys.generate(server.folder / "keys")
    expected = keys.load(server.folder / "keys").signing.kid
    deadline = time.monotonic() + SLACK
    while pyjwt.get_unverified_header(server.get().json["token"])["kid"] != expected:
        assert time.monotonic() < deadline
    published = [entry["kid"] for entry in server.request("GET", "/jwks.json").json["keys"]]
    assert pyjwt.get_unverified_header(before)["kid"] in published
    assert expected in published


def test_an_address_in_use_is_said(serve: Serve, token_server: RunningServer) -> None:
    """A message and no traceback."""
    with pytest.raises(InvalidInputError, match="cannot use localhost"):
        serve(listen=f"localhost:{token_server.port}")


# ------------------------------------------------------------------ the process
def test_tls(serve: Serve, tmp_path: Path) -> None:
    """With a certificate it speaks TLS only."""
    authority = Authority()
    authority.issue("server", host="localhost").write(tmp_path, "tls")
    ca, _ = authority.own.write(tmp_path, "ca")
    server = serve(wait=False, tls={"certificate": "tls.crt", "key": "tls.key"})
    context = ssl.create_default_context(cafile=ca)
    connection = http.client.HTTPSConnection("localhost", server.port, timeout=60, context=context)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    with pytest.raises((OSError, http.client.HTTPException)):
        server.request("GET", "/healthz")


def test_a_broken_certificate_is_said(serve: Serve, tmp_path: Path) -> None:
    """At the start, with the key of the configuration."""
    (tmp_path / "tls.crt").write_text("garbage")
    with pytest.raises(InvalidInputError, match="tls"):
        serve(wait=False, tls={"certificate": "tls.crt", "key": "tls.crt"})


def test_the_program_ends_on_sigterm(fake: FakeKubernetes, tmp_path: Path) -> None:
    """It serves, and SIGTERM ends it with 0 and without a traceback."""
    with Program(fake, tmp_path / "one", audit="-") as program:
        assert program.get(OPEN)[0] == 200
        program.signal(signal.SIGTERM)
        assert program.process.wait(60) == 0
    assert "Traceback" not in program.stderr()
    assert '"event":"token"' in program.stdout()
