"""Patches: merge, JSON, strategic."""

from __future__ import annotations

from typing import Any

import pytest

from sealoshub.hub.api.patch import json_patch, merge_patch, strategic_merge
from sealoshub.hub.api.schema import Builtin
from sealoshub.hub.api.status import ApiError

Body = dict[str, Any]


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, "bar", "bar"),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Body, patch: object, result: object) -> None:
    """The examples of RFC 7386, appendix A."""
    assert merge_patch(target, patch) == result


@pytest.mark.parametrize(
    ("target", "operation", "result"),
    [
        ({"a": [1]}, {"op": "add", "path": "/a/-", "value": 2}, {"a": [1, 2]}),
        ({"a": [1]}, {"op": "add", "path": "/a/0", "value": 0}, {"a": [0, 1]}),
        ({"a~/b": 1}, {"op": "remove", "path": "/a~0~1b"}, {}),
        ({"a": 1}, {"op": "replace", "path": "/a", "value": 2}, {"a": 2}),
        ({"a": 1}, {"op": "move", "from": "/a", "path": "/b"}, {"b": 1}),
        ({"a": 1}, {"op": "copy", "from": "/a", "path": "/b"}, {"a": 1, "b": 1}),
        ({"a": 1}, {"op": "test", "path": "/a", "value": 1}, {"a": 1}),
    ],
)
def test_json_patch(target: Body, operation: Body, result: Body) -> None:
    """Each operation of RFC 6902."""
    assert json_patch(target, [operation]) == result


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/b"},
        {"op": "replace", "path": "/b", "value": 1},
        {"op": "add", "path": "/b/c", "value": 1},
        {"op": "add", "path": "/l/5", "value": 1},
        {"op": "remove", "path": "/l/-1"},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "add", "path": "a", "value": 1},
    ],
)
def test_json_patch_refused(operation: Body) -> None:
    """What does not apply is 422 and leaves the target alone."""
    target = {"a": 1, "l": [1]}
    with pytest.raises(ApiError) as caught:
        json_patch(target, [operation])
    assert caught.value.http == 422
    assert target == {"a": 1, "l": [1]}


@pytest.mark.parametrize(
    ("patch", "names"),
    [
        ({"secrets": [{"name": "c"}]}, ["a", "b", "c"]),
        ({"secrets": [{"name": "a", "$patch": "delete"}]}, ["b"]),
        ({"secrets": [{"$patch": "replace"}, {"name": "z"}]}, ["z"]),
        ({"$setElementOrder/secrets": [{"name": "b"}, {"name": "a"}]}, ["b", "a"]),
        ({"secrets": None}, []),
    ],
)
def test_strategic_merge(patch: Body, names: list[str]) -> None:
    """A list with a merge key is united by it, and obeys the directives."""
    schema = Builtin().schema("io.k8s.api.core.v1.ServiceAccount")
    target = {"secrets": [{"name": "a"}, {"name": "b"}]}
    merged = strategic_merge(schema, target, patch)
    assert [one["name"] for one in merged.get("secrets", [])] == names


def test_strategic_merge_replaces_rules() -> None:
    """The rules of a role have no merge key: they are replaced."""
    schema = Builtin().schema("io.k8s.api.rbac.v1.Role")
    merged = strategic_merge(schema, {"rules": [{"verbs": ["a"]}]}, {"rules": [{"verbs": ["b"]}]})
    assert merged == {"rules": [{"verbs": ["b"]}]}
