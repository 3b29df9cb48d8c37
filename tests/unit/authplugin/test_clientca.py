"""Whom the token server recognises by the cluster's CA, and what it must be taught first."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from sealoshub.authplugin import Credential, CredentialsRejected, Identity
from sealoshub.authplugin import certificate as certificates
from sealoshub.authplugin.certificaterules import claim_of
from sealoshub.authplugin.clientca import (
    BUNDLE_SECONDS,
    CONFIG_MAP,
    RETRY_SECONDS,
    TAUGHT_SECONDS,
    ClientAuthority,
)
from sealoshub.authplugin.kubernetes_identity import Options
from sealoshub.errors import NotFoundError, SealosHubError, UnavailableError
from sealoshub.secret import Secret
from tests.unit.authplugin.issuing import (
    CA,
    SIGNS_CERTIFICATES,
    Issued,
    authority,
    leaf,
    named,
)
from tests.unit.authplugin.test_kubernetes import Clock, kubeconfig, plugin_on
from tests.unit.authserver.fake_kubernetes import FakeKubernetes
from tests.unit.authserver.pki import Authority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from sealoshub.authplugin.kubernetes import Kubernetes
    from sealoshub.kube import UserInfo


def config_map(*cas: Issued) -> dict[str, Any]:
    """Return the ConfigMap with these CAs."""
    return {"data": {"client-ca-file": b"".join(one.pem for one in cas).decode()}}


class Api:
    """The part of an API server that publishes its client CAs.

    Knobs: `answer`, an object or an error; `ca_generation`.
    """

    def __init__(self, answer: dict[str, Any] | SealosHubError) -> None:
        self.answer = answer
        self.ca_generation = 0
        self.asked = 0

    async def get(self, path: str) -> dict[str, Any]:
        """Answer."""
        assert path == CONFIG_MAP
        self.asked += 1
        if isinstance(self.answer, SealosHubError):
            raise self.answer
        return self.answer


class Bench:
    """An authority of a token server on an API server, and the clock of both."""

    def __init__(self, answer: dict[str, Any] | SealosHubError) -> None:
        self.api = Api(answer)
        self.clock = Clock()
        self.now = datetime.now(UTC)
        self.authority = ClientAuthority(self.api, self.clock)  # type: ignore[arg-type]  # a part of it

    async def recognised(self, issued: Issued, more: bytes = b"") -> UserInfo | None:
        """Return whom the token server recognises; asked twice, because the first one reads."""
        sent = certificates.read(issued.pair(more=more), self.now)
        self.authority.user(sent, self.now)
        for _ in range(3):
            await asyncio.sleep(0)
        return self.authority.user(sent, self.now)

    async def taught(
        self, issued: Issued, said: Callable[[UserInfo], UserInfo | None] = lambda user: user
    ) -> None:
        """Let the API server say who that is; *said* changes its answer."""
        await self.recognised(issued)
        sent = certificates.read(issued.pair(), self.now)
        self.authority.learn(sent, said(reviewed(issued)), self.now)


def reviewed(issued: Issued) -> UserInfo:
    """Return what an API server says about a certificate."""
    claim = claim_of(issued.certificate)
    assert claim is not None
    return claim.user(with_id=True)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test in a loop."""

    async def main() -> None:
        await test()

    asyncio.run(main())


def test_one_certificate_teaches_for_all_of_its_ca() -> None:
    """The second user is recognised without a question, exactly as the API server names him."""
    ca = authority()
    alice, bob = leaf(ca, named("alice", "dev")), leaf(ca, named("bob", "ops", "dev"))

    async def test() -> None:
        bench = Bench(config_map(ca))
        assert await bench.recognised(alice) is None
        assert await bench.recognised(bob) is None
        await bench.taught(alice)
        assert await bench.recognised(bob) == reviewed(bob)
        assert await bench.recognised(alice) == reviewed(alice)
        assert reviewed(bob).groups == ("ops", "dev", "system:authenticated")
        assert bench.api.asked == 1

    run(test)


def test_an_api_server_that_does_not_name_credentials() -> None:
    """What it says is learned: before Kubernetes 1.32 a certificate has no credential id."""
    ca = authority()
    alice, bob = leaf(ca), leaf(ca, "bob")

    async def test() -> None:
        bench = Bench(config_map(ca))
        await bench.taught(alice, lambda user: replace(user, extra={}))
        assert await bench.recognised(bob) == replace(reviewed(bob), extra={})

    run(test)


@pytest.mark.parametrize(
    "said",
    [
        lambda user: replace(user, name="Alice"),
        lambda user: replace(user, uid="1"),
        lambda user: replace(user, groups=user.groups[:-1]),
        lambda user: replace(user, groups=(*user.groups, "more")),
        lambda user: replace(user, groups=user.groups[::-1]),
        lambda user: replace(user, extra={**user.extra, "more": ("x",)}),
        lambda user: replace(user, extra=dict.fromkeys(user.extra, ("X509SHA256=00",))),
        lambda user: replace(user, name="oidc:alice"),
    ],
)
def test_an_api_server_that_reads_otherwise(
    said: Callable[[UserInfo], UserInfo], caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody of that CA is recognised for minutes, whatever was or is taught meanwhile."""
    ca = authority()
    alice, bob = leaf(ca, named("alice", "dev")), leaf(ca, "bob")

    async def test() -> None:
        bench = Bench(config_map(ca))
        await bench.taught(bob)
        await bench.taught(alice, said)
        assert "says something else" in caplog.text
        for _ in range(2):
            await bench.taught(bob)
            assert await bench.recognised(bob) is None
            bench.api.answer = UnavailableError("it is down")  # it does not forget meanwhile
            bench.clock.now += BUNDLE_SECONDS
            assert await bench.recognised(bob) is None
            bench.api.answer = config_map(ca)
            bench.clock.now += RETRY_SECONDS
        bench.clock.now += TAUGHT_SECONDS
        assert await bench.recognised(bob) is None
        await bench.taught(bob)
        assert await bench.recognised(bob) is not None

    run(test)


def test_a_refusal_makes_everybody_ask_again() -> None:
    """The ConfigMap keeps CAs that the API server no longer trusts; its word is what counts."""
    ca = authority()
    alice, bob = leaf(ca), leaf(ca, "bob", key=ec.generate_private_key(ec.SECP384R1()))

    async def test() -> None:
        bench = Bench(config_map(ca))
        await bench.taught(alice)
        assert await bench.recognised(alice) is not None
        await bench.taught(bob, lambda _: None)
        assert await bench.recognised(alice) is None

    run(test)


def test_lessons_end() -> None:
    """After minutes, with the CA, and when the API server has another CA of its own."""
    ca, other = authority(), authority()
    alice = leaf(ca)

    async def test() -> None:
        bench = Bench(config_map(ca, other))
        await bench.taught(alice)
        bench.clock.now += TAUGHT_SECONDS - 1
        assert await bench.recognised(alice) is not None
        bench.clock.now += 1
        assert await bench.recognised(alice) is None

        await bench.taught(alice)
        bench.api.ca_generation += 1
        assert await bench.recognised(alice) is None

        await bench.taught(alice)
        bench.api.answer = config_map(other)
        bench.clock.now += BUNDLE_SECONDS - 1
        assert await bench.recognised(alice) is not None
        bench.clock.now += 1
        assert await bench.recognised(alice) is None
        # Back again, it has to be taught again.
        bench.api.answer = config_map(ca)
        bench.clock.now += BUNDLE_SECONDS
        assert await bench.recognised(alice) is None
        await bench.taught(alice)
        assert await bench.recognised(alice) is not None

    run(test)


def test_each_kind_and_each_ca_is_taught_by_itself() -> None:
    """Another algorithm, another CA, and another CA of the same name are something else."""
    ca, namesake, other = authority(), authority(), authority("other")
    curve = ec.generate_private_key(ec.SECP384R1())

    async def test() -> None:
        bench = Bench(config_map(ca, namesake, other))
        await bench.taught(leaf(ca))
        assert await bench.recognised(leaf(ca, "bob")) is not None
        for stranger in (
            leaf(ca, "bob", key=curve),
            leaf(ca, "bob", key=ed25519.Ed25519PrivateKey.generate()),
            leaf(namesake, "bob"),
            leaf(other, "bob"),
        ):
            assert await bench.recognised(stranger) is None
        await bench.taught(leaf(namesake))
        assert await bench.recognised(leaf(namesake, "bob")) is not None

    run(test)


def test_who_is_not_recognised() -> None:
    """A CA that is none here, a CA that is over, a chain, and whatever is unusual."""
    ca, foreign = authority(), authority()
    subordinate = authority("sub", issuer=ca, extensions=((CA, True), (SIGNS_CERTIFICATES, True)))

    async def test() -> None:
        bench = Bench(config_map(ca))
        await bench.taught(leaf(ca))
        for stranger in (
            leaf(foreign),
            leaf(subordinate),
            leaf(ca, "system:anonymous"),
            leaf(ca, extensions=()),
        ):
            assert await bench.recognised(stranger) is None
        assert await bench.recognised(leaf(subordinate), more=subordinate.pem) is None
        assert await bench.recognised(leaf(ca), more=ca.pem) is None
        long = leaf(ca, hours=(-1, 9))
        assert await bench.recognised(long) is not None
        bench.now += timedelta(hours=2)  # the CA ends before
        assert await bench.recognised(long) is None

    run(test)


def test_an_unusual_certificate_teaches_nothing() -> None:
    """Only one that would be recognised, and one whose CA has signed it."""
    ca, foreign = authority(), authority()

    async def test() -> None:
        bench = Bench(config_map(ca))
        for teacher in (leaf(ca, extensions=()), leaf(foreign)):
            user = reviewed(leaf(ca))
            await bench.recognised(teacher)
            sent = certificates.read(teacher.pair(), bench.now)
            bench.authority.learn(sent, user, bench.now)
            assert await bench.recognised(leaf(ca)) is None

    run(test)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (NotFoundError("it is not there"), "it is not there"),
        (UnavailableError("the API server refuses the token server itself (403)"), "refuses"),
        (UnavailableError("it is down"), "down"),
        ({}, "has none"),
        ({"data": None}, "has none"),
        ({"data": {"requestheader-client-ca-file": "x"}}, "has none"),
        ({"data": {"client-ca-file": ""}}, "has none"),
        ({"data": {"client-ca-file": 7}}, "has none"),
        ({"data": {"client-ca-file": "garbage"}}, "cannot be read"),
        ({"data": {"client-ca-file": "größe\udc80"}}, "cannot be read"),
        (config_map(authority(extensions=())), "none of them is usable"),
    ],
)
def test_without_a_ca_everybody_is_asked_about(
    answer: dict[str, Any] | SealosHubError, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no error and said once; the ConfigMap is looked at again after seconds."""
    caplog.set_level(logging.INFO)
    ca = authority()

    async def test() -> None:
        bench = Bench(answer)
        for _ in range(3):
            await bench.taught(leaf(ca))
            assert await bench.recognised(leaf(ca)) is None
            bench.clock.now += RETRY_SECONDS
        assert bench.api.asked == 3
        assert [record.levelname for record in caplog.records] == ["INFO"]
        assert why in caplog.text
        bench.api.answer = config_map(ca)
        await bench.taught(leaf(ca))
        assert await bench.recognised(leaf(ca)) is not None
        assert "1 usable" in caplog.records[-1].message

    run(test)


def test_the_config_map_is_read_once_for_many() -> None:
    """A thousand logins at once are one question, and none of them waits for it."""
    ca = authority()

    async def test() -> None:
        bench = Bench(config_map(ca))
        sent = certificates.read(leaf(ca).pair(), bench.now)
        for _ in range(1000):
            assert bench.authority.user(sent, bench.now) is None
        await bench.taught(leaf(ca))
        assert bench.api.asked == 1

    run(test)


# ------------------------------------------------------------------ in the plugin
@pytest.fixture
def ca() -> Issued:
    """The CA of the clients."""
    return authority()


@pytest.fixture
def fake(ca: Issued, tmp_path: Path) -> Iterator[FakeKubernetes]:
    """A fake API server with TLS that publishes its client CA."""
    servers = Authority()
    certificate, key = servers.issue("server", host="localhost").write(tmp_path, "server")
    servers.own.write(tmp_path, "ca")
    clients = tmp_path / "clients.crt"
    clients.write_bytes(ca.pem)
    with FakeKubernetes(tls=(certificate, key, clients)) as server:
        server.objects[CONFIG_MAP] = config_map(ca)
        yield server


def password(issued: Issued, key: Issued | None = None) -> Credential:
    """Return a kubeconfig with a certificate and a key, perhaps of somebody else."""
    pair = (issued.pem, (key or issued).key_pem())
    certificate, text = (base64.b64encode(one).decode() for one in pair)
    user = {"client-certificate-data": certificate, "client-key-data": text}
    return Credential("", Secret(kubeconfig(**user)))


async def who(plugin: Kubernetes, issued: Issued) -> Identity:
    """Return who the plugin says that is."""
    found = await plugin.authenticate(password(issued))
    assert isinstance(found, Identity)
    return found


def reviews(fake: FakeKubernetes) -> int:
    """Return how many certificates the API server was asked about."""
    return fake.count("selfsubjectreviews")


async def until_recognised(plugin: Kubernetes, fake: FakeKubernetes, ca: Issued) -> None:
    """Show certificates until one of them needs no question."""
    deadline = time.monotonic() + 60
    before = -1
    while before != reviews(fake):
        assert time.monotonic() < deadline, "nobody was recognised in time"
        before = reviews(fake)
        await who(plugin, leaf(ca))


def test_who_is_recognised_is_whom_the_api_server_says(
    fake: FakeKubernetes, ca: Issued, tmp_path: Path
) -> None:
    """Name, groups, extra, credential id, end and method: equal with and without a question."""
    bob = leaf(ca, named("bob", "ops", "dev"))

    async def test() -> None:
        async with plugin_on(fake, tmp_path, ca=tmp_path / "ca.crt") as plugin:
            asked = await who(plugin, bob)
            await until_recognised(plugin, fake, ca)
        async with plugin_on(fake, tmp_path, ca=tmp_path / "ca.crt") as plugin:
            await until_recognised(plugin, fake, ca)
            before = reviews(fake)
            assert await who(plugin, bob) == asked
            assert reviews(fake) == before
        assert (asked.method, asked.expires) == ("certificate", bob.certificate.not_valid_after_utc)
        assert asked.credential_id.startswith("X509SHA256=")

    run(test)


def test_who_is_refused_while_others_are_recognised(
    fake: FakeKubernetes, ca: Issued, tmp_path: Path
) -> None:
    """Another CA of the same name, somebody else's certificate, a date that is over, damage."""
    alice, mallory = leaf(ca), leaf(ca, "mallory")
    damaged = bytearray(alice.certificate.public_bytes(Encoding.DER))
    damaged[-1] ^= 2
    other = Issued(x509.load_der_x509_certificate(bytes(damaged)), alice.key)

    async def test() -> None:
        async with plugin_on(fake, tmp_path, ca=tmp_path / "ca.crt") as plugin:
            await until_recognised(plugin, fake, ca)
            for credential in (
                password(leaf(authority(), "admin")),
                password(alice, mallory),
                password(leaf(ca, hours=(-2, -1))),
                password(other),
            ):
                with pytest.raises(CredentialsRejected):
                    await plugin.authenticate(credential)
            # They could not make the others ask again, who come from the CA itself.
            await until_recognised(plugin, fake, ca)

    run(test)


def test_certificates_may_still_be_forbidden(
    fake: FakeKubernetes, ca: Issued, tmp_path: Path
) -> None:
    """`client_certificates: false` counts before anything is looked at."""
    options = Options(("hub",), client_certificates=False)

    async def test() -> None:
        async with plugin_on(fake, tmp_path, options=options) as plugin:
            with pytest.raises(CredentialsRejected, match="not accepted here"):
                await plugin.authenticate(password(leaf(ca)))

    run(test)
    assert fake.asked == []


@pytest.mark.parametrize("recognise", [True, False])
def test_without_the_right_everybody_is_asked_about(
    fake: FakeKubernetes, ca: Issued, tmp_path: Path, *, recognise: bool
) -> None:
    """Also by a process that ends after one answer, which does not look for the CA at all."""
    fake.forbidden = {"extension-apiserver-authentication"}
    options = Options(("hub",), recognise=recognise)

    async def test() -> None:
        async with plugin_on(fake, tmp_path, ca=tmp_path / "ca.crt", options=options) as plugin:
            for _ in range(3):
                await who(plugin, leaf(ca))

    run(test)
    assert reviews(fake) == 3
    assert bool(fake.count("configmaps")) == recognise
