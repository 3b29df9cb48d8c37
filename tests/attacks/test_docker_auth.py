"""The bridge to docker_auth: the real commands, run as it runs them, and rows 1, 2, 4 through it.

docker_auth itself is not among the tools of the tests. It runs the command with standard input and
reads exit code and standard output (`authn/ext_auth.go`, `authz/ext_authz.go`), as is done here.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.attacks.target import api_of, kubeconfig
from tests.integration.people import SEALOSHUB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.attacks.cast import Cast
    from tests.integration.hub import Hub

    Run = Callable[[str, str], subprocess.CompletedProcess[str]]


@pytest.fixture(params=["flags", "environment", "file"])
def run(
    request: pytest.FixtureRequest, hub: Hub, tmp_path: Path, server_env: Mapping[str, str]
) -> Run:
    """Return a function that runs a command as docker_auth does, configured in each way."""
    api = api_of(hub.data)
    arguments: list[str] = []
    env = dict(server_env)
    if request.param == "flags":
        names = {"--api-server": "server", "--ca-file": "ca_file", "--token-file": "token_file"}
        arguments = [word for flag, key in names.items() for word in (flag, api[key])]
    elif request.param == "environment":
        env |= {f"SEALOSHUB_API_{key.upper()}": api[key] for key in ("server", "ca_file")}
        env["SEALOSHUB_API_TOKEN_FILE"] = api["token_file"]
        env["SEALOSHUB_API_SERVER"] = api["server"]
    else:
        file = tmp_path / "plugin.yaml"
        file.write_text(yaml.safe_dump({"api": dict(api), "plugins": [{"name": "kubernetes"}]}))
        arguments = ["--config", str(file)]

    def ask(command: str, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SEALOSHUB), "hub", "plugin", command, *arguments],
            input=text,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return ask


def test_docker_auth_knows_the_users_of_kubernetes(run: Run, cast: Cast) -> None:
    """A token is good, and its labels say whose it is, however the command was configured."""
    account = cast.alice.name.removeprefix("system:serviceaccount:").replace(":", "/")
    good = run("ext-auth", f"{account} {cast.alice.secret}")
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["labels"]["kubernetes_user"] == [cast.alice.name]


@pytest.mark.parametrize("run", ["flags"], indirect=True)
def test_docker_auth_asks_for_rights_by_labels(run: Run, cast: Cast) -> None:
    """Labels of the one command make the other decide; failures are neither yes nor no."""
    good = run("ext-auth", f"{cast.bob.name} {cast.bob.secret}")
    assert good.returncode == 0, good.stderr
    labels: dict[str, Any] = json.loads(good.stdout)["labels"]
    request = {
        "Account": cast.bob.name,
        "Type": "repository",
        "Name": cast.private,
        "Service": "hub",
        "IP": "10.0.0.1",
        "Actions": ["pull", "push"],
        "Labels": labels,
    }
    allowed = run("ext-authz", json.dumps(request))
    assert allowed.returncode == 0, allowed.stderr
    for denied in (
        {**request, "Name": f"{cast.own}/app"},
        {**request, "Labels": {}},
    ):
        assert run("ext-authz", json.dumps(denied)).returncode == 1
    assert run("ext-authz", "no request").returncode == 3


@pytest.mark.parametrize("run", ["flags"], indirect=True)
def test_docker_auth_refuses_what_the_token_server_refuses(
    run: Run, cast: Cast, tmp_path: Path
) -> None:
    """Nobody, somebody else's name and paths are a 1, and no secret is shown."""
    file = tmp_path / "token"
    file.write_text(cast.alice.secret)
    last = cast.alice.name.rpartition(":")[2]
    for account, secret in (
        ("admin", kubeconfig({"tokenFile": str(file)})),
        (last, cast.mallory.secret),
    ):
        done = run("ext-auth", f"{account} {secret}")
        assert done.returncode == 1, done.stderr
        assert done.stdout == ""
        assert secret not in done.stderr
