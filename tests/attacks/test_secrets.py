"""Row 14: everything that the server writes at its most verbose, searched for what it was told."""

from __future__ import annotations

import base64
import json
import logging
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import pytest

from sealoshub.authplugin.kubernetes import Kubernetes
from sealoshub.authserver import config as configuration
from sealoshub.authserver import keys
from sealoshub.authserver.server import TokenServer
from tests.attacks.target import Target, api_of, kubeconfig
from tests.unit.authserver.running import RunningServer, basic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sealoshub.authplugin import Credential
    from tests.attacks.cast import Cast
    from tests.unit.authserver.running import Answer

PIECE: Final = 24  # characters of a secret that nobody may find, wherever it was cut


class Everything(logging.Handler):
    """Keeps every record of every logger, formatted with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines.append(logging.Formatter("%(name)s %(message)s").format(record))


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> Iterator[Everything]:
    """Let every logger of the process say everything that it can say."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    handler, root = Everything(), logging.getLogger()
    every = [root, *(logging.getLogger(name) for name in list(root.manager.loggerDict))]
    levels = [(logger, logger.level) for logger in every]
    for logger in every:
        logger.setLevel(logging.DEBUG if logger is root else logging.NOTSET)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    for logger, level in levels:
        logger.setLevel(level)


def requests(target: Target, cast: Cast, planted: set[str]) -> Iterator[Answer]:
    """Send every kind of credential by every way, good ones and bad ones; yield the answers.

    Whatever is secret in them is added to *planted* before it is sent.
    """
    scope = f"repository:{cast.private}:pull,push"
    wrong = "wrong-" + secrets.token_urlsafe(24)
    shaped = (
        f"eyJ{secrets.token_urlsafe(30)}.{secrets.token_urlsafe(60)}.{secrets.token_urlsafe(40)}"
    )
    made_up = "shr_" + secrets.token_urlsafe(32)
    key = base64.b64encode(secrets.token_bytes(200)).decode()
    broken = kubeconfig({"client-certificate-data": key, "client-key-data": key})
    unclosed = f"apiVersion: v1\nusers: [{{token: {wrong}"
    planted |= {cast.alice.secret, cast.mallory.secret, wrong, shaped, made_up, key}
    for actor in (cast.alice, cast.mallory):
        yield target.stranger().get(scope, login=actor.login)
        encoded = base64.b64encode(actor.secret.encode()).decode()
        yield target.stranger().get(scope, login=("sealoshub", encoded))
        yield target.stranger().get(scope, login=("somebody", actor.secret))
        yield target.stranger().get(scope, login=actor.login, account="another")
    for password in (wrong, shaped, made_up, broken, unclosed, kubeconfig({"token": shaped})):
        yield target.stranger().get(scope, login=("alice", password))
        yield target.stranger().post(
            scope, grant_type="password", username="alice", password=password
        )
        yield target.stranger().post(scope, grant_type="refresh_token", refresh_token=password)
    yield target.stranger().get(scope, login=(wrong, "short"))  # in the wrong field
    yield target.stranger().get(scope, login=(wrong, ""))
    query = urlencode({"service": "hub", "password": wrong, "scope": scope})
    yield target.stranger().request("GET", f"/token?{query}")
    for sent in (f"Bearer {shaped}", f"Basic {wrong}", f"Basic {shaped}", wrong, f"Digest {wrong}"):
        yield target.stranger().request(
            "GET", "/token?service=hub", headers={"authorization": sent}
        )
        yield target.stranger().request("GET", "/v1/whoami", headers={"authorization": sent})
    yield target.stranger().post_with(
        basic(("alice", wrong)), scope, grant_type="password", password=wrong
    )
    yield target.stranger().request("POST", "/token", body=f"password={wrong}&%ff".encode())
    for fields in ({"service": wrong}, {"grant_type": wrong}):
        yield target.stranger().post(
            scope, **{"grant_type": "password", "password": shaped, **fields}
        )
    offline = target.stranger().get(scope, login=cast.alice.login, offline_token="true")
    refresh = offline.json["refresh_token"]
    planted.add(refresh)
    for path in ("/v1/whoami", "/v1/logins", "/v1/organizations", "/v1/explain?verb=pull"):
        yield target.stranger().request("GET", path, headers=basic(("", refresh)))
    wish = json.dumps({"name": "planted", "seconds": 60, "service": "hub"}).encode()
    made = target.stranger().request("POST", "/v1/logins", body=wish, headers=basic(("", refresh)))
    planted.add(made.json["token"])
    yield made
    yield target.stranger().get(scope, login=("", made.json["token"]))
    yield target.stranger().request(
        "POST", "/v1/logins", body=wrong.encode(), headers=basic(("", refresh))
    )
    yield target.stranger().request("DELETE", "/v1/logins/self", headers=basic(("", refresh)))
    yield target.stranger().get(scope, login=("", refresh))


def pieces(planted: set[str]) -> Mapping[str, str]:
    """Return what to look for: the secrets, as text, as a form has them, and the middle of each."""
    found: dict[str, str] = {}
    for number, secret in enumerate(sorted(planted)):
        middle = len(secret) // 2
        cut = secret[middle : middle + PIECE] if len(secret) > 2 * PIECE else secret
        found |= {f"{number}": secret, f"{number}, the middle": cut}
        found[f"{number}, in base64"] = base64.b64encode(secret.encode()).decode()[8 : 8 + PIECE]
    return found


def test_row_14_what_the_server_writes(
    cast: Cast, tmp_path: Path, everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No log at any level, no metric, audit line, error or traceback holds a credential."""
    keys.ensure(tmp_path / "keys")
    target = Target(tmp_path, api_of(cast.hub.data), {}, service="hub")
    server = RunningServer(TokenServer(configuration.load(target.write_configuration())), tmp_path)
    planted: set[str] = set()
    try:
        server.ready()
        answers = list(requests(target, cast, planted))
        metrics = target.metrics()

        async def defect(_: object, credential: Credential) -> None:
            raise RuntimeError(f"an exception that quotes {credential.secret.reveal()}")

        monkeypatch.setattr(Kubernetes, "authenticate", defect)
        answers.append(target.stranger().get(login=("", cast.alice.secret + "\n")))
        assert answers[-1].status == 500
    finally:
        server.stop()
    statuses = {answer.status for answer in answers}
    assert {200, 201, 204, 400, 401, 500} <= statuses, statuses
    assert 429 not in statuses, "not every request was looked at"
    audit = (tmp_path / "audit.log").read_text()
    log = "\n".join(everything.lines)
    assert len(audit.splitlines()) >= len(answers) // 2
    assert "got a new connection" in log, "the most verbose level was not reached"
    assert "defect: RuntimeError" in log
    shown = [str((a.headers, a.body)) if a.status >= 400 else str(a.headers) for a in answers]
    for place, text in {
        "log": log,
        "audit": audit,
        "metrics": metrics,
        "answers": "\n".join(shown),
    }.items():
        for name, piece in pieces(planted).items():
            assert piece not in text, f"secret {name} is in the {place}"
    for piece in pieces(planted).values():
        assert cast.hub.logs_contain(piece) == []
