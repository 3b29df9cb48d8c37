"""Personal tokens, explanations and the doctor, on every API server and every registry."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.images import oci_layout
from tests.integration.hub import USER_NAMESPACE
from tests.integration.servers.process import wait_until
from tests.integration.test_way_through import (
    ACCEPTED,
    DENIED,
    LOOKED_AT,
    PATIENCE,
    eventually,
    organization,
    token_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.clients import StockClient
    from tests.integration.hub import Hub
    from tests.integration.people import Person
    from tests.integration.servers.kube import KubeApiServer


def make_token(owner: Person, hub: Hub, *arguments: str) -> str:
    """Let *owner* make a personal token."""
    done = owner.run(
        "sealoshub", "token", "create", hub.host, "--name", "ci", "--ttl", "1h", *arguments,
        expect=ACCEPTED,
    )  # fmt: skip
    token = done.stdout.removesuffix("\n")
    assert token.startswith("shp_")
    assert len(token) == 47
    assert token not in done.stderr
    return token


def listed(owner: Person, hub: Hub) -> list[dict[str, Any]]:
    """Return what `sealoshub token list` shows."""
    done = owner.run("sealoshub", "token", "list", hub.host, "-o", "json", expect=ACCEPTED)
    found: list[dict[str, Any]] = json.loads(done.stdout)["data"]["logins"]
    return found


def test_a_personal_token_is_a_password_in_stock_clients(
    hub: Hub, unique: str, tmp_path: Path, pushing_client: StockClient
) -> None:
    """It logs in, pushes and pulls, in every client, as a plain password."""
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    token = make_token(alice, hub)
    machine = hub.user(f"ci-{unique}")  # another home folder, without a login
    pushing_client.run_login(machine, hub.host, token, user="ci").check_returncode()
    image = oci_layout(tmp_path / "image")
    reference = f"{hub.host}/{unique}/app:v1"
    pushed = pushing_client.run_push(machine, image, reference)
    assert pushed.returncode == ACCEPTED, pushed.stderr
    pulled = pushing_client.run_pull(machine, reference, tmp_path / "pulled")
    assert pulled.returncode == ACCEPTED, pulled.stderr


def test_a_narrow_token_pulls_and_does_not_push_until_it_is_revoked(
    hub: Hub, unique: str, tmp_path: Path
) -> None:
    """Its rights are those of its owner within its scopes; revoking it ends them."""
    alice, machine = hub.user(f"alice-{unique}"), hub.user(f"ci-{unique}")
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    image = oci_layout(tmp_path / "image")
    reference = f"{hub.host}/{unique}/app:v1"
    alice.run("sealoshub", "push", image.path, reference, expect=ACCEPTED)
    token = make_token(alice, hub, "--scope", f"repository:{unique}/*:pull")

    login = ("sealoshub", "login", hub.host, "--token-stdin")
    machine.run(*login, stdin=token, expect=ACCEPTED)
    machine.run("crane", "digest", reference, expect=ACCEPTED)
    again = ("sealoshub", "push", image.path, f"{hub.host}/{unique}/app:v2", "--cr-option", "no")
    machine.run(*again, expect=DENIED)
    heir = ("sealoshub", "token", "create", hub.host, "--name", "heir", "--ttl", "1h")
    machine.run(*heir, expect=DENIED)
    assert [entry["name"] for entry in listed(machine, hub)] == ["ci"]
    said = machine.run("sealoshub", "explain", "push", reference, expect=DENIED).stderr
    assert "this personal token is not for push" in said

    (entry,) = (entry for entry in listed(alice, hub) if entry["type"] == "personal")
    assert (entry["name"], entry["scopes"]) == ("ci", [f"repository:{unique}/*:pull"])
    alice.run("sealoshub", "token", "revoke", entry["id"], hub.host, expect=ACCEPTED)
    eventually(lambda: min(1, machine.run("crane", "digest", reference).returncode), 1)
    assert hub.logs_contain(token) == []
    alice.run("sealoshub", "token", "revoke", entry["id"], hub.host, expect=5)


def test_logging_out_does_not_end_a_personal_token(hub: Hub, unique: str) -> None:
    """It may be in use elsewhere; only `token revoke` ends it."""
    alice, machine = hub.user(f"alice-{unique}"), hub.user(f"ci-{unique}")
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    token = make_token(alice, hub)
    login = ("sealoshub", "login", hub.host, "--token-stdin")
    machine.run(*login, stdin=token, expect=ACCEPTED)
    machine.run("sealoshub", "logout", hub.host, expect=ACCEPTED)
    machine.run(*login, stdin=token, expect=ACCEPTED)


REAL = pytest.mark.parametrize("hub", ["kube-registry-3"], indirect=True, scope="session")


@pytest.mark.parametrize(
    "hub", ["embedded-registry-3", "kube-registry-3"], indirect=True, scope="session"
)
def test_a_token_dies_with_what_it_was_made_with(hub: Hub, unique: str) -> None:
    """With the ServiceAccount, or with the Secret that keeps its token, as a login does."""
    robot, machine = hub.robot(f"robot-{unique}"), hub.user(f"ci-{unique}")
    robot.run("sealoshub", "login", hub.host, "--token-stdin", stdin=token_of(robot), expect=0)
    tokens = [make_token(robot, hub)]
    login = ("sealoshub", "login", hub.host, "--token-stdin")
    if hub.kube is not None:
        old = hub.robot(f"old-{unique}")
        bind_secrets(hub.kube, unique)
        legacy = legacy_token(hub.kube, token_of(old), unique)
        said = old.run(*login, stdin=legacy, expect=ACCEPTED).stderr
        assert life(old, hub) > timedelta(days=20), said  # 30, if it is not used
        tokens.append(make_token(old, hub))
        hub.kube.request("DELETE", f"{SECRETS}/{unique}")
    hub.remove_robot(f"robot-{unique}")
    deadline = time.monotonic() + LOOKED_AT
    for token in tokens:
        while (done := machine.run(*login, stdin=token)).returncode == ACCEPTED:
            assert time.monotonic() < deadline, "the token outlived what it was made with"
            time.sleep(2)
        assert done.returncode == 3, done.stderr


@REAL
def test_a_login_is_short_if_nobody_may_look_for_its_secret(hub: Hub, unique: str) -> None:
    """A day, which is said at the login; a token that is made with it ends no later."""
    assert hub.kube is not None
    old = hub.robot(f"old-{unique}")
    legacy = legacy_token(hub.kube, token_of(old), unique)
    login = ("sealoshub", "login", hub.host, "--token-stdin")
    old.run(*login, stdin=legacy, expect=ACCEPTED)
    assert timedelta(hours=23) < life(old, hub) <= timedelta(days=1)
    done = old.run(
        "sealoshub", "token", "create", hub.host, "--name", "ci", "--ttl", "30d", expect=ACCEPTED
    )
    assert done.stdout.startswith("shp_")
    ends = {entry["type"]: entry["expires"] for entry in listed(old, hub)}
    assert ends["personal"] <= ends["refresh"]


SECRETS: Final = f"/api/v1/namespaces/{USER_NAMESPACE}/secrets"


def legacy_token(kube: KubeApiServer, given: str, name: str) -> str:
    """Return a token without an end, kept in the Secret *name*, as Kubernetes before 1.24 made.

    Without a controller-manager nobody else signs one.

    Args:
        kube: The API server.
        given: A token of the ServiceAccount.
        name: Of the Secret, in the namespace of users.
    """
    header = jwt.get_unverified_header(given)
    account = jwt.decode(given, options={"verify_signature": False})["kubernetes.io"]
    prefix = "kubernetes.io/serviceaccount/"
    claims = {
        "iss": "kubernetes/serviceaccount",
        "sub": f"system:serviceaccount:{USER_NAMESPACE}:{account['serviceaccount']['name']}",
        f"{prefix}namespace": USER_NAMESPACE,
        f"{prefix}secret.name": name,
        f"{prefix}service-account.name": account["serviceaccount"]["name"],
        f"{prefix}service-account.uid": account["serviceaccount"]["uid"],
    }
    key = load_pem_private_key(kube.service_account_key.read_bytes(), password=None)
    token = jwt.encode(claims, key, algorithm=header["alg"], headers={"kid": header["kid"]})  # type: ignore[arg-type]  # it is EC
    annotations = {
        "kubernetes.io/service-account.name": account["serviceaccount"]["name"],
        "kubernetes.io/service-account.uid": account["serviceaccount"]["uid"],
    }
    body = {
        "metadata": {"name": name, "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
        "stringData": {"token": token},
    }
    kube.request("POST", SECRETS, body)
    return token


def bind_secrets(kube: KubeApiServer, name: str) -> None:
    """Let the token server look for that one Secret."""
    group = "rbac.authorization.k8s.io"
    path = f"/apis/{group}/v1/namespaces/{USER_NAMESPACE}"
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}
    kube.request("POST", f"{path}/roles", {"metadata": {"name": name}, "rules": [rule]})
    subject = {
        "kind": "ServiceAccount",
        "namespace": "imagehub-system",
        "name": "imagehub-auth-server",
    }
    role = {"apiGroup": group, "kind": "Role", "name": name}
    body = {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]}
    kube.request("POST", f"{path}/rolebindings", body)
    asked = {"namespace": USER_NAMESPACE, "verb": "get", "resource": "secrets", "name": name}
    user = f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
    review = {"spec": {"user": user, "resourceAttributes": asked}}
    reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    wait_until(
        lambda: kube.request("POST", reviews, review)["status"]["allowed"], "the right to look"
    )


def life(who: Person, hub: Hub) -> timedelta:
    """Return how long the login of *who* is good yet, as `whoami` tells."""
    done = who.run("sealoshub", "whoami", hub.host, "-o", "json", expect=ACCEPTED)
    text = json.loads(done.stdout)["data"]["expires"]
    return datetime.fromisoformat(text) - datetime.now(UTC)


def test_explain_names_the_rule_or_the_owners(hub: Hub, unique: str) -> None:
    """Allowed by the binding that the API server names; else the owners are named."""
    alice, bob = hub.user(f"alice-{unique}"), hub.user(f"bob-{unique}")
    carol = hub.user(f"carol-{unique}")
    organization(alice, unique, members=[{"kind": "User", "name": bob.name, "role": "developer"}])
    reference = f"{hub.host}/{unique}/app"
    for person in (alice, bob, carol):
        person.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)

    pushing = bob.run("sealoshub", "explain", "push", reference, expect=ACCEPTED)
    assert bob.name in pushing.stdout
    assert "imagehub:developer" in pushing.stdout
    assert f"hub-{unique}" in pushing.stdout
    deleting = bob.run("sealoshub", "explain", "delete", reference, expect=DENIED)
    assert f"User {alice.name}" in deleting.stderr
    for action, code in (("pull", ACCEPTED), ("push", ACCEPTED), ("delete", DENIED)):
        alice.run("sealoshub", "explain", action, reference, "--as", bob.name, expect=code)
    alice.run("sealoshub", "explain", "pull", reference, "--as", carol.name, expect=DENIED)

    theirs = carol.run("sealoshub", "explain", "pull", reference, "--as", bob.name, expect=DENIED)
    absent = f"{hub.host}/absent-{unique}/app"
    missing = carol.run("sealoshub", "explain", "pull", absent, "--as", bob.name, expect=DENIED)
    assert theirs.stderr == missing.stderr
    carol.run("sealoshub", "explain", "pull", absent, expect=DENIED)


def test_explain_says_that_a_repository_is_public(hub: Hub, unique: str, tmp_path: Path) -> None:
    """Then it is no binding that allows it."""
    alice, bob = hub.user(f"alice-{unique}"), hub.user(f"bob-{unique}")
    organization(alice, unique)
    manifest = tmp_path / "repository.yaml"
    manifest.write_text(
        "apiVersion: imagehub.sealos.io/v1\nkind: Repository\n"
        f"metadata: {{name: {unique}.app}}\n"
        f"spec: {{name: {unique}/app, isPrivate: false}}\n"
    )
    alice.run("sealoshub", "apply", "-f", manifest, expect=ACCEPTED)
    bob.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    reference = f"{hub.host}/{unique}/app"
    deadline = time.monotonic() + PATIENCE
    while (done := bob.run("sealoshub", "explain", "pull", reference)).returncode != ACCEPTED:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.25)
    assert "the repository is public" in done.stdout


def test_a_doctor_finds_nothing_wrong_with_a_hub(hub: Hub, unique: str) -> None:
    """Every step is ok on a real hub; without a login exit code 3 and the way to one.

    But for the credential helper, as none is named, and the room in organizations, as there are
    none.
    """
    alice = hub.user(f"alice-{unique}")
    before = alice.run("sealoshub", "doctor", hub.host, expect=3)
    assert f"sealoshub login {hub.host}" in before.stdout
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    done = alice.run("sealoshub", "doctor", hub.host, "--output", "json", expect=ACCEPTED)
    steps = json.loads(done.stdout)["data"]["steps"]
    skipped = {"helper", "quota"}
    expected = {step["name"]: "skipped" if step["name"] in skipped else "ok" for step in steps}
    assert {step["name"]: step["status"] for step in steps} == expected
    secret = json.loads((alice.home / ".docker" / "config.json").read_text())["auths"][hub.host]
    assert secret["identitytoken"] not in done.stdout + done.stderr
    assert alice.name in next(step["detail"] for step in steps if step["name"] == "cluster")
