"""CustomResourceDefinitions, the objects that they rule, and admission policies."""

from __future__ import annotations

from typing import Any, Final

from tests.integration.differential.ask import APPLY, MERGE, STRATEGIC, Ask, Until

C: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
T: Final = "/apis/x.io/v1/namespaces/default/things"
V: Final = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "default": 3, "minimum": 1, "maximum": 5},
                "s": {"type": "string", "pattern": "^a+$", "maxLength": 4, "minLength": 2},
                "l": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
                "m": {
                    "type": "object",
                    "maxProperties": 5,
                    "additionalProperties": {"type": "string", "maxLength": 10},
                },
                "set": {
                    "type": "array",
                    "x-kubernetes-list-type": "set",
                    "items": {"type": "string"},
                },
                "any": {"x-kubernetes-preserve-unknown-fields": True},
                "ios": {"x-kubernetes-int-or-string": True},
                "nn": {"type": "string", "nullable": True},
                "f": {"type": "number"},
                "t": {"type": "string", "format": "date-time"},
            },
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.n) || self.n != 4",
                    "messageExpression": '"no " + (self.n == 4 ? "four" : "")',
                    "fieldPath": ".n",
                    "reason": "FieldValueForbidden",
                },
                {"rule": "self.n >= oldSelf.n", "message": "shrinks"},
                {"rule": '!has(self.m) || self.m.all(k, k.startsWith("a"))'},
                {
                    "rule": '!has(self.ios) || type(self.ios) == int || self.ios.endsWith("%")',
                    "message": "ios",
                },
            ],
        }
    },
}


def crd(
    plural: str = "things", kind: str = "Thing", schema: dict[str, Any] = SCHEMA
) -> dict[str, Any]:
    """Return a definition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.x.io"},
        "spec": {
            "group": "x.io",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def t(name: str, **spec: object) -> dict[str, Any]:
    """Return a Thing."""
    return {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": name}, "spec": spec}


def vap(name: str, **spec: object) -> dict[str, Any]:
    """Return a ValidatingAdmissionPolicy."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


DEFINITIONS: Final = (
    Ask("crd", "admin", "POST", C, crd()),
    Ask("crd bad name", "admin", "POST", C, {**crd(), "metadata": {"name": "x.x.io"}}),
    Ask(
        "crd bad rule",
        "admin",
        "POST",
        C,
        crd(
            "things2",
            "Thing2",
            {"type": "object", "x-kubernetes-validations": [{"rule": "self.((("}]},
        ),
    ),
    Until(Ask("", "admin", "GET", T)),
    Ask(
        "t ok",
        "admin",
        "POST",
        T,
        t(
            "a",
            s="aa",
            m={"ab": "c"},
            any={"x": [1, {"y": None}]},
            ios="5%",
            nn=None,
            f=1,
            t="2024-01-01T00:00:00Z",
        ),
    ),
    Ask("t limits", "admin", "POST", T, t("b", s="bbbbbb", n=9, l=["a", "b", "c"], set=["a", "a"])),
    Ask("t limits2", "admin", "POST", T, t("b", s="b", n=0)),
    Ask("t null", "admin", "POST", T + "?dryRun=All", t("b", s=None, n=None)),
    Ask("t rule", "admin", "POST", T, t("b", n=4, m={"b": "c"}, ios="x")),
    Ask(
        "t types",
        "admin",
        "POST",
        T,
        t("b", n="x", s=1, l={}, m={"a": 1}, f="x", ios=True, t="nope"),
    ),
    Ask("t n float", "admin", "POST", T + "?dryRun=All", t("b", n=2.0)),
    Ask("t transition", "admin", "PATCH", T + "/a", {"spec": {"n": 2}}, kind=MERGE),
    Ask("t ok2", "admin", "PATCH", T + "/a", {"spec": {"n": 5}}, kind=MERGE),
    Ask("t status none", "admin", "PATCH", T + "/a/status", {"spec": {"n": 5}}, kind=MERGE),
    Ask("t all ns", "admin", "GET", "/apis/x.io/v1/things"),
    Ask("t cluster create", "admin", "POST", "/apis/x.io/v1/things", t("zz")),
    Ask(
        "t gen",
        "admin",
        "POST",
        T + "?dryRun=All",
        {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"generateName": "Bad-"}},
    ),
    Ask(
        "t set apply", "admin", "PATCH", T + "/s?fieldManager=a", t("s", set=["x", "y"]), kind=APPLY
    ),
    Ask(
        "t set apply2",
        "admin",
        "PATCH",
        T + "/s?fieldManager=b",
        t("s", set=["z", "x"]),
        kind=APPLY,
    ),
    Ask("t set apply3", "admin", "PATCH", T + "/s?fieldManager=a", t("s", set=["y"]), kind=APPLY),
    Ask(
        "t owner",
        "admin",
        "POST",
        T,
        {
            **t("o"),
            "metadata": {
                "name": "o",
                "ownerReferences": [{"apiVersion": "x.io/v1", "kind": "Thing", "name": "s"}],
            },
        },
    ),
    Ask(
        "crd immut",
        "admin",
        "PATCH",
        C + "/things.x.io",
        {"spec": {"scope": "Cluster"}},
        kind=MERGE,
    ),
    Ask("crd del", "admin", "DELETE", C + "/things.x.io"),
    Ask("vap empty", "admin", "POST", V, vap("a")),
    Ask(
        "vap ok",
        "admin",
        "POST",
        V,
        vap(
            "a",
            matchConstraints={
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["secrets"],
                    }
                ]
            },
            validations=[{"expression": "true"}],
        ),
    ),
    Ask(
        "vap smp",
        "admin",
        "PATCH",
        V + "/a",
        {"spec": {"variables": [{"name": "x", "expression": "1"}]}},
        kind=STRATEGIC,
    ),
    Ask(
        "vap bad",
        "admin",
        "POST",
        V,
        vap(
            "b",
            matchConstraints={
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["secrets"],
                    }
                ]
            },
            validations=[{"expression": "x y"}, {"expression": "true", "reason": "Nope"}],
        ),
    ),
)
