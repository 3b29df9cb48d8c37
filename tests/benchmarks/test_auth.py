"""What a token costs: CPU of the token server and of a real API server, and how long it takes.

The times on the clock are those of a load generator on the same machine. The CPU for each request
is what to trust, and its ratio to a bare signature what to compare between machines.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.benchmarks import wrk
from tests.benchmarks.peer import ACCOUNT, PASSWORD, DistributionTokenServer
from tests.integration.hub import USER_NAMESPACE
from tests.integration.servers.process import wait_until
from tests.integration.test_way_through import ACCEPTED, organization, token_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.integration.hub import Hub

    Publish = Callable[[str, Sequence[dict[str, Any]]], None]

CONNECTIONS: Final = (1, 8, 32, 64)
COLD: Final = 600  # questions that nobody has asked before
SIGNATURES: Final = 5000
WATCHED: Final = (10, 1_000, 100_000)
MICRO: Final = 1e6
OK: Final = 200
# Measured on one machine, where a signature took 23 µs of CPU: µs for each request.
SIGNATURE_THEN: Final = 23.0
DOCKER_AUTH_ANONYMOUS: Final = 108 / SIGNATURE_THEN  # with an EC key
DOCKER_AUTH_PASSWORD: Final = 2096 / SIGNATURE_THEN  # bcrypt with cost 5
BEFORE: Final = (1027 + 1650) / SIGNATURE_THEN  # the hub service of before, and its API server
# The hub service of before, built anew from its source and asked from four threads as below, with
# an EC key: signatures of its own, and with its API server. It knew no refresh tokens.
BEFORE_COLD: Final = {
    "known user, new repository": (59, 147),
    "new refresh token": (62, 145),
    "new bearer token": (62, 145),
    "new kubeconfig with a certificate": (97, 221),
}


@dataclass
class Case:
    """One way to ask for a token.

    Args:
        name: What the table calls it.
        scope: What is asked for.
        headers: Of the request.
        form: Of a POST; None for a GET.
        chunked: Whether the form comes in a chunk.
    """

    name: str
    scope: str
    headers: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] | None = None
    chunked: bool = False


@dataclass(frozen=True)
class Measured:
    """What one answer cost: CPU seconds of the server and of the API server, and the load."""

    case: str
    connections: int
    load: wrk.Load
    cpu: float
    api_cpu: float = 0.0


@pytest.fixture(autouse=True)
def _part(request: pytest.FixtureRequest) -> None:
    """Leave everything out but what BENCH_ONLY names, if it names something."""
    name = request.node.name.partition("[")[0].removeprefix("test_")
    if os.environ.get("BENCH_ONLY") not in {None, "", name}:
        pytest.skip(f"BENCH_ONLY={name} runs it")


def basic(account: str, password: str) -> dict[str, str]:
    """Return the header for a password."""
    return {"authorization": f"Basic {base64.b64encode(f'{account}:{password}'.encode()).decode()}"}


def signature_seconds() -> float:
    """Return the CPU seconds of one ES256 signature, the least that a token can cost."""
    key = ec.generate_private_key(ec.SECP256R1())
    content = b"x" * 400
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(SIGNATURES):
            key.sign(content, ec.ECDSA(hashes.SHA256()))
        best = min(best, (time.process_time() - began) / SIGNATURES)
    return best


@pytest.fixture
def cases(hub: Hub, unique: str) -> list[Case]:
    """An organisation with a public and a private repository, and somebody who may push."""
    assert hub.kube is not None
    robot = hub.robot(f"robot-{unique}")
    carol = f"carol-{unique}"
    developer = {"kind": "User", "name": carol, "role": "developer"}
    organization(robot, unique, members=[developer])
    path = "/apis/imagehub.sealos.io/v1/repositories"
    body = {
        "apiVersion": "imagehub.sealos.io/v1",
        "kind": "Repository",
        "metadata": {"name": f"{unique}.open"},
        "spec": {"name": f"{unique}/open", "isPrivate": False},
    }
    hub.kube.request("POST", path, body)
    public, private = f"repository:{unique}/open:pull", f"repository:{unique}/app:pull,push"
    robot.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    stored = json.loads((robot.home / ".docker" / "config.json").read_text())
    refresh = stored["auths"][hub.host]["identitytoken"]
    file = base64.b64encode(robot.kubeconfig.read_bytes()).decode()
    own = hub.kube.issue_kubeconfig(carol)
    certificate = base64.b64encode(own.read_bytes()).decode()
    form = {"grant_type": "refresh_token", "client_id": "docker", "refresh_token": refresh}
    found = [
        Case("nobody, a public pull", public),
        Case("refresh token", private, basic("", refresh)),
        Case("refresh token by POST", private, form=form),
        Case("refresh token by POST, chunked", private, form=form, chunked=True),
        Case("bearer token", private, basic("token", token_of(robot))),
        Case("kubeconfig with a token", private, basic("token", file)),
        Case("kubeconfig with a certificate", private, basic("", certificate)),
    ]
    for case in found:
        wait_until(lambda case=case: granted(hub, case) > 0, f"rights of {case.name}")  # type: ignore[misc]  # mypy knows no defaults of lambdas
    return found


def granted(hub: Hub, case: Case) -> int:
    """Return how many actions a token of *case* has."""
    parameters = {"service": "hub", "scope": case.scope}
    url = f"{hub.auth_url}/token"
    if case.form is None:
        answer = httpx.get(url, params=parameters, headers=case.headers)
    else:
        answer = httpx.post(url, data={**parameters, **case.form})
    return len(answer.json().get("scope", ""))


def script(case: Case, folder: Path) -> Path | None:
    """Return the Lua for a POST; None for a GET."""
    if case.form is None:
        return None
    body = urlencode({"service": "hub", "scope": case.scope, **case.form})
    kind = "application/x-www-form-urlencoded"
    file = folder / "post.lua"
    if case.chunked:  # which wrk cannot make
        request = (
            f"POST /token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            f"Content-Type: {kind}\r\n\r\n{len(body):x}\r\n{body}\r\n0\r\n\r\n"
        )
        file.write_text(f"request = function() return {json.dumps(request)} end\n")
    else:
        file.write_text(
            f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "{kind}"\n'
            f"wrk.body = {json.dumps(body)}\n"
        )
    return file


KUBE_HUB: Final = pytest.mark.parametrize(
    "hub", ["kube-registry-3"], indirect=True, scope="session"
)


@dataclass(frozen=True)
class Place:
    """Where is asked: URL of the token endpoint, its process, its API server's, and a folder."""

    url: str
    server: int
    api: int | None
    folder: Path


def measure(case: Case, place: Place, connections: int) -> Measured:
    """Let wrk ask from so many connections at once, and return what it cost."""

    def used() -> tuple[float, float]:
        return (
            wrk.cpu_seconds(place.server),
            wrk.cpu_seconds(place.api) if place.api is not None else 0.0,
        )

    query = f"?service=hub&scope={quote(case.scope, safe=':/,')}" if case.form is None else ""
    before = used()
    lua = script(case, place.folder)
    done = wrk.load(place.url + query, connections, case.headers, lua)
    after = used()
    assert done.refused == 0, case.name
    cpu, api_cpu = ((now - then) / done.answers for now, then in zip(after, before, strict=True))
    return Measured(case.name, connections, done, cpu, api_cpu)


def measure_peer(folder: Path) -> list[Measured]:
    """Measure distribution's token server, with a password and with a refresh token."""
    with DistributionTokenServer(folder / "peer") as peer:
        scope = f"repository:{ACCOUNT}/app:pull,push"
        form = {
            "grant_type": "refresh_token",
            "client_id": "wrk",
            "refresh_token": peer.refresh_token(),
        }
        cases = [
            Case(f"{PEER}, password", scope, basic(ACCOUNT, PASSWORD)),
            Case(f"{PEER}, refresh token by POST", scope, form=form),
        ]
        place = Place(peer.url, peer.pid, None, folder)
        return [measure(case, place, connections) for case in cases for connections in CONNECTIONS]


PEER: Final = "*distribution's token server*"


@KUBE_HUB
def test_warm(hub: Hub, cases: list[Case], tmp_path: Path, publish: Publish) -> None:
    """Everything was asked seconds ago: what a node costs that pulls its next image."""
    wrk.program()
    signatures = [signature_seconds()]
    peers = measure_peer(tmp_path)
    url = f"{hub.auth_url}/token".replace("localhost", "127.0.0.1")
    place = Place(url, hub.pids()["auth-server"], api_pid(hub), tmp_path)
    found = [measure(case, place, connections) for case in cases for connections in CONNECTIONS]
    signature = min(*signatures, signature_seconds())
    rows = [_row(one, signature, "") for one in peers]
    for one in found:
        nobody = one.case == cases[0].name
        theirs = DOCKER_AUTH_ANONYMOUS if nobody else DOCKER_AUTH_PASSWORD
        rows.append(_row(one, signature, f"{theirs / (one.cpu / signature):.1f}"))
    rows.append(
        dict.fromkeys(rows[0], "")
        | {"credential": "a bare signature"}
        | {"CPU µs": round(signature * MICRO), "in signatures": 1.0}
    )
    publish("auth-warm", rows)
    publish("auth-goals", _goals(found, peers, signature, cases[0].name))


def _row(one: Measured, signature: float, ratio: str) -> dict[str, Any]:
    return {
        "credential": one.case,
        "connections": one.connections,
        "requests/s": round(one.load.answers / one.load.seconds),
        "p50 ms": round(one.load.p50, 2),
        "p99 ms": round(one.load.p99, 2),
        "CPU µs": round(one.cpu * MICRO),
        "in signatures": round(one.cpu / signature, 1),
        "API server CPU µs": round(one.api_cpu * MICRO),
        "docker_auth / ours": ratio,
    }


def _goals(
    found: Sequence[Measured], peers: Sequence[Measured], signature: float, nobody: str
) -> list[dict[str, Any]]:
    """Compare with the goals: of each credential the best row, and of all the worst credential."""

    def best(cost: Callable[[Measured], float], *, of: bool) -> float:
        names = {one.case for one in found if (one.case == nobody) is of}
        return max(min(cost(one) for one in found if one.case == name) for name in names)

    def cpu(one: Measured) -> float:
        return one.cpu / signature

    def both(one: Measured) -> float:
        return (one.cpu + one.api_cpu) / signature

    password = [one for one in peers if one.case.endswith("password")]
    slower = [
        max(one.load.p99 for one in found if one.connections == theirs.connections)
        / theirs.load.p99
        for theirs in password
    ]
    theirs = min(cpu(one) for one in password)
    goals = [
        ("nobody: requests per CPU second to docker_auth's", 1.2, DOCKER_AUTH_ANONYMOUS
         / best(cpu, of=True)),
        ("any credential: the same, its passwords", 15, DOCKER_AUTH_PASSWORD / best(cpu, of=False)),
        ("any credential: the same, to the passwords of distribution's token server", 15,
         theirs / best(cpu, of=False)),
        ("any credential: the same with the API server, to the hub service of before", 20,
         BEFORE / best(both, of=False)),
    ]  # fmt: skip
    rows = [
        {"goal": name, "wanted": f"≥ {least:g}", "measured": f"{value:.1f}"}
        for name, least, value in goals
    ]
    shown = ", ".join(f"{ratio:.2f}" for ratio in slower)
    name = f"p99 to that of distribution's passwords, at {', '.join(map(str, CONNECTIONS))}"
    return [*rows, {"goal": f"{name} connections", "wanted": "≤ 1", "measured": shown}]


def api_pid(hub: Hub) -> int:
    """Return the process of the real API server."""
    assert hub.kube is not None
    return hub.kube._server.pid


@KUBE_HUB
def test_cold(hub: Hub, cases: list[Case], unique: str, publish: Publish) -> None:
    """Nothing was ever asked: the first pull of somebody, and his first of another repository."""
    assert hub.kube is not None
    signature = signature_seconds()
    known = next(case for case in cases if case.name == "bearer token")
    certificates = [hub.kube.issue_kubeconfig(f"u{n}-{unique}") for n in range(COLD)]
    # Nobody appears in two rows: what was decided about somebody is remembered for ten seconds.
    owners, robots = (
        [hub.kube.service_account(USER_NAMESPACE, f"{kind}-{n}-{unique}") for n in range(COLD)]
        for kind in ("owner", "cold")
    )
    scope = f"repository:{unique}/app:pull,push"
    with ThreadPoolExecutor(4) as pool:
        logins = list(pool.map(lambda token: _refresh(hub, token), owners))
    time.sleep(61)  # until nothing of these logins is remembered
    questions: dict[str, list[tuple[str, Mapping[str, str]]]] = {
        "known user, new repository": [
            (f"repository:{unique}/r{n}:pull,push", known.headers) for n in range(COLD)
        ],
        "new refresh token": [(scope, basic("", login)) for login in logins],
        "new bearer token": [(scope, basic("token", token)) for token in robots],
        "new kubeconfig with a certificate": [
            (scope, basic("", base64.b64encode(file.read_bytes()).decode()))
            for file in certificates
        ],
    }
    server, api = hub.pids()["auth-server"], api_pid(hub)
    rows = []
    for name, asked in questions.items():
        before = wrk.cpu_seconds(server), wrk.cpu_seconds(api)
        with httpx.Client(base_url=hub.auth_url) as client, ThreadPoolExecutor(4) as pool:

            def ask(
                question: tuple[str, Mapping[str, str]], client: httpx.Client = client
            ) -> float:
                began = time.perf_counter()
                parameters = {"service": "hub", "scope": question[0]}
                answer = client.get("/token", params=parameters, headers=question[1])
                assert answer.status_code == OK, answer.text
                return time.perf_counter() - began

            taken = sorted(pool.map(ask, asked))
        used = wrk.cpu_seconds(server) - before[0], wrk.cpu_seconds(api) - before[1]
        before_alone, before_both = BEFORE_COLD[name]
        rows.append(
            {
                "question": name,
                "requests": len(asked),
                "p50 ms": round(taken[len(taken) // 2] * 1000, 1),
                "CPU µs": round(used[0] / len(asked) * MICRO),
                "in signatures": round(used[0] / len(asked) / signature),
                "API server CPU µs": round(used[1] / len(asked) * MICRO),
                "with API server": round(sum(used) / len(asked) / signature),
                "before / now": round(before_alone / (used[0] / len(asked) / signature), 1),
                "with API servers": round(before_both / (sum(used) / len(asked) / signature), 1),
            }
        )
    publish("auth-cold", rows)


def _refresh(hub: Hub, token: str) -> str:
    """Return the refresh token of a new login."""
    parameters = {"service": "hub", "offline_token": "true"}
    headers = basic("token", token)
    answer = httpx.get(f"{hub.auth_url}/token", params=parameters, headers=headers)
    login: str = answer.json()["refresh_token"]
    return login


_MIXED: Final = """\
local count = 0
local statuses = {{}}
local logins = {{ {logins} }}
request = function()
  count = count + 1
  local kind = count % 5
  local path = "/token?service=hub&scope=repository:{organization}/"
  if kind == 0 then return wrk.format("GET", path .. "open:pull") end
  if kind == 1 then
    local wrong = "Bearer shr_" .. string.format("%043d", count)
    return wrk.format("GET", path .. "app:pull", {{ authorization = wrong }})
  end
  local login = {{ authorization = logins[count % #logins + 1] }}
  if kind == 2 then
    return wrk.format("GET", path .. "r" .. math.random(5000) .. ":pull,push", login)
  end
  return wrk.format("GET", path .. "app:pull,push", login)
end
response = function(status)
  local file = io.open("{file}", "a")
  file:write(status .. "\\n")
  file:close()
end
"""


@KUBE_HUB
def test_soak(hub: Hub, cases: list[Case], unique: str, tmp_path: Path, publish: Publish) -> None:
    """Mixed load for as long as SOAK_SECONDS says (default: a minute) does not fill the memory."""
    pid = hub.pids()["auth-server"]
    file = tmp_path / "statuses"
    logins = ", ".join(json.dumps(case.headers["authorization"]) for case in cases if case.headers)
    mixed = tmp_path / "mixed.lua"
    mixed.write_text(_MIXED.format(logins=logins, organization=unique, file=file))
    seconds = int(os.environ.get("SOAK_SECONDS", "60"))
    url = hub.auth_url.replace("localhost", "127.0.0.1")
    resident, statuses = [], Counter[str]()
    for _ in range(3):
        wrk.load(url, 8, {}, mixed, seconds // 3)
        resident.append(wrk.resident(pid))
        statuses += Counter(file.read_text().split())
        file.unlink()
    rows = [
        {
            "seconds": seconds,
            "answers": f"{statuses.total():,}",
            "by status": ", ".join(f"{key}: {count:,}" for key, count in sorted(statuses.items())),
            "memory, MB": f"{resident[0] / 1e6:.0f} → {resident[-1] / 1e6:.0f}",
        }
    ]
    assert set(statuses) <= {"200", "401", "429"}, statuses
    assert resident[-1] < resident[0] * 1.15
    publish("auth-soak", rows)


_DECIDE: Final = """\
import json, sys, time
from pathlib import Path
from sealoshub.authplugin import ANONYMOUS, Scope
from sealoshub.authplugin.kubernetes import Kubernetes
from sealoshub.authplugin.kubernetes_identity import Options
from sealoshub.kube.review import ApiServer

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

plugin = Kubernetes(ApiServer("http://localhost:1"), Options(("hub",)))
before = resident()
for number in range(int(sys.argv[1])):
    name = f"organization{number // 10}/repository{number}"
    item = {"spec": {"name": name, "isPrivate": False}}
    key = name.replace("/", ".")
    plugin._public.put(key, plugin._public.keep(item, key))
plugin._public._proved = float("inf")
scope = Scope("repository", name, frozenset({"pull"}))
best = float("inf")
for _ in range(5):
    began = time.process_time()
    for _ in range(20_000):
        assert plugin.recall_authorize(ANONYMOUS, scope).actions
    best = min(best, (time.process_time() - began) / 20_000)
print(json.dumps([best, resident() - before, resident()]))
"""


def test_watched(publish: Publish) -> None:
    """A decision costs the same however many repositories there are; their names cost memory."""
    rows = []
    for count in WATCHED:
        done = subprocess.run(
            [sys.executable, "-c", _DECIDE, str(count)],
            check=True,
            capture_output=True,
            text=True,
            env=dict(os.environ),
        )
        seconds, grown, resident = json.loads(done.stdout)
        rows.append(
            {
                "public repositories": f"{count:,}",
                "decision, CPU µs": round(seconds * MICRO, 1),
                "more memory, MB": round(grown / 1e6, 1),
                "resident, MB": round(resident / 1e6, 1),
            }
        )
    publish("auth-watched", rows)
