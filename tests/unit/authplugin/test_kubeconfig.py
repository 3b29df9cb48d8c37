"""The reader of kubeconfigs that strangers send."""

from __future__ import annotations

import base64
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.authplugin import CredentialsRejected
from sealoshub.authplugin.kubeconfig import CertificatePair, credential_in, text_of
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.mark import ParameterSet


def config(user: object, cluster: object = None, **root: object) -> str:
    """Return a kubeconfig with one context."""
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dev",
        "contexts": [{"name": "dev", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster or {"server": "https://10.0.0.1:6443"}}],
        "users": [{"name": "u", "user": user}],
        "preferences": {},
        **root,
    }
    return yaml.safe_dump(content)


def b64(text: str) -> str:
    """Return base64, as kubeconfigs have it."""
    return base64.b64encode(text.encode()).decode()


def test_a_token_is_found() -> None:
    """The token of the current context's user is what counts."""
    assert credential_in(config({"token": "abc"})) == Secret("abc")


def test_a_certificate_pair_is_found_and_counts_more_than_a_token() -> None:
    """As at the API server: with both, the certificate is who it is."""
    user = {
        "token": "abc",
        "client-certificate-data": b64("CERT"),
        "client-key-data": b64("KEY"),
    }
    assert credential_in(config(user)) == CertificatePair(b"CERT", Secret("KEY"))


def test_json_is_accepted() -> None:
    """`kubectl config view -o json` is YAML too, compact or not."""
    content = yaml.safe_load(config({"token": "abc"}))
    assert credential_in(json.dumps(content)) == Secret("abc")
    compact = json.dumps(content, separators=(",", ":"))
    assert credential_in(compact) == Secret("abc")


def test_only_the_current_context_counts() -> None:
    """Other users may hold whatever their owner uses elsewhere."""
    text = config(
        None,
        contexts=[
            {"name": "dev", "context": {"cluster": "c", "user": "good"}},
            {"name": "other", "context": {"cluster": "c", "user": "bad"}},
        ],
        users=[
            {"name": "bad", "user": {"exec": {"command": "evil"}}},
            {"name": "good", "user": {"token": "abc"}},
        ],
    )
    assert credential_in(text) == Secret("abc")


def test_the_minimal_form_is_enough() -> None:
    """One context and its user; no server, no CA, no current-context."""
    text = (
        '{"contexts":[{"name":"x","context":{"user":"u"}}],'
        '"users":[{"name":"u","user":{"token":"abc"}}]}'
    )
    assert credential_in(text) == Secret("abc")


@pytest.mark.parametrize(
    "cluster",
    [
        {"proxy-url": "http://evil:1"},
        {"insecure-skip-tls-verify": True, "server": "https://evil"},
        {"tls-server-name": "evil", "certificate-authority-data": "!!!"},
    ],
)
def test_where_the_cluster_is_does_not_matter(cluster: dict[str, object]) -> None:
    """Server, proxy, CA and TLS options are ignored: only the configured server is asked."""
    assert credential_in(config({"token": "abc"}, cluster)) == Secret("abc")


def case(user: object, message: str) -> ParameterSet:
    """Return one row of the refusal table."""
    return pytest.param(config(user), message, id=message)


REFUSED = [
    case({"exec": {"command": "sh"}, "token": "t"}, "runs a program"),
    case({"auth-provider": {"name": "gcp"}}, "auth-provider"),
    case({"tokenFile": "/var/run/secrets/token"}, "tokenFile"),
    case({"client-certificate": "/etc/cert", "client-key-data": "eA=="}, "client-certificate"),
    case({"client-key": "/etc/key", "client-certificate-data": "eA=="}, "client-key"),
    case({"username": "a", "password": "b"}, "username and password"),
    case({"token": "t", "as": "admin"}, r"impersonates somebody \(as\)"),
    case({"token": "t", "as-uid": "1"}, "as-uid"),
    case({"token": "t", "as-groups": ["system:masters"]}, "as-groups"),
    case({"token": "t", "as-user-extra": {"a": ["b"]}}, "as-user-extra"),
    case({"token": "t", "new-field": "x"}, "not known here"),
    case({}, "no credential"),
    case(None, "has no credential"),
    case({"client-certificate-data": "eA=="}, "needs both"),
    case({"client-certificate-data": "?", "client-key-data": "eA=="}, "not base64"),
    case({"token": "a b"}, "characters that no token has"),
    case({"token": "a\r\nX: y"}, "characters that no token"),
    case({"token": ["a"]}, "token is not text"),
    case("text", "its users are not a list of entries"),
    pytest.param(
        config({"token": "t"}, {"certificate-authority": "/etc/passwd"}),
        "certificate-authority is a file",
        id="certificate-authority",
    ),
    pytest.param(config({"token": "t"}, kind="List"), "kind is not Config", id="kind"),
    pytest.param(
        config({"token": "t"}, **{"current-context": "no"}),
        "current-context does not exist",
        id="no such context",
    ),
    pytest.param(
        config({"token": "t"}, **{"current-context": "", "contexts": []}),
        "no current-context",
        id="no context",
    ),
    pytest.param(config({"token": "t"}, users=[]), "user of its current", id="no user"),
    pytest.param(config({"token": "t"}, users="u"), "not a list", id="users is text"),
    pytest.param(
        config({"token": "t"}, users=[{"name": "u", "user": {}}] * 2),
        "YAML anchors",
        id="users share an anchor",
    ),
    pytest.param(
        json.dumps({"users": [{"name": "u", "user": {}}, {"name": "u", "user": {}}]}),
        "no current-context|different names",
        id="two users of one name",
    ),
    pytest.param("kind: &a Config\nx: *a", "anchors", id="anchor"),
    pytest.param("kind: *a", "anchors|valid YAML", id="alias"),
    pytest.param("kind: !!python/object/apply:os.system [id]", "tags", id="tag"),
    pytest.param("kind: Config\n---\nkind: Config", "several documents", id="documents"),
    pytest.param("kind: Config\nkind: Config", "key twice", id="key twice"),
    pytest.param("? [a]\n: b\nkind: Config", "not text", id="key that is a list"),
    pytest.param("kind: [", "not valid YAML", id="cut off"),
    pytest.param("- kind: Config", "not a mapping", id="list"),
    pytest.param("kind: \x00", "not valid YAML", id="NUL"),
    pytest.param("kind: \ud800", "not valid YAML", id="half a surrogate"),
    pytest.param("kind: " + "[" * 500, "nested too deeply", id="500 deep"),
    pytest.param("kind: {" + "a: {" * 500, "nested too deeply", id="500 mappings"),
    pytest.param("kind: [" + "a," * 6000 + "]", "too many parts", id="6000 parts"),
    pytest.param("kind: " + "a" * 70_000, "longer than", id="70 kB"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_refused(text: str, message: str) -> None:
    """Each is refused with its reason and the way out, and quickly."""
    began = time.process_time()
    with pytest.raises(CredentialsRejected, match=message) as caught:
        credential_in(text)
    assert time.process_time() - began < 1  # seconds; what is not refused early takes minutes
    assert "kubectl config view" in (caught.value.hint or "")


@pytest.mark.parametrize("field", ["tokenFile", "client-certificate", "client-key"])
def test_no_file_is_opened(tmp_path: Path, field: str) -> None:
    """A FIFO that a kubeconfig names would hold whoever opens it for ever."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(CredentialsRejected):
        credential_in(config({field: str(fifo)}))


def test_refusals_show_no_value() -> None:
    """The message names the field and never what was in it."""
    planted = "planted-secret-value"
    users: list[dict[str, object]] = [
        {"token": planted + " "},
        {"exec": {"command": planted}},
        {"password": planted},
        {planted: "x"},
        {"client-certificate-data": planted, "client-key-data": planted},
    ]
    for user in users:
        with pytest.raises(CredentialsRejected) as caught:
            credential_in(config(user))
        assert planted not in caught.value.message + str(caught.value.hint)


def test_empty_fields_are_no_reason() -> None:
    """Writers leave `exec: null` and `as: ""` behind."""
    user: dict[str, object] = {
        "token": "abc",
        "exec": None,
        "as": "",
        "as-groups": [],
        "username": "",
    }
    assert credential_in(config(user)) == Secret("abc")


@pytest.mark.parametrize(
    "password",
    ["hunter2", "", "eyJhbGciOi.x.y", "shr_" + "a" * 43, "a:b", "x" * 300, "kind words: none here"],
)
def test_other_passwords_are_not_kubeconfigs(password: str) -> None:
    """A password of somebody else's kind is left to others."""
    assert text_of(password) is None


def test_the_shapes_of_a_kubeconfig() -> None:
    """As it is, as JSON, and as base64 of either alphabet, wrapped or not."""
    text = config({"token": "abc"})
    assert text_of(text) == text
    compact = json.dumps(yaml.safe_load(text))
    assert text_of(compact) == compact
    encoded = b64(text)
    assert text_of(encoded) == text
    assert text_of(encoded.rstrip("=")) == text
    assert text_of(base64.urlsafe_b64encode(text.encode()).decode()) == text
    assert text_of(base64.encodebytes(text.encode()).decode()) == text
    assert text_of(b64(encoded)) is None


@given(st.text(max_size=300) | st.from_regex(r"(?s)kind:.{0,200}", fullmatch=True))
def test_any_text_is_a_credential_or_a_refusal(text: str) -> None:
    """Nothing but `CredentialsRejected` comes out, whatever goes in."""
    try:
        found = credential_in(text)
    except CredentialsRejected:
        return
    assert isinstance(found, Secret | CertificatePair)
