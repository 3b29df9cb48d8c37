"""Create, read, update, patch, apply and delete, over TLS as a client sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.hub_api.conftest import CRDS, RBAC, THINGS, thing

if TYPE_CHECKING:
    from tests.unit.hub_api.conftest import Api

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
NAMESPACES = "/api/v1/namespaces"


def test_create_fills_in(things: Api) -> None:
    """A new object has the server's fields, the defaults, a manager, and no status."""
    body = {**thing("new", s="aa"), "status": {"x": 1}}
    made = things.admin("POST", THINGS, body, user_agent="me/1").json()
    metadata = made["metadata"]
    assert made["spec"] == {"s": "aa", "n": 3}
    assert "status" not in made
    assert metadata["generation"] == 1
    assert {"uid", "resourceVersion", "creationTimestamp"} <= metadata.keys()
    owned: dict[str, Any] = {".": {}, "f:n": {}, "f:s": {}}
    assert metadata["managedFields"][0]["fieldsV1"] == {"f:spec": owned}
    assert metadata["managedFields"][0]["manager"] == "me"


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"n": 0}, ["spec.n"]),
        ({"n": 6}, ["spec.n"]),
        ({"n": "x"}, ["spec.n", "<nil>"]),
        ({"s": "b"}, ["spec.s"]),
        ({"s": "aaaaaa"}, ["spec.s", "<nil>"]),
        ({"color": "green"}, ["spec.color", "<nil>"]),
        ({"color": "blue"}, ["spec.color"]),
        ({"tags": ["a", "a"]}, ["spec.tags[1]"]),
        ({"members": [{"role": "x"}]}, ["spec.members[0].name", "<nil>"]),
        ({"members": [{"name": "root"}]}, ["spec.members[0]"]),
        ({"members": [{"name": c} for c in "abcd"]}, ["spec.members", "<nil>"]),
    ],
)
def test_invalid(things: Api, spec: dict[str, Any], fields: list[str]) -> None:
    """What breaks the schema or its rules is 422 with a cause for each fault."""
    answer = things.admin("POST", THINGS, thing("invalid", **spec))
    assert answer.status_code == 422
    assert [c["field"] for c in answer.json()["details"]["causes"]] == fields


def test_unknown_fields(things: Api) -> None:
    """An unknown field is dropped, warned about, or refused, as the client asks."""
    body = thing("unknown", bogus=1)
    answer = things.admin("POST", f"{THINGS}?dryRun=All", body)
    assert answer.headers["warning"] == '299 - "unknown field \\"spec.bogus\\""'
    assert "bogus" not in answer.json()["spec"]
    strict = things.admin("POST", f"{THINGS}?fieldValidation=Strict", body)
    assert strict.status_code == 400
    assert 'strict decoding error: unknown field "spec.bogus"' in strict.json()["message"]
    ignored = things.admin("POST", f"{THINGS}?fieldValidation=Ignore&dryRun=All", body)
    assert "warning" not in ignored.headers


def test_dry_run_keeps_nothing(things: Api) -> None:
    """A dry run answers as if, and leaves nothing behind."""
    assert things.admin("POST", f"{THINGS}?dryRun=All", thing("dry")).status_code == 201
    assert things.admin("GET", f"{THINGS}/dry").status_code == 404


def test_update_needs_the_latest_version(things: Api) -> None:
    """An update with an old resourceVersion is a conflict, without one it is invalid."""
    made = things.admin("POST", THINGS, thing("locked")).json()
    newer = things.admin("PUT", f"{THINGS}/locked", {**made, "spec": {"n": 4}})
    assert newer.json()["metadata"]["generation"] == 2
    late = things.admin("PUT", f"{THINGS}/locked", {**made, "spec": {"n": 5}})
    assert (late.status_code, late.json()["reason"]) == (409, "Conflict")
    assert things.admin("PUT", f"{THINGS}/locked", thing("locked")).status_code == 422


def test_transition_rule(things: Api) -> None:
    """A rule with oldSelf judges changes, and its messageExpression words the fault."""
    things.admin("POST", THINGS, thing("grows", n=4))
    answer = things.admin("PATCH", f"{THINGS}/grows", {"spec": {"n": 2}}, MERGE)
    assert answer.json()["details"]["causes"][0]["message"] == "Invalid value: was 4"


def test_no_change_is_no_write(things: Api) -> None:
    """A patch that changes nothing keeps the resourceVersion."""
    made = things.admin("POST", THINGS, thing("same")).json()
    again = things.admin("PATCH", f"{THINGS}/same", {"spec": {"n": 3}}, MERGE).json()
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_status_is_apart(things: Api) -> None:
    """The status is written through its subresource only, and nothing else is."""
    things.admin("POST", THINGS, thing("stat"))
    both = {"spec": {"n": 5}, "status": {"x": 1}}
    plain = things.admin("PATCH", f"{THINGS}/stat", both, MERGE).json()
    assert (plain["spec"]["n"], plain.get("status")) == (5, None)
    both = {"spec": {"n": 4}, "status": {"x": 1}}
    status = things.admin("PATCH", f"{THINGS}/stat/status", both, MERGE).json()
    assert (status["spec"]["n"], status["status"]) == (5, {"x": 1})
    assert status["metadata"]["generation"] == 2


def test_apply(things: Api) -> None:
    """Apply makes, merges, conflicts, takes by force, and removes what it no longer claims."""

    def apply(manager: str, force: str = "", **spec: object) -> Any:  # noqa: ANN401  # a response
        url = f"{THINGS}/applied?fieldManager={manager}{force}"
        return things.admin("PATCH", url, thing("applied", **spec), APPLY)

    assert apply("a", s="a", tags=["x"]).status_code == 201
    assert apply("b", tags=["y"]).json()["spec"]["tags"] == ["x", "y"]
    refused = apply("b", s="aa")
    assert refused.status_code == 409
    assert refused.json()["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "a"',
            "field": ".spec.s",
        }
    ]
    assert apply("b", "&force=true", s="aa").json()["spec"] == {"s": "aa", "tags": ["x"], "n": 3}
    # By that b gave up its tag; a gives up the other now, and has lost s, which stays.
    last = apply("a").json()
    assert last["spec"] == {"s": "aa", "n": 3}
    owned = {m["manager"]: m["fieldsV1"] for m in last["metadata"]["managedFields"]}
    assert owned == {"a": {"f:spec": {}}, "b": {"f:spec": {"f:s": {}}}}


def test_apply_refuses(things: Api) -> None:
    """Apply needs a manager, known fields, and items with different keys."""
    url = f"{THINGS}/bad"
    assert things.admin("PATCH", url, thing("bad"), APPLY).status_code == 422
    twice = thing("bad", members=[{"name": "a"}, {"name": "a"}])
    for body in (thing("bad", bogus=1), twice):
        assert things.admin("PATCH", f"{url}?fieldManager=m", body, APPLY).status_code == 500


def test_delete_waits_for_finalizers(things: Api) -> None:
    """An object with a finalizer is marked, takes no new one, and goes with the last."""
    body = thing("final")
    body["metadata"]["finalizers"] = ["a.io/b"]
    things.admin("POST", THINGS, body)
    marked = things.admin("DELETE", f"{THINGS}/final").json()
    assert marked["metadata"]["deletionTimestamp"]
    more = {"metadata": {"finalizers": ["a.io/b", "c.io/d"]}}
    assert things.admin("PATCH", f"{THINGS}/final", more, MERGE).status_code == 422
    none = {"metadata": {"finalizers": None}}
    assert things.admin("PATCH", f"{THINGS}/final", none, MERGE).status_code == 200
    assert things.admin("GET", f"{THINGS}/final").status_code == 404


def test_delete_preconditions(things: Api) -> None:
    """A delete that means another object is a conflict."""
    things.admin("POST", THINGS, thing("meant"))
    other = {"preconditions": {"uid": "0"}}
    assert things.admin("DELETE", f"{THINGS}/meant", other).status_code == 409
    assert things.admin("DELETE", f"{THINGS}/meant").json()["status"] == "Success"


def test_owned_objects_go_along(things: Api) -> None:
    """What an object owns is deleted with it, unless it is to be orphaned."""
    for name, query, left in (("own1", "", 404), ("own2", "?propagationPolicy=Orphan", 200)):
        owner = things.admin("POST", THINGS, thing(name)).json()
        reference = {
            "apiVersion": "x.io/v1",
            "kind": "Thing",
            "name": name,
            "uid": owner["metadata"]["uid"],
        }
        child = thing(f"{name}-child")
        child["metadata"]["ownerReferences"] = [reference]
        things.admin("POST", THINGS, child)
        things.admin("DELETE", f"{THINGS}/{name}{query}")
        assert things.admin("GET", f"{THINGS}/{name}-child").status_code == left


def test_namespace_takes_its_content_along(things: Api) -> None:
    """Objects need a namespace, and go at once when it goes."""
    path = THINGS.replace("default", "short")
    assert things.admin("POST", path, thing("x")).status_code == 404
    things.admin("POST", NAMESPACES, {"metadata": {"name": "short"}})
    assert things.admin("POST", path, thing("x")).status_code == 201
    assert things.admin("DELETE", f"{NAMESPACES}/short").status_code == 200
    assert things.admin("GET", f"{NAMESPACES}/short").status_code == 404
    assert things.admin("GET", f"{path}/x").status_code == 404
    assert things.admin("DELETE", f"{NAMESPACES}/default").status_code == 403


def test_crd_takes_its_objects_along(api: Api) -> None:
    """A kind is there from the moment its CRD is, and gone with it."""
    crd = {
        "metadata": {"name": "gones.y.io"},
        "spec": {
            "group": "y.io",
            "scope": "Cluster",
            "names": {"plural": "gones", "kind": "Gone"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }
            ],
        },
    }
    made = api.admin("POST", CRDS, crd).json()
    assert {c["type"] for c in made["status"]["conditions"]} == {"NamesAccepted", "Established"}
    body = {"apiVersion": "y.io/v1", "kind": "Gone", "metadata": {"name": "a"}}
    assert api.admin("POST", "/apis/y.io/v1/gones", body).status_code == 201
    assert api.admin("DELETE", f"{CRDS}/gones.y.io").status_code == 200
    assert api.admin("GET", "/apis/y.io/v1/gones").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "code"),
    [
        ("POST", THINGS, "{", "application/json", 400),
        ("POST", THINGS, "[]", "application/json", 400),
        ("POST", THINGS, '{"kind": "Thing"', "application/yaml", 400),
        ("POST", THINGS, "a: &a [*a]", "application/yaml", 400),
        ("POST", THINGS, "[" * 5000, "application/json", 400),
        ("POST", THINGS, b"k8s\x00\xff\xff", "application/vnd.kubernetes.protobuf", 400),
        ("POST", THINGS, "x", "text/plain", 415),
        ("POST", THINGS, " " * (4 << 20), "application/json", 413),
        ("PATCH", f"{THINGS}/x", "{}", "application/json", 415),
        ("PUT", THINGS, "{}", "application/json", 405),
        ("GET", f"{THINGS}/none", None, "", 404),
        ("GET", "/apis/nope.io/v1/things", None, "", 404),
        ("GET", f"{THINGS}/none/nope", None, "", 404),
        ("GET", f"{THINGS}?labelSelector=a%20b", None, "", 400),
        ("GET", f"{THINGS}?fieldSelector=spec.n=1", None, "", 400),
        ("GET", f"{THINGS}?limit=x", None, "", 400),
        ("GET", f"{THINGS}?continue=!!", None, "", 400),
    ],
)
def test_bad_requests(  # noqa: PLR0913, PLR0917  # a table
    things: Api, method: str, path: str, body: str | None, kind: str, code: int
) -> None:
    """What makes no sense is answered with a Status that says so."""
    answer = things.admin(method, path, body, kind)
    assert answer.status_code == code
    assert answer.json()["kind"] == "Status"


def test_pages_and_selectors(things: Api) -> None:
    """A list comes in pages, and by labels and names."""
    path = THINGS.replace("default", "kube-public")
    for at in range(5):
        body = thing(f"p{at}")
        body["metadata"]["labels"] = {"even": str(at % 2 == 0).lower()}
        things.admin("POST", path, body)
    first = things.admin("GET", f"{path}?limit=2").json()
    assert first["metadata"]["remainingItemCount"] == 3
    rest = things.admin("GET", f"{path}?continue={first['metadata']['continue']}").json()

    def names(answer: dict[str, Any]) -> list[str]:
        return [one["metadata"]["name"] for one in answer["items"]]

    assert names(first) + names(rest) == ["p0", "p1", "p2", "p3", "p4"]
    for query, wanted in (
        ("labelSelector=even%3Dtrue", ["p0", "p2", "p4"]),
        ("labelSelector=even%20notin%20(true)", ["p1", "p3"]),
        ("labelSelector=!even", []),
        ("fieldSelector=metadata.name%3Dp3", ["p3"]),
    ):
        assert names(things.admin("GET", f"{path}?{query}").json()) == wanted


def test_role_reference_is_immutable(api: Api) -> None:
    """A binding cannot be pointed at another role."""
    path = f"{RBAC}/clusterrolebindings"
    body = {"metadata": {"name": "fixed"}, "roleRef": {"kind": "ClusterRole", "name": "a"}}
    api.admin("POST", path, body)
    answer = api.admin("PATCH", f"{path}/fixed", {"roleRef": {"name": "b"}}, MERGE)
    assert answer.json()["details"]["causes"][0]["field"] == "roleRef"
