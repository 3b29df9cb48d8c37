"""What goes wrong with a push, and what it may cost: the cases of `test_push_faults.py`.

`python -m tests.integration.faults` writes them into `docs/explanation/faults.md`; a test compares.
"""

from __future__ import annotations

import email.utils
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.integration.cutting_proxy import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE: Final = Path(__file__).parents[2] / "docs" / "explanation" / "faults.md"
MARK: Final = "<!-- faults -->"

LAYER: Final = 3 * 1024 * 1024  # bytes of the image's one large layer
LARGE: Final = 1024 * 1024  # bytes; no other blob of it is so large
CUT: Final = 1_000_000  # bytes of the layer that pass before the connection is cut
CHUNK: Final = 768 * 1024  # bytes
LIMIT: Final = 512 * 1024  # bytes that the proxy of the 413 case lets through


@dataclass(frozen=True, slots=True)
class Cost:
    """How many bytes of blobs are sent again.

    Args:
        shown: For the table.
        most: At most so many; None stands for the size of the large layer.
        exact: Exactly so many.
    """

    shown: str
    most: int | None
    exact: bool = True


FREE: Final = Cost("0", 0)
ONE_CUT: Final = Cost(f"{CUT:,}: what was sent of the blob", CUT)
ONE_BLOB: Final = Cost("the blob", None)
# Three refusals (of the whole, 2 MiB and 1 MiB), in each of which less is sent than was announced.
TWO_BLOBS: Final = Cost("at most the blob, twice", 2 * LAYER + 64 * 1024, exact=False)


@dataclass(frozen=True, slots=True)
class Case:
    """One way to go wrong.

    Args:
        name: For the table and the test.
        rules: What the proxy does; made when the test begins, because dates are in it.
        old: Bytes sent again on registry 2.8.
        new: Bytes sent again on registry 3.
        exit_code: Of the push.
        options: Further ones of the push.
        body_limit: Of the proxy.
    """

    name: str
    rules: Callable[[], Sequence[Rule]] = tuple
    old: Cost = FREE
    new: Cost = FREE
    exit_code: int = 0
    options: tuple[str, ...] = ()
    body_limit: int | None = None


def _large(method: str, **what: object) -> Rule:
    return Rule(method, "/blobs/uploads/", LARGE, **what)  # type: ignore[arg-type]  # any of its fields


def _large_chunk(**what: object) -> Rule:
    return Rule("PATCH", "/blobs/uploads/", CHUNK // 2, **what)  # type: ignore[arg-type]  # any of its fields


def _manifest(**what: object) -> Rule:
    return Rule("PUT", "/manifests/", **what)  # type: ignore[arg-type]  # any of its fields


def _in(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


CASES: Final[Sequence[Case]] = (
    Case("HEAD of a blob: cut before the answer", lambda: [Rule("HEAD", "/blobs/", lose=True)]),
    Case("HEAD of a blob: answered with 502", lambda: [Rule("HEAD", "/blobs/", status=502)]),
    Case("POST: the connection is closed", lambda: [Rule("POST", refuse=True)]),
    Case("POST: the answer is lost", lambda: [Rule("POST", lose=True)]),
    Case("PUT of a blob: closed at once", lambda: [_large("PUT", refuse=True)]),
    Case(
        f"PUT of a blob: cut after {CUT:,} bytes",
        lambda: [_large("PUT", cut_at=CUT)],
        ONE_CUT,
    ),
    Case(
        f"PUT of a blob and PATCH of the rest: each cut after {CUT:,} bytes",
        lambda: [_large("PUT", cut_at=CUT), _large("PATCH", cut_at=CUT)],
        ONE_CUT,
    ),
    Case(
        "GET of the offset: the answer is lost",
        lambda: [_large("PUT", cut_at=CUT), Rule("GET", "/uploads/", lose=True)],
        ONE_CUT,
    ),
    Case(
        "PUT of a blob: the answer is lost after the registry stored it",
        lambda: [_large("PUT", lose=True)],
    ),
    Case(
        "PUT of a blob: the answer is cut in its head",
        lambda: [_large("PUT", cut_answer_at=20)],
    ),
    Case(
        "chunks: the second PATCH is cut",
        lambda: [_large_chunk(skip=1, cut_at=300_000)],
        Cost(f"{CHUNK + 300_000:,}: what was sent of the blob", CHUNK + 300_000),
        options=("--chunk-size", str(CHUNK)),
    ),
    Case(
        "chunks: the answer to the second PATCH is lost",
        lambda: [_large_chunk(skip=1, lose=True)],
        Cost(f"{2 * CHUNK:,}: what was sent of the blob", 2 * CHUNK),
        options=("--chunk-size", str(CHUNK)),
    ),
    Case("PUT of the manifest: cut after 10 bytes", lambda: [_manifest(cut_at=10)]),
    Case("PUT of the manifest: the answer is lost", lambda: [_manifest(lose=True)]),
    Case(
        "HEAD of the manifest: cut", lambda: [Rule("HEAD", "/manifests/", cut_answer_at=5, times=2)]
    ),
    Case(
        "429 with seconds",
        lambda: [Rule("POST", status=429, headers=(("Retry-After", "1"),))],
    ),
    Case(
        "429 with a date",
        lambda: [_manifest(status=429, headers=(("Retry-After", _in(1)),))],
    ),
    Case("POST: 500 twice", lambda: [Rule("POST", status=500, times=2)]),
    Case(
        "PUT of a blob: 500 after all of it was sent, and nothing kept",
        lambda: [_large("PUT", status=500)],
        ONE_BLOB,
        ONE_BLOB,
    ),
    Case("a slow server", lambda: [Rule("POST", delay=0.3), _large("PUT", delay=0.3)]),
    Case(
        f"413 of a proxy that takes {LIMIT:,} bytes",
        old=TWO_BLOBS,
        new=TWO_BLOBS,
        body_limit=LIMIT,
    ),
    Case(
        "503 for longer than the retry budget",
        lambda: [Rule("POST", status=503, times=10**6)],
        exit_code=6,
        options=("--retry-budget", "300ms"),
    ),
    Case(
        "413 of a proxy that takes next to nothing",
        old=TWO_BLOBS,
        new=TWO_BLOBS,
        exit_code=7,
        body_limit=1000,
    ),
)

KILLED: Final = Case("kill -9 of the push, and a new start", old=ONE_CUT)
RESTARTED: Final = Case(
    "kill -9 of the registry in a PUT, and a new start",
    old=ONE_CUT,
    # What lay in the registry's memory is gone with it.
    new=Cost(f"less than {CUT:,}", CUT, exact=False),
)
FULL: Final = Case(
    "disk of the registry full, then room again",
    old=Cost("at most the blob", LAYER + 64 * 1024, exact=False),
    new=Cost("at most the blob", LAYER + 64 * 1024, exact=False),
)
# The other one finds the blob missing and sends it; the first finds it there and stops.
TOGETHER: Final = Case("two pushes of the same image at once", old=ONE_CUT, new=ONE_CUT)
EXPIRED: Final = Case(
    "token refused in the middle of a blob, behind a proxy that takes 8 kB of header", old=ONE_CUT
)
SPECIAL: Final = (KILLED, RESTARTED, FULL, TOGETHER, EXPIRED)


def table() -> str:
    """Return the table for the documentation."""
    lines = ["| what goes wrong | sent again, registry 2.8 | registry 3 | exit code |"]
    lines.append("|---|---|---|---|")
    lines += [
        f"| {case.name} | {case.old.shown} | {case.new.shown} | {case.exit_code} |"
        for case in (*CASES, *SPECIAL)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    before, _, after = PAGE.read_text().split(MARK)
    PAGE.write_text(f"{before}{MARK}\n\n{table()}\n\n{MARK}{after}")
