"""Where the embedded API may answer otherwise than a real one, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Allowed:
    """One kind of difference.

    Args:
        reason: Why it may be.
        line: Pattern of the lines that may differ, `path.to.value = value`, from their beginning.
        titles: Requests whose answers differ so; every one of them must.
    """

    reason: str
    line: str
    titles: tuple[str, ...]


_MESSAGE: Final = r"body\.message = "
_CAUSE: Final = r"body\.(message|details\.causes\[\d+\]\.message) = "

ALLOWED: Final[tuple[Allowed, ...]] = (
    Allowed(
        "What is not served at all says so in a Status, which clients can show, and not in text.",
        r"body",
        ("404 res", "t cluster create"),
    ),
    Allowed(
        "The text of a JSON decoder is its own; status and reason are the same.",
        _MESSAGE,
        ("no kind", "bad json", "not obj", "role wrongtype", "create no body", "api wrong"),
    ),
    Allowed(
        "The text names what only etcd has, or Go's source code.",
        _MESSAGE,
        ("put uid", "imp group only", "cont bad", "watch from nonsense"),
    ),
    Allowed(
        "The parser of selectors finds the same fault and words it otherwise.",
        _MESSAGE,
        ("bad label sel",),
    ),
    Allowed(
        "A column's description is shown by no client; the columns and cells are the same.",
        r"body\.columnDefinitions\[\d+\]\.description = ",
        ("table", "table one", "rb table", "secret table"),
    ),
    Allowed(
        "Nobody can own a field of an answer that is not stored.",
        r"body\.metadata( =|\.managedFields)",
        (
            "token",
            "token for the hub",
            *(f"review of a token {number}" for number in range(6)),
            *("sar ok", "sar no", "sar missing role", "sar masters", "sar path", "sar custom"),
            *("ssar", "lsar"),
        ),
    ),
    Allowed(
        "Why a token is not valid is said to its owner's client nowhere; that it is not, is.",
        r"body\.status\.error = ",
        ("review of a token 1", "review of a token 5"),
    ),
    Allowed(
        "A binding to a role that is gone grants nothing, here without a remark.",
        r"body\.status\.evaluationError = ",
        ("ssrr",),
    ),
    Allowed(
        "Kubernetes 1.37 asks for a finer right first; without it both refuse.",
        r"body\.(message|details\.(kind|name)) = ",
        ("imp denied",),
    ),
    Allowed(
        "It calls itself what it is.",
        r"body\.\w+ = ",
        ("root",),
    ),
    Allowed(
        "A continue token is opaque.",
        r"body\.metadata\.continue = ",
        ("page 1",),
    ),
    Allowed(
        "The whole history of a small hub is kept, where etcd's watch cache begins anew.",
        r"body\[\d+\]\.",
        ("watch from the beginning",),
    ),
    Allowed(
        "The bookmark before the time is up comes at its end, and a short watch has one too.",
        r"body\[4\]\.",
        ("watch of a list",),
    ),
    Allowed(
        "What the client did wrong is its fault (400), not the server's (500).",
        r"(code|body\.code|body\.reason) = ",
        ("watch from nonsense",),
    ),
    Allowed(
        "A definition is established, and gone, in the answer already: nothing works behind it.",
        r"body\.",
        ("crd", "crd del"),
    ),
    Allowed(
        "The compiler of rules is another one; where it finds a fault is the same.",
        _CAUSE,
        ("crd bad rule", "vap bad"),
    ),
    Allowed(
        "2.0 is an integer to the schema of both, and to our rules as well; Go's rules fail on it.",
        r"(code|body.*) = ",
        ("t n float",),
    ),
    Allowed(
        "A kind without a status subresource has no such path; the real one looks for an object.",
        r"body\.(message|details)",
        ("t status none",),
    ),
)


def left(title: str, difference: Sequence[str], allowed: Sequence[Allowed] = ALLOWED) -> list[str]:
    """Return the lines of *difference* that the table does not allow for *title*."""
    patterns = [re.compile(r"[-+]" + item.line) for item in allowed if title in item.titles]
    return [line for line in difference if not any(p.match(line) for p in patterns)]
