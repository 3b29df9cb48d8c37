"""Claims about `sealoshub.kube.kubeconfig`."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import (
    AuthenticationError,
    InvalidInputError,
    NotFoundError,
    SealosHubError,
)
from sealoshub.kube.kubeconfig import ClusterCredential, credential, find

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sealoshub.secret import Secret
    from tests.unit.kubeconfig.conftest import Desk

    Read = Callable[..., ClusterCredential]


@pytest.fixture
def read(desk: Desk, tmp_path: Path) -> Read:
    """Call `credential` at the desk's time, outside of any pod."""

    def call(
        paths: Sequence[Path],
        context: str | None = None,
        env: Mapping[str, str] | None = None,
        service_account: Path = tmp_path / "no-pod",
        on_note: Callable[[str], None] = lambda _: None,
    ) -> ClusterCredential:
        return credential(
            paths,
            context,
            interactive=False,
            now=desk.now,
            env=env or {},
            service_account=service_account,
            on_note=on_note,
        )

    return call


def _text(secret: Secret | None) -> str | None:
    return secret.reveal() if secret is not None else None


@pytest.mark.parametrize(
    ("path", "env", "expected"),
    [
        (None, {}, ["HOME/.kube/config"]),
        (None, {"KUBECONFIG": ""}, ["HOME/.kube/config"]),
        (None, {"KUBECONFIG": "/a:/b"}, ["/a", "/b"]),
        (None, {"KUBECONFIG": ":/a::/b:/a"}, ["/a", "/b"]),
        ("HOME/own", {"KUBECONFIG": "/a"}, ["HOME/own"]),
    ],
)
def test_which_files(
    tmp_path: Path, path: str | None, env: dict[str, str], expected: list[str]
) -> None:
    """What is named wins over $KUBECONFIG, which wins over the home directory."""
    (tmp_path / "own").touch()
    home = str(tmp_path)
    found = find(path.replace("HOME", home) if path else None, env, tmp_path)
    assert [str(file) for file in found] == [text.replace("HOME", home) for text in expected]


def test_named_file_must_exist(tmp_path: Path) -> None:
    """A kubeconfig that the user named and that is missing is an error, not skipped."""
    with pytest.raises(NotFoundError, match="there is no kubeconfig"):
        find(str(tmp_path / "missing"), {}, tmp_path)


def test_token_of_the_current_context(desk: Desk, read: Read) -> None:
    """A token is found with its server, its source and its end."""
    token = desk.jwt(3600)
    found = read([desk.kubeconfig({"token": token})])
    assert _text(found.token) == token
    assert found.server == "https://dev:6443"
    assert found.source == f"{desk.folder}/config, context dev"
    assert found.expires == desk.now + timedelta(hours=1)
    assert found.namespace == "default"


def test_first_file_wins(desk: Desk, read: Read) -> None:
    """Of several files the first wins for every name, and for the current context."""
    one = desk.kubeconfig({"token": "first"}, file="1", name="a")
    two = desk.kubeconfig({"token": "second"}, file="2", name="a")
    three = desk.kubeconfig({"token": "third"}, file="3", name="b")
    paths = [desk.folder / "missing", one, two, three]
    assert _text(read(paths).token) == "first"
    assert _text(read(paths, "b").token) == "third"


def test_context_may_live_in_another_file_than_its_user(desk: Desk, read: Read) -> None:
    """Contexts, clusters and users are merged over all files."""
    split = desk.write(
        "current-context: c\ncontexts: [{name: c, context: {cluster: dev, user: dev,"
        " namespace: team}}]\n",
        "split",
    )
    found = read([split, desk.kubeconfig({"token": "t"})])
    assert (found.server, _text(found.token), found.namespace) == ("https://dev:6443", "t", "team")


@pytest.mark.parametrize("inline", [True, False])
def test_certificate_inline_or_from_a_relative_file(
    desk: Desk, read: Read, *, inline: bool
) -> None:
    """A certificate and key come inline, or from files beside the kubeconfig."""
    pair = desk.pair(timedelta(days=1))
    if inline:
        user = {
            "client-certificate-data": base64.b64encode(pair.certificate.encode()).decode(),
            "client-key-data": base64.b64encode(pair.key.encode()).decode(),
            "client-certificate": "ignored-because-data-wins",
            "client-key": "ignored-because-data-wins",
        }
    else:
        desk.write(pair.certificate, "sub/tls/c.pem")
        desk.write(pair.key, "sub/tls/k.pem")
        user = {"client-certificate": "tls/c.pem", "client-key": "tls/k.pem"}
    found = read([desk.kubeconfig(user, file="sub/config")])
    assert found.certificate_pem == pair.certificate.encode()
    assert _text(found.key_pem) == pair.key
    assert found.expires == desk.now + timedelta(days=1)


def test_cluster_fields(desk: Desk, read: Read) -> None:
    """CA, proxy and TLS name of the cluster are kept for our own connection."""
    desk.write("CA", "ca.pem")
    cluster = {
        "server": "https://x",
        "certificate-authority": "ca.pem",
        "tls-server-name": "y",
        "proxy-url": "http://p",
    }
    found = read([desk.kubeconfig({"token": "t"}, cluster=cluster)])
    assert (found.ca_pem, found.tls_server_name, found.proxy_url) == (b"CA", "y", "http://p")
    found = read(
        [desk.kubeconfig({"token": "t"}, cluster=cluster | {"insecure-skip-tls-verify": True})]
    )
    assert (found.ca_pem, found.insecure_skip_tls_verify) == (None, True)


def test_token_file_wins_over_token(desk: Desk, read: Read) -> None:
    """TokenFile is relative to the kubeconfig and wins as soon as it can be read."""
    path = desk.kubeconfig({"token": "old", "tokenFile": "t"})
    assert _text(read([path]).token) == "old"
    desk.write("new\n", "t")
    assert _text(read([path]).token) == "new"


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ({}, "has no credential"),
        ({"username": "a", "password": "hunter2"}, "a user name and a password"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider"),
        ({"client-certificate-data": "Yw=="}, "has no client-key"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1"}}, "no longer runs"),
    ],
)
def test_no_usable_credential(desk: Desk, read: Read, user: dict[str, Any], reason: str) -> None:
    """Every reason for having no credential is said, with exit code 3."""
    with pytest.raises(AuthenticationError, match=reason) as caught:
        read([desk.kubeconfig(user)])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("kind", ["token", "certificate"])
def test_expired_is_said_early(desk: Desk, read: Read, kind: str) -> None:
    """An expired credential is refused here, with the time it ended."""
    if kind == "token":
        user = {"token": desk.jwt(-3600)}
    else:
        pair = desk.pair(timedelta(hours=-1))
        user = {
            "client-certificate-data": base64.b64encode(pair.certificate.encode()).decode(),
            "client-key-data": base64.b64encode(pair.key.encode()).decode(),
        }
    with pytest.raises(AuthenticationError, match=rf"{kind} of .* expired at 2026-11-23 11:00 UTC"):
        read([desk.kubeconfig(user)])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", AuthenticationError, "no kubeconfig"),
        ("a: [", InvalidInputError, "not YAML"),
        ("token: s3cret\n\tx", InvalidInputError, "not YAML"),
        ("- a", InvalidInputError, "not a kubeconfig"),
        ("kind: Pod", InvalidInputError, "not a kubeconfig"),
        ("contexts: {}", InvalidInputError, "contexts in .* is not a list"),
        ("contexts: [{name: 1}]", InvalidInputError, "has no name"),
        ("contexts: [{name: a}]", NotFoundError, "no current context"),
        ("contexts: [{name: a}]\ncurrent-context: b", NotFoundError, "no context 'b'"),
        ("contexts: [{name: a}]\ncurrent-context: a", InvalidInputError, "no server"),
        ("contexts: [{name: a}]\ncurrent-context: 3", InvalidInputError, "not a string"),
    ],
    ids=range(11),
)
def test_malformed(
    desk: Desk, read: Read, text: str, error: type[SealosHubError], message: str
) -> None:
    """A malformed kubeconfig is an error of its own class, and shows nothing of its content."""
    with pytest.raises(error, match=message) as caught:
        read([desk.write(text)])
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


def test_readable_by_others_is_noted(desk: Desk, read: Read) -> None:
    """A kubeconfig that others can read gets a note, a private one none."""
    notes: list[str] = []
    path = desk.kubeconfig({"token": "t"})
    read([path], on_note=notes.append)
    path.chmod(0o644)
    read([path], on_note=notes.append)
    assert notes == [f"{path} can be read by others; chmod 600 {path}"]


def test_impersonation_is_noted(desk: Desk, read: Read) -> None:
    """Impersonation cannot travel, so it is said that the hub sees the real user."""
    notes: list[str] = []
    read([desk.kubeconfig({"token": "t", "as": "root"})], on_note=notes.append)
    assert "impersonates" in notes[0]


def test_in_cluster(desk: Desk, read: Read) -> None:
    """Without a kubeconfig the mounted ServiceAccount is used."""
    desk.write("pod-token\n", "sa/token")
    desk.write("CA", "sa/ca.crt")
    desk.write("team", "sa/namespace")
    env = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    found = read([desk.folder / "none"], env=env, service_account=desk.folder / "sa")
    assert found.server == "https://[fd00::1]:443"
    assert (_text(found.token), found.ca_pem, found.namespace) == ("pod-token", b"CA", "team")
    assert found.context == "in-cluster"


def test_minimal_kubeconfig(desk: Desk, read: Read) -> None:
    """What travels holds the credential and neither server, CA nor another name."""
    pair = desk.pair(timedelta(days=1))
    encoded = base64.b64encode(pair.certificate.encode()).decode()
    key = base64.b64encode(pair.key.encode()).decode()
    found = read(
        [desk.kubeconfig({"client-certificate-data": encoded, "client-key-data": key})]
    ).minimal_kubeconfig()
    text = found.reveal()
    assert "\n" not in text
    config = json.loads(text)
    assert config["users"][0]["user"] == {
        "client-certificate-data": encoded,
        "client-key-data": key,
    }
    assert "https://" not in text
    assert "clusters" not in config
    assert config["contexts"][0]["name"] == config["current-context"]


def test_secrets_do_not_show(desk: Desk, read: Read) -> None:
    """The repr of a credential does not show its token."""
    assert "s3cret" not in repr(read([desk.kubeconfig({"token": "s3cret"})]))
