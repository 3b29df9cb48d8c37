"""The token server's client of one API server."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.authplugin import certificate as certificates
from sealoshub.authplugin.kubeconfig import CertificatePair
from sealoshub.errors import (
    AuthenticationError,
    DeniedError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from sealoshub.kube import ConflictError, GoneError, UserInfo, review
from sealoshub.kube.answer import (
    ResourceAttributes,
    status_of_review,
    subject,
    subject_access_review,
)
from sealoshub.kube.review import ApiServer
from sealoshub.secret import Secret
from tests.unit.authserver.fake_kubernetes import (
    LOGINS,
    OWN_TOKEN,
    REPOSITORIES,
    FakeKubernetes,
    FakeUser,
)
from tests.unit.authserver.pki import Authority, Pair

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

PULL = ResourceAttributes("pull", "imagehub.sealos.io", "repositories", "app", "hub-team")


@pytest.fixture
def fake() -> Iterator[FakeKubernetes]:
    """A fake API server without TLS."""
    with FakeKubernetes() as server:
        yield server


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """The token server's own token."""
    file = tmp_path / "token"
    file.write_text(OWN_TOKEN + "\n")
    return file


def ask(
    fake: FakeKubernetes,
    token_file: Path,
    question: Callable[[ApiServer], Awaitable[Any]],
    *,
    seconds: float = 4.0,
) -> Any:  # noqa: ANN401  # whatever the question returns
    """Ask one question of *fake* and close the connection."""

    async def run() -> object:
        api = ApiServer(fake.url, token_file=token_file, call_seconds=seconds)
        try:
            return await question(api)
        finally:
            await api.aclose()

    return asyncio.run(run())


def test_the_version_of_a_collection(fake: FakeKubernetes, token_file: Path) -> None:
    """It is that of now, and of no object: none is asked for."""
    fake.put_repository("team/app", private=True)
    found = ask(fake, token_file, lambda api: api.version(REPOSITORIES))
    assert found == str(fake.version)
    assert fake.asked == [("GET", f"{REPOSITORIES}?fieldSelector=metadata.name%3Dnone")]
    with pytest.raises(NotFoundError):
        ask(fake, token_file, lambda api: api.version("/apis/none/v1/nothings"))
    fake.status = 403
    with pytest.raises(UnavailableError):
        ask(fake, token_file, lambda api: api.version(REPOSITORIES))


def test_a_token_is_reviewed_as_itself(fake: FakeKubernetes, token_file: Path) -> None:
    """The question carries the caller's token, and the answer all of the user."""
    fake.users["t"] = FakeUser("alice", "u1", ["dev"], {"k": ["v"]})
    found = ask(fake, token_file, lambda api: api.self_subject_review(Secret("t")))
    assert found == UserInfo("alice", "u1", ("dev",), {"k": ("v",)})


@pytest.mark.parametrize("token", ["a\r\nx: y", "a\x00", "ä"])
def test_a_token_that_cannot_be_sent(fake: FakeKubernetes, token_file: Path, token: str) -> None:
    """It is wrong, and the API server does not hear of it."""
    with pytest.raises(AuthenticationError):
        ask(fake, token_file, lambda api: api.self_subject_review(Secret(token)))
    assert fake.asked == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, AuthenticationError),
        (403, DeniedError),
        (404, NotFoundError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
        (302, UnavailableError),
    ],
)
def test_answers_about_a_caller(
    fake: FakeKubernetes, token_file: Path, status: int, expected: type[Exception]
) -> None:
    """Only 401 and 403 are the caller's fault; everything else says nothing about him."""
    fake.status = status
    with pytest.raises(expected):
        ask(fake, token_file, lambda api: api.self_subject_review(Secret("t")))


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_answers_about_ourselves_are_an_outage(
    fake: FakeKubernetes, token_file: Path, status: int
) -> None:
    """If the API server refuses the token server, that is no denial of the user."""
    fake.status = status
    user = UserInfo("alice")
    with pytest.raises(UnavailableError):
        ask(fake, token_file, lambda api: api.subject_access_review(user, PULL))
    with pytest.raises(UnavailableError):
        ask(fake, token_file, lambda api: api.token_review(Secret("t")))


def test_a_stalled_server_is_given_up_in_time(fake: FakeKubernetes, token_file: Path) -> None:
    """A server that accepts and says nothing costs no more than the limit."""
    fake.stalled = True
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="did not answer"):
        ask(fake, token_file, lambda api: api.self_subject_review(Secret("t")), seconds=0.2)
    assert time.monotonic() - began < 20  # on a busy machine; nobody would ever answer


def test_a_server_that_is_not_there(token_file: Path) -> None:
    """A refused connection is an outage."""
    with FakeKubernetes() as gone:
        pass
    with pytest.raises(UnavailableError):
        ask(gone, token_file, lambda api: api.self_subject_review(Secret("t")))


def test_token_review_checks_the_audience(fake: FakeKubernetes, token_file: Path) -> None:
    """A token for the hub is good for the hub, and one for the API server is not."""
    fake.users["hub-token"] = FakeUser("alice", audiences=["hub"])
    fake.users["api-token"] = FakeUser("bob")
    found = ask(fake, token_file, lambda api: api.token_review(Secret("hub-token"), ["hub"]))
    assert (found.user.name, found.audiences) == ("alice", ("hub",))
    for token, audiences in [("api-token", ["hub"]), ("hub-token", []), ("none", ["hub"])]:
        with pytest.raises(AuthenticationError):
            ask(fake, token_file, partial(_review, Secret(token), audiences))


async def _review(token: Secret, audiences: list[str], api: ApiServer) -> object:
    return await api.token_review(token, audiences)


def test_an_access_review_carries_all_of_the_user(fake: FakeKubernetes, token_file: Path) -> None:
    """Groups, uid and extra are passed; the namespace and the name too."""
    fake.allow("group:dev", "team/app", "pull")
    user = UserInfo("alice", "u1", ("dev", "ops"), {"k": ("v",)})
    decision = ask(fake, token_file, lambda api: api.subject_access_review(user, PULL))
    assert (decision.allowed, decision.reason) == (True, "RBAC: allowed by a binding")
    assert fake.bodies[-1]["spec"] == {
        "user": "alice",
        "uid": "u1",
        "groups": ["dev", "ops"],
        "extra": {"k": ["v"]},
        "resourceAttributes": {
            "verb": "pull",
            "group": "imagehub.sealos.io",
            "resource": "repositories",
            "name": "app",
            "namespace": "hub-team",
        },
    }


TEXTS = st.text(max_size=20)


@given(
    user=st.builds(
        UserInfo,
        TEXTS,
        TEXTS,
        st.lists(TEXTS, max_size=3).map(tuple),
        st.dictionaries(TEXTS, st.lists(TEXTS, max_size=3).map(tuple), max_size=3),
    ),
    asked=st.builds(
        ResourceAttributes, TEXTS.filter(bool), TEXTS, TEXTS, TEXTS.filter(bool), TEXTS
    ),
)
def test_an_access_review_says_what_it_was_given(user: UserInfo, asked: ResourceAttributes) -> None:
    """Whatever a name holds, it stays one value of the JSON; what is empty is left out."""
    attributes = {key: value for key, value in asked._asdict().items() if key != "namespace"}
    if asked.namespace:
        attributes["namespace"] = asked.namespace
    spec = {
        "user": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra.items()},
    }
    assert json.loads(subject_access_review(subject(user), asked))["spec"] == {
        **{key: value for key, value in spec.items() if value or key == "user"},
        "resourceAttributes": attributes,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.just(',"status":{"allowed":true}}'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.just("status"), inner, max_size=3)
    ),
    max_leaves=8,
)

OBJECTS = st.dictionaries(TEXTS | st.just("status"), JSON, max_size=3)


@given(
    review=JSON | st.builds(lambda first, said: {**first, "status": said}, OBJECTS, OBJECTS),
    indent=st.sampled_from([None, 1]),
    tail=st.sampled_from(["", "\n"]),
)
def test_the_status_of_a_review_is_that_of_the_whole(
    review: object, indent: int | None, tail: str
) -> None:
    """It is the one that a JSON reader finds, whatever stands beside it and however it looks."""
    separators = (",", ":") if indent is None else None
    found = status_of_review(json.dumps(review, indent=indent, separators=separators) + tail)
    if isinstance(review, dict) and isinstance(found, dict):
        assert found.get("status") == review.get("status")
    else:
        assert found == review


@pytest.mark.parametrize("text", ["", "{", '{"a":1,"status":', '{"a":1,"status":{]}', "x"])
def test_a_review_that_is_no_json(text: str) -> None:
    """It is no status either."""
    with pytest.raises(ValueError, match="char"):
        status_of_review(text)


def test_an_authorizer_that_failed_is_no_denial(fake: FakeKubernetes, token_file: Path) -> None:
    """`evaluationError` beside a refusal means that nobody knows."""
    fake.evaluation_error = "webhook is down"
    with pytest.raises(UnavailableError, match="webhook is down"):
        ask(fake, token_file, lambda api: api.subject_access_review(UserInfo("alice"), PULL))


def test_an_empty_name_cannot_be_asked() -> None:
    """An empty name would ask about all repositories at once."""
    with pytest.raises(ValueError, match="everything"):
        ResourceAttributes("pull", "g", "repositories", "", "hub-team")


def test_our_token_is_read_again_when_it_changes(fake: FakeKubernetes, token_file: Path) -> None:
    """A renewed token file is used without a restart."""
    fake.users["next"] = FakeUser("next")

    async def run() -> list[str]:
        api = ApiServer(fake.url, token_file=token_file)
        first = await api.self_subject_review()
        replacement = token_file.with_name("new")
        replacement.write_text("next")
        replacement.replace(token_file)
        deadline = time.monotonic() + 60
        second = first
        while second == first and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            second = await api.self_subject_review()
        await api.aclose()
        return [first.name.rpartition(":")[2], second.name]

    assert asyncio.run(run()) == ["imagehub-auth-server", "next"]


def test_objects(fake: FakeKubernetes, token_file: Path) -> None:
    """Create, read, patch, list over pages, delete, and the two conflicts of names."""
    body = {"metadata": {"name": "a"}, "spec": {}}

    async def everything(api: ApiServer) -> None:
        for name in ("a", "b", "c", "d", "e"):
            await api.create(LOGINS, {**body, "metadata": {"name": name}})
        with pytest.raises(ConflictError) as caught:
            await api.create(LOGINS, body)
        assert caught.value.reason == "AlreadyExists"
        items, version = await api.list(LOGINS)
        assert [item["metadata"]["name"] for item in items] == ["a", "b", "c", "d", "e"]
        assert version == str(fake.version)
        await api.patch(f"{LOGINS}/a/status", {"status": {"lastUsed": "now"}})
        assert (await api.get(f"{LOGINS}/a"))["status"] == {"lastUsed": "now"}
        await api.delete(f"{LOGINS}/a")
        with pytest.raises(NotFoundError):
            await api.get(f"{LOGINS}/a")
        with pytest.raises(NotFoundError):
            await api.delete(f"{LOGINS}/a")

    ask(fake, token_file, everything)


def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(
    fake: FakeKubernetes, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost or told twice; one object that is too large is an outage."""
    monkeypatch.setattr(review, "MAX_ANSWER", 4000)
    for name in ("a", "b", "c"):
        fake.put_repository(f"team/{name}", private=True)
    large = {"metadata": {"name": "team.z"}, "spec": {"name": "team/z"}, "status": "x" * 3000}
    fake.change(f"{REPOSITORIES}/team.z", large)
    fake.change(f"{REPOSITORIES}/team.y", {**large, "metadata": {"name": "team.y"}})
    items, _ = ask(fake, token_file, lambda api: api.list(REPOSITORIES))
    names = [item["metadata"]["name"] for item in items]
    assert names == ["team.a", "team.b", "team.c", "team.z", "team.y"]
    fake.change(f"{REPOSITORIES}/team.x", {**large, "status": "x" * 5000})
    with pytest.raises(UnavailableError, match="without end"):
        ask(fake, token_file, lambda api: api.list(REPOSITORIES))


def test_a_watch_yields_changes_and_says_when_it_is_too_old(
    fake: FakeKubernetes, token_file: Path
) -> None:
    """Events after the version arrive in order; an old version is `GoneError`."""
    fake.put_repository("team/app", private=True)

    async def watch(api: ApiServer) -> list[tuple[str, str]]:
        _, version = await api.list(REPOSITORIES)
        fake.put_repository("team/app", private=False)
        fake.change(f"{REPOSITORIES}/team.app", None)
        found = []
        async for kind, item in api.watch(REPOSITORIES, resource_version=version, seconds=1):
            found.append((kind, item["metadata"]["name"]))
            if len(found) == 2:
                break
        fake.oldest = fake.version + 1
        with pytest.raises(GoneError):
            async for _ in api.watch(REPOSITORIES, resource_version=version, seconds=1):
                pass
        return found

    assert ask(fake, token_file, watch) == [("MODIFIED", "team.app"), ("DELETED", "team.app")]


@pytest.mark.parametrize("url", ["ftp://x", "https://", "http://10.0.0.1:6443", "x", ""])
def test_urls_that_are_refused(url: str) -> None:
    """Only https, or http on loopback."""
    with pytest.raises(InvalidInputError):
        ApiServer(url)


# ------------------------------------------------------------------ TLS
@pytest.fixture(scope="module")
def authority() -> Authority:
    """The cluster's CA."""
    return Authority()


@pytest.fixture
def secure(authority: Authority, tmp_path: Path) -> Iterator[FakeKubernetes]:
    """A fake API server with TLS that asks for client certificates."""
    certificate, key = authority.issue("server", host="localhost").write(tmp_path, "server")
    ca, _ = authority.own.write(tmp_path, "ca")
    with FakeKubernetes(tls=(certificate, key, ca)) as server:
        yield server


async def _by_certificate(fake: FakeKubernetes, ca: Path, pair: Pair) -> UserInfo:
    api = ApiServer(fake.url, ca_file=ca, token_file=ca.with_name("token"))
    context = api.client_context()
    sent = CertificatePair(pair.pem, Secret(pair.key_pem().decode()))
    now = pair.certificate.not_valid_before_utc
    certificates.load(context, certificates.read(sent, now))
    try:
        return await api.self_subject_review_by_certificate(context)
    finally:
        await api.aclose()


def test_a_client_certificate_says_who_it_is(
    secure: FakeKubernetes, authority: Authority, tmp_path: Path
) -> None:
    """The API server names common name and organisations."""
    pair = authority.issue("alice", ("dev", "ops"))
    found = asyncio.run(_by_certificate(secure, tmp_path / "ca.crt", pair))
    assert (found.name, found.groups[:2]) == ("alice", ("dev", "ops"))


def test_a_foreign_certificate_is_refused_every_time(
    secure: FakeKubernetes, tmp_path: Path
) -> None:
    """Whether the alert or the reset of the connection arrives first, the answer is the same."""
    (tmp_path / "token").write_text(OWN_TOKEN)
    pair = Authority().issue("alice")
    for _ in range(20):
        with pytest.raises(AuthenticationError):
            asyncio.run(_by_certificate(secure, tmp_path / "ca.crt", pair))


def test_a_server_of_another_authority_is_an_outage(
    secure: FakeKubernetes, authority: Authority, tmp_path: Path
) -> None:
    """We do not talk to a server that our CA does not know, and blame nobody for it."""
    other = tmp_path / "other.crt"
    other.write_bytes(Authority().own.pem)
    with pytest.raises(UnavailableError):
        asyncio.run(_by_certificate(secure, other, authority.issue("alice")))
    assert secure.asked == []
