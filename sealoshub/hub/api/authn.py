"""Who is asking: client certificate, bearer token, or nobody; and impersonation."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealoshub.hub.api.rbac import (
    ACCOUNT_PREFIX,
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    Question,
    Rbac,
    User,
)
from sealoshub.hub.api.status import ApiError, bad_request, forbidden, unauthorized
from sealoshub.hub.api.tokens import CREDENTIAL_ID, Authenticated, Tokens, account_groups

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NOBODY: Final = User(ANONYMOUS, groups=(UNAUTHENTICATED,))
_USER: Final = "impersonate-user"
_GROUP: Final = "impersonate-group"
_UID: Final = "impersonate-uid"
_EXTRA: Final = "impersonate-extra-"
_PARTS: Final = 2  # of a ServiceAccount's user name behind its prefix


class StaticTokens:
    """Bearer tokens of users, kept as hashes in a file that `pki.issue_token` writes.

    It is a class because it remembers the file until that changes.

    Args:
        file: JSON: hash of the token → `{"user": …, "groups": […]}`.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int] = (0, 0)
        self._users: dict[str, dict[str, Any]] = {}

    def find(self, token: str) -> User | None:
        """Return the user of *token*, or None."""
        try:
            stat = self._file.stat()
        except OSError:
            return None
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp != self._stamp:
            self._users = json.loads(self._file.read_text("utf-8"))
            self._stamp = stamp
        # The lookup is by a hash of the token: its timing says nothing about stored tokens.
        entry = self._users.get(hashlib.sha256(token.encode()).hexdigest())
        if entry is None:
            return None
        return User(entry["user"], groups=(*entry["groups"], AUTHENTICATED))


def certificate_user(der: bytes) -> User | None:
    """Return the user that a verified client certificate names, or None without a name.

    Args:
        der: The certificate; TLS has verified it against the client CA.
    """
    certificate = x509.load_der_x509_certificate(der)
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None
    if not {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(
        usage
    ):
        return None
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names or not names[0].value:
        return None
    groups = [
        str(one.value)
        for one in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    ]
    fingerprint = hashlib.sha256(der).hexdigest()
    return User(
        str(names[0].value),
        groups=(*groups, AUTHENTICATED),
        extra={CREDENTIAL_ID: (f"X509SHA256={fingerprint}",)},
    )


def authenticate(
    certificate: bytes | None, authorization: str | None, tokens: Tokens, static: StaticTokens
) -> User:
    """Return who is asking; a certificate wins over a token.

    Args:
        certificate: DER of the verified client certificate.
        authorization: The Authorization header.
        tokens: ServiceAccount tokens.
        static: Users' tokens.

    Raises:
        ApiError: 401 for a credential that is not good.
    """
    if certificate is not None:
        user = certificate_user(certificate)
        if user is not None:
            return user
    if authorization is None:
        return NOBODY
    scheme, _, credential = authorization.strip().partition(" ")
    token = credential.strip()
    if scheme.lower() != "bearer" or not token:
        return NOBODY  # as Kubernetes: another scheme is nobody's credential
    found = review(token, (tokens.issuer,), tokens, static)
    if found is None:
        raise unauthorized()
    return found.user


def review(
    token: str, audiences: Sequence[str], tokens: Tokens, static: StaticTokens
) -> Authenticated | None:
    """Return whom a bearer token belongs to, or None.

    Args:
        token: The token.
        audiences: Whom it may be for; users' tokens are for the API itself.
        tokens: ServiceAccount tokens.
        static: Users' tokens.
    """
    user = static.find(token)
    if user is not None:
        return Authenticated(user, (tokens.issuer,)) if tokens.issuer in audiences else None
    return tokens.authenticate(token, audiences)


def impersonate(  # noqa: C901  # one question for each kind of header
    rbac: Rbac, user: User, headers: Sequence[tuple[str, str]]
) -> User:
    """Return whom *user* wants to be, if he may.

    Args:
        rbac: Decides.
        user: Who is asking.
        headers: All headers, names in lower case.

    Raises:
        ApiError: 403 if he may not, 400 if the headers make no sense.
    """
    wanted: dict[str, list[str]] = {}
    for name, value in headers:
        if name in {_USER, _GROUP, _UID} or name.startswith(_EXTRA):
            wanted.setdefault(name, []).append(value)
    if not wanted:
        return user
    name = wanted.get(_USER, [""])[0]
    groups = wanted.get(_GROUP, [])
    if not name:
        raise bad_request("requested impersonation without impersonating a user name")
    account = name.removeprefix(ACCOUNT_PREFIX).split(":") if ":" in name else []
    if name.startswith(ACCOUNT_PREFIX) and len(account) == _PARTS:
        _require(rbac, user, "", "serviceaccounts", account[1], namespace=account[0])
        groups = groups or list(account_groups(account[0]))
    else:
        _require(rbac, user, "", "users", name)
    for group in wanted.get(_GROUP, []):
        _require(rbac, user, "", "groups", group)
    for uid in wanted.get(_UID, []):
        _require(rbac, user, "authentication.k8s.io", "uids", uid)
    extra: dict[str, tuple[str, ...]] = {}
    for header, values in wanted.items():
        if header.startswith(_EXTRA):
            key = unquote(header.removeprefix(_EXTRA))
            extra[key] = tuple(values)
            for value in values:
                _require(rbac, user, "authentication.k8s.io", "userextras", value, sub=key)
    ending = UNAUTHENTICATED if name == ANONYMOUS else AUTHENTICATED
    if ending not in groups:
        groups = [*groups, ending]
    return User(name, wanted.get(_UID, [""])[0], tuple(groups), extra)


def _require(  # noqa: PLR0913  # the parts of one question
    rbac: Rbac,
    user: User,
    group: str,
    resource: str,
    name: str,
    *,
    namespace: str = "",
    sub: str = "",
) -> None:
    question = Question("impersonate", group, resource, sub, namespace, name)
    answer = rbac.authorize(user, question)
    if not answer.allowed:
        raise refusal(user, question, answer.reason)


def refusal(user: User, question: Question, reason: str = "") -> ApiError:
    """Return the 403 of a request that RBAC does not allow."""
    if not question.resource:
        text = f'User "{user.name}" cannot {question.verb} path "{question.path}"'
        full = f"forbidden: {text}{': ' + reason if reason else ''}"
        return ApiError(403, "Forbidden", full, details={})
    shown = question.resource + (f"/{question.subresource}" if question.subresource else "")
    place = (
        f'in the namespace "{question.namespace}"' if question.namespace else "at the cluster scope"
    )
    text = (
        f'User "{user.name}" cannot {question.verb} resource "{shown}" in API group'
        f' "{question.group}" {place}{": " + reason if reason else ""}'
    )
    return forbidden(question.group, question.resource, question.name, text)


def headers_of(scope: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headers of an ASGI scope as text."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
