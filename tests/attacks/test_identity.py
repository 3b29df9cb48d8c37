"""Rows 1 to 9: somebody who is not who he says, and kubeconfigs that would make a server act."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Final

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate

from tests.attacks.bait import Folder, Listener
from tests.attacks.target import kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

    from tests.attacks.cast import Cast
    from tests.attacks.target import Client
    from tests.unit.authserver.running import Answer

WRITE: Final = "pull,push"


def refused(answer: Answer, *reasons: str) -> None:
    """Hold that it is a 401 without a token, and that its message has every reason."""
    assert answer.status == 401, answer.body
    assert set(answer.json) == {"errors", "error", "error_description"}
    assert answer.headers["www-authenticate"].startswith("Basic ")
    for reason in reasons:
        assert reason in answer.message


@pytest.mark.parametrize("user", [{}, {"token": ""}, {"client-certificate-data": ""}])
def test_row_01_a_kubeconfig_without_a_credential(
    stranger: Client, cast: Cast, user: dict[str, str]
) -> None:
    """A kubeconfig that proves nothing is nobody, whatever name is typed with it."""
    for name in ("admin", cast.alice.name.rpartition(":")[2], ""):
        refused(
            stranger.get(f"repository:{cast.private}:{WRITE}", login=(name, kubeconfig(user))),
            "no credential",
        )


def test_row_02_the_name_of_somebody_else(stranger: Client, cast: Cast) -> None:
    """Mallory's credential with Alice's name is refused, names Mallory, and grants nothing."""
    alice = cast.alice.name.rpartition(":")[2]
    for name in (alice, cast.bob.name, "admin"):
        refused(
            stranger.get(f"repository:{cast.private}:{WRITE}", login=(name, cast.mallory.secret)),
            cast.mallory.name,
        )
    refused(
        stranger.get(f"repository:{cast.own}/app:{WRITE}", login=("mallory", cast.alice.secret)),
        cast.alice.name,
    )
    own = stranger.get(f"repository:{cast.private}:{WRITE}", login=cast.mallory.login)
    assert own.claims["sub"] == cast.mallory.name
    assert own.access == {f"repository:{cast.private}": []}


def test_row_02_the_certificate_of_somebody_else(stranger: Client, cast: Cast) -> None:
    """A certificate is no secret: without its own key it is worthless, whoever was here before."""
    owner, thief = (
        yaml.safe_load(one.secret)["users"][0]["user"] for one in (cast.bob, cast.mallory)
    )
    key = load_pem_private_key(base64.b64decode(thief["client-key-data"]), None)
    certificate = owner["client-certificate-data"]
    scope = f"repository:{cast.private}:{WRITE}"
    for who in (cast.bob, cast.mallory):  # so that the hub knows both, and their CA
        assert stranger.get(scope, login=("", who.secret)).claims["sub"] == who.name
    for text in (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        with_the_public_key_of(certificate, key),
    ):
        stolen = {
            "client-certificate-data": certificate,
            "client-key-data": base64.b64encode(text).decode(),
        }
        refused(stranger.get(scope, login=("", kubeconfig(stolen))), "key")
    chain = base64.b64decode(certificate) + base64.b64decode(thief["client-certificate-data"])
    both = {**thief, "client-certificate-data": base64.b64encode(chain).decode()}
    refused(stranger.get(scope, login=("", kubeconfig(both))), "key")


def with_the_public_key_of(certificate: str, key: object) -> bytes:
    """Return an EC key file with the secret of *key* and the public half of somebody else."""
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    victim = load_pem_x509_certificate(base64.b64decode(certificate)).public_key()
    own, other = (
        one.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        for one in (key.public_key(), victim)
        if isinstance(one, ec.EllipticCurvePublicKey)
    )
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert der.count(own) == 1
    text = base64.encodebytes(der.replace(own, other))
    return b"-----BEGIN PRIVATE KEY-----\n%s-----END PRIVATE KEY-----\n" % text


def test_row_03_a_form_that_speaks_of_two_users(stranger: Client, cast: Cast) -> None:
    """`account` in a form never becomes the user: it is an error or ignored."""
    scope = f"repository:{cast.private}:{WRITE}"
    alice, mallory = cast.alice.name.rpartition(":")[2], cast.mallory
    form = {"grant_type": "password", "username": mallory.name, "password": mallory.secret}
    assert stranger.post(scope, **form, account=alice).status == 400
    own = stranger.post(scope, **form)
    assert own.claims["sub"] == mallory.name
    assert own.access == {f"repository:{cast.private}": []}
    # Without a user name the account is a claim of its own, and nothing but a hint.
    unnamed = stranger.post(
        scope, grant_type="password", password=mallory.secret, username="", account=alice
    )
    assert unnamed.status == 200
    assert unnamed.claims["sub"] == mallory.name
    login = {"authorization": "Basic bWFsbG9yeTp3b3J0aGxlc3M="}
    assert stranger.post_with(login, scope, **form).status == 400


@pytest.mark.parametrize("kind", ["file", "fifo"])
@pytest.mark.parametrize("field", ["tokenFile", "client-certificate", "certificate-authority"])
def test_row_04_paths_in_a_kubeconfig(
    stranger: Client, cast: Cast, tmp_path: Path, field: str, kind: str
) -> None:
    """The server opens no file that a kubeconfig names, and says why it refuses it."""
    file = tmp_path / "file"
    if kind == "fifo":
        os.mkfifo(file)
    else:
        file.write_text(cast.alice.secret)
    path = str(file)
    user: dict[str, object] = {"tokenFile": path}
    cluster: dict[str, object] = {}
    if field == "client-certificate":
        user = {"client-certificate": path, "client-key": path}
    elif field == "certificate-authority":
        user, cluster = {"token": cast.alice.secret}, {"certificate-authority": path}
    with Folder(tmp_path) as folder:
        answer = stranger.get(
            f"repository:{cast.private}:{WRITE}", login=("", kubeconfig(user, **cluster))
        )
        refused(answer, field, "file")
        assert not folder.was_touched()
        if kind == "file":  # the watch does see who reads it
            file.read_text()
            assert folder.was_touched()


def test_row_05_a_proxy_of_an_attacker(stranger: Client, cast: Cast) -> None:
    """`proxy-url` is ignored: a good token next to it works, and nobody connects to the proxy."""
    with Listener() as proxy:
        text = kubeconfig(
            {"token": cast.alice.secret},
            **{"proxy-url": f"http://{proxy.address}", "server": f"https://{proxy.address}"},
        )
        answer = stranger.get(f"repository:{cast.private}:{WRITE}", login=("", text))
        assert answer.claims["sub"] == cast.alice.name
        assert answer.access == {f"repository:{cast.private}": ["pull", "push"]}
        assert proxy.connections == 0


@pytest.mark.parametrize("user", [{}, {"token": "anything"}, {"token": "eyJh.eyJh.c2ln"}])
def test_row_06_an_api_server_of_an_attacker(
    stranger: Client, cast: Cast, user: dict[str, str]
) -> None:
    """An API server that a kubeconfig names is never asked, verified or not."""
    with Listener() as rogue:
        for scheme in ("http", "https"):
            text = kubeconfig(
                user,
                **{
                    "server": f"{scheme}://{rogue.address}",
                    "proxy-url": f"http://{rogue.address}",
                    "insecure-skip-tls-verify": True,
                    "tls-server-name": "localhost",
                },
            )
            refused(stranger.get(f"repository:{cast.private}:{WRITE}", login=("admin", text)))
        assert rogue.connections == 0


def test_row_07_the_token_of_the_hub_for_an_attacker(
    stranger: Client, cast: Cast, tmp_path: Path
) -> None:
    """The hub's ServiceAccount token is not sent to a server that a kubeconfig names."""
    token = tmp_path / "token"
    token.write_text("the hub's own")
    with Listener() as rogue, Folder(tmp_path) as folder:
        text = kubeconfig(
            {"tokenFile": str(token)},
            **{
                "server": f"https://{rogue.address}",
                "proxy-url": f"http://{rogue.address}",
                "insecure-skip-tls-verify": True,
            },
        )
        refused(stranger.get(f"repository:{cast.private}:{WRITE}", login=("", text)), "tokenFile")
        assert not folder.was_touched()
        assert rogue.connections == 0


def test_row_08_a_program_in_a_kubeconfig(stranger: Client, cast: Cast, tmp_path: Path) -> None:
    """The server runs no `exec` plugin, not even one with a good token in its answer."""
    marker, program = tmp_path / "marker", tmp_path / "bin" / "plugin"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(program),
        "interactiveMode": "Never",
    }
    with Folder(program.parent) as folder:
        for user in ({"exec": plugin}, {"exec": plugin, "token": cast.alice.secret}):
            refused(
                stranger.get(f"repository:{cast.private}:{WRITE}", login=("", kubeconfig(user))),
                "exec",
            )
        assert not folder.was_touched()
    assert not marker.exists()


@pytest.mark.parametrize(
    "field",
    [
        {"auth-provider": {"name": "oidc", "config": {"id-token": "x"}}},
        {"username": "admin", "password": "admin"},
        {"as": "admin"},
        {"as-groups": ["system:masters"]},
        {"as-uid": "1"},
        {"as-user-extra": {"a": ["b"]}},
        {"impersonate": "admin"},
    ],
    ids=lambda field: next(iter(field)),
)
def test_row_09_other_ways_to_be_somebody(
    stranger: Client, cast: Cast, field: dict[str, object]
) -> None:
    """A field that is not understood to its end is refused, also beside a good token."""
    name = next(iter(field))
    shown = "not known" if name == "impersonate" else name
    text = kubeconfig({**field, "token": cast.alice.secret})
    refused(stranger.get(f"repository:{cast.private}:{WRITE}", login=("", text)), shown)
