"""The plugin that asks Kubernetes."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256

from sealoshub.authplugin import (
    ANONYMOUS,
    NO_OPINION,
    Credential,
    CredentialsRejected,
    Grant,
    Identity,
    PluginContext,
    Scope,
    Unavailable,
)
from sealoshub.authplugin.kubernetes import Kubernetes, create
from sealoshub.authplugin.kubernetes_identity import Options
from sealoshub.authplugin.publicrepositories import FRESH_SECONDS, PublicRepositories
from sealoshub.errors import InvalidInputError, UnavailableError
from sealoshub.kube.review import ApiServer
from sealoshub.secret import Secret
from tests.unit.authserver.fake_kubernetes import OWN_TOKEN, FakeKubernetes, FakeUser
from tests.unit.authserver.pki import Authority, Pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

ALICE = "system:serviceaccount:user-system:alice"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


def jwt(**claims: object) -> str:
    """Return something with the shape of a token; only the fake knows whose it is."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJFUzI1NiJ9.{payload}.c2lnbmF0dXJl"


TOKEN = jwt(sub=ALICE, aud=["https://kubernetes.default.svc"], exp=1893456000)
HUB_TOKEN = jwt(sub=ALICE, aud=["hub"])


@pytest.fixture
def fake() -> Iterator[FakeKubernetes]:
    """A fake API server that knows Alice by two tokens."""
    with FakeKubernetes() as server:
        extra = {"authentication.kubernetes.io/credential-id": ["JTI=1"]}
        groups = ["system:serviceaccounts", "system:authenticated"]
        server.users[TOKEN] = FakeUser(ALICE, "uid-1", groups, extra)
        server.users[HUB_TOKEN] = FakeUser(ALICE, "uid-1", groups, extra, audiences=["hub"])
        yield server


@asynccontextmanager
async def plugin_on(  # noqa: PLR0913  # each test turns one of them
    fake: FakeKubernetes,
    folder: Path,
    clock: Callable[[], float] = time.monotonic,
    *,
    options: Options | None = None,
    started: bool = False,
    ca: Path | None = None,
) -> AsyncIterator[Kubernetes]:
    """Open a plugin on *fake*; *started* waits until it knows the repositories."""
    file = folder / "token"
    file.write_text(OWN_TOKEN)
    api = ApiServer(fake.url, token_file=file, ca_file=ca, call_seconds=1.0)
    plugin = Kubernetes(api, options or Options(("hub",)), clock=clock)
    if started:
        await plugin.start()
        await until(lambda: plugin.unready() is None)
    try:
        yield plugin
    finally:
        await plugin.stop()
        await api.aclose()


async def until(condition: Callable[[], object]) -> None:
    """Wait for *condition*, at most a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


def kubeconfig(**user: object) -> str:
    """Return a kubeconfig with one user."""
    return yaml.safe_dump(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"user": "u"}}],
            "users": [{"name": "u", "user": user}],
        }
    )


def identify(fake: FakeKubernetes, folder: Path, password: str, account: str = "") -> Identity:
    """Return who *password* is."""

    async def ask() -> object:
        async with plugin_on(fake, folder) as plugin:
            return await plugin.authenticate(Credential(account, Secret(password)))

    found = asyncio.run(ask())
    assert isinstance(found, Identity)
    return found


# ------------------------------------------------------------------ who
@pytest.mark.parametrize("password", [TOKEN, HUB_TOKEN, kubeconfig(token=TOKEN)])
def test_a_token_is_whom_the_api_server_says(
    fake: FakeKubernetes, tmp_path: Path, password: str
) -> None:
    """By SelfSubjectReview, by TokenReview for the hub's audience, and out of a kubeconfig."""
    found = identify(fake, tmp_path, password)
    assert (found.name, found.uid, found.credential_id) == (ALICE, "uid-1", "JTI=1")
    assert found.groups == ("system:serviceaccounts", "system:authenticated")
    assert found.method == "token"


def test_one_question_for_each_kind_of_token(fake: FakeKubernetes, tmp_path: Path) -> None:
    """A token for the hub is not shown to the API server as its own, and the other way round."""
    identify(fake, tmp_path, TOKEN)
    assert [path.rpartition("/")[2] for _, path in fake.asked] == ["selfsubjectreviews"]
    fake.asked.clear()
    identify(fake, tmp_path, HUB_TOKEN)
    assert [path.rpartition("/")[2] for _, path in fake.asked] == ["tokenreviews"]


def test_an_opaque_token_in_a_kubeconfig(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Tokens of any shape are accepted there."""
    fake.users["sha256~opaque"] = FakeUser("bob")
    assert identify(fake, tmp_path, kubeconfig(token="sha256~opaque")).name == "bob"


def test_a_user_who_may_not_ask_himself(fake: FakeKubernetes, tmp_path: Path) -> None:
    """403 or 404 on SelfSubjectReview: we ask by TokenReview instead."""
    for status in (403, 404):
        fake.self_review_status = status
        assert identify(fake, tmp_path, TOKEN).name == ALICE


@pytest.mark.parametrize(
    ("account", "good"),
    [
        ("", True),
        ("alice", True),
        (ALICE, True),
        ("token", True),
        ("<token>", True),
        ("sealoshub", True),
        ("admin", False),
        ("mallory", False),
        ("user-system", False),
        ("Alice", False),
    ],
)
def test_the_typed_user_name(
    fake: FakeKubernetes, tmp_path: Path, account: str, *, good: bool
) -> None:
    """It is no evidence, but nobody may believe that he is somebody else."""
    if good:
        assert identify(fake, tmp_path, TOKEN, account).name == ALICE
        return
    with pytest.raises(CredentialsRejected, match=f"belongs to {ALICE}") as caught:
        identify(fake, tmp_path, TOKEN, account)
    assert "alice or sealoshub" in (caught.value.hint or "")


def test_a_user_name_with_colons_was_cut(fake: FakeKubernetes, tmp_path: Path) -> None:
    """HTTP Basic ends the name at its first colon; the message says what to do."""
    with pytest.raises(CredentialsRejected, match="colon"):
        identify(fake, tmp_path, f"serviceaccount:user-system:alice:{TOKEN}", "system")


@pytest.mark.parametrize(
    "user",
    [
        FakeUser("system:anonymous", groups=["system:unauthenticated"]),
        FakeUser("odd", groups=["system:unauthenticated"]),
        FakeUser("system:anonymous"),
    ],
)
def test_anonymous_is_nobody(fake: FakeKubernetes, tmp_path: Path, user: FakeUser) -> None:
    """An API server that lets a credential pass as anonymous has not accepted it."""
    fake.users[TOKEN] = user
    with pytest.raises(CredentialsRejected):
        identify(fake, tmp_path, TOKEN)


@pytest.mark.parametrize(
    "password",
    [jwt(sub="x"), jwt(aud="hub"), jwt(aud=[1, None]), "eyJh.W10.x", kubeconfig(token="bad")],
)
def test_an_unknown_token_is_rejected(fake: FakeKubernetes, tmp_path: Path, password: str) -> None:
    """Whatever it says about itself."""
    with pytest.raises(CredentialsRejected):
        identify(fake, tmp_path, password)


@pytest.mark.parametrize("password", ["hunter2", "", "eyJh.W10", "x" * 1000])
def test_other_passwords_are_left_to_others(
    fake: FakeKubernetes, tmp_path: Path, password: str
) -> None:
    """The API server is not asked about them."""

    async def ask() -> object:
        async with plugin_on(fake, tmp_path) as plugin:
            return await plugin.authenticate(Credential("alice", Secret(password)))

    assert asyncio.run(ask()) is NO_OPINION
    assert fake.asked == []


def test_the_hub_audience_can_be_demanded(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Then tokens for the API server and certificates are refused."""
    options = Options(("hub",), require_audience=True, client_certificates=False)
    pair = kubeconfig(**{"client-certificate-data": "eA==", "client-key-data": "eA=="})

    async def ask(password: str) -> object:
        async with plugin_on(fake, tmp_path, options=options) as plugin:
            return await plugin.authenticate(Credential("", Secret(password)))

    found = asyncio.run(ask(HUB_TOKEN))
    assert isinstance(found, Identity)
    for password in (TOKEN, pair):
        with pytest.raises(CredentialsRejected):
            asyncio.run(ask(password))


def test_an_api_server_that_is_down_is_no_rejection(fake: FakeKubernetes, tmp_path: Path) -> None:
    """500 and silence are an outage, and are not remembered."""

    async def ask() -> str:
        async with plugin_on(fake, tmp_path) as plugin:
            credential = Credential("", Secret(TOKEN))
            fake.status = 500
            with pytest.raises(UnavailableError):
                await plugin.authenticate(credential)
            fake.status, fake.stalled = None, True
            with pytest.raises(UnavailableError):
                await plugin.authenticate(credential)
            fake.stalled = False
            found = await plugin.authenticate(credential)
            assert isinstance(found, Identity)
            return found.name

    assert asyncio.run(ask()) == ALICE


def test_identities_are_believed_for_seconds(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Ten for a good credential, five for a bad one; then the API server is asked again."""
    clock = Clock()

    async def ask() -> list[int]:
        counts = []
        async with plugin_on(fake, tmp_path, clock) as plugin:
            good, bad = Credential("", Secret(TOKEN)), Credential("", Secret(jwt(sub="x")))
            for seconds in (0.0, 4.0, 4.0, 4.0):
                clock.now += seconds
                await plugin.authenticate(good)
                with pytest.raises(CredentialsRejected):
                    await plugin.authenticate(bad)
                counts.append(len(fake.asked))
        return counts

    # 0 s: both; 4 s: none; 8 s: the bad one; 12 s: the good one, and not yet the bad one.
    assert asyncio.run(ask()) == [2, 2, 3, 4]


def test_a_thousand_nodes_ask_once(fake: FakeKubernetes, tmp_path: Path) -> None:
    """The same credential at the same time is one question."""

    async def ask() -> None:
        async with plugin_on(fake, tmp_path) as plugin:
            credential = Credential("", Secret(TOKEN))
            await asyncio.gather(*(plugin.authenticate(credential) for _ in range(1000)))

    asyncio.run(ask())
    assert len(fake.asked) == 1


# ------------------------------------------------------------------ certificates
@pytest.fixture(scope="module")
def authority() -> Authority:
    """The cluster's CA."""
    return Authority()


@pytest.fixture
def secure(authority: Authority, tmp_path: Path) -> Iterator[FakeKubernetes]:
    """A fake API server with TLS."""
    certificate, key = authority.issue("server", host="localhost").write(tmp_path, "server")
    ca, _ = authority.own.write(tmp_path, "ca")
    with FakeKubernetes(tls=(certificate, key, ca)) as server:
        yield server


def in_kubeconfig(certificate: Pair, key: Pair | None = None) -> str:
    """Return a kubeconfig with a certificate and a key, perhaps of two different pairs."""
    return kubeconfig(
        **{
            "client-certificate-data": base64.b64encode(certificate.pem).decode(),
            "client-key-data": base64.b64encode((key or certificate).key_pem()).decode(),
        }
    )


def test_a_client_certificate_is_whom_the_api_server_says(
    secure: FakeKubernetes, authority: Authority, tmp_path: Path
) -> None:
    """Name and groups come from the server; the end of the certificate is noted."""
    pair = authority.issue("alice", ("dev",))

    async def ask() -> object:
        async with plugin_on(secure, tmp_path, ca=tmp_path / "ca.crt") as plugin:
            password = Secret(in_kubeconfig(pair))
            return await plugin.authenticate(Credential("alice", password))

    found = asyncio.run(ask())
    assert isinstance(found, Identity)
    assert (found.name, found.groups[0], found.method) == ("alice", "dev", "certificate")
    assert found.expires == pair.certificate.not_valid_after_utc
    assert found.credential_id == f"X509SHA256={pair.certificate.fingerprint(SHA256()).hex()}"


def test_somebody_elses_certificate_without_his_key_is_worthless(
    secure: FakeKubernetes, authority: Authority, tmp_path: Path
) -> None:
    """Also right after its owner was here, while his TLS context and identity are cached."""
    owner = authority.issue("alice", key=rsa.generate_private_key(65537, 2048))
    thief = authority.issue("mallory", key=rsa.generate_private_key(65537, 2048))

    async def ask() -> int:
        async with plugin_on(secure, tmp_path, ca=tmp_path / "ca.crt") as plugin:
            await plugin.authenticate(Credential("", Secret(in_kubeconfig(owner))))
            before = len(secure.asked)
            with pytest.raises(CredentialsRejected, match="does not belong"):
                await plugin.authenticate(Credential("", Secret(in_kubeconfig(owner, thief))))
            return len(secure.asked) - before

    assert asyncio.run(ask()) == 0


# ------------------------------------------------------------------ may he
async def granted(plugin: Kubernetes, who: Identity, scope: str) -> set[str] | None:
    """Return what is granted of *scope*, None for no opinion."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    answer = await plugin.authorize(who, Scope(kind, name, frozenset(actions.split(","))))
    return set(answer.actions) if isinstance(answer, Grant) else None


BOB = Identity("bob", "u", ("dev",), method="token")


def test_rights_are_what_rbac_says(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Each action by its own verb; the public part for everybody; nothing else for anybody."""
    fake.allow("bob", "team/app", "pull", "push")
    fake.allow("group:dev", "team/tool", "delete-content")
    fake.allow("bob", "team/lib", "push")
    fake.allow("bob", "team/odd", "get", "update", "*", "delete")
    fake.allowed.add(("bob", "", "*", "catalog"))
    fake.put_repository("team/open", private=False)
    fake.put_repository("team/app", private=True)
    table: list[tuple[Identity, str, set[str] | None]] = [
        (BOB, "repository:team/app:pull,push", {"pull", "push"}),
        (BOB, "repository:team/app:pull", {"pull"}),
        (BOB, "repository:team/app:delete", set()),
        (BOB, "repository:team/app:*", {"pull", "push"}),
        (BOB, "repository:team/tool:delete,pull", {"delete"}),
        (BOB, "repository:team/lib:pull,push", {"push"}),
        (BOB, "repository:team/odd:pull,push,delete,get,update", set()),
        (BOB, "repository:team/open:pull,push", {"pull"}),
        (BOB, "repository:other/app:pull,push", set()),
        (BOB, "registry:catalog:*", {"*"}),
        (BOB, "registry:catalog:pull", set()),
        (BOB, "registry:other:*", None),
        (BOB, "volume:team/app:pull", None),
        (ANONYMOUS, "repository:team/open:pull,push,delete", {"pull"}),
        (ANONYMOUS, "repository:team/app:pull", set()),
        (ANONYMOUS, "repository:no/such:pull", set()),
        (ANONYMOUS, "registry:catalog:*", set()),
    ]

    async def ask() -> list[set[str] | None]:
        async with plugin_on(fake, tmp_path, started=True) as plugin:
            return [await granted(plugin, who, scope) for who, scope, _ in table]

    assert asyncio.run(ask()) == [expected for _, _, expected in table]


NO_NAMES = ("/", "org/", "/org", "org//x", "../x", "a.b/c", "a", "a/b/c", "A/b", "a_b/c")
ODD_NAMES = ("org/x\x00", "örg/x", "org/..", "host:5000/org/x")


@pytest.mark.parametrize("name", [*NO_NAMES, *ODD_NAMES, "x" * 300])
def test_names_that_are_none_grant_nothing(fake: FakeKubernetes, tmp_path: Path, name: str) -> None:
    """And nobody is asked about them."""

    async def ask() -> set[str] | None:
        async with plugin_on(fake, tmp_path) as plugin:
            return await granted(plugin, BOB, f"repository:{name}:pull,push,delete")

    assert asyncio.run(ask()) == set()
    assert fake.asked == []


def test_the_question_names_the_repository_in_its_organisation(
    fake: FakeKubernetes, tmp_path: Path
) -> None:
    """Namespace, group, resource, name and verb, as the user with all his groups."""

    async def ask() -> None:
        async with plugin_on(fake, tmp_path) as plugin:
            await granted(plugin, BOB, "repository:team/app.v1:push")

    asyncio.run(ask())
    (spec,) = [body["spec"] for body in fake.bodies if body]
    assert (spec["user"], spec["uid"], spec["groups"]) == ("bob", "u", ["dev"])
    assert spec["resourceAttributes"] == {
        "namespace": "hub-team",
        "group": "imagehub.sealos.io",
        "resource": "repositories",
        "name": "app.v1",
        "verb": "push",
    }


def test_public_pulls_and_anonymous_denials_ask_nobody(
    fake: FakeKubernetes, tmp_path: Path
) -> None:
    """What the watch knows costs no call."""
    fake.put_repository("team/open", private=False)

    async def ask() -> int:
        async with plugin_on(fake, tmp_path, started=True) as plugin:
            for who in (ANONYMOUS, BOB):
                await granted(plugin, who, "repository:team/open:pull")
            await granted(plugin, ANONYMOUS, "repository:team/closed:pull,push")
            return fake.count("subjectaccessreviews")

    assert asyncio.run(ask()) == 0


def test_the_watch_follows_visibility(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Made private, made public, deleted: seen without a restart, also after a 410."""
    fake.put_repository("team/app", private=False)

    async def ask() -> None:
        async with plugin_on(fake, tmp_path, started=True) as plugin:

            async def pull() -> bool:
                return await granted(plugin, ANONYMOUS, "repository:team/app:pull") == {"pull"}

            async def becomes(*, public: bool) -> None:
                deadline = time.monotonic() + 60
                while await pull() is not public:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.01)

            assert await pull()
            fake.put_repository("team/app", private=True)
            await becomes(public=False)
            fake.put_repository("team/app", private=False)
            await becomes(public=True)
            fake.change("/apis/imagehub.sealos.io/v1/repositories/team.app", None)
            await becomes(public=False)

    asyncio.run(ask())


def test_a_defect_does_not_end_the_watch(
    fake: FakeKubernetes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged without what it says, and the next change is followed."""
    fake.put_repository("team/app", private=False)
    keep = PublicRepositories.keep
    broken = ["team.app"]

    def keep_or_break(self: PublicRepositories, item: dict[str, Any], key: str) -> str | None:
        if key in broken:
            broken.clear()
            raise TypeError(item["spec"]["name"])
        return keep(self, item, key)

    monkeypatch.setattr(PublicRepositories, "keep", keep_or_break)

    async def ask() -> None:
        async with plugin_on(fake, tmp_path, started=True) as plugin:
            assert await granted(plugin, ANONYMOUS, "repository:team/app:pull") == {"pull"}

    asyncio.run(ask())
    assert "a defect (TypeError)" in caplog.text
    assert "keep_or_break" in caplog.text
    assert "team/app" not in caplog.text


def test_only_the_canonical_object_makes_a_repository_public(
    fake: FakeKubernetes, tmp_path: Path
) -> None:
    """An object of another name, without the field, or without a spec, speaks for nobody."""
    fake.put_repository("victim/app", private=True)
    fake.put_repository("victim/app", private=False, object_name="evil.app")
    fake.put_repository("evil/app", private=False, object_name="victim.tool")
    path = "/apis/imagehub.sealos.io/v1/repositories/victim"
    fake.change(f"{path}.a", {"metadata": {"name": "victim.a"}, "spec": {"name": "victim/a"}})
    fake.change(f"{path}.b", {"metadata": {"name": "victim.b"}, "spec": None})
    fake.change(
        f"{path}.c",
        {"metadata": {"name": "victim.c"}, "spec": {"name": "victim/c", "isPrivate": "false"}},
    )

    async def ask() -> list[set[str] | None]:
        async with plugin_on(fake, tmp_path, started=True) as plugin:
            names = ["victim/app", "victim/tool", "evil/app", "victim/a", "victim/b", "victim/c"]
            return [await granted(plugin, ANONYMOUS, f"repository:{n}:pull") for n in names]

    assert asyncio.run(ask()) == [set()] * 6


def test_without_a_fresh_watch_a_denied_pull_is_unknown(
    fake: FakeKubernetes, tmp_path: Path
) -> None:
    """It may be public: 503, not a denial. What RBAC allows is granted all the same."""
    fake.allow("bob", "team/app", "pull")

    async def ask() -> None:
        async with plugin_on(fake, tmp_path) as plugin:
            assert plugin.unready() is not None
            assert await granted(plugin, BOB, "repository:team/app:pull") == {"pull"}
            assert await granted(plugin, BOB, "repository:team/app:push") == set()
            for who in (ANONYMOUS, BOB):
                with pytest.raises(Unavailable):
                    await granted(plugin, who, "repository:team/other:pull")

    asyncio.run(ask())


def test_public_pulls_survive_an_outage_while_the_watch_is_fresh(
    fake: FakeKubernetes, tmp_path: Path
) -> None:
    """Then they are unknown as well: it may have been made private meanwhile."""
    clock = Clock()
    fake.put_repository("team/open", private=False)

    async def ask() -> None:
        async with plugin_on(fake, tmp_path, clock, started=True) as plugin:
            fake.stalled = True
            clock.now += FRESH_SECONDS - 1
            found = await granted(plugin, ANONYMOUS, "repository:team/open:pull")
            assert found == {"pull"}
            clock.now += 2
            with pytest.raises(Unavailable):
                await granted(plugin, ANONYMOUS, "repository:team/open:pull")
            fake.stalled = False

    asyncio.run(ask())


def test_an_outage_is_never_an_empty_grant(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Neither for one action nor for one of several."""

    async def ask() -> None:
        async with plugin_on(fake, tmp_path, started=True) as plugin:
            fake.status = 500
            for scope in ("repository:team/app:push", "registry:catalog:*"):
                with pytest.raises(UnavailableError):
                    await granted(plugin, BOB, scope)
            fake.status = None

    asyncio.run(ask())


def test_decisions_are_believed_for_seconds(fake: FakeKubernetes, tmp_path: Path) -> None:
    """A right that is taken away is gone after ten seconds, a new one is there after five."""
    clock = Clock()

    async def ask() -> list[set[str] | None]:
        found = []
        async with plugin_on(fake, tmp_path, clock) as plugin:

            async def look() -> None:
                found.append(await granted(plugin, BOB, "repository:team/app:push"))

            await look()
            fake.allow("bob", "team/app", "push")
            clock.now += 4.9
            await look()
            clock.now += 0.2
            await look()
            fake.allowed.clear()
            clock.now += 9.9
            await look()
            clock.now += 0.2
            await look()
        return found

    assert asyncio.run(ask()) == [set(), set(), {"push"}, {"push"}, set()]


# ------------------------------------------------------------------ still there
def test_a_service_account_must_still_be_the_same(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Deleted, or made again with another UID: gone within a minute. Others are not asked for."""
    clock = Clock()
    alice = Identity(ALICE, "uid-1")

    async def ask() -> list[object]:
        found: list[object] = []
        async with plugin_on(fake, tmp_path, clock) as plugin:
            found.append(await plugin.confirm(BOB))
            fake.accounts["user-system", "alice"] = "uid-1"
            found.append(await plugin.confirm(alice))
            fake.accounts["user-system", "alice"] = "uid-2"
            found.append(await plugin.confirm(alice))
            clock.now += 61
            found.append(await plugin.confirm(alice))
            del fake.accounts["user-system", "alice"]
            clock.now += 61
            found.append(await plugin.confirm(alice))
            fake.status = 500
            clock.now += 61
            with pytest.raises(UnavailableError):
                await plugin.confirm(alice)
        return found

    assert asyncio.run(ask()) == [NO_OPINION, True, True, False, False]


@pytest.mark.parametrize(
    "config",
    [{"x": 1}, {"require_audience": "yes"}, {"audiences": "hub"}, {"client_certificates": 1}],
)
def test_a_wrong_configuration(config: dict[str, object]) -> None:
    """Named, together with the missing API server."""
    with pytest.raises(InvalidInputError, match="needs `api`"):
        create(config, PluginContext(("hub",), "imagehub-system"))
