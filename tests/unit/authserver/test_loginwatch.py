"""The copy of the logins: what it saves, when it is believed, and what ends it."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.authserver import loginwatch
from sealoshub.authserver.loginrecord import read
from sealoshub.authserver.logins import LOGIN_SECONDS
from sealoshub.authserver.loginwatch import LARGEST, WATCH_SECONDS, LoginWatch, pack, unpack
from sealoshub.errors import UnavailableError
from sealoshub.kube import GoneError
from tests.unit.authserver.fake_kubernetes import LOGINS
from tests.unit.authserver.program import wait_for
from tests.unit.authserver.running import ALICE, SCOPE, TOKEN, basic
from tests.unit.authserver.test_logins import log_in, plant, refresh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.unit.authserver.conftest import Serve
    from tests.unit.authserver.fake_kubernetes import FakeKubernetes
    from tests.unit.authserver.running import RunningServer

    Event = tuple[str, dict[str, Any]]

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
REFRESH: Final = "shr_" + "w" * 43


def id_of(token: str) -> str:
    """Return the id of the login of *token*."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


def login(number: int, version: int = 1, **spec: object) -> dict[str, Any]:
    """Return a login as an API server shows it."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    full: dict[str, Any] = {
        "tokenHash": digest,
        "type": "refresh",
        "user": {
            "name": ALICE,
            "uid": "9d5b2f6e-2f0c-4a55-8d7b-0c1f6c6c1f11",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]},
        },
        "service": "hub",
        "created": "2025-12-31T00:00:00Z",
        "expires": "2026-03-31T00:00:00Z",
        "idleSeconds": 30 * 86400,
        "client": "docker/29.0",
        "address": "10.0.0.1",
        **spec,
    }
    metadata = {"name": digest[:32], "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": full}


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        """Return them."""
        return self.seconds


class Api:
    """An API server in memory: pages of a list, the version of now, and the events of a watch."""

    def __init__(self, clock: Clock) -> None:
        self.items: list[dict[str, Any]] = []
        self.now = "1"
        self.events: list[Event] = []
        self.asked: list[str] = []
        self._clock = clock

    async def pages(self, path: str) -> AsyncIterator[tuple[list[dict[str, Any]], str]]:
        """Show what there is."""
        self.asked.append(f"list {path}")
        for item in self.items:
            yield [copy.deepcopy(item)], self.now

    async def version(self, path: str) -> str:
        """Show the version of now."""
        del path
        self.asked.append("version")
        if not self.now:
            raise UnavailableError("no etcd")
        return self.now

    async def watch(
        self, path: str, *, resource_version: str, seconds: int
    ) -> AsyncIterator[Event]:
        """Tell of the events; the end comes in time."""
        del path
        self.asked.append(f"watch {resource_version}")
        self._clock.seconds += seconds
        for event in self.events:
            yield event


class Kept:
    """A copy without a server: the API, the clock, and which logins it said were revoked."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.clock = Clock()
        self.api = Api(self.clock)
        self.api.items = list(items)
        self.revoked: list[str] = []
        self.time = NOW
        api: Any = self.api
        self.copy = LoginWatch(
            api,
            "imagehub-system",
            LOGIN_SECONDS,
            clock=self.clock,
            now=lambda: self.time,
            revoked=self.revoked.append,
        )
        asyncio.run(self.copy._list())

    def watch(self, *events: Event) -> None:
        """Let one watch tell of *events*, which happen after its beginning."""
        self.api.events = list(events)
        asyncio.run(self.copy._watch())
        reached = self.copy._version
        if reached.isdecimal() and int(reached) > int(self.api.now):
            self.api.now = reached

    def knows(self, item: dict[str, Any]) -> bool:
        """Tell whether the copy says that there is such a login."""
        found = self.copy.get(item["metadata"]["name"])
        assert found is None or found == read(item)
        return found is not None


def bookmark(version: object) -> Event:
    """Return the event that only says how far the watch has come."""
    return "BOOKMARK", {"metadata": {"resourceVersion": str(version)}}


# ------------------------------------------------------------------ the compact form
def test_an_ordinary_login_takes_a_few_hundred_bytes() -> None:
    """A fifth of its JSON, and it comes out as it went in."""
    item = login(1)
    record = read(item)
    assert record is not None
    content = pack(record)
    assert content is not None
    assert len(content) < 200
    assert unpack(record.id, content) == record


@pytest.mark.parametrize(("groups", "is_kept"), [(1, True), (60, True), (200, False)])
def test_a_user_of_many_groups(groups: int, is_kept: bool) -> None:  # noqa: FBT001  # of the table
    """Some dozens fit; with hundreds a login is not kept, and asked for."""
    names = [hashlib.sha256(bytes([number])).hexdigest()[:20] for number in range(groups)]
    record = read(login(1, user={"name": "alice", "groups": names}))
    assert record is not None
    content = pack(record)
    assert (content is not None) is is_kept
    if content is not None:
        assert len(content) <= LARGEST
        assert unpack(record.id, content) == record


TEXT: Final = st.text(max_size=40) | st.sampled_from(["", ALICE, "Zoë", "\ud800", '"', "\x00"])
MOMENT: Final = st.datetimes(
    NOW.replace(1970, tzinfo=None), NOW.replace(2100, tzinfo=None), timezones=st.just(UTC)
).map(lambda moment: moment.isoformat())
SCOPES: Final = st.none() | st.lists(TEXT | st.just("repository:team/*:push,pull"), max_size=5)
EXTRA: Final = st.none() | st.dictionaries(TEXT, st.lists(TEXT, max_size=3), max_size=3)
SPEC: Final = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["refresh", "personal"]),
        "user": st.fixed_dictionaries(
            {"name": TEXT, "groups": st.lists(TEXT, max_size=40), "extra": EXTRA},
            optional={"uid": TEXT},
        ),
        "created": MOMENT,
        "expires": MOMENT,
    },
    optional={
        "service": TEXT,
        "scopes": SCOPES,
        "idleSeconds": st.integers(0, 2**63),
        "client": TEXT,
        "address": TEXT,
        "name": TEXT,
        "origin": st.fixed_dictionaries({}, optional={"secretName": TEXT, "secretUID": TEXT}),
    },
)
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(SPEC, st.none() | MOMENT)
def test_every_login_comes_out_as_it_went_in(spec: dict[str, Any], used: str | None) -> None:
    """Or is too large, or is worth nothing anyway."""
    item = login(1, **spec)
    if used is not None:
        item["status"] = {"lastUsed": used}
    record = read(item)
    if record is None:
        return
    content = pack(record)
    assert content is not None or len(json.dumps(spec)) > LARGEST
    if content is not None:
        assert len(content) <= LARGEST
        assert unpack(record.id, content) == record
        assert unpack(record.id, content).identity.key == record.identity.key


@given(st.dictionaries(st.sampled_from([*login(1)["spec"], "scopes", "origin"]), JSON), JSON)
def test_what_nobody_would_store_does_no_harm(spec: dict[str, Any], status: object) -> None:
    """It is true in the copy or not in it, and the watch goes on."""
    kept = Kept()
    item = {**login(1, **spec), "status": status}
    kept.watch(("ADDED", item), bookmark(2))
    kept.knows(item)
    kept.watch(("DELETED", item), bookmark(3))
    assert not kept.knows(item)


@pytest.mark.parametrize("item", [{}, {"metadata": None}, {"metadata": []}, {"metadata": "x"}])
def test_what_is_no_object_does_no_harm(item: dict[str, Any]) -> None:
    """An event that says nothing changes nothing."""
    kept = Kept(login(1))
    for kind in ("ADDED", "MODIFIED", "DELETED"):
        kept.watch((kind, item), bookmark(2))
    assert kept.knows(login(1))


# ------------------------------------------------------------------ what is kept
WORTHLESS: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    "ended": lambda item: item["spec"].update(expires="2025-12-31T12:00:00Z"),
    "idle": lambda item: item["spec"].update(idleSeconds=3600),
    "being deleted": lambda item: item["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"),
    "of another id": lambda item: item["spec"].update(tokenHash="0" * 64),
    "unreadable": lambda item: item["spec"].update(created="yesterday"),
}


@pytest.mark.parametrize("change", WORTHLESS.values(), ids=WORTHLESS)
def test_what_is_worth_nothing_is_not_kept(change: Callable[[dict[str, Any]], object]) -> None:
    """From a list, from an event, and when it becomes so."""
    good, bad = login(1), login(1)
    change(bad)
    kept = Kept(bad)
    assert len(kept.copy) == 0
    kept.watch(("ADDED", bad), bookmark(2))
    assert len(kept.copy) == 0
    kept.watch(("MODIFIED", good), bookmark(3))
    assert kept.knows(good)
    kept.watch(("MODIFIED", bad), bookmark(4))
    assert len(kept.copy) == 0


def test_one_that_has_ended_is_asked_for() -> None:
    """It may have been used on another replica a moment ago, and not be idle."""
    item = login(1, idleSeconds=3600, created=NOW.isoformat())
    kept = Kept(item)
    assert kept.knows(item)
    kept.time += timedelta(hours=2)
    assert not kept.knows(item)
    used = _status(item, (NOW + timedelta(hours=1, minutes=59)).isoformat())
    kept.watch(("MODIFIED", used), bookmark(2))
    assert kept.knows(used)
    assert kept.revoked == []


def test_there_is_room_for_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are asked for; one that ends makes room for another."""
    monkeypatch.setattr(loginwatch, "KEPT", 3)
    items = [login(number) for number in range(5)]
    kept = Kept(*items)
    assert [kept.knows(item) for item in items] == [True] * 3 + [False] * 2
    kept.watch(("ADDED", login(5)), ("MODIFIED", login(4)), bookmark(2))
    assert len(kept.copy) == 3
    used = {**items[0], "status": {"lastUsed": "2026-01-01T00:00:00Z"}}
    kept.watch(("MODIFIED", used), ("DELETED", items[1]), ("ADDED", login(6)), bookmark(3))
    assert [kept.knows(item) for item in (used, items[1], login(6))] == [True, False, True]
    assert len(kept.copy) == 3


def test_a_second_list_costs_no_second_copy() -> None:
    """What did not change is the same object."""
    kept = Kept(login(1), login(2))
    before = list(kept.copy._kept.values())
    asyncio.run(kept.copy._list())
    assert all(one is two for one, two in zip(kept.copy._kept.values(), before, strict=True))
    assert kept.revoked == []


# ------------------------------------------------------------------ what is told
def _status(item: dict[str, Any], moment: str) -> dict[str, Any]:
    return {**item, "status": {"lastUsed": moment}}


TOLD: Final[dict[str, tuple[Event, bool]]] = {
    "made": (("ADDED", login(2)), False),
    "used": (("MODIFIED", _status(login(1), "2026-01-01T00:00:00Z")), False),
    "used, and was not known": (("MODIFIED", _status(login(2), "2026-01-01T00:00:00Z")), False),
    "seen": (bookmark(2), False),
    "swept away when it had ended": (("DELETED", login(3, expires="2025-12-31T01:00:00Z")), False),
    "deleted": (("DELETED", login(1)), True),
    "deleted, and was not known": (("DELETED", login(2)), True),
    "narrowed": (("MODIFIED", login(1, scopes=["repository:team/app:pull"])), True),
    "shortened": (("MODIFIED", login(1, expires="2026-01-02T00:00:00Z")), True),
    "ended": (("MODIFIED", login(1, expires="2025-12-31T23:00:00Z")), True),
    "for another service": (("MODIFIED", login(1, service="other")), True),
    "unreadable": (("MODIFIED", login(1, created="yesterday")), True),
}


@pytest.mark.parametrize(("event", "is_told"), TOLD.values(), ids=TOLD)
def test_what_ends_a_login_is_told(event: Event, is_told: bool) -> None:  # noqa: FBT001  # of the table
    """And nothing of what happens thousands of times an hour."""
    kept = Kept(login(1))
    kept.watch(event, bookmark(9))
    assert kept.revoked == ([event[1]["metadata"]["name"]] if is_told else [])


def test_a_list_tells_what_is_there_no_more() -> None:
    """After an interruption nobody tells of each."""
    first, second, third = login(1), login(2), login(3)
    kept = Kept(first, second, third)
    kept.api.items = [first, login(2, service="other")]
    asyncio.run(kept.copy._list())
    assert kept.revoked == [second["metadata"]["name"], third["metadata"]["name"]]
    assert [kept.knows(item) for item in (first, third)] == [True, False]


# ------------------------------------------------------------------ when it is believed
def test_it_is_believed_for_nine_seconds() -> None:
    """From the list on, and no longer, whatever the watch does."""
    kept = Kept(login(1))
    kept.clock.seconds += LOGIN_SECONDS
    assert kept.knows(login(1))
    kept.clock.seconds += 0.1
    assert not kept.knows(login(1))


@pytest.mark.parametrize(
    ("events", "is_proved"),
    [
        ([], False),  # an end in time
        ([bookmark(4)], False),
        ([("ADDED", login(2, 4))], False),
        ([bookmark("x")], False),
        ([bookmark(5)], True),
        ([bookmark(6)], True),
        ([("ADDED", login(2, 5))], True),
        ([("ADDED", login(2, 4)), bookmark(5)], True),
    ],
)
def test_a_watch_proves_what_it_has_told(
    events: list[Event],
    is_proved: bool,  # noqa: FBT001  # of the table
) -> None:
    """Everything up to the version of its beginning, and as of its beginning."""
    kept = Kept(login(1))
    kept.api.now = "5"
    kept.clock.seconds += LOGIN_SECONDS - 1
    kept.watch(*events)  # of three seconds
    assert kept.knows(login(1)) is is_proved
    kept.clock.seconds += LOGIN_SECONDS - WATCH_SECONDS
    assert kept.knows(login(1)) is is_proved
    kept.clock.seconds += 0.1
    assert not kept.knows(login(1))


def test_where_nothing_happens_the_end_of_a_watch_is_enough() -> None:
    """The list was of the very version of now."""
    kept = Kept(login(1))
    for _ in range(10):
        kept.watch()
        assert kept.knows(login(1))


def test_two_watches_fit_into_the_time_of_a_proof() -> None:
    """Else the copy would be forgotten between two of them."""
    assert 2 * WATCH_SECONDS + 2 <= LOGIN_SECONDS


def test_without_its_storage_a_server_proves_nothing() -> None:
    """The question for the version fails, and so does the copy in time."""
    kept = Kept(login(1))
    kept.api.now = ""
    for _ in range(3):
        with pytest.raises(UnavailableError):
            kept.watch(bookmark(1))
    assert kept.knows(login(1))
    kept.clock.seconds += LOGIN_SECONDS + 0.1
    assert not kept.knows(login(1))


def test_a_storage_of_yesterday_is_listed_again() -> None:
    """What is kept is newer than all there is, and a watch from there on would tell of nothing."""
    kept = Kept(login(1))
    kept.watch(bookmark(50))
    kept.api.now = "20"
    with pytest.raises(GoneError):
        kept.watch(bookmark(50))
    kept.api.items = []
    asyncio.run(kept.copy._list())
    kept.watch(bookmark(21))
    assert not kept.knows(login(1))


def test_what_was_revoked_here_is_doubted() -> None:
    """A change that is late does not bring it back; one that could not be deleted comes back."""
    item = login(1)
    kept = Kept(item, login(2))
    kept.copy.doubt(item["metadata"]["name"])
    used = _status(item, "2026-01-01T00:00:00Z")
    kept.api.now = "2"
    for _ in range(3):
        assert not kept.knows(used)
        assert kept.knows(login(2))
        kept.watch(("MODIFIED", used), bookmark(2))
    assert kept.knows(used)


# ------------------------------------------------------------------ in a token server
def reads(fake: FakeKubernetes) -> int:
    """Return how often a single login was read."""
    return sum(method == "GET" and f"{LOGINS}/" in path for method, path in fake.asked)


def copied(server: RunningServer, token: str) -> None:
    """Wait until the copy holds the login of *token*."""
    logins = server.server._logins
    assert logins is not None
    wait_for(lambda: logins._copy.get(id_of(token)) is not None, "the copy")


def test_the_use_of_a_login_asks_for_none(serve: Serve, fake: FakeKubernetes) -> None:
    """Of one that was there at the start, and of one that another replica made since."""
    plant(fake, REFRESH)
    server = serve()
    copied(server, REFRESH)
    other = REFRESH.replace("w", "v")
    plant(fake, other)
    copied(server, other)
    for token in (REFRESH, other):
        assert refresh(server, token, SCOPE).access == {"repository:team/app": ["pull", "push"]}
        assert server.request("GET", "/v1/whoami", headers=basic(("x", token))).status == 200
    assert reads(fake) == 0
    assert "sealoshub_logins_known 0" in server.server._metrics.text()  # not measured since
    server.server._measure()
    assert "sealoshub_logins_known 1" in server.server._metrics.text()


@pytest.mark.parametrize("is_known", [True, False])
def test_a_revocation_elsewhere_bites_at_once(
    serve: Serve,
    fake: FakeKubernetes,
    monkeypatch: pytest.MonkeyPatch,
    is_known: bool,  # noqa: FBT001  # of the table
) -> None:
    """Also for one that was read before the copy, and for a request that is remembered."""
    monkeypatch.setattr("sealoshub.authserver.logins.LOGIN_SECONDS", 1e6)
    monkeypatch.setattr("sealoshub.authserver.app.SEEN_SECONDS", 1e6)
    if is_known:
        monkeypatch.setattr(loginwatch, "KEPT", 0)
    server = serve()
    tokens = [log_in(server), log_in(server)]
    if not is_known:
        for token in tokens:
            copied(server, token)
    for token in tokens * 3:
        assert server.get(SCOPE, login=("", token)).status == 200
    assert reads(fake) == (2 if is_known else 0)
    fake.change(f"{LOGINS}/{id_of(tokens[0])}", None)
    wait_for(lambda: server.get(SCOPE, login=("", tokens[0])).status == 401, "the revocation", 5)
    assert server.get(SCOPE, login=("", tokens[1])).status == 200


def test_only_the_end_of_a_login_is_a_revision(serve: Serve, fake: FakeKubernetes) -> None:
    """Those that are made and used leave the memory of requests as it is."""
    server = serve()
    token = log_in(server)
    copied(server, token)
    logins = server.server._logins
    assert logins is not None
    before = logins.revision
    path = f"{LOGINS}/{id_of(token)}"
    used = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    fake.change(path, {**fake.objects[path], "status": {"lastUsed": used}})
    last = log_in(server)
    copied(server, last)
    assert logins.revision == before
    fake.change(path, None)
    wait_for(lambda: logins.revision == before + 1, "the revocation", 5)


def test_a_server_that_lost_its_storage_is_not_believed(
    serve: Serve, fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves reviews and watches, and knows nothing of a revocation by another one: 503."""
    monkeypatch.setattr("sealoshub.authserver.logins.LOGIN_SECONDS", 1.0)
    monkeypatch.setattr(loginwatch, "WATCH_SECONDS", 1)
    server = serve()
    token = log_in(server)
    copied(server, token)
    assert server.get(SCOPE, login=("", token)).status == 200
    fake.cut_off = True
    fake.change(f"{LOGINS}/{id_of(token)}", None)
    wait_for(lambda: server.get(SCOPE, login=("", token)).status == 503, "the end of belief", 10)
    watches = fake.count("repositories?watch")
    assert server.get("repository:team/open:pull").access["repository:team/open"] == ["pull"]
    fake.cut_off = False
    wait_for(lambda: server.get(SCOPE, login=("", token)).status == 401, "the revocation", 30)
    assert fake.count("repositories?watch") >= watches


def test_a_server_that_is_down_is_believed_for_seconds(
    serve: Serve, fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is 503, as ever, and 200 when it is back."""
    monkeypatch.setattr("sealoshub.authserver.logins.LOGIN_SECONDS", 2.0)
    monkeypatch.setattr("sealoshub.authplugin.kubernetes.DECISION_SECONDS", 1e6)
    server = serve()
    token = log_in(server)
    copied(server, token)
    assert server.get(SCOPE, login=("", token)).status == 200
    fake.status = 500
    wait_for(lambda: server.get(SCOPE, login=("", token)).status == 503, "the end of belief", 10)
    fake.status = None
    wait_for(lambda: server.get(SCOPE, login=("", token)).status == 200, "the API server", 30)


def test_where_logins_may_not_be_listed_all_is_as_ever(
    serve: Serve, fake: FakeKubernetes, caplog: pytest.LogCaptureFixture
) -> None:
    """Ready, one warning, and each login is read."""
    fake.forbidden = {"/logins$"}
    plant(fake, REFRESH)
    with caplog.at_level(logging.INFO):
        server = serve()
        wait_for(lambda: fake.count("/logins?") >= 2, "the second attempt")
        assert refresh(server, REFRESH, SCOPE).status == 200
        server.stop()
    lines = [record for record in caplog.records if "logins" in record.getMessage()]
    assert [(record.levelname, record.getMessage()[:19]) for record in lines] == [
        ("WARNING", "cannot watch logins")
    ]
    assert reads(fake) == 1


def test_revoked_here_is_revoked_here(serve: Serve, fake: FakeKubernetes) -> None:
    """At once, though the watch tells of it later."""
    server = serve()
    tokens = [log_in(server), log_in(server)]
    for token in tokens:
        copied(server, token)
        assert server.get(SCOPE, login=("", token)).status == 200
    fake.muted = True
    headers = basic(("", tokens[0]))
    assert server.request("DELETE", "/v1/logins/self", headers=headers).status == 204
    assert server.get(SCOPE, login=("", tokens[0])).status == 401
    path = f"/v1/logins/{id_of(tokens[1])}"
    assert server.request("DELETE", path, headers=basic(("alice", TOKEN))).status == 204
    assert server.get(SCOPE, login=("", tokens[1])).status == 401
