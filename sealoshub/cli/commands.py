"""Which commands there are, known without importing any of them."""

from __future__ import annotations

from typing import Final

from sealoshub.value import Value


class Entry(Value):
    """Where a command is, and what the list of commands says of it without importing it.

    Args:
        place: Its module, and in it `app`, the `typer.Typer`, or a function that can be called
            without typer; see :mod:`sealoshub.cli.declared`.
        line: The first sentence of its own help; a test compares the two.
        usage: What stands behind its options in its usage line; None: what typer says.
    """

    place: str
    line: str
    usage: str | None = None

    @property
    def module(self) -> str:
        """The name of its module."""
        return self.place.partition(":")[0]

    @property
    def name(self) -> str:
        """What it is called in its module."""
        return self.place.partition(":")[2]

    @property
    def is_function(self) -> bool:
        """It can be called without typer."""
        return self.name != "app"


# In the order in which --help lists them.
COMMANDS: Final = {
    "login": Entry(
        "sealoshub.cli.login:app",
        "Log in to a hub; afterwards docker, podman, skopeo, crane, oras ...",
    ),
    "logout": Entry(
        "sealoshub.cli.logout:app",
        "Log out: erase the credential wherever it was stored, and revoke it at the hub.",
    ),
    "whoami": Entry(
        "sealoshub.cli.whoami:app",
        "Show as whom you are logged in, until when, and where the credential lies.",
    ),
    "push": Entry(
        "sealoshub.cli.push:push",
        "Push an image and describe it: its Image resource is applied with your kubeconfig.",
        usage="[SOURCE] REF",
    ),
    "pull": Entry(
        "sealoshub.cli.pull:pull",
        "Pull an image into an OCI layout, an OCI archive or a docker archive.",
    ),
    "apply": Entry(
        "sealoshub.cli.apply:app",
        "Apply organizations, repositories, images and data packs.",
    ),
    "get": Entry(
        "sealoshub.cli.get:app",
        "Show organizations, repositories, images or data packs.",
    ),
    "search": Entry(
        "sealoshub.cli.search:app",
        "Find images by name, keywords and description.",
    ),
    "org": Entry(
        "sealoshub.cli.org:app",
        "Make organizations and share them.",
    ),
    "repo": Entry(
        "sealoshub.cli.repo:app",
        "Make repositories public or private, rule their tags, or delete them.",
    ),
    "token": Entry(
        "sealoshub.cli.token:app",
        "Personal tokens, and the logins that you have.",
    ),
    "explain": Entry(
        "sealoshub.cli.explain:app",
        "Say whether you may pull, push or delete, and which rule says so; else whom to ask.",
    ),
    "doctor": Entry(
        "sealoshub.cli.doctor:app",
        "Look at every step between this machine and a hub, and say how to repair what fails.",
    ),
    "hub": Entry(
        "sealoshub.cli.hub:app",
        "Run a hub on this machine, or the server side of one in a cluster.",
    ),
    "credential-helper": Entry(
        "sealoshub.cli.credential_helper:app",
        "Speak the docker credential helper protocol: a server's address in, its credential out.",
    ),
    "completion": Entry(
        "sealoshub.cli.completion:app",
        "Print a completion script for bash, zsh or fish.",
    ),
}
