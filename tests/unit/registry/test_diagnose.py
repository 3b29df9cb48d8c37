"""The steps of `doctor` that need a certificate, a proxy or another time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from sealoshub.registry.auth import Credential
from sealoshub.registry.client import Client
from sealoshub.registry.diagnose import Step, examine
from sealoshub.registry.retry import Retry
from sealoshub.registry.transport import tls_context
from sealoshub.secret import Secret
from tests.unit.authserver.pki import Authority
from tests.unit.cli.small_hub import SmallHub

if TYPE_CHECKING:
    from pathlib import Path

HELD = Step("credential", "ok", "held by the test")
DAY = 24 * 3600.0


def look(
    host: str, *, ca: Path | None = None, insecure: bool = False, later: float = 0.0
) -> dict[str, Step]:
    """Examine *host* as Alice, *later* seconds from now; return the steps by name."""
    ca_file = str(ca) if ca else None
    context = tls_context(ca_file, insecure_skip_tls_verify=insecure)
    client = Client(
        host,
        Credential("alice", Secret("shr_secret"), is_refresh_token=True),
        ca_file=ca_file,
        insecure_skip_tls_verify=insecure,
        retry=Retry(budget=0.0),
    )
    with client:
        steps = examine(client, context, HELD, plain_http=False, now=lambda: time.time() + later)
        return {step.name: step for step in steps}


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Authority, Path]:
    """An authority and its file."""
    found = Authority()
    return found, found.own.write(tmp_path, "ca")[0]


def test_a_certificate_that_is_trusted(tmp_path: Path, authority: tuple[Authority, Path]) -> None:
    """Its end is told, and everything behind it goes through TLS."""
    made, file = authority
    files = made.issue("server", host="localhost", hours=24 * 30).write(tmp_path, "server")
    with SmallHub(tls=files) as server:
        server.answers["GET", "/v1/whoami"] = (200, {"user": {"name": "alice"}})
        found = look(server.host, ca=file)
    assert {step.status for step in found.values()} == {"ok"}
    assert "TLSv1.3, verified, certificate good until" in found["tls"].detail
    assert found["registry"].detail.startswith("https://")


def test_a_certificate_that_ends_soon(tmp_path: Path, authority: tuple[Authority, Path]) -> None:
    """It works today, and the operator has to act."""
    made, file = authority
    files = made.issue("server", host="localhost", hours=2).write(tmp_path, "server")
    with SmallHub(tls=files) as server:
        found = look(server.host, ca=file)
    assert (found["tls"].status, "renew" in found["tls"].repair) == ("warning", True)


@pytest.mark.parametrize(
    ("host", "hours", "trusted"),
    [("localhost", 1, False), ("other", 1, True), ("localhost", -1, True)],
)
def test_a_certificate_that_is_not_trusted(
    tmp_path: Path, authority: tuple[Authority, Path], host: str, hours: float, trusted: object
) -> None:
    """Another authority, another name, or expired: nothing is asked behind it."""
    made, file = authority
    pair = made.issue("server", host=host, hours=hours, began_hours=-2)
    with SmallHub(tls=pair.write(tmp_path, "server")) as server:
        found = look(server.host, ca=file if trusted else None)
    assert (found["tls"].status, found["tls"].error is not None) == ("failed", True)
    assert found["tls"].error is not None
    assert (found["tls"].error.code, found["tls"].error.exit_code) == ("CERTIFICATE", 6)
    assert "--ca-file" in found["tls"].repair
    assert found["registry"].status == found["token"].status == "skipped"
    assert found["credential"] is HELD


def test_a_certificate_that_nobody_looks_at(
    tmp_path: Path, authority: tuple[Authority, Path]
) -> None:
    """`--insecure-skip-tls-verify` works and is worth a warning."""
    files = authority[0].issue("server", host="other").write(tmp_path, "server")
    with SmallHub(tls=files) as server:
        found = look(server.host, insecure=True)
    assert (found["tls"].status, found["acceptance"].status) == ("warning", "ok")


def test_a_proxy_is_left_to_look_up_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy, names and TLS are not this machine's business; its address is not shown."""
    monkeypatch.setenv("https_proxy", "http://user:planted@localhost:9")
    found = look("hub.example.com")
    assert "proxy" in found["dns"].detail
    assert found["tls"].status == "skipped"
    assert found["registry"].status == "failed"
    assert "planted" not in str(found)


@pytest.mark.parametrize(("later", "status"), [(0.0, "ok"), (50.0, "ok"), (120.0, "warning")])
def test_the_clock_of_this_machine(later: float, status: str) -> None:
    """Sixty seconds are forgiven, as the registry forgives them."""
    with SmallHub() as server:
        found = look(server.host, later=later)
    assert found["clock"].status == status
    assert ("ahead of the registry" in found["clock"].detail) == (status == "warning")


def test_a_login_that_ends_within_a_day() -> None:
    """Said before it happens."""
    with SmallHub() as server:
        server.answers["GET", "/v1/whoami"] = (200, {"expires": "2099-01-02T00:00:00Z"})
        assert look(server.host)["login"].status == "ok"
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + DAY / 2))
        server.answers["GET", "/v1/whoami"] = (200, {"expires": end})
        found = look(server.host)["login"]
    assert (found.status, f"sealoshub login {server.host}" in found.repair) == ("warning", True)


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"aud": ["hub", "other"]}, "ok"),
        ({"aud": ["other"]}, "failed"),
        ({"aud": None}, "failed"),
        ({"sub": ""}, "failed"),
        ({"iss": "x\x1b[2J"}, "ok"),
    ],
)
def test_what_the_token_says(claims: dict[str, object], status: str) -> None:
    """Compared with what the registry asked for; hostile text is cleaned."""
    with SmallHub(claims=claims) as server:
        found = look(server.host)["claims"]
    assert (found.status, "\x1b" in found.detail) == (status, False)
