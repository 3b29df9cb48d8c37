"""Expressions of CEL: celpy parses them, closures over plain Python values evaluate them.

celpy's own evaluator is not used: it needs 0.4 ms for each item of a list and each rule (an
organisation may have 500 members), compares no int with a double (Kubernetes does), and knows no
optional values. The grammar is celpy's, so are the regular expressions (`cel_library.py`).
"""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import ast
import functools
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from celpy.celparser import CELParseError, CELParser

from sealoshub.hub.api import cel_library, cel_macros, cel_values
from sealoshub.hub.api.cel_values import CelError, CelSyntaxError, CelType, no_overload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealoshub.hub.api.cel_macros import Evaluate

_TYPES: Final = {
    name: CelType(name)
    for name in ("bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type")
}
_OPTIONAL: Final = "optional__"  # how `.?name` is written for celpy's grammar, which lacks it
_STRINGS: Final = re.compile(
    r'[rRbB]{0,2}(?:"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\')',
    re.DOTALL,
)
_OPERATORS: Final = {
    "relation_lt": cel_values.comparison("_<_", operator.lt),
    "relation_le": cel_values.comparison("_<=_", operator.le),
    "relation_gt": cel_values.comparison("_>_", operator.gt),
    "relation_ge": cel_values.comparison("_>=_", operator.ge),
    "relation_eq": cel_values.equal,
    "relation_ne": lambda left, right: not cel_values.equal(left, right),
    "relation_in": cel_values.member,
    "addition_add": cel_values.add,
    "addition_sub": cel_values.subtract,
    "multiplication_mul": cel_values.arithmetic("_*_", operator.mul),
    "multiplication_div": cel_values.arithmetic("_/_", cel_values.divide),
    "multiplication_mod": cel_values.arithmetic("_%_", cel_values.modulo),
}


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression.

    Args:
        text: The expression as it was written.
        names: The variables it uses.
        evaluate: Takes the variables and returns the value, or raises :class:`CelError`.
    """

    text: str
    names: frozenset[str]
    evaluate: Evaluate


@functools.lru_cache(maxsize=4096)
def compile_expression(text: str) -> Program:
    """Compile *text*; the result is cached, programs hold no state.

    Raises:
        CelSyntaxError: It is no CEL.
    """
    try:
        tree = CELParser().parse(_translate(text))
    except CELParseError as exc:
        raise CelSyntaxError(f"Syntax error in the expression: {text.strip()}") from exc
    names: set[str] = set()
    evaluate = _compile(tree, names)
    return Program(text, frozenset(names), evaluate)


def _translate(text: str) -> str:
    """Rewrite what celpy's grammar lacks, outside of strings: `.?a`, `[?a]`, trailing commas."""
    pieces: list[str] = []
    at = 0
    for found in _STRINGS.finditer(text):
        pieces += [_translate_code(text[at : found.start()]), found[0]]
        at = found.end()
    pieces.append(_translate_code(text[at:]))
    return "".join(pieces)


def _translate_code(code: str) -> str:
    code = re.sub(r"\.\?\s*(\w+)", rf".{_OPTIONAL}\1", code)
    code = re.sub(r"\[\?", f".{_OPTIONAL}[", code)
    return re.sub(r",(\s*[\]}])", r"\1", code)


def _compile(node: Any, names: set[str]) -> Evaluate:
    handler = _HANDLERS.get(node.data)
    if handler is None:
        if len(node.children) == 1:
            return _compile(node.children[0], names)
        raise CelSyntaxError(f"not supported: {node.data}")
    return handler(node, names)


def _ternary(node: Any, names: set[str]) -> Evaluate:
    if len(node.children) == 1:
        return _compile(node.children[0], names)
    condition, then, otherwise = (_compile(child, names) for child in node.children)

    def evaluate(env: Mapping[str, Any]) -> Any:
        chosen = condition(env)
        if not isinstance(chosen, bool):
            raise no_overload("_?_:_")
        return then(env) if chosen else otherwise(env)

    return evaluate


def _logic(node: Any, names: set[str]) -> Evaluate:
    """Compile `||` and `&&`, which are commutative in the face of errors."""
    if len(node.children) == 1:
        return _compile(node.children[0], names)
    left, right = (_compile(child, names) for child in node.children)
    decides = node.data == "conditionalor"

    def evaluate(env: Mapping[str, Any]) -> Any:
        failure: CelError | None = None
        for side in (left, right):
            try:
                value = side(env)
            except CelError as exc:
                failure = failure or exc
                continue
            if value is decides:
                return decides
            if not isinstance(value, bool):
                failure = failure or no_overload("_||_" if decides else "_&&_")
        if failure is not None:
            raise failure
        return not decides

    return evaluate


def _binary(node: Any, names: set[str]) -> Evaluate:
    if len(node.children) == 1:
        return _compile(node.children[0], names)
    first, second = node.children
    work = _OPERATORS[first.data]
    left, right = _compile(first.children[0], names), _compile(second, names)
    return lambda env: work(left(env), right(env))


def _unary(node: Any, names: set[str]) -> Evaluate:
    if len(node.children) == 1:
        return _compile(node.children[0], names)
    negates = node.children[0].data == "unary_not"
    inner = _compile(node.children[1], names)

    def evaluate(env: Mapping[str, Any]) -> Any:
        value = inner(env)
        if negates and isinstance(value, bool):
            return not value
        if not negates and cel_values.is_number(value):
            return -value
        raise no_overload("!_" if negates else "-_")

    return evaluate


def _dot(node: Any, names: set[str]) -> Evaluate:
    target, token = node.children
    name = str(token)
    inner = _compile(target, names)
    if name.startswith(_OPTIONAL):
        key = name.removeprefix(_OPTIONAL)
        return lambda env: cel_values.optional_field(inner(env), key)
    plain = cel_values.unescape(name)
    return lambda env: cel_values.field(inner(env), name, plain)


def _index(node: Any, names: set[str]) -> Evaluate:
    target, key = node.children
    inside = target.children[0]
    at = _compile(key, names)
    if inside.data == "member_dot" and str(inside.children[1]) == _OPTIONAL:
        value = _compile(inside.children[0], names)
        return lambda env: cel_values.optional_field(value(env), at(env))
    inner = _compile(target, names)
    return lambda env: cel_values.index(inner(env), at(env))


def _method(node: Any, names: set[str]) -> Evaluate:
    target, token = node.children[:2]
    name = str(token)
    arguments = node.children[2].children if len(node.children) > 2 else []  # noqa: PLR2004
    owner = _identifier(target)
    if owner == "cel" and name == "bind":
        return _bind(arguments, names)
    if owner in cel_library.NAMESPACES and f"{owner}.{name}" in cel_library.FUNCTIONS:
        return _call(f"{owner}.{name}", [_compile(one, names) for one in arguments])
    if name in cel_macros.NAMES and len(arguments) > 1:
        return _macro(name, _compile(target, names), arguments, names)
    inner = _compile(target, names)
    values = [_compile(one, names) for one in arguments]
    return lambda env: cel_library.call_method(inner(env), name, [one(env) for one in values])


def _function(node: Any, names: set[str]) -> Evaluate:
    name = str(node.children[0])
    arguments = node.children[1].children if len(node.children) > 1 else []
    if name == "has":
        return _has(arguments, names)
    if name not in cel_library.FUNCTIONS:
        raise CelSyntaxError(f"undeclared reference to '{name}'")
    return _call(name, [_compile(one, names) for one in arguments])


def _call(name: str, arguments: list[Evaluate]) -> Evaluate:
    return lambda env: cel_library.call_function(name, [one(env) for one in arguments])


def _has(arguments: list[Any], names: set[str]) -> Evaluate:
    node = arguments[0] if len(arguments) == 1 else None
    while node is not None and getattr(node, "data", "") != "member_dot":
        below: list[Any] = getattr(node, "children", [])
        node = below[0] if len(below) == 1 else None
    if node is None:
        raise CelSyntaxError("invalid argument to has() macro")
    target, token = node.children
    inner, name = _compile(target, names), str(token)
    if name.startswith(_OPTIONAL):
        key = name.removeprefix(_OPTIONAL)
        return lambda env: cel_values.optional_field(inner(env), key).present
    plain = cel_values.unescape(name)
    return lambda env: cel_values.present(inner(env), name, plain)


def _bind(arguments: list[Any], names: set[str]) -> Evaluate:
    if len(arguments) != 3 or (variable := _identifier(arguments[0])) is None:  # noqa: PLR2004
        raise CelSyntaxError("cel.bind() takes a variable, a value and an expression")
    value, inner = _compile(arguments[1], names), _compile(arguments[2], names)
    return lambda env: inner({**env, variable: value(env)})


def _macro(name: str, target: Evaluate, arguments: list[Any], names: set[str]) -> Evaluate:
    variable = _identifier(arguments[0])
    if variable is None:
        raise CelSyntaxError(f"argument of {name}() must be a simple name")
    inside: set[str] = set()
    steps = [_compile(one, inside) for one in arguments[1:]]
    names |= inside - {variable}
    if name == "optMap":
        return lambda env: cel_macros.opt_map(target(env), variable, steps[0], env)
    work = cel_macros.COMPREHENSIONS[name]

    def evaluate(env: Mapping[str, Any]) -> Any:
        items = target(env)
        if isinstance(items, dict):
            items = list(items)
        if not isinstance(items, list):
            raise no_overload(name)
        scope = dict(env)

        def results(step: Evaluate, item: Any) -> Any:
            scope[variable] = item
            return step(scope)

        return work(items, steps, results)

    return evaluate


def _object(node: Any, names: set[str]) -> Evaluate:
    """Compile `Object.spec{…}` and `JSONPatch{…}`: a map with those fields."""
    parts = node.children[1].children if len(node.children) > 1 else []
    fields = {
        cel_values.unescape(str(name)): _compile(value, names)
        for name, value in zip(parts[::2], parts[1::2], strict=True)
    }
    return lambda env: {name: value(env) for name, value in fields.items()}


def _list(node: Any, names: set[str]) -> Evaluate:
    parts = node.children[0].children if node.children else []
    items = [_compile(one, names) for one in parts]
    return lambda env: [one(env) for one in items]


def _map(node: Any, names: set[str]) -> Evaluate:
    parts = node.children[0].children if node.children else []
    compiled = [_compile(one, names) for one in parts]
    pairs = list(zip(compiled[::2], compiled[1::2], strict=True))
    return lambda env: {key(env): value(env) for key, value in pairs}


def _name(node: Any, names: set[str]) -> Evaluate:
    name = str(node.children[0])
    names.add(name)
    if name in _TYPES:
        return lambda env: env.get(name, _TYPES[name])

    def evaluate(env: Mapping[str, Any]) -> Any:
        try:
            return env[name]
        except KeyError:
            raise CelError(f"no such attribute(s): {name}") from None

    return evaluate


def _literal(node: Any, _names: set[str]) -> Evaluate:
    token = node.children[0]
    text = str(token)
    value: Any
    match token.type:
        case "INT_LIT" | "UINT_LIT":
            value = int(text.rstrip("uU"), 0)
        case "FLOAT_LIT":
            value = float(text)
        case "BOOL_LIT":
            value = text == "true"
        case "NULL_LIT":
            value = None
        case _:
            value = _string(text)
    return lambda _env: value


def _string(text: str) -> str | bytes:
    """Read a string literal; CEL's escapes are Python's, but for the question mark and backtick."""
    cleaned = text if text[0] in "rR" else re.sub(r"\\([?`])", r"\1", text)
    try:
        value = ast.literal_eval(cleaned)
    except (SyntaxError, ValueError) as exc:
        raise CelSyntaxError(f"invalid string literal {text}") from exc
    if not isinstance(value, (str, bytes)):
        raise CelSyntaxError(f"invalid string literal {text}")
    return value


def _identifier(node: Any) -> str | None:
    """Return the name if *node* is nothing but an identifier."""
    while len(node.children) == 1 and hasattr(node.children[0], "children"):
        node = node.children[0]
    return str(node.children[0]) if node.data == "ident" else None


_HANDLERS: Final[Mapping[str, Callable[[Any, set[str]], Evaluate]]] = {
    "expr": _ternary,
    "conditionalor": _logic,
    "conditionaland": _logic,
    "relation": _binary,
    "addition": _binary,
    "multiplication": _binary,
    "unary": _unary,
    "member_dot": _dot,
    "member_dot_arg": _method,
    "member_index": _index,
    "member_object": _object,
    "ident_arg": _function,
    "ident": _name,
    "dot_ident": _name,
    "list_lit": _list,
    "map_lit": _map,
    "literal": _literal,
}
