"""Claims about credential plugins: they run as kubectl runs them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import AuthenticationError, InvalidInputError, SealosHubError
from sealoshub.kube import execplugin
from sealoshub.kube.kubeconfig import ClusterCredential, credential

if TYPE_CHECKING:
    from tests.unit.kubeconfig.conftest import Desk

V1 = "client.authentication.k8s.io/v1"


def _answer(status: object, version: str = V1) -> str:
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})


def _read(
    desk: Desk, stanza: dict[str, Any], cluster: dict[str, Any] | None = None
) -> ClusterCredential:
    stanza = {"apiVersion": V1, "interactiveMode": "Never", **stanza}
    path = desk.kubeconfig({"exec": stanza}, cluster={"server": "https://api", **(cluster or {})})
    return credential(
        [path], interactive=False, now=desk.now, env={"PATH": "/usr/bin:/bin", "A": "1"}
    )


def test_token_of_a_plugin(desk: Desk) -> None:
    """The token and its end come from what the plugin prints."""
    answer = _answer({"token": "t0ken", "expirationTimestamp": "2027-01-01T00:00:00Z"})
    desk.plugin(f"echo '{answer}'")
    found = _read(desk, {"command": "bin/plugin"})
    assert found.token is not None
    assert found.token.reveal() == "t0ken"
    assert found.expires == datetime(2027, 1, 1, tzinfo=UTC)


def test_certificate_of_a_plugin(desk: Desk) -> None:
    """A certificate and key may come instead."""
    answer = _answer({"clientCertificateData": "CERT", "clientKeyData": "KEY"})
    desk.plugin(f"echo '{answer}'")
    found = _read(desk, {"command": "bin/plugin"})
    assert found.certificate_pem == b"CERT"
    assert found.key_pem is not None
    assert found.key_pem.reveal() == "KEY"


def test_what_a_plugin_is_told(desk: Desk) -> None:
    """Arguments, environment and KUBERNETES_EXEC_INFO are those of kubectl."""
    out = desk.folder / "told"
    desk.plugin(
        f'printf "%s|%s|%s|%s|" "$1" "$2" "$A" "$B" > {out}\n'
        f'printf "%s" "$KUBERNETES_EXEC_INFO" >> {out}\n'
        f"echo '{_answer({'token': 't'})}'"
    )
    _read(
        desk,
        {
            "command": "bin/plugin",
            "args": ["get", "a b"],
            "env": [{"name": "B", "value": "2"}],
            "provideClusterInfo": True,
        },
        {
            "certificate-authority-data": "Q0E=",
            "tls-server-name": "n",
            "extensions": [
                {"name": "client.authentication.k8s.io/exec", "extension": {"aud": "x"}}
            ],
        },
    )
    *words, info = out.read_text().split("|", 4)
    assert words == ["get", "a b", "1", "2"]
    assert json.loads(info) == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {
                "server": "https://api",
                "tls-server-name": "n",
                "certificate-authority-data": "Q0E=",
                "config": {"aud": "x"},
            },
        },
    }


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo s3cret", "did not print JSON"),
        ("echo '[]'", "did not print an ExecCredential"),
        ("echo '{}'", "did not print an ExecCredential"),
        (f"echo '{_answer({'token': 't'}, 'v9')}'", "answered with apiVersion 'v9'"),
        (f"echo '{_answer(None)}'", "without a status"),
        (f"echo '{_answer({})}'", "neither a token nor a certificate"),
        (f"echo '{_answer({'token': 5})}'", "token that is not a string"),
        (f"echo '{_answer({'clientKeyData': 's3cret'})}'", "not with both"),
        (
            f"echo '{_answer({'token': 's3cret', 'expirationTimestamp': 'soon'})}'",
            "expirationTimestamp",
        ),
        ("exit 7", "failed with exit code 7"),
    ],
    ids=range(10),
)
def test_bad_answers(desk: Desk, script: str, reason: str) -> None:
    """Every bad answer is refused with its reason and without its content."""
    desk.plugin(script)
    with pytest.raises(AuthenticationError, match=reason) as caught:
        _read(desk, {"command": "bin/plugin"})
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


def test_missing_program_gives_the_install_hint(desk: Desk) -> None:
    """The kubeconfig's own hint is shown for a program that is not there."""
    with pytest.raises(AuthenticationError, match="is not installed") as caught:
        _read(desk, {"command": "no-such-program-here", "installHint": "get it at X"})
    assert caught.value.hint == "get it at X"


def test_always_interactive_needs_a_terminal(desk: Desk) -> None:
    """A plugin that must talk to a person is not started without a terminal."""
    with pytest.raises(AuthenticationError, match="needs a terminal"):
        _read(desk, {"command": "bin/plugin", "interactiveMode": "Always"})


def test_a_hanging_plugin_ends(desk: Desk) -> None:
    """A plugin that gives no answer is ended at the time limit."""
    plugin = execplugin.ExecPlugin(
        command=str(desk.plugin("exec sleep 60")),
        arguments=(),
        environment=(),
        api_version=V1,
        interactive_mode="Never",
        install_hint=None,
        cluster=None,
        source="x",
    )
    with pytest.raises(AuthenticationError, match="gave no answer"):
        execplugin.run(plugin, interactive=False, env={"PATH": "/bin:/usr/bin"}, timeout=0.2)


@pytest.mark.parametrize(
    ("stanza", "error", "message"),
    [
        ({}, InvalidInputError, "names no command"),
        ({"command": "x", "interactiveMode": None}, InvalidInputError, "no interactiveMode"),
        ({"command": "x", "interactiveMode": "Maybe"}, InvalidInputError, "'Maybe'"),
        ({"command": "x", "args": [1]}, InvalidInputError, "args"),
        ({"command": "x", "env": [{"name": "A", "value": 1}]}, InvalidInputError, "env"),
        ({"command": "x", "apiVersion": "v0"}, AuthenticationError, "no longer runs"),
    ],
)
def test_malformed_stanza(
    desk: Desk, stanza: dict[str, Any], error: type[SealosHubError], message: str
) -> None:
    """A malformed exec stanza is refused before anything runs."""
    with pytest.raises(error, match=message):
        _read(desk, stanza)


def test_static_token_wins_over_the_plugin(desk: Desk) -> None:
    """With a token in the kubeconfig the plugin is not run, as with kubectl."""
    marker = desk.folder / "ran"
    desk.plugin(f"touch {marker}")
    path = desk.kubeconfig(
        {"token": "t", "exec": {"apiVersion": V1, "command": "bin/plugin"}},
    )
    credential([path], interactive=False, now=desk.now, env={})
    assert not marker.exists()
