"""What kubectl asks before and around everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealoshub.hub.api.tables import find, human_duration
from tests.unit.hub_api.conftest import THINGS, thing

if TYPE_CHECKING:
    from tests.unit.hub_api.conftest import Api

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
ALL = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


def test_resources(things: Api) -> None:
    """The kinds of a CRD appear in plain and in aggregated discovery."""
    plain = things.alice("GET", "/apis/x.io/v1").json()["resources"]
    assert [one["name"] for one in plain] == ["things", "things/status"]
    assert plain[0]["shortNames"] == ["th"]
    everything = things.alice("GET", "/apis", accept=ALL)
    assert "APIGroupDiscoveryList" in everything.headers["content-type"]
    names = [one["metadata"]["name"] for one in everything.json()["items"]]
    assert "x.io" in names
    assert "" not in names
    assert things.alice("GET", "/api", accept=ALL).json()["items"][0]["versions"][0]["resources"]


def test_openapi(things: Api) -> None:
    """The documents have the schemas, and PATCH takes fieldValidation."""
    index = things.alice("GET", "/openapi/v3").json()["paths"]
    document = things.alice("GET", index["apis/x.io/v1"]["serverRelativeURL"]).json()
    schema = document["components"]["schemas"]["io.x.v1.Thing"]
    assert schema["properties"]["spec"]["properties"]["n"]["maximum"] == 5
    patch = document["paths"]["/apis/x.io/v1/namespaces/{namespace}/things/{name}"]["patch"]
    assert "fieldValidation" in [one["name"] for one in patch["parameters"]]
    core = things.alice("GET", "/openapi/v3/api/v1").json()["components"]["schemas"]
    assert "io.k8s.api.core.v1.Secret" in core


def test_table(things: Api) -> None:
    """A table has the name, the CRD's columns, and the metadata of each object."""
    things.admin("POST", THINGS, thing("tabled", n=5))
    table = things.admin("GET", f"{THINGS}/tabled", accept=TABLE).json()
    assert [one["name"] for one in table["columnDefinitions"]] == ["Name", "N"]
    assert table["rows"][0]["cells"] == ["tabled", 5]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_protobuf_only_is_not_acceptable(api: Api) -> None:
    """A client that takes no JSON is told so."""
    kind = "application/vnd.kubernetes.protobuf"
    assert api.admin("GET", "/api/v1/namespaces", accept=kind).status_code == 406
    both = f"{kind},application/json"
    assert api.admin("GET", "/api/v1/namespaces", accept=both).status_code == 200


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a.b", [1]),
        (".a['x.y']", [2]),
        (".a.x\\.y", [2]),
        (".l[1].v", ["q"]),
        (".l[*].t", ["A", "B"]),
        ('.l[?(@.t=="B")].v', ["q"]),
        (".none.b", []),
    ],
)
def test_json_path(path: str, found: list[object]) -> None:
    """A column finds its value by a JSON path."""
    body = {"a": {"b": 1, "x.y": 2}, "l": [{"t": "A", "v": "p"}, {"t": "B", "v": "q"}]}
    assert find(body, path) == found


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (3600, "60m"),
        (4 * 3600, "4h"),
        (30 * 3600, "30h"),
        (3 * 86400, "3d"),
        (400 * 86400, "400d"),
        (800 * 86400, "2y70d"),
        (-5, "<invalid>"),
    ],
)
def test_age(seconds: int, text: str) -> None:
    """An age is worded as kubectl does."""
    assert human_duration(seconds) == text
