"""With what a user wants to log in: the options of `login`, resolved to one secret."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealoshub.cli import session
from sealoshub.errors import (
    AuthenticationError,
    DeniedError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from sealoshub.kube import expiry
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sealoshub.cli.output import Output
    from sealoshub.kube.kubeconfig import ClusterCredential

MAX_SECRET: Final = 1 << 20  # bytes; the token server reads no more than 128 KiB
NOBODY_IN_PARTICULAR: Final = "sealoshub"  # the hub shall say who I am


@dataclass(frozen=True, slots=True)
class Choice:
    """What the options of `login` say about the credential; at most one of them may.

    Args:
        kubeconfig: Path; empty for the default place; None if not asked for.
        context: Context in it.
        token: The token itself.
        token_file: File that holds it.
        token_stdin: It comes on standard input.
        username: Account name.
        password_stdin: The password comes on standard input.
    """

    kubeconfig: str | None = None
    context: str | None = None
    token: str | None = None
    token_file: Path | None = None
    token_stdin: bool = False
    username: str | None = None
    password_stdin: bool = False

    def check(self) -> None:
        """Refuse contradictions.

        Raises:
            UsageError: More than one credential is named, or one lacks its other half.
        """
        named = [
            option
            for option, given in (
                ("--kubeconfig", self.kubeconfig is not None),
                ("--token", self.token is not None),
                ("--token-file", self.token_file is not None),
                ("--token-stdin", self.token_stdin),
                ("--password-stdin", self.password_stdin),
            )
            if given
        ]
        if len(named) > 1:
            raise UsageError(f"{' and '.join(named)} exclude each other", hint="Give one of them.")
        if self.password_stdin and not self.username:
            raise UsageError("--password-stdin needs a user name", hint="Add --username NAME.")
        if self.context is not None and named not in ([], ["--kubeconfig"]):
            raise UsageError(f"--context makes no sense with {named[0]}")


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered to the hub.

    Args:
        account: Full name of the user, as far as it is known here.
        secret: Token, password, or a minimal kubeconfig.
        source: Where it came from, for messages.
        expires: When it ends, if it says so.
    """

    account: str
    secret: Secret
    source: str
    expires: datetime | None


def resolve(choice: Choice, out: Output) -> Offer:
    """Find the credential that *choice* means, asking on a terminal if it means none.

    Raises:
        UsageError: There is nothing to log in with, and nobody to ask.
        AuthenticationError: The kubeconfig has no usable credential, or the cluster refused it.
        InvalidInputError: A file is missing or malformed.
    """
    choice.check()
    name = choice.username
    if choice.kubeconfig is not None or choice.context is not None:
        return _kubeconfig(choice.kubeconfig, choice.context, name, out)
    if choice.password_stdin:
        return Offer(name or "", Secret(read_stdin()), "standard input", None)
    found = _named_token(choice, out)
    return found or _ask(name, out)


def _named_token(choice: Choice, out: Output) -> Offer | None:
    if choice.token is not None:
        out.note("other users of this machine may see --token; --token-file does not show it")
        return _token(choice.token, choice.username, "--token")
    if choice.token_file is not None:
        return _token(_read(choice.token_file), choice.username, str(choice.token_file))
    if choice.token_stdin:
        return _token(read_stdin(), choice.username, "standard input")
    return None


def _ask(name: str | None, out: Output) -> Offer:
    """Use the kubeconfig that is there, or ask the person at the terminal."""
    if not session.is_interactive():
        raise UsageError(
            "there is nothing to log in with, and no terminal to ask at",
            hint="Add --kubeconfig, --token-file FILE, or --username NAME --password-stdin.",
        )
    if name is None and session.has_kubeconfig():
        offer = _kubeconfig(None, None, None, out)
        out.note(f"logging in with {offer.source}")
        return offer
    try:
        account = name or _ask_name()
        secret = getpass.getpass("Password or token: ")
    except (KeyboardInterrupt, EOFError):
        # What is said next does not belong behind the prompt.
        sys.stderr.write("\n")
        raise KeyboardInterrupt from None
    if not secret:
        raise UsageError("an empty password is none")
    return Offer(account, Secret(secret), "your input", expiry.of_token(secret))


def _ask_name() -> str:
    # Not input(): it writes its prompt to standard output if that is no terminal.
    sys.stderr.write("User name: ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    name = line.strip()
    if not name:
        raise UsageError("an empty user name is none")
    return name


def read_stdin() -> str:
    """Read all of standard input, cut one final end of line, keep inner ones.

    Raises:
        UsageError: It is empty, too long, or not UTF-8.
    """
    content = sys.stdin.buffer.read(MAX_SECRET + 1)
    if len(content) > MAX_SECRET:
        raise UsageError(f"standard input is longer than {MAX_SECRET >> 20} MiB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise UsageError("standard input is not text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise UsageError("standard input is empty")
    return text


def _token(text: str, name: str | None, source: str) -> Offer:
    token = text.strip()
    if not token:
        raise UsageError(f"the token of {source} is empty")
    end = expiry.of_token(token)
    return Offer(name or NOBODY_IN_PARTICULAR, Secret(token), source, end)


def _kubeconfig(path: str | None, context: str | None, name: str | None, out: Output) -> Offer:
    credential = session.cluster_credential(path, context, out)
    known = _ask_cluster(credential, out)
    if credential.certificate_pem is None and credential.token is not None:
        secret = credential.token
    else:
        secret = credential.minimal_kubeconfig()
    account = name or known or NOBODY_IN_PARTICULAR
    return Offer(account, secret, credential.source, credential.expires)


def _ask_cluster(credential: ClusterCredential, out: Output) -> str | None:
    """Ask the cluster who this is; None if it cannot be asked from here."""
    try:
        with session.open_cluster(credential) as cluster:
            return cluster.whoami().name
    except AuthenticationError as exc:
        raise AuthenticationError(
            f"{credential.server} refused the credential of {credential.source}: {exc.message}",
            hint="It may have expired. Get a new one where this one came from, then repeat this"
            " command.",
        ) from exc
    except (UnavailableError, DeniedError, NotFoundError) as exc:
        out.note(f"{exc.message}; the hub will say who you are")
        return None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_SECRET + 1)
        if len(content) > MAX_SECRET:
            raise InvalidInputError(f"{path} is longer than {MAX_SECRET >> 20} MiB")
        return content.decode()
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no file {path}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInputError(f"{path} cannot be read as text") from exc
