"""How a push, a copy and a pull speak to registries: as whom, how, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealoshub.cli import options, session
from sealoshub.value import Value

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.cli.output import Output
    from sealoshub.reference import Reference
    from sealoshub.registry.client import Client
    from sealoshub.registry.image import Platform
    from sealoshub.registry.source import ImageSource


class Speaking(Value):
    """How the registries of one command are spoken to.

    Args:
        authfile: The one credential file to use.
        tls: How, and whom to believe.
        retry_seconds: How long a step may be tried again; None: the default.
        out: Is told as whom.
    """

    authfile: Path | None
    tls: session.Tls
    retry_seconds: float | None
    out: Output

    def client(self, reference: Reference) -> Client:
        """Return a client of the host of *reference*, with the login for its repository."""
        places = options.credential_places(self.authfile)
        out = self.out
        stored = session.stored_for(reference.host, reference.repository, places, out)
        if stored is not None:
            out.detail(f"as {stored.account or 'the user of a token'} ({stored.location})")
            end = session.known_end(reference.host, stored)
            session.warn_of_end(reference.host, end, out)
        return session.registry_client(
            reference.host, stored, self.tls, out, retry_seconds=self.retry_seconds
        )

    def open_remote(self, reference: Reference, platform: Platform | None) -> ImageSource:
        """Open an image in a registry, as whoever is logged in there."""
        from sealoshub.registry import remote_source  # noqa: PLC0415  # for few pushes

        return remote_source.open_remote(self.client(reference), reference, platform)
