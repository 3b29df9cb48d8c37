"""Numbers for Prometheus, in its text format, on a port of their own."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    Message = MutableMapping[str, Any]

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Count token requests by status, and how long they took.

    Args:
        gauges: Returns values of now by metric name.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self,
        gauges: Callable[[], Mapping[str, float]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gauges = gauges
        self._clock = clock
        self._statuses: Counter[int] = Counter()
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def count(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self._statuses[status] += 1
        self._sum += seconds
        for position, bound in enumerate(BUCKETS):
            if seconds <= bound:
                self._buckets[position] += 1
                return
        self._buckets[-1] += 1

    def text(self) -> str:
        """Return the exposition."""
        name = "sealoshub_token_requests_total"
        lines = [f"# TYPE {name} counter"]
        lines += [
            f'{name}{{status="{status}"}} {count}'
            for status, count in sorted(self._statuses.items())
        ]
        name = "sealoshub_token_request_seconds"
        lines.append(f"# TYPE {name} histogram")
        total = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        lines += [f"{name}_sum {self._sum:.6f}", f"{name}_count {total}"]
        for gauge, value in sorted(self._gauges().items()):
            lines += [f"# TYPE {gauge} gauge", f"{gauge} {value:g}"]
        return "\n".join(lines) + "\n"

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
            (b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),
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
