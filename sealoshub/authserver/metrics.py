"""Numbers for Prometheus, in its text format, on a port of their own.

:data:`FAMILIES` is all there is; `docs/reference/auth-server.md` has the same list, and a test
compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealoshub import exposition
from sealoshub.authserver.board import Board
from sealoshub.exposition import Family

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    Message = MutableMapping[str, Any]

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
STATUSES: Final = ("200", "400", "401", "405", "408", "413", "414", "429", "431", "500", "503")
OTHER: Final = "other"
EVENTS: Final = ("accepted", "ignored", "dropped")

_REQUESTS: Final = "sealoshub_token_requests_total"
_SECONDS: Final = "sealoshub_token_request_seconds"
_EVENTS: Final = "sealoshub_events_total"


FAMILIES: Final[Mapping[str, Family]] = {
    _REQUESTS: Family("counter", "Answers to token requests.", ("status",)),
    _SECONDS: Family("histogram", "Seconds from the request to its answer.", ("le",)),
    _EVENTS: Family("counter", "Notifications of registries, by what became of them.", ("result",)),
    "sealoshub_logins_created_total": Family("counter", "Refresh and personal tokens made."),
    "sealoshub_audit_lines_lost_total": Family(
        "counter", "Audit lines that were thrown away because the log could not keep up."
    ),
    "sealoshub_reload_failures_total": Family(
        "counter", "Times that changed keys or a changed certificate could not be used."
    ),
    "sealoshub_ready": Family("gauge", "Workers that would answer 200 to a readiness probe."),
    "sealoshub_workers": Family("gauge", "Workers that serve."),
    "sealoshub_keys_published": Family("gauge", "Keys in the JWKS, summed over the workers."),
    "sealoshub_public_repositories_known": Family(
        "gauge", "Workers that know which repositories are public."
    ),
    "sealoshub_logins_known": Family(
        "gauge", "Workers that know logins by watch and need not ask for each."
    ),
    exposition.CPU: Family("counter", "CPU seconds of all workers."),
    exposition.MEMORY: Family("gauge", "Resident memory of all workers."),
}
_PLAIN: Final = tuple(
    name for name, family in FAMILIES.items() if not family.labels
)  # one number each


def columns() -> list[str]:
    """Return the names of the numbers that a worker keeps."""
    bounds = [*map(str, BUCKETS), exposition.INFINITE]
    return [
        *(f"{_REQUESTS}/{status}" for status in (*STATUSES, OTHER)),
        *(f"{_SECONDS}/{bound}" for bound in bounds),
        f"{_SECONDS}/sum",
        *(f"{_EVENTS}/{result}" for result in EVENTS),
        *_PLAIN,
    ]


class Metrics:
    """Count what one worker does, and show what all of them did.

    Args:
        board: Where all workers count; None for one of its own.
        worker: Number of this worker.
        refresh: Called before the numbers are shown, to bring those of this worker up to date.
    """

    def __init__(
        self,
        board: Board | None = None,
        worker: int = 0,
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        self._board = board or Board(columns())
        self.row = self._board.row(worker)
        self._statuses = {int(status): f"{_REQUESTS}/{status}" for status in STATUSES}
        self._bounds = [(bound, f"{_SECONDS}/{bound}") for bound in BUCKETS]
        self._refresh = refresh

    def count(self, status: int, seconds: float) -> None:
        """Count one answer."""
        add = self.row.add
        add(self._statuses.get(status, f"{_REQUESTS}/{OTHER}"))
        add(f"{_SECONDS}/sum", seconds)
        for bound, name in self._bounds:
            if seconds <= bound:
                add(name)
                return
        add(f"{_SECONDS}/{exposition.INFINITE}")

    def count_event(self, result: str) -> None:
        """Count one notification: `accepted`, `ignored` or `dropped`."""
        self.row.add(f"{_EVENTS}/{result}")

    def measure(self) -> None:
        """Note what this process has used; the rows of others are theirs."""
        self.row.put(exposition.CPU, exposition.cpu_seconds())
        self.row.put(exposition.MEMORY, exposition.resident_bytes())

    def leave(self) -> None:
        """Take back what was true only while this worker served."""
        for name, family in FAMILIES.items():
            if family.type == "gauge":
                self.row.put(name, 0)

    def text(self) -> str:
        """Return the exposition."""
        self._refresh()
        self.measure()
        total = self._board.total
        lines: list[str] = []
        for name, family in FAMILIES.items():
            lines += exposition.head(name, family)
            if name == _SECONDS:
                lines += self._histogram(name)
            elif family.labels:
                (label,) = family.labels
                keys = EVENTS if name == _EVENTS else (*STATUSES, OTHER)
                lines += [
                    exposition.sample(name, total(f"{name}/{key}"), {label: key}) for key in keys
                ]
            else:
                lines.append(exposition.sample(name, total(name)))
        return "\n".join(lines) + "\n"

    def _histogram(self, name: str) -> list[str]:
        total = self._board.total
        bounds = (*map(str, BUCKETS), exposition.INFINITE)
        counts = [total(f"{name}/{bound}") for bound in bounds]
        return exposition.histogram(name, BUCKETS, counts, total(f"{name}/sum"))

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve `/metrics` (ASGI)."""
        del receive
        found = scope["type"] == "http" and scope["path"] == "/metrics"
        body = self.text().encode() if found else b"not found\n"
        headers = [
            (b"content-type", exposition.CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await send(
            {
                "type": "http.response.start",
                "status": 200 if found else 404,
                "headers": headers,
            }
        )
        await send({"type": "http.response.body", "body": body})
