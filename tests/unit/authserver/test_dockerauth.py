"""The program protocol of docker_auth, as `authn/ext_auth.go` and `authz/ext_authz.go` speak it.

The real docker_auth is not among the tools of these tests; the formats are those of its sources.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.authserver.dockerauth import ALLOW, DENY, NO_MATCH, Setup, ext_auth, ext_authz
from sealoshub.errors import InvalidInputError, UnavailableError
from tests.unit.authserver.fake_kubernetes import OWN_TOKEN, FakeUser
from tests.unit.authserver.running import ALICE, BOB_TOKEN, TOKEN, jwt

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.authserver.fake_kubernetes import FakeKubernetes

BOB_LABELS = {"kubernetes_user": ["bob"], "kubernetes_groups": ["dev"]}
ALICE_LABELS = {"kubernetes_user": [ALICE], "kubernetes_uid": ["uid-1"]}


@pytest.fixture
def setup(fake: FakeKubernetes, tmp_path: Path) -> Setup:
    """Decisions by the fake API server."""
    token = tmp_path / "own-token"
    token.write_text(OWN_TOKEN)
    return Setup(server=fake.url, token_file=token)


def request(**changes: object) -> bytes:
    """Return what docker_auth writes to `ext_authz`: Go's JSON of its AuthRequestInfo."""
    content: dict[str, Any] = {
        "Account": "bob",
        "Type": "repository",
        "Name": "team/app",
        "Service": "hub",
        "IP": "10.0.0.1",
        "Actions": ["pull", "push"],
        "Labels": BOB_LABELS,
        **changes,
    }
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("account", "token", "code"),
    [
        ("bob", BOB_TOKEN, ALLOW),
        ("user-system/alice", TOKEN, ALLOW),
        (ALICE, TOKEN, ALLOW),
        # Another namespace's Alice, or a certificate for that name, would be the same account.
        ("alice", TOKEN, DENY),
        ("sealoshub", BOB_TOKEN, DENY),
        ("", BOB_TOKEN, DENY),
        ("bob", TOKEN, DENY),
        ("user-system/alice", BOB_TOKEN, DENY),
        ("bob", jwt(sub="bob", forged=True), DENY),
        ("bob", "apiVersion: v1\nkind: Config\n", DENY),
        ("bob", "a password of another backend", NO_MATCH),
        ("bob", "", NO_MATCH),
    ],
)
def test_the_user_name_must_be_the_one_of_the_credential(
    setup: Setup, account: str, token: str, code: int
) -> None:
    """docker_auth goes on with the name that was typed, so that it must be unmistakable."""
    assert ext_auth(setup, f"{account} {token}".encode()).code == code


def test_labels_carry_the_identity(setup: Setup, fake: FakeKubernetes) -> None:
    """From `ext_auth` to `ext_authz`; what an ACL would take for a pattern is left out."""
    extra = {"example.com/floor": ["3=b", "*"]}
    groups = ["dev", "*", "a|b", "system:authenticated"]
    fake.users[BOB_TOKEN] = FakeUser("bob", "7", groups, extra)
    verdict = ext_auth(setup, f"bob {BOB_TOKEN}".encode())
    assert json.loads(verdict.output) == {
        "labels": {
            "kubernetes_user": ["bob"],
            "kubernetes_uid": ["7"],
            "kubernetes_groups": ["dev", "system:authenticated"],
            "kubernetes_extra": ["example.com/floor=3=b"],
        }
    }
    ext_authz(setup, request(Labels=json.loads(verdict.output)["labels"]))
    specs = [body.get("spec", body) for body in fake.bodies]
    (spec,) = (s for s in specs if (s.get("resourceAttributes") or {}).get("verb") == "push")
    assert (spec["user"], spec["uid"], spec["groups"]) == (
        "bob", "7", ["dev", "system:authenticated"],
    )  # fmt: skip
    assert spec["extra"] == {"example.com/floor": ["3=b"]}
    fake.users[BOB_TOKEN] = FakeUser("b*b")
    assert ext_auth(setup, f"b*b {BOB_TOKEN}".encode()).code == DENY


def test_any_account_is_for_installations_that_look_at_labels(setup: Setup) -> None:
    """Then the names that the token server takes are taken; somebody else's still are not."""
    for account in ("alice", "token", "sealoshub"):
        assert ext_auth(setup, f"{account} {TOKEN}".encode(), any_account=True).code == ALLOW
    assert ext_auth(setup, f"bob {TOKEN}".encode(), any_account=True).code == DENY


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Labels": ALICE_LABELS}, ALLOW),
        ({"Labels": ALICE_LABELS, "Actions": ["pull"]}, ALLOW),
        # docker_auth grants all or nothing: one action too many is nothing.
        ({"Labels": ALICE_LABELS, "Actions": ["pull", "push", "delete"]}, DENY),
        ({"Labels": ALICE_LABELS, "Actions": ["*"]}, DENY),
        ({"Labels": ALICE_LABELS, "Actions": []}, DENY),
        ({"Labels": ALICE_LABELS, "Actions": None}, DENY),
        ({"Labels": ALICE_LABELS, "Type": "registry", "Name": "catalog", "Actions": ["*"]}, DENY),
        ({"Labels": ALICE_LABELS, "Name": "team/other"}, DENY),
        ({"Labels": ALICE_LABELS, "Name": "team/"}, DENY),
        ({"Labels": ALICE_LABELS, "Name": "a?b/../c"}, DENY),
        ({"Labels": BOB_LABELS}, DENY),
        ({"Labels": BOB_LABELS, "Name": "team/open", "Actions": ["pull"]}, ALLOW),
        ({"Labels": BOB_LABELS, "Name": "team/open", "Actions": ["push"]}, DENY),
        # Nobody in particular gets what is public; an account of another backend gets nothing.
        ({"Account": "", "Labels": None, "Name": "team/open", "Actions": ["pull"]}, ALLOW),
        ({"Account": "", "Labels": None, "Actions": ["pull"]}, DENY),
        ({"Account": ALICE, "Labels": None}, DENY),
        ({"Account": ALICE, "Labels": {"groups": ["dev"]}}, DENY),
        ({"Account": "alice", "Labels": {"kubernetes_user": []}}, DENY),
    ],
    ids=str,
)
def test_rights_are_those_of_the_labels(setup: Setup, changes: dict[str, Any], code: int) -> None:
    """Only what `ext-auth` said counts, and everything asked for must be granted."""
    assert ext_authz(setup, request(**changes)).code == code


@pytest.mark.parametrize(
    "content", [b"", b"no json", b"[]", b"\xff", b"[" * 5000, request(Actions="pull"),
                request(Labels={"a": "b"}), request(Account=1), b" " * 300_000],
)  # fmt: skip
def test_what_is_no_request_is_an_error(setup: Setup, content: bytes) -> None:
    """It is neither allowed nor denied."""
    with pytest.raises(InvalidInputError):
        ext_authz(setup, content)


def test_an_api_server_that_fails_is_no_denial(setup: Setup, fake: FakeKubernetes) -> None:
    """Both questions end in an error."""
    fake.status = 500
    with pytest.raises(UnavailableError):
        ext_auth(setup, f"bob {BOB_TOKEN}".encode())
    with pytest.raises(UnavailableError):
        ext_authz(setup, request())
    with pytest.raises(UnavailableError):
        ext_authz(setup, request(Account="", Labels=None, Name="team/open", Actions=["pull"]))


def test_one_question_watches_nothing(setup: Setup, fake: FakeKubernetes) -> None:
    """A process for each question reads the one repository, and not 100,000 of them.

    For a push also its organisation, which may have no room.
    """
    ext_authz(setup, request(Labels=ALICE_LABELS))
    paths = [path for method, path in fake.asked if method == "GET"]
    group = "/apis/imagehub.sealos.io/v1"
    assert paths == [f"{group}/repositories/team.app", f"{group}/organizations/team"]
