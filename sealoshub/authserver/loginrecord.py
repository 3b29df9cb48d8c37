"""What a `Login` resource says: from the object to a value, and from a value to the object."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from sealoshub.authplugin import Identity, KeptIn, Scope
from sealoshub.imagehub.names import GROUP, VERSION
from sealoshub.kube.account import service_account

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_DIGITS: Final = 32  # of the hash, the object's name
USER_LABEL: Final = f"login.{GROUP}/user"
_MAX_CLIENT: Final = 256


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """What a `Login` resource says, parsed.

    Args:
        id: Name of the object; not secret.
        token_hash: SHA-256 of the token, hexadecimal.
        type: `refresh` or `personal`.
        identity: The user as he was; his rights are asked afresh.
        service: Audience that it is good for.
        scopes: What it is limited to; None for whatever the user may.
        created: Begin.
        expires: Absolute end.
        idle_seconds: It ends if unused for so long; 0 for never.
        last_used: Last use that was written down.
        client: What made it.
        address: Where it was made.
        name: The user's own name for it.
        noted: Whether *last_used* was written down; else it is *created*.
    """

    id: str
    token_hash: str
    type: Literal["refresh", "personal"]
    identity: Identity
    service: str
    scopes: tuple[Scope, ...] | None
    created: datetime
    expires: datetime
    idle_seconds: int
    last_used: datetime
    client: str = ""
    address: str = ""
    name: str = ""
    noted: bool = False

    @property
    def ends(self) -> datetime:
        """When it ends if it is not used again."""
        if not self.idle_seconds:
            return self.expires
        try:
            return min(self.expires, self.last_used + timedelta(seconds=self.idle_seconds))
        except OverflowError:  # in more years than there are
            return self.expires

    def allows(self, scope: Scope, action: str) -> bool:
        """Tell whether the login's own limits include *action* on *scope*."""
        if self.scopes is None:
            return True
        return any(
            limit.type == scope.type
            and _matches(limit.name, scope.name)
            and (action in limit.actions or "*" in limit.actions)
            for limit in self.scopes
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """A login that is to be made.

    Args:
        type: `refresh`, or `personal` for one that a user named.
        service: Audience that it is good for.
        seconds: It ends after this time in any case.
        idle_seconds: It ends if unused for so long; 0 for never.
        name: The user's own name for it.
        scopes: What it is limited to; None for whatever the user may.
        client: What asks for it.
        address: Where from.
    """

    type: Literal["refresh", "personal"]
    service: str
    seconds: int
    idle_seconds: int = 0
    name: str = ""
    scopes: tuple[Scope, ...] | None = None
    client: str = ""
    address: str = ""


def document(
    digest: str, identity: Identity, wish: Wish, namespace: str, now: datetime
) -> dict[str, Any]:
    """Return the `Login` for *wish*.

    Args:
        digest: SHA-256 of the token, hexadecimal.
        identity: Whose it is.
        wish: What it is to be.
        namespace: The hub's.
        now: Its begin.
    """
    user: dict[str, Any] = {"name": identity.name, "groups": list(identity.groups)}
    if identity.uid:
        user["uid"] = identity.uid
    if identity.extra:
        user["extra"] = {key: list(values) for key, values in identity.extra.items()}
    spec: dict[str, Any] = {
        "tokenHash": digest,
        "type": wish.type,
        "user": user,
        "service": wish.service,
        "created": text_of(now),
        "expires": text_of(now + timedelta(seconds=wish.seconds)),
        "idleSeconds": wish.idle_seconds,
    }
    if wish.name:
        spec["name"] = wish.name
    if wish.scopes is not None:
        spec["scopes"] = [str(scope) for scope in wish.scopes]
    if wish.client:
        spec["client"] = wish.client[:_MAX_CLIENT]
    if wish.address:
        spec["address"] = wish.address[:64]
    origin = _origin(identity)
    if origin:
        spec["origin"] = origin
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Login",
        "metadata": {
            "name": digest[:NAME_DIGITS],
            "namespace": namespace,
            "labels": {USER_LABEL: user_label(identity.name)},
        },
        "spec": spec,
    }


def _origin(identity: Identity) -> dict[str, Any]:
    origin: dict[str, Any] = {}
    namespace, name = service_account(identity.name)
    if name:
        origin["serviceAccount"] = {"namespace": namespace, "name": name, "uid": identity.uid}
    if identity.kept_in is not None:
        origin["secretName"] = identity.kept_in.name
        if identity.kept_in.uid:
            origin["secretUID"] = identity.kept_in.uid
    if identity.method == "certificate" and identity.expires is not None:
        origin["certificateNotAfter"] = text_of(identity.expires)
    if identity.credential_id:
        origin["credentialID"] = identity.credential_id[:256]
    return origin


def read(item: Mapping[str, Any]) -> LoginRecord | None:
    """Read a `Login`; None for one that this server did not write, which is worth nothing."""
    try:
        spec, metadata = item["spec"], item["metadata"]
        user = spec["user"]
        kind: Literal["refresh", "personal"] = (
            "personal" if spec["type"] == "personal" else "refresh"
        )
        if metadata.get("deletionTimestamp") or spec["type"] not in {"refresh", "personal"}:
            return None
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        created = _time(spec["created"])
        used = (item.get("status") or {}).get("lastUsed")
        scopes = spec.get("scopes")
        expires = _time(spec["expires"])
        return LoginRecord(
            id=metadata["name"],
            token_hash=spec["tokenHash"],
            type=kind,
            identity=Identity(
                name=user["name"],
                uid=user.get("uid") or "",
                groups=tuple(user.get("groups") or ()),
                extra=extra,
                credential_id=f"login:{metadata['name']}",
                expires=expires,
                kept_in=_kept_in(user["name"], spec.get("origin") or {}),
                method="personal" if kind == "personal" else "login",
            ),
            service=spec.get("service") or "",
            scopes=None if scopes is None else tuple(_limit(text) for text in scopes),
            created=created,
            expires=expires,
            idle_seconds=int(spec.get("idleSeconds") or 0),
            last_used=_time(used) if used else created,
            client=spec.get("client") or "",
            address=spec.get("address") or "",
            name=spec.get("name") or "",
            noted=bool(used),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _kept_in(user: str, origin: Mapping[str, Any]) -> KeptIn | None:
    """Return the Secret that a login hangs on.

    Raises:
        ValueError: It has a UID and no name: the API server did not store all that was written.
    """
    name, uid = origin.get("secretName") or "", origin.get("secretUID") or ""
    if uid and not name:
        raise ValueError("a Secret without a name cannot be looked for")
    return KeptIn(service_account(user)[0], name, uid) if name else None


def _limit(text: str) -> Scope:
    kind, _, rest = text.partition(":")
    name, _, actions = rest.rpartition(":")
    return Scope(kind, name, frozenset(actions.split(",")))


def _matches(pattern: str, name: str) -> bool:
    """Compare a name with `*`, `org/*` or itself."""
    if pattern in {"*", name}:
        return True
    return pattern.endswith("/*") and name.startswith(pattern[:-1])


def user_label(name: str) -> str:
    """Return a label value for a user name, which may hold what a label may not."""
    return hashlib.sha256(name.encode()).hexdigest()[:40]


def text_of(moment: datetime) -> str:
    """Write a moment as Kubernetes does (RFC 3339, UTC, whole seconds)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
