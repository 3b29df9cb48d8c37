"""Rows 10 to 12, 17, 27 and 28: requests that ask for too much, or that are too much."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import pytest

from sealoshub.imagehub.names import GROUP
from sealoshub.kube.answer import ResourceAttributes
from tests.attacks.target import kubeconfig
from tests.integration.servers.process import wait_until
from tests.unit.authserver.running import basic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.attacks.cast import Cast
    from tests.attacks.target import Client, Target
    from tests.unit.authserver.running import Answer

REPEATS: Final = 10
CPU_SECONDS: Final = 0.05  # for one request, on average of REPEATS
GROWTH: Final = 64 << 20  # bytes; the original grew by 369 MB for one
SLOW_SECONDS: Final = 45.0  # the server gives up after 10


def test_row_10_nothing_that_was_not_asked_for(stranger: Client, cast: Cast) -> None:
    """Whoever may everything is granted what he asks for, of the type that he asks for."""
    name = cast.private
    asked = {
        f"repository:{name}:pull": ["pull"],
        f"repository:{name}:push": ["push"],
        f"repository:{name}:delete": ["delete"],
        f"repository:{name}:pull,pull": ["pull"],
        f"repository:{name}:PULL,admin,": [],
        f"repository:{name}:*": ["delete", "pull", "push"],
        f"repository(plugin):{name}:pull": ["pull"],
    }
    for scope, granted in asked.items():
        answer = stranger.get(scope, login=cast.alice.login)
        assert answer.access == {f"repository:{name}": granted}, scope
    for scope in (f"registry:{name}:*", f"plugin:{name}:pull,push", f"registry:catalog:{name}"):
        answer = stranger.get(scope, login=cast.alice.login)
        assert not any(answer.access.values()), scope
    # A developer may not delete, whatever else stands in the question.
    answer = stranger.get(f"repository:{name}:pull,push,delete", login=cast.bob.login)
    assert answer.access == {f"repository:{name}": ["pull", "push"]}
    assert "registry:catalog:*" not in str(stranger.get(login=cast.alice.login).claims["access"])


def test_row_11_tokens_for_another_audience(stranger: Client, cast: Cast) -> None:
    """A service that is not configured, empty or missing is 400, by GET and by POST."""
    scope = f"repository:{cast.private}:pull"
    for service in ("", "evil", "HUB", "hub ", "other-hub,hub"):
        assert stranger.get(scope, login=cast.alice.login, service=service).status == 400
        form = {"grant_type": "password", "password": cast.alice.secret, "service": service}
        assert stranger.post(scope, **form).status == 400
    assert stranger.get(scope, login=cast.alice.login, service=None).status == 400
    twice = stranger.request(
        "GET", "/token?service=hub&service=evil", headers=basic(cast.alice.login)
    )
    assert twice.status == 400
    assert stranger.get(scope, login=cast.alice.login).claims["aud"] == "hub"


@pytest.mark.parametrize(
    "name",
    [
        "/", "//", "org/", "/org", "{}//x", "{}/", "/{}", "../x", "{}/../x", "{}/..", "{}/.",
        "{}/" + "a" * 300, "{}/a\x00b", "{}/ä", "{}/\u202eb", "{}/a b", "{}/A", "{}/a:b", "{}",
        "", "*", "{}/*", "{}%2fprivate", "{}.private", "hub-{}/private", "{}/private/", "%00",
    ],
)  # fmt: skip
def test_row_12_names_that_are_none(stranger: Client, cast: Cast, name: str) -> None:
    """A name that no repository can have grants nothing, and breaks nothing."""
    wild = name.replace("{}", cast.organization)
    answer = stranger.get(f"repository:{wild}:pull,push", login=cast.alice.login)
    assert answer.status in {200, 400}, answer.body
    if answer.status == 200:
        assert not any(answer.access.values())
    raw = quote(f"repository:{wild}:pull,push", safe="").encode() + b"%ff%fe"
    broken = stranger.request(
        "GET", f"/token?service=hub&scope={raw.decode()}", headers=basic(cast.alice.login)
    )
    assert broken.status == 400


_HEAD: Final = b"POST /token HTTP/1.1\r\nhost: hub\r\n"
_LOGIN: Final = b"Basic YWxpY2U6d29uZGVy"


AMBIGUOUS: Final = {
    "two kinds of length": _HEAD
    + b"content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nG",
    "two lengths": _HEAD + b"content-length: 6\r\ncontent-length: 7\r\n\r\nabcdefg",
    "an unknown coding": _HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked, but not last": _HEAD + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a length with a sign": _HEAD + b"content-length: +5\r\n\r\nabcde",
    "a space before the colon": _HEAD + b"authorization : " + _LOGIN + b"\r\n\r\n",
    "a folded header": _HEAD + b"x: a\r\n authorization: " + _LOGIN + b"\r\n\r\n",
    "a bare carriage return": _HEAD + b"x: a\rauthorization: " + _LOGIN + b"\r\n\r\n",
    "two credentials": _HEAD
    + b"authorization: "
    + _LOGIN
    + b"\r\nauthorization: "
    + _LOGIN
    + b"\r\n\r\n",
    "a NUL in the path": b"GET /token\0?service=hub HTTP/1.1\r\nhost: hub\r\n\r\n",
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_requests_that_two_servers_would_read_differently(target: Target, kind: str) -> None:
    """Nothing can be hidden from a proxy in front: what is ambiguous is 400."""
    with socket.create_connection(("127.0.0.1", target.port), timeout=SLOW_SECONDS) as opened:
        opened.sendall(AMBIGUOUS[kind])
        assert opened.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_a_token_for_the_registry_is_no_credential(stranger: Client, cast: Cast) -> None:
    """Whoever got hold of an access token cannot make another, a login, or anything of it."""
    scope = f"repository:{cast.private}:pull"
    token = stranger.get(scope, login=cast.alice.login).json["token"]
    bearer = {"authorization": f"Bearer {token}"}
    assert stranger.get(scope, headers=bearer).status == 401
    assert stranger.get(scope, login=("", token), offline_token="true").status == 401
    assert stranger.request("GET", "/v1/whoami", headers=bearer).status == 401


# ---------------------------------------------------------------------- row 17
def deep(levels: int) -> str:
    """Return YAML that is *levels* deep."""
    return "apiVersion: v1\nx: " + "[" * levels + "]" * levels


def aliases() -> str:
    """Return YAML that is small, and huge when its aliases are followed."""
    lines = ["apiVersion: v1", "a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    return "\n".join(lines)


def many_keys(count: int) -> bytes:
    """Return a form of *count* keys."""
    return "&".join(f"k{n}=v" for n in range(count)).encode()


_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
_Attack = tuple[int, "Callable[[Client, int], Answer]"]


def form(body: bytes) -> Callable[[Client, int], Answer]:
    """Send *body* as a form."""
    return lambda who, _: who.request("POST", "/token", body=body, headers=_FORM)


def chunks(body: bytes, size: int) -> Callable[[Client, int], Answer]:
    """Send *body* as a form in chunks of *size* bytes."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    content = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    headers = {**_FORM, "transfer-encoding": "chunked"}
    return lambda who, _: who.request("POST", "/token", body=content, headers=headers)


def header(name: str, value: str) -> Callable[[Client, int], Answer]:
    """Send a header."""
    return lambda who, _: who.request("GET", "/token?service=hub", headers={name: value})


def password(text: str) -> Callable[[Client, int], Answer]:
    """Send *text* as a password, each time another one: the guard knows those that came before."""
    return lambda who, n: who.post(grant_type="password", username="", password=f"{text}\n# {n}")


def encoded(text: str) -> str:
    """Return *text* in base64."""
    return base64.b64encode(text.encode()).decode()


HEAVY: Final[dict[str, _Attack]] = {
    "500,000 keys": (413, form(many_keys(500_000))),
    "as many keys as fit": (400, form(many_keys(15_000))),
    "10 MB": (413, form(b"password=" + b"A" * 10_000_000)),
    "10 MB in chunks": (413, chunks(b"password=" + b"A" * 10_000_000, 60_000)),
    "a chunk that is too large": (413, chunks(b"password=" + b"A" * 150_000, 1 << 20)),
    "a form in chunks of a byte": (400, chunks(b"password=" + b"A" * 20_000, 1)),
    "a header of 70 kB": (431, header("authorization", "Basic " + "A" * 70_000)),
    "a head of 250 kB": (431, header("x-filler", "A" * 250_000)),
    "a query of 40 kB": (
        414,
        lambda who, _: who.request("GET", "/token?service=hub&x=" + "A" * 40_000),
    ),
    "65 scopes": (400, lambda who, _: who.get(*(f"repository:a/{n}:pull" for n in range(65)))),
    "YAML aliases": (401, password(aliases())),
    "YAML 500 deep": (401, password(deep(500))),
    "YAML 15,000 deep": (401, password(deep(15_000))),
    "a kubeconfig of many parts": (
        401,
        password(kubeconfig({"token": "x", "extensions": ["a"] * 8_000})),
    ),
    "a password of 90 kB": (401, password("A" * 90_000)),
    "base64 of base64": (
        401,
        lambda who, n: who.get(login=("", encoded(encoded(f"{kubeconfig({})}# {n}")))),
    ),
}


@pytest.mark.parametrize("attack", HEAVY)
def test_row_17_more_than_a_server_should_chew(target: Target, attack: str) -> None:
    """It costs an error, next to no CPU, and no memory that stays."""
    status, send = HEAVY[attack]
    before_cpu, before_rss = cpu_seconds(target.pid), resident(target.pid)
    for number in range(REPEATS):
        try:
            assert send(target.stranger(), number).status == status
        except (BrokenPipeError, ConnectionResetError):
            # The server said 413 and hung up while we were still sending.
            assert status in {413, 431}
    assert cpu_seconds(target.pid) - before_cpu < REPEATS * CPU_SECONDS
    assert resident(target.pid) - before_rss < GROWTH


def test_row_17_senders_that_never_finish(target: Target, cast: Cast) -> None:
    """A body of a byte now and then is 408, a head without end is cut off; others are served."""
    post = (
        b"POST /token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n"
        b"content-type: application/x-www-form-urlencoded\r\n\r\n"
    )
    chunked = post.replace(b"content-length: 1000", b"transfer-encoding: chunked") + b"1000\r\n"
    scope, pull = f"repository:{cast.public}:pull", {f"repository:{cast.public}": ["pull"]}
    wait_until(
        lambda: target.stranger().get(scope).access == pull,
        "it to be known as public",
        SLOW_SECONDS,
    )
    with (
        slow(target, post) as body,
        slow(target, chunked) as chunk,
        slow(target, b"GET /token HTTP/1.1\r\nx: ") as head,
    ):
        answers = {body: b"", chunk: b"", head: b""}
        deadline = time.monotonic() + SLOW_SECONDS
        while answers:
            assert time.monotonic() < deadline, "a slow sender still has its connection"
            for sender in list(answers):
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    sender.send(b"a")
                received = b""
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    received = sender.recv(4096)
                    if not received:
                        if sender is not head:
                            assert answers[sender].startswith(b"HTTP/1.1 408 ")
                        del answers[sender]
                        continue
                answers[sender] += received
            assert target.stranger().get(scope).access == pull
            time.sleep(0.25)


@contextlib.contextmanager
def slow(target: Target, begin: bytes) -> Iterator[socket.socket]:
    """Open a connection and send the beginning of a request."""
    with socket.create_connection(("127.0.0.1", target.port)) as opened:
        opened.sendall(begin)
        opened.settimeout(0)
        yield opened


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far (proc(5), `stat`)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Return the memory that a process has now, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---------------------------------------------------------------------- rows 27, 28
def test_row_27_a_review_of_everything(stranger: Client, cast: Cast) -> None:
    """No review is asked with an empty name, which would mean all names, in the one place."""
    with pytest.raises(ValueError, match="empty name"):
        ResourceAttributes("pull", GROUP, "repositories", "")
    for name in (f"{cast.organization}/", cast.organization, ""):
        answer = stranger.get(f"repository:{name}:pull", login=cast.alice.login)
        assert not any(answer.access.values())
    # Whoever may list one organisation's catalogue does not get everybody's.
    catalog = stranger.get("registry:catalog:*", login=cast.alice.login)
    assert catalog.access == {"registry:catalog": []}


def test_row_28_what_exists_is_not_told(stranger: Client, cast: Cast) -> None:
    """A missing organisation, a missing, a private and a forbidden repository look alike."""
    names = {
        "private": cast.private,
        "missing": f"{cast.organization}/nothing",
        "of nobody": "nobody-at-all/nothing",
        "of nobody, named alike": f"{cast.organization}x/private",
    }
    for login in (None, cast.mallory.login):
        answers = {
            kind: stranger.get(f"repository:{name}:pull,push", login=login)
            for kind, name in names.items()
        }
        shapes = {
            kind: (
                answer.status,
                {k: v for k, v in answer.json.items() if k not in {"token", "access_token"}},
                [entry["actions"] for entry in answer.claims["access"]],
                sorted(answer.headers),
            )
            for kind, answer in answers.items()
        }
        for kind, shape in shapes.items():
            assert shape == shapes["private"], kind
    for one, other in (("private", "missing"), ("of nobody", "of nobody, named alike")):
        explained = {
            stranger.request(
                "GET",
                f"/v1/explain?{urlencode({'verb': 'pull', 'repository': names[kind]})}",
                headers=basic(cast.mallory.login),
            ).body.replace(names[kind].encode(), b"NAME")
            for kind in (one, other)
        }
        assert len(explained) == 1, explained
