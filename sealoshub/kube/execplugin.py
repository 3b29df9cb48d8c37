"""Credential plugins of a kubeconfig (`users[].user.exec`), run as kubectl runs them.

They run on the user's own machine only, never on a server. Protocol: the Kubernetes documentation,
"client-go credential plugins", `client.authentication.k8s.io/v1` and `/v1beta1`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from sealoshub.errors import AuthenticationError, InvalidInputError
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

API_VERSIONS: Final = (
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
)
UNATTENDED_SECONDS: Final = 60.0  # a program that nobody talks to is done by then, or hangs
ATTENDED_SECONDS: Final = 600.0  # a person may have to find a second factor

InteractiveMode = Literal["Never", "IfAvailable", "Always"]


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """What the kubeconfig says about one plugin.

    Args:
        command: Program to run; with a slash in it, already resolved against the kubeconfig.
        arguments: Its arguments.
        environment: Variables added to the inherited ones.
        api_version: One of :data:`API_VERSIONS`.
        interactive_mode: Whether it may, or must, talk to a person.
        install_hint: What the kubeconfig's author says about a missing program.
        cluster: `spec.cluster` of the request if `provideClusterInfo` is set, else None.
        source: Kubeconfig and user, for messages.
    """

    command: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    api_version: str
    interactive_mode: InteractiveMode
    install_hint: str | None
    cluster: dict[str, object] | None
    source: str


@dataclass(frozen=True, slots=True)
class ExecCredential:
    """What a plugin answered: a token, or a certificate with its key, or both."""

    token: Secret | None
    certificate_pem: bytes | None
    key_pem: Secret | None
    expires: datetime | None


def run(
    plugin: ExecPlugin,
    *,
    interactive: bool,
    env: Mapping[str, str],
    directory: Path | None = None,
    timeout: float | None = None,
) -> ExecCredential:
    """Run *plugin* and read its answer.

    Its standard error goes to ours, as with kubectl; its standard input is the terminal only if it
    may be interactive.

    Args:
        plugin: What to run.
        interactive: Whether somebody sits at a terminal.
        env: The environment to inherit.
        directory: Where to run it. None: here.
        timeout: Seconds. None: a minute, or ten if a person may have to answer.

    Raises:
        AuthenticationError: The program is missing, needs a terminal, fails, takes too long, or
            answers something else than a credential.
    """
    if plugin.interactive_mode == "Always" and not interactive:
        raise AuthenticationError(
            f"the credential plugin {plugin.command} of {plugin.source} needs a terminal",
            hint="Run this command in a terminal, or use --token-file.",
        )
    attended = interactive and plugin.interactive_mode != "Never"
    request = {
        "kind": "ExecCredential",
        "apiVersion": plugin.api_version,
        "spec": {"interactive": attended}
        | ({"cluster": plugin.cluster} if plugin.cluster is not None else {}),
    }
    environment = {
        **env,
        **dict(plugin.environment),
        "KUBERNETES_EXEC_INFO": json.dumps(request),
    }
    program = shutil.which(plugin.command, path=environment.get("PATH", os.defpath))
    if program is None:
        raise AuthenticationError(
            f"the credential plugin {plugin.command} of {plugin.source} is not installed",
            hint=plugin.install_hint or f"Install {plugin.command}, or use --token-file.",
        )
    limit = timeout or (ATTENDED_SECONDS if attended else UNATTENDED_SECONDS)
    try:
        done = subprocess.run(  # noqa: S603  # the user's own kubeconfig names the program
            [program, *plugin.arguments],
            env=environment,
            stdin=None if attended else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=directory,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise AuthenticationError(
            f"the credential plugin {plugin.command} of {plugin.source} gave no answer"
            f" in {limit:.0f} seconds",
            hint="Run it by hand to see what it waits for.",
        ) from exc
    except OSError as exc:
        raise AuthenticationError(
            f"the credential plugin {plugin.command} of {plugin.source} cannot be run:"
            f" {exc.strerror}",
        ) from exc
    if done.returncode != 0:
        raise AuthenticationError(
            f"the credential plugin {plugin.command} of {plugin.source} failed with exit code"
            f" {done.returncode}",
            hint="Its own message is above. A new login with your provider's tool often helps.",
        )
    return read_answer(done.stdout, plugin)


def read_answer(answer: bytes, plugin: ExecPlugin) -> ExecCredential:
    """Read the `ExecCredential` that a plugin printed.

    Raises:
        AuthenticationError: It is no such object, of another version, or holds no credential.
    """

    def refuse(reason: str) -> AuthenticationError:
        return AuthenticationError(
            f"the credential plugin {plugin.command} of {plugin.source} {reason}",
            hint="Run it by hand: it must print an ExecCredential object.",
        )

    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        # The answer may hold a secret, so neither it nor the parser's excerpt is shown.
        raise refuse("did not print JSON") from None
    if not isinstance(found, dict) or found.get("kind") != "ExecCredential":
        raise refuse("did not print an ExecCredential")
    if found.get("apiVersion") != plugin.api_version:
        raise refuse(
            f"answered with apiVersion {found.get('apiVersion')!r}, asked was {plugin.api_version}"
        )
    status = found.get("status")
    if not isinstance(status, dict):
        raise refuse("answered without a status")
    names = ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
    wrong = [name for name in names if not isinstance(status.get(name), str | None)]
    if wrong:
        raise refuse(f"answered with a {wrong[0]} that is not a string")
    token, certificate, key, expiration = (status.get(name) or "" for name in names)
    if bool(certificate) != bool(key):
        raise refuse("answered with a certificate or a key, but not with both")
    if not token and not certificate:
        raise refuse("answered with neither a token nor a certificate")
    try:
        expires = _moment(expiration)
    except ValueError:
        raise refuse("answered with an expirationTimestamp that is not a time") from None
    return ExecCredential(
        token=Secret(token) if token else None,
        certificate_pem=certificate.encode() if certificate else None,
        key_pem=Secret(key) if key else None,
        expires=expires,
    )


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def plugin_from(
    stanza: Mapping[str, object], *, cluster: dict[str, object], source: str, directory: Path
) -> ExecPlugin:
    """Read the `exec` stanza of a user.

    Args:
        stanza: The mapping as the kubeconfig has it.
        cluster: What to tell the plugin about the cluster if it wants to know.
        source: Kubeconfig and user, for messages.
        directory: The kubeconfig's directory, which relative commands with a slash start from.

    Raises:
        InvalidInputError: The stanza is wrong.
        AuthenticationError: It asks for a version of the protocol that is no more.
    """
    version = stanza.get("apiVersion")
    if version not in API_VERSIONS:
        raise AuthenticationError(
            f"the credential plugin of {source} speaks {version!r}, which kubectl no longer runs",
            hint=f"Renew the kubeconfig; its exec stanza should say apiVersion: {API_VERSIONS[0]}.",
        )
    command = stanza.get("command")
    if not isinstance(command, str) or not command:
        raise InvalidInputError(f"the exec stanza of {source} names no command")
    if os.sep in command and not Path(command).is_absolute():
        command = str(directory / command)
    mode = stanza.get("interactiveMode")
    if mode is None and version == API_VERSIONS[0]:
        raise InvalidInputError(f"the exec stanza of {source} has no interactiveMode")
    if mode not in {None, "Never", "IfAvailable", "Always"}:
        raise InvalidInputError(f"the exec stanza of {source} has interactiveMode {mode!r}")
    arguments = stanza.get("args") or []
    variables = stanza.get("env") or []
    if not isinstance(arguments, list) or not all(isinstance(a, str) for a in arguments):
        raise InvalidInputError(
            f"args of the exec stanza of {source} is not a list of strings",
            hint="Put numbers and words like yes into quotes.",
        )
    if not isinstance(variables, list) or not all(
        isinstance(v, dict) and isinstance(v.get("name"), str) and isinstance(v.get("value"), str)
        for v in variables
    ):
        raise InvalidInputError(
            f"env of the exec stanza of {source} is not a list of names and values",
            hint="Put numbers and words like yes into quotes.",
        )
    hint = stanza.get("installHint")
    return ExecPlugin(
        command=command,
        arguments=tuple(arguments),
        environment=tuple((v["name"], v["value"]) for v in variables),
        api_version=version,
        interactive_mode=_mode(mode),
        install_hint=hint.strip() if isinstance(hint, str) and hint.strip() else None,
        cluster=cluster if stanza.get("provideClusterInfo") is True else None,
        source=source,
    )


def _mode(text: object) -> InteractiveMode:
    if text == "Never":
        return "Never"
    return "Always" if text == "Always" else "IfAvailable"  # IfAvailable: v1beta1's default
