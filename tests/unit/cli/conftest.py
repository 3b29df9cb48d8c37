"""What the CLI tests share: the program in this process, and fakes behind its doors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest
from typer.testing import CliRunner

from sealoshub.cli import session
from sealoshub.cli.tree import app
from sealoshub.errors import NotFoundError
from sealoshub.kube import ApplyResult, UserInfo
from sealoshub.registry import hubapi
from sealoshub.registry.auth import Credential
from sealoshub.registry.login import LoginResult
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typer.testing import Result

    from sealoshub.credentials import StoredCredential
    from sealoshub.errors import SealosHubError


IDENTITY: Mapping[str, object] = {
    "user": {"name": "alice", "groups": ["devs"]},
    "expires": "2099-01-01T00:00:00Z",
}


@dataclass
class FakeHub:
    """A registry and its token server, with knobs.

    Args:
        refresh: What the server gives for a login; None: nothing.
        error: Raised by the next calls.
        anonymous: It lets everybody in.
        identity: What `/v1/whoami` answers.
    """

    refresh: str | None = "shr_fresh"
    error: SealosHubError | None = None
    anonymous: bool = False
    identity: dict[str, object] | None = field(default_factory=lambda: dict(IDENTITY))
    logins: list[tuple[str, str, str]] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    tls: list[session.Tls] = field(default_factory=list)


@dataclass
class FakeClient:
    """Stands for `sealoshub.registry.client.Client`."""

    hub: FakeHub
    host: str
    credential: Credential | None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def login(self, account: str, secret: Secret, *, exchange: bool = True) -> LoginResult:
        """Take the login down and answer as the knobs say."""
        self._fail()
        self.hub.logins.append((self.host, account, secret.reveal()))
        token = Secret(self.hub.refresh) if self.hub.refresh and exchange else None
        name = account.rpartition(":")[2]
        return LoginResult(name, token, anonymous=self.hub.anonymous, scheme="bearer")

    def whoami(self) -> dict[str, object] | None:
        """Answer as the hub would."""
        self._fail()
        return self.hub.identity

    def revoke(self) -> bool:
        """Take the revocation down."""
        self._fail()
        assert self.credential is not None
        self.hub.revoked.append(self.credential.secret.reveal())
        return True

    def _fail(self) -> None:
        if self.hub.error is not None:
            raise self.hub.error


@dataclass
class FakeCluster:
    """Stands for `sealoshub.kube.cluster.Cluster`."""

    name: str = "alice"
    error: SealosHubError | None = None
    served: bool = True
    outcome: str = "created"
    applied: list[dict[str, Any]] = field(default_factory=list)
    how: list[dict[str, Any]] = field(default_factory=list)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    server: str = "https://dev:6443"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def whoami(self) -> UserInfo:
        """Say who it is."""
        if self.error is not None:
            raise self.error
        return UserInfo(self.name)

    def close(self) -> None:
        """Do nothing."""

    def supports(self, kind: str) -> bool:
        """Tell whether the CRDs are there; policies are always."""
        if kind == "MutatingAdmissionPolicy":
            return True
        if self.error is not None:
            raise self.error
        return self.served

    def look_up(self, kind: str, name: str) -> dict[str, Any]:
        """Return what is stored."""
        return self.get(kind, name)

    def get(self, _kind: str, name: str) -> dict[str, Any]:
        """Return what is stored."""
        if name not in self.stored:
            raise NotFoundError(f"there is no {name}")
        return self.stored[name]

    def apply(self, manifest: Mapping[str, Any], **how: Any) -> ApplyResult:  # noqa: ANN401  # recorded as it comes
        """Take the object down."""
        if self.error is not None:
            raise self.error
        self.applied.append(dict(manifest))
        self.how.append(how)
        return ApplyResult(dict(manifest), self.outcome)  # type: ignore[arg-type]  # a knob


@dataclass
class Program:
    """The program, run in this process."""

    hub: FakeHub
    cluster: FakeCluster

    def __call__(self, *arguments: object, stdin: str | bytes | None = None) -> Result:
        """Run one command line."""
        return CliRunner().invoke(app, [str(word) for word in arguments], input=stdin)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    """Return the program with a fake hub and a fake cluster behind its doors."""
    found = Program(FakeHub(), FakeCluster())

    def registry_client(
        host: str, stored: StoredCredential | None, tls: session.Tls, *_: object, **__: object
    ) -> FakeClient:
        found.hub.tls.append(tls)
        credential = (
            Credential(stored.account, stored.secret, stored.is_refresh_token) if stored else None
        )
        return FakeClient(found.hub, host, credential)

    monkeypatch.setattr(session, "registry_client", registry_client)
    monkeypatch.setattr(hubapi, "organizations", lambda _: [("team", "owner")])
    monkeypatch.setattr(session, "open_cluster", lambda _: found.cluster)
    return found
