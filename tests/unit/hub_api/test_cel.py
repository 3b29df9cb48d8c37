"""CEL as Kubernetes understands it."""

from __future__ import annotations

from typing import Any

import pytest

from sealoshub.hub.api.cel import compile_expression
from sealoshub.hub.api.cel_values import CelError, CelSyntaxError

OBJECT: dict[str, Any] = {
    "metadata": {"name": "a.b", "labels": {"x/y": "1"}},
    "spec": {"name": "a/b", "n": 3, "members": [{"kind": "User", "namespace": "q"}, {"kind": "G"}]},
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("self.metadata.name == self.spec.name.replace('/', '.')", True),
        ("self.spec.name.split('/')[1]", "b"),
        ("'x/y' in self.metadata.labels && self.metadata.labels['x/y'] == '1'", True),
        ("has(self.spec.nope) || !has(self.spec.name)", False),
        ("self.spec.members.all(m, m.kind != '')", True),
        ("self.spec.members.exists(m, m.__namespace__ == 'q')", True),
        ("self.spec.members.exists(m, has(m.__namespace__) && m.kind == 'G')", False),
        ("self.spec.members.map(m, m.kind)", ["User", "G"]),
        ("self.spec.members.filter(m, m.kind == 'G').size()", 1),
        ("self.spec.members.exists_one(m, m.kind == 'G')", True),
        ("self.spec.n > 2 ? 'x' + string(self.spec.n) : 'y'", "x3"),
        ("self.nope == 1 || true", True),
        ("true || self.nope == 1", True),
        ("self.nope == 1 && false", False),
        ("[1, 2,].size() == 2", True),
        ("true == 1", False),
        ("3 == 3.0", True),
        ("'a' == null", False),
        ("type(self.spec.n) == int", True),
        ("self.?spec.?nope.orValue('d')", "d"),
        ("self[?'spec'].hasValue()", True),
        ("optional.of(3).optMap(v, v + 1).value()", 4),
        ("'%s-%d'.format(['a', 1])", "a-1"),
        ("'AbC'.lowerAscii()", "abc"),
        ("['a', 'b'].join(',')", "a,b"),
        ("'a.?b'", "a.?b"),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("timestamp('2024-01-01T00:00:00Z') < timestamp('2025-01-01T00:00:00Z')", True),
        ("duration('2h') > duration('119m')", True),
        ("sets.contains([1, 2], [2])", True),
        ("Object{spec: Object.spec{creator: 'x'}}", {"spec": {"creator": "x"}}),
        ("[JSONPatch{op: 'add', path: '/a', value: 1}][0].op", "add"),
        ("jsonpatch.escapeKey('a/b')", "a~1b"),
        ("cel.bind(x, 2, x + 1)", 3),
    ],
)
def test_values(expression: str, value: object) -> None:
    """An expression has the value that it has in Kubernetes."""
    assert compile_expression(expression).evaluate({"self": OBJECT}) == value


def test_end_of_text_is_the_end() -> None:
    """`$` does not match before a last line break, as RE2 and unlike Python."""
    assert compile_expression("t.matches('^[a-z]+$')").evaluate({"t": "abc\n"}) is False


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("self.nope", "no such key: nope"),
        ("self.nope || false", "no such key: nope"),
        ("1 + 1.0", "no such overload: _+_"),
        ("true + true", "no such overload: _+_"),
        ("1 / 0", "division by zero"),
        ("[1][1]", "index out of bounds: 1"),
        ("self.spec.n.startsWith('a')", "no such overload: startsWith"),
        ("'a' < 1", "no such overload: _<_"),
        ("1 || false", "no such overload: _||_"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("unknown", "no such attribute(s): unknown"),
        ("optional.none().value()", "optional.none() dereference"),
    ],
)
def test_errors(expression: str, message: str) -> None:
    """An expression that cannot be evaluated says why in cel-go's words."""
    with pytest.raises(CelError) as caught:
        compile_expression(expression).evaluate({"self": OBJECT})
    assert str(caught.value) == message


@pytest.mark.parametrize("expression", ["a b", "f(1)", "has(a)", "(", "a.all(1, true)", ""])
def test_no_cel(expression: str) -> None:
    """What is no CEL is refused when it is compiled."""
    with pytest.raises(CelSyntaxError):
        compile_expression(expression)


def test_names() -> None:
    """A program knows the variables that it uses, and not those of its macros."""
    program = compile_expression("self.a.all(m, m == oldSelf.b)")
    assert program.names == {"self", "oldSelf"}
