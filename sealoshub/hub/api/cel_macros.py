"""What the macros of CEL do with the items of a list: `all`, `exists`, `filter`, `map`, `optMap`.

They are macros because their arguments are expressions, evaluated for each item anew; `cel.py`
compiles these and hands them over as steps.
"""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api.cel_values import CelError, Optional, no_overload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Evaluate = Callable[[Mapping[str, Any]], Any]


def opt_map(value: Any, variable: str, step: Evaluate, env: Mapping[str, Any]) -> Any:
    """Return an optional with what *step* makes of the value of another; nothing of nothing.

    Raises:
        CelError: *value* is no optional.
    """
    if not isinstance(value, Optional):
        raise no_overload("optMap")
    if not value.present:
        return value
    return Optional(present=True, value=step({**env, variable: value.value}))


def _quantified(decides: bool) -> Callable[..., bool]:  # noqa: FBT001  # exists: True, all: False
    def work(items: list[Any], steps: list[Evaluate], results: Callable[..., Any]) -> bool:
        failure: CelError | None = None
        for item in items:
            try:
                value = results(steps[0], item)
            except CelError as exc:
                failure = failure or exc
                continue
            if not isinstance(value, bool):
                failure = failure or no_overload("_||_" if decides else "_&&_")
            elif value is decides:
                return decides
        if failure is not None:
            raise failure
        return not decides

    return work


def _chosen(items: list[Any], step: Evaluate, results: Callable[..., Any]) -> list[Any]:
    kept: list[Any] = []
    for item in items:
        value = results(step, item)
        if not isinstance(value, bool):
            raise no_overload("_?_:_")
        if value:
            kept.append(item)
    return kept


def _mapped(items: list[Any], steps: list[Evaluate], results: Callable[..., Any]) -> list[Any]:
    if len(steps) > 1:
        items = _chosen(items, steps[0], results)
    return [results(steps[-1], item) for item in items]


# Each takes the items, the steps, and what evaluates a step for an item.
COMPREHENSIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "all": _quantified(decides=False),
    "exists": _quantified(decides=True),
    "exists_one": lambda items, steps, results: len(_chosen(items, steps[0], results)) == 1,
    "filter": lambda items, steps, results: _chosen(items, steps[0], results),
    "map": _mapped,
}
NAMES: Final = frozenset({*COMPREHENSIONS, "optMap"})
