"""`sealoshub credential-helper`: the docker credential helper, as a command."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from sealoshub.cli import docker_credential

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Verb(StrEnum):
    """What a helper can be asked."""

    GET = "get"
    STORE = "store"
    ERASE = "erase"
    LIST = "list"


@app.command()
def credential_helper(
    verb: Annotated[Verb, typer.Argument(help="What to do.")],
) -> None:
    """Speak the docker credential helper protocol: a server's address in, its credential out.

    The same as docker-credential-sealoshub, which docker, skopeo, crane, oras and regctl start
    themselves after `sealoshub login --store helper` or `--store keyring`.
    get and erase read the server's address from standard input, store reads JSON with ServerURL,
    Username and Secret. Errors come on standard output, as the protocol wants it.

    Example: echo hub.example.com | sealoshub credential-helper get
    """
    raise typer.Exit(docker_credential.run([str(verb)]))
