"""The user name that was typed beside a Kubernetes credential: evidence of nothing.

Nobody shall believe that he is somebody else, so a name that is not his is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealoshub.authplugin import CredentialsRejected

if TYPE_CHECKING:
    from sealoshub.authplugin import Credential, Identity

_ANONYMOUS_NAME: Final = "system:anonymous"
_ANONYMOUS_GROUP: Final = "system:unauthenticated"
_ANY_ACCOUNT: Final = frozenset({"", "token", "<token>", "sealoshub"})


def check(identity: Identity, account: str) -> None:
    """Hold that it is somebody, and that he is not made to believe he is somebody else.

    Raises:
        CredentialsRejected: It is nobody, or the user name that was typed is another one.
    """
    if identity.name == _ANONYMOUS_NAME or _ANONYMOUS_GROUP in identity.groups:
        raise CredentialsRejected("the API server does not know this credential")
    last = identity.name.rpartition(":")[2]
    if account not in _ANY_ACCOUNT and account not in {identity.name, last}:
        raise CredentialsRejected(
            f"this credential belongs to {identity.name}, not to the user name that was given",
            hint=f"Use the user name {last} or sealoshub.",
        )


def is_cut(credential: Credential) -> bool:
    """Tell whether HTTP Basic split `system:serviceaccount:…:PASSWORD` at its first colon."""
    return credential.account == "system" and credential.secret.reveal().startswith(
        ("serviceaccount:", "node:")
    )
