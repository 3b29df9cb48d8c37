"""Keep a copy of the logins by watch, so that the use of one asks nobody, and its end is known.

The copy says nothing but *yes, there is such a login*: what is not in it may have been made a
moment ago, and is asked for. It is an accelerator. While it cannot be kept, as where the token
server may not list logins, everything is asked for.

That a watch is alive proves little: an API server that has lost its etcd goes on to serve watches,
ends them in time, and only tells of nothing any more. So each watch begins with a question for the
resource version of now, which such a server cannot answer, and what is kept is proved true as of
that question once the watch has told of everything up to that version.
"""

from __future__ import annotations

import functools
import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sealoshub.authplugin import Identity, KeptIn, Scope
from sealoshub.authplugin.cache import Cache
from sealoshub.authplugin.watched import Rhythm, Watched, name_of
from sealoshub.authserver.loginrecord import LoginRecord, read
from sealoshub.kube import GoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealoshub.kube.review import ApiServer

# A proof comes at the end of a watch at the latest, and is as old as its beginning: two watches
# must fit into the time that one is good for.
WATCH_SECONDS: Final = 3
KEPT: Final = 50_000  # logins; some 20 MB
LARGEST: Final = 1024  # bytes of a login that is kept; most are a fifth of it
PARSED: Final = 2048  # logins in use, some 3 kB each
DOUBTED: Final = 10_000
_PERSONAL: Final = "personal"
_WINDOW: Final = -12  # deflate without a header (RFC 1951), 4 KiB
# What stands in most logins, so that it takes a byte or two in each.
_COMMON: Final = b"".join(
    [
        b'"authentication.kubernetes.io/pod-uid":["","authentication.kubernetes.io/pod-name":["',
        b'"authentication.kubernetes.io/node-uid":["","authentication.kubernetes.io/node-name":["',
        b'"authentication.kubernetes.io/credential-id":["X509SHA256=","","system:authenticated"],{}',
        b',"hub",null,"skopeo/","buildah/","containers/","Helm/","sealoshub/","docker/',
        b' go/go1. git-commit/ kernel/ os/linux arch/amd64 UpstreamClient(Docker-Client/","',
        b'",0,"system:serviceaccount:user-system:","',
        b'",["system:serviceaccounts","system:serviceaccounts:user-system","system:authenticated"],',
        b'{"authentication.kubernetes.io/credential-id":["JTI=',
    ]
)


class LoginWatch(Watched[bytes]):
    """The logins that there are.

    Args:
        api: The API server.
        namespace: Where they are.
        seconds: How long it is believed after it was last proved.
        clock: Monotonic time in seconds.
        now: Wall-clock time.
        revoked: Is told the id of a login that is there no more, or no more what it was.
    """

    def __init__(  # noqa: PLR0913  # what is watched, and who is told
        self,
        api: ApiServer,
        namespace: str,
        seconds: float,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        revoked: Callable[[str], None],
    ) -> None:
        rhythm = Rhythm(WATCH_SECONDS, seconds)
        super().__init__(api, clock, "logins", "logins", namespace=namespace, rhythm=rhythm)
        self._now = now
        self._revoked = revoked
        self._asked = float("-inf")
        self._needed: int | None = None
        self._doubted: Cache[bool] = Cache(DOUBTED, clock)
        self._record = functools.lru_cache(PARSED)(unpack)

    def get(self, login_id: str) -> LoginRecord | None:
        """Return the login of that id if it is known to be there; None if it has to be asked for.

        One that has ended may have been used elsewhere a moment ago, and so is asked for too. The
        caller compares the whole hash and the rest.
        """
        kept = self._kept.get(login_id)
        if kept is None or self.unknown() is not None or self._doubted.get(login_id):
            return None
        record = self._record(login_id, kept)
        return record if self._now() < record.ends else None

    def doubt(self, login_id: str) -> None:
        """Do not answer about a login that was just deleted, until it is known from the watch.

        Its last change may still be on its way. After the time for which a proof is good, there is
        a proof that is younger than the deletion, or none.
        """
        self._doubted.put(login_id, value=True, seconds=self._rhythm.fresh)

    # ------------------------------------------------------------------ how it is kept
    def keep(self, item: dict[str, Any], key: str) -> bytes | None:
        """Return a login that may be used, in a few hundred bytes."""
        record = read(item)
        if record is None or record.id != key or self._now() >= record.ends:
            return None
        packed = pack(record)
        before = self._kept.get(key)
        return before if packed == before else packed  # a second list costs no second copy

    def has_room(self, kept: Mapping[str, bytes]) -> bool:
        """Tell whether one more login may be kept beside *kept*."""
        return len(kept) < KEPT

    def replace(self, found: dict[str, bytes]) -> None:
        """Keep *found*, and tell of those that were something else before."""
        before = self._kept
        super().replace(found)
        for key, value in before.items():
            if found.get(key) != value:
                self._revoked(key)

    def take(self, kind: str, item: dict[str, Any]) -> None:
        """Take note of an event; one that somebody may wait for is told at once.

        Those are few. That logins are made, used and swept away when they have ended is not.
        """
        key = name_of(item)
        kept = self._kept.get(key)
        super().take(kind, item)
        after = read(item)
        if after is None:
            self._revoked(key)
        elif kind == "DELETED":
            if self._now() < after.ends:
                self._revoked(key)
        elif kept is not None:
            before = unpack(key, kept)
            if after != replace(before, last_used=after.last_used, noted=after.noted):
                self._revoked(key)

    # ------------------------------------------------------------------ how it is proved
    async def _watch(self) -> None:
        asked = self._clock()
        self._needed = _number(await self._api.version(self._path))
        self._asked = asked
        seen = _number(self._version)
        if seen is not None and self._needed is not None and seen > self._needed:
            # What is kept is of a time that is to come: somebody put an old storage back.
            raise GoneError("the resource versions begin anew")
        await super()._watch()

    def heard(self) -> None:
        """Take note that what is kept was true when the watch began, if that is proved."""
        seen = _number(self._version)
        if seen is not None and self._needed is not None and seen >= self._needed:
            self._proved = max(self._proved, self._asked)


def pack(record: LoginRecord) -> bytes | None:
    """Return *record* in as few bytes as can be read again quickly; None if it is too large.

    None too for one that would not come out as it went in, as no token server writes it.
    """
    try:
        if not record.token_hash.startswith(record.id):
            return None
        text = json.dumps(_fields(record), separators=(",", ":")).encode("ascii")
        packer = zlib.compressobj(1, zlib.DEFLATED, _WINDOW, 5, zdict=_COMMON)
        content = packer.compress(text) + packer.flush()
        is_true = len(content) <= LARGEST and unpack(record.id, content) == record
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError):
        return None
    return content if is_true else None


def unpack(login_id: str, content: bytes) -> LoginRecord:
    """Return the login that :func:`pack` made *content* of."""
    text = zlib.decompressobj(_WINDOW, _COMMON).decompress(content)
    (
        rest,
        is_personal,
        user,
        uid,
        groups,
        extra,
        service,
        scopes,
        created,
        expires,
        idle_seconds,
        used,
        client,
        address,
        name,
        kept_in,
    ) = json.loads(text)
    begin, end = _time(created), _time(expires)
    return LoginRecord(
        login_id,
        login_id + rest,
        "personal" if is_personal else "refresh",
        Identity(
            user,
            uid,
            tuple(groups),
            {key: tuple(values) for key, values in extra.items()},
            f"login:{login_id}",
            end,
            "personal" if is_personal else "login",
            None if kept_in is None else KeptIn(*kept_in),
        ),
        service,
        None if scopes is None else tuple(Scope(kind, of, frozenset(a)) for kind, of, a in scopes),
        begin,
        end,
        idle_seconds,
        begin if used is None else _time(used),
        client,
        address,
        name,
        used is not None,
    )


def _fields(record: LoginRecord) -> list[object]:
    identity, kept_in = record.identity, record.identity.kept_in
    return [
        record.token_hash[len(record.id) :],
        1 if record.type == _PERSONAL else 0,
        identity.name,
        identity.uid,
        identity.groups,
        identity.extra,
        record.service,
        None if record.scopes is None else [_terms(scope) for scope in record.scopes],
        _moment(record.created),
        _moment(record.expires),
        record.idle_seconds,
        _moment(record.last_used) if record.noted else None,
        record.client,
        record.address,
        record.name,
        None if kept_in is None else [kept_in.namespace, kept_in.name, kept_in.uid],
    ]


def _terms(scope: Scope) -> tuple[str, str, list[str]]:
    return scope.type, scope.name, sorted(scope.actions)


def _moment(moment: datetime) -> float:
    """Return seconds since the epoch, without a fraction if there is none."""
    seconds = moment.timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _number(version: str) -> int | None:
    """Return a resource version as the number that it is; None if it is none."""
    return int(version) if version.isdecimal() and version.isascii() else None
