"""Fixtures of the registry tests: a fake registry, a client that never really sleeps, an image."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sealoshub.registry.auth import Credential
from sealoshub.registry.client import Client
from sealoshub.registry.retry import Retry
from sealoshub.secret import Secret
from tests.images import Layout, oci_layout
from tests.unit.registry.fake_registry import FakeRegistry
from tests.unit.registry.pulling import Puller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    ClientMaker = Callable[..., Client]


PASSWORD: Final = "wonder"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A fake registry without authentication."""
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def naps() -> list[float]:
    """Seconds of every wait of the retry policy."""
    return []


@pytest.fixture
def notes() -> list[str]:
    """What the client told."""
    return []


@pytest.fixture
def connect(naps: list[float], notes: list[str]) -> Iterator[ClientMaker]:
    """Make clients whose waits are only written down, on a clock that follows them."""
    clients: list[Client] = []

    def make(
        host: str, account: str | None = None, secret: str = PASSWORD, **options: object
    ) -> Client:
        refresh = secret.startswith("shr_")
        credential = Credential(account, Secret(secret), refresh) if account is not None else None
        retry = Retry(
            budget=100.0, sleep=naps.append, clock=lambda: sum(naps), jitter=lambda _low, high: high
        )
        client = Client(
            host,
            credential,
            on_note=notes.append,
            **{"plain_http": True, "retry": retry, **options},  # type: ignore[arg-type]  # any keyword
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """An image of four blobs, two of them of several blocks; nobody changes it."""
    folder = tmp_path_factory.mktemp("image") / "layout"
    return oci_layout(folder, layers=2, layer_bytes=3 * 1024 * 1024)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate and key for two names, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.DNSName("registry.example")]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """The server's side of the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def puller(registry: FakeRegistry, connect: ClientMaker, tmp_path: Path) -> Puller:
    """Pull from the fake registry."""
    return Puller(registry, connect, tmp_path)
