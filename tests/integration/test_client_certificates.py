"""Client certificates and a real API server: recognised is only who it would accept, as itself."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from sealoshub.authplugin import Credential, CredentialsRejected, Identity
from sealoshub.authplugin.certificaterules import claim_of
from sealoshub.authplugin.clientca import BUNDLE_SECONDS, CONFIG_MAP, TAUGHT_SECONDS
from sealoshub.authplugin.kubernetes import Kubernetes
from sealoshub.authplugin.kubernetes_identity import Options
from sealoshub.imagehub import install
from sealoshub.kube.review import ApiServer
from sealoshub.secret import Secret
from tests.unit.authplugin.issuing import (
    CA,
    FOR_CLIENTS,
    LEAF,
    SIGNS,
    Issued,
    authority,
    leaf,
    named,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.integration.hub import Hub
    from tests.integration.servers.kube import KubeApiServer
    from tests.unit.authserver.pki import Key

PATIENCE: Final = 90.0  # seconds; the API server looks at its CA files once a minute
BINDING: Final = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings"
CLUSTER: Final = "/apis/rbac.authorization.k8s.io/v1"
_REVIEWS: Final = re.compile(
    r'^apiserver_request_total\{[^}]*resource="selfsubjectreviews"[^}]*\} (\d+)', re.MULTILINE
)


@pytest.fixture(scope="module")
def kube(start_kube: Callable[[], KubeApiServer]) -> Iterator[KubeApiServer]:
    """Run an API server whose client CAs a test may change."""
    with start_kube() as server:
        yield server


@pytest.fixture(scope="module")
def ca(kube: KubeApiServer) -> Issued:
    """The CA of that API server's clients."""
    known = kube._client_authority  # for certificates that it would not issue itself
    return Issued(known.certificate, known.key)


@pytest.fixture(scope="module")
def token(kube: KubeApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The token of a token server that has the rights of the manifests."""
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(kube.service_account("imagehub-system", "imagehub-auth-server"))
    for obj in [*install.load("roles.yaml"), *install.load("client-ca.yaml")]:
        if "imagehub:auth-server" in obj["metadata"]["name"]:
            place = obj["metadata"].get("namespace")
            folder = f"{CLUSTER}/namespaces/{place}" if place else CLUSTER
            kube.request("POST", f"{folder}/{obj['kind'].lower()}s", obj)
    return file


class Clock:
    """A clock that runs and can be moved."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return time.monotonic() + self.ahead


@asynccontextmanager
async def opened(
    kube: KubeApiServer, token: Path, clock: Clock | None = None
) -> AsyncIterator[Kubernetes]:
    """Open the plugin on the API server."""
    api = ApiServer(kube.url, ca_file=kube.ca_file, token_file=token)
    try:
        yield Kubernetes(api, Options(("hub",)), clock=clock or Clock())
    finally:
        await api.aclose()


def password(kubeconfig: str) -> Credential:
    """Return a kubeconfig as a client sends it."""
    return Credential("", Secret(kubeconfig))


def config(issued: Issued) -> str:
    """Return a kubeconfig with that certificate."""
    user = {
        "client-certificate-data": base64.b64encode(issued.pem).decode(),
        "client-key-data": base64.b64encode(issued.key_pem()).decode(),
    }
    context = {"name": "c", "context": {"user": "u", "cluster": "c"}}
    users = [{"name": "u", "user": user}]
    return yaml.safe_dump({"current-context": "c", "contexts": [context], "users": users})


async def who(plugin: Kubernetes, kubeconfig: str) -> Identity:
    """Return who the plugin says that is."""
    found = await plugin.authenticate(password(kubeconfig))
    assert isinstance(found, Identity)
    return found


def reviews(kube: KubeApiServer) -> int:
    """Return how often somebody asked the API server who he is."""
    return sum(int(count) for count in _REVIEWS.findall(kube.admin.get("/metrics").text))


async def asks(plugin: Kubernetes, kube: KubeApiServer, issued: Issued) -> bool:
    """Tell whether the API server had to be asked about a certificate that is good."""
    before = reviews(kube)
    await who(plugin, config(issued))
    return reviews(kube) > before


async def until_recognised(plugin: Kubernetes, kube: KubeApiServer, ca: Issued) -> None:
    """Show certificates of *ca* until one of them needs no question."""
    deadline = time.monotonic() + PATIENCE
    while await asks(plugin, kube, leaf(ca, "teacher")):
        assert time.monotonic() < deadline, "nobody was recognised in time"


def whoami(kube: KubeApiServer, kubectl: Path, kubeconfig: Path) -> dict[str, Any]:
    """Return what `kubectl auth whoami` says."""
    done = kube.kubectl(kubectl, kubeconfig, "auth", "whoami", "--output=json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["status"]["userInfo"]
    return found


def test_the_second_user_is_recognised_as_kubectl_says(
    kube: KubeApiServer, token: Path, kubectl: Path, ca: Issued
) -> None:
    """Without a handshake and a review, with the same name, groups and extra."""
    bob = kube.issue_kubeconfig("bob", ["ops", "dev"], 3600)
    said = whoami(kube, kubectl, bob)

    async def test() -> Identity:
        async with opened(kube, token) as plugin:
            await until_recognised(plugin, kube, ca)
            before = reviews(kube)
            found = await who(plugin, bob.read_text())
            assert reviews(kube) == before
            return found

    found = asyncio.run(test())
    assert (found.name, list(found.groups)) == (said["username"], said["groups"])
    assert {key: list(values) for key, values in found.extra.items()} == said.get("extra", {})
    assert found.method == "certificate"


def test_who_is_refused_by_the_api_server_is_refused_here(
    kube: KubeApiServer, token: Path, ca: Issued
) -> None:
    """A CA of the same name, one that is unknown, an end that has passed, a damaged signature."""
    namesake = authority(ca.certificate.subject.rfc4514_string().removeprefix("CN="))
    assert namesake.certificate.subject == ca.certificate.subject
    good = leaf(ca, "mallory")
    der = bytearray(good.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 2
    damaged = Issued(x509.load_der_x509_certificate(bytes(der)), good.key)
    expired = kube.issue_kubeconfig("late", (), -60).read_text()
    bad = [config(leaf(namesake)), config(leaf(authority("other"))), config(damaged), expired]

    async def test() -> None:
        async with opened(kube, token) as plugin:
            await until_recognised(plugin, kube, ca)
            for kubeconfig in bad:
                with pytest.raises(CredentialsRejected):
                    await who(plugin, kubeconfig)

    asyncio.run(test())


def test_without_the_binding_everybody_is_asked_about(
    kube: KubeApiServer, token: Path, ca: Issued
) -> None:
    """An administrator may take the right away, and logins go on."""
    (binding,) = install.load("client-ca.yaml")
    path = f"{BINDING}/{binding['metadata']['name']}"
    clock = Clock()

    async def test() -> None:
        async with opened(kube, token, clock) as plugin:
            await until_recognised(plugin, kube, ca)
            kube.request("DELETE", path)
            deadline = time.monotonic() + PATIENCE
            while not await asks(plugin, kube, leaf(ca)):
                assert time.monotonic() < deadline, "the CA was still read"
                clock.ahead += BUNDLE_SECONDS
            for _ in range(3):
                assert await asks(plugin, kube, leaf(ca))

    try:
        asyncio.run(test())
    finally:
        kube.request("POST", BINDING, binding, expect=(201, 409))


def test_a_ca_that_is_no_longer_trusted(kube: KubeApiServer, token: Path, ca: Issued) -> None:
    """The ConfigMap keeps it, but after minutes nobody is recognised by it any more."""
    file = kube.ca_file.with_name("client-ca.crt")
    second = authority("second")
    clock = Clock()

    async def until(condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, what
            await asyncio.sleep(0.2)

    def published() -> bool:
        found: str = kube.request("GET", CONFIG_MAP)["data"]["client-ca-file"]
        return second.pem.decode().strip() in found

    async def accepted(plugin: Kubernetes) -> bool:
        try:
            await who(plugin, config(leaf(second, f"user-{time.monotonic_ns()}")))
        except CredentialsRejected:
            return False
        return True

    async def test() -> None:
        async with opened(kube, token, clock) as plugin:
            file.write_bytes(ca.pem + second.pem)
            await until(published, "the second CA was not published")
            deadline = time.monotonic() + PATIENCE
            while not await accepted(plugin):
                assert time.monotonic() < deadline, "the second CA was not trusted"
                await asyncio.sleep(0.2)
            clock.ahead += BUNDLE_SECONDS
            await until_recognised(plugin, kube, second)

            file.write_bytes(ca.pem)
            async with opened(kube, token) as another:
                deadline = time.monotonic() + PATIENCE
                while await accepted(another):
                    assert time.monotonic() < deadline, "the second CA was still trusted"
                    await asyncio.sleep(0.2)
            assert published(), "as long as it is valid"
            clock.ahead += TAUGHT_SECONDS
            assert not await accepted(plugin)
            assert await asks(plugin, kube, leaf(ca))

    try:
        asyncio.run(test())
    finally:
        file.write_bytes(ca.pem)


def attribute(oid: ObjectIdentifier, value: str, kind: str | None = None) -> Any:  # noqa: ANN401  # the library's, of two types
    """Return an attribute of a subject."""
    return x509.NameAttribute(oid, value, None if kind is None else _ASN1Type[kind])


CN, ORG, UID = (
    NameOID.COMMON_NAME,
    NameOID.ORGANIZATION_NAME,
    ObjectIdentifier("1.3.6.1.4.1.57683.2"),
)
ROOM: Final = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("https://a b/")])
SURPRISE: Final = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")
_KIND = x509.RelativeDistinguishedName
SUBJECTS: Final = [
    named("plain"),
    named("älice 愛", "größe", "a b"),
    named("plain", "z", "a", "m", "a"),
    x509.Name([_KIND([attribute(ORG, "a"), attribute(ORG, "bb")]), _KIND([attribute(CN, "go")])]),
    x509.Name([_KIND([attribute(CN, "go"), attribute(ORG, "a")]), _KIND([attribute(ORG, "b")])]),
    x509.Name([attribute(CN, "first"), attribute(CN, "second")]),
    x509.Name([attribute(ORG, "nobody")]),
    x509.Name([attribute(CN, "with-uid"), attribute(UID, "42")]),
    x509.Name([attribute(CN, "t61", "T61String")]),
    x509.Name([attribute(CN, "bmp", "BMPString")]),
    x509.Name([attribute(CN, "ia5", "IA5String"), attribute(ORG, "p", "PrintableString")]),
    x509.Name([attribute(CN, "p", "PrintableString"), attribute(ORG, "q", "PrintableString")]),
    x509.Name([attribute(CN, "visible", "VisibleString")]),
    named("system:anonymous"),
    named("alice", "system:authenticated"),
    named("alice", "system:unauthenticated"),
    named("system:serviceaccount:kube-system:robot", "system:masters"),
    named("two\nlines"),
    named(" spaces "),
]
EXTENSIONS: Final = [
    LEAF,
    (),
    ((FOR_CLIENTS, False),),
    ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),),
    ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), True),),
    ((FOR_CLIENTS, True), (SURPRISE, True)),
    ((FOR_CLIENTS, False), (SURPRISE, False)),
    ((FOR_CLIENTS, False), (CA, True)),
    ((FOR_CLIENTS, False), (ROOM, False)),
    ((FOR_CLIENTS, False), (x509.SubjectKeyIdentifier(b"1234"), True)),
    ((FOR_CLIENTS, False), (SIGNS, True)),
]


def test_what_is_read_here_is_what_the_api_server_reads(
    kube: KubeApiServer, token: Path, ca: Issued
) -> None:
    """Every certificate of a long table: what we say about it, the API server says word for word.

    Where we say nothing, it may say what it likes.
    """
    keys: list[Key] = [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
        rsa.generate_private_key(3, 3072),
    ]
    table = [
        *(leaf(ca, one) for one in SUBJECTS),
        *(leaf(ca, "alice", extensions=one) for one in EXTENSIONS),
        *(leaf(ca, f"key-{number}", key=key) for number, key in enumerate(keys)),
    ]

    async def test() -> int:
        said = 0
        for issued in table:
            claim = claim_of(issued.certificate)
            # A plugin of its own for each, which nobody has taught: the API server answers.
            async with opened(kube, token) as plugin:
                try:
                    found = await who(plugin, config(issued))
                except CredentialsRejected:
                    assert claim is None, issued.certificate.subject
                    continue
            if claim is not None:
                user = claim.user(with_id=True)
                assert (found.name, found.uid, found.groups) == (user.name, user.uid, user.groups)
                assert found.extra in ({}, user.extra)
                said += 1
        return said

    recognised = asyncio.run(test())
    assert recognised >= len(keys) + 9, "the rules are too narrow to be of use"
    assert datetime.now(UTC) < ca.certificate.not_valid_after_utc


@pytest.mark.parametrize("hub", ["kube-registry-3"], indirect=True, scope="session")
def test_a_hub_recognises_its_users(hub: Hub, unique: str) -> None:
    """With the rights of the manifests, a login by certificate ends without a question."""
    assert hub.kube is not None
    challenge = httpx.get(f"{hub.url}/v2/", trust_env=False).headers["WWW-Authenticate"]
    (service,) = re.findall(r'service="([^"]*)"', challenge)
    deadline = time.monotonic() + PATIENCE
    asked, number = True, 0
    while asked:
        assert time.monotonic() < deadline, "nobody was recognised in time"
        number += 1
        person = hub.user(f"user-{number}-{unique}", groups=["dev"])
        before = reviews(hub.kube)
        answer = httpx.get(
            f"{hub.auth_url}/token",
            params={"service": service},
            auth=("", person.kubeconfig.read_text()),
            trust_env=False,
        )
        assert answer.status_code == httpx.codes.OK
        asked = reviews(hub.kube) > before
