"""A login that is stored already."""

from __future__ import annotations

from sealoshub import credentials
from sealoshub.cli import options
from sealoshub.secret import Secret


def log_in(host: str, secret: str = "shr_secret") -> None:  # noqa: S107  # a test's
    """Store a login of alice, as `sealoshub login` does.

    Args:
        host: The hub.
        secret: A refresh token if it begins with `shr_`, else a password.
    """
    credentials.save(
        host,
        "alice",
        Secret(secret),
        is_refresh_token=secret.startswith("shr_"),
        places=options.credential_places(),
    )
