"""The numbers for Prometheus."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from sealoshub.exposition import CONTENT_TYPE
from sealoshub.imagehub.controller.health import serving
from sealoshub.imagehub.controller.kinds import CONTENT_CHANGED
from sealoshub.imagehub.controller.metrics import FAMILIES, KINDS, Metrics, text
from sealoshub.imagehub.controller.queue import KeyQueue
from sealoshub.imagehub.controller.world import World, open_world
from sealoshub.imagehub.names import HUB_NAMESPACE
from tests.integration.servers.process import free_port
from tests.unit.imagehub.conftest import People, ready, resource, running, until
from tests.unit.imagehub.test_content import V1, FakeContent, Live

if TYPE_CHECKING:
    from sealoshub.imagehub.controller.wiring import Key

PAGE: Final = Path(__file__).parents[3] / "docs" / "reference" / "controller.md"
# Besides what controllers keep to themselves, every label is one of these.
LABELS: Final = frozenset({"lane", "kind", "outcome", "result", "verb", "le"})


@pytest.fixture
def world(people: People) -> World:
    """The copies of a controller that has not read anything yet."""
    return open_world(people.controller, lambda: datetime.now(UTC))


def test_every_metric_is_documented_and_no_other() -> None:
    """Name, labels and type, as the exposition has them."""
    section = PAGE.read_text().partition("\n## Metrics\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)(?:\{([a-z,]+)\})?` \| ([a-z]+) \|", section, re.MULTILINE)
    assert {name: (labels, kind) for name, labels, kind in rows} == {
        name: (",".join(family.labels), family.type) for name, family in FAMILIES.items()
    }
    for values in (KINDS, ("changed", "idle", "later"), ("received", "refused", "dropped")):
        assert all(f"`{value}`" in section for value in values)


def test_names_are_as_prometheus_has_them() -> None:
    """Ours have our prefix, counters and only they end in `_total`, and units are plain ones."""
    for name, family in FAMILIES.items():
        assert name.startswith(("sealoshub_controller_", "process_"))
        assert name.endswith("_total") == (family.type == "counter")
        assert set(family.labels) <= LABELS
        assert not re.search(r"_(ms|minutes|kb|mb)(_|$)", name)


def test_the_exposition(world: World) -> None:
    """Every family is there from the beginning, and counts what it says."""
    queue: KeyQueue[Key] = KeyQueue()
    looks: KeyQueue[str] = KeyQueue()
    empty = text(world, queue, looks).splitlines()
    for name, family in FAMILIES.items():
        assert f"# HELP {name} {family.help}" in empty
        assert f"# TYPE {name} {family.type}" in empty
    assert 'sealoshub_controller_reconciles_total{kind="Image",outcome="failed"} 0' in empty
    assert "sealoshub_controller_leader 0" in empty
    metrics = world.metrics
    for seconds in (0.001, 0.005, 0.2, 99.0):
        metrics.reconciled("Image", "done", seconds)
    metrics.reconciled("Login", "conflict", 0.0)
    metrics.noted("dropped")
    metrics.wrote("Image", "apply")
    metrics.wrote("Image", "apply")
    metrics.asked()
    metrics.differed(3)
    metrics.swept(1_800_000_000.25, 2.5)
    metrics.not_swept()
    metrics.lead(works=True)
    queue.add(("Image", "a"))
    queue.add_idle(("Image", "b"))
    queue.add_idle(("Repository", "c/d"))
    looks.add_after("c/d", 1000)
    lines = text(world, queue, looks).splitlines()
    assert set(lines) >= {
        'sealoshub_controller_queue_depth{lane="changed",kind="Image"} 1',
        'sealoshub_controller_queue_depth{lane="idle",kind="Image"} 1',
        'sealoshub_controller_queue_depth{lane="idle",kind="Repository"} 1',
        'sealoshub_controller_queue_depth{lane="later",kind="Content"} 1',
        'sealoshub_controller_queue_depth{lane="later",kind="Image"} 0',
        'sealoshub_controller_reconciles_total{kind="Image",outcome="done"} 4',
        'sealoshub_controller_reconciles_total{kind="Login",outcome="conflict"} 1',
        'sealoshub_controller_reconcile_seconds_bucket{kind="Image",le="0.005"} 2',
        'sealoshub_controller_reconcile_seconds_bucket{kind="Image",le="0.5"} 3',
        'sealoshub_controller_reconcile_seconds_bucket{kind="Image",le="10.0"} 3',
        'sealoshub_controller_reconcile_seconds_bucket{kind="Image",le="+Inf"} 4',
        'sealoshub_controller_reconcile_seconds_sum{kind="Image"} 99.206000',
        'sealoshub_controller_reconcile_seconds_count{kind="Image"} 4',
        'sealoshub_controller_notifications_total{result="dropped"} 1',
        'sealoshub_controller_writes_total{kind="Image",verb="apply"} 2',
        'sealoshub_controller_sweeps_total{outcome="done"} 1',
        'sealoshub_controller_sweeps_total{outcome="failed"} 1',
        "sealoshub_controller_sweep_last_success_timestamp_seconds 1800000000.250",
        "sealoshub_controller_sweep_last_duration_seconds 2.500",
        "sealoshub_controller_sweep_requests_total 1",
        "sealoshub_controller_sweep_differences_total 3",
        "sealoshub_controller_leader 1",
        'sealoshub_controller_objects{kind="Image"} 0',
    }
    assert all(
        re.fullmatch(r'#.*|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.]+', line) for line in lines
    )


def test_threads_do_not_lose_a_count() -> None:
    """What is counted at the same time is counted twice."""
    metrics = Metrics()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20_000):
            pool.submit(metrics.wrote, "Image", "patch")
    assert metrics.written() == {("Image", "patch"): 20_000}


def test_they_can_be_read_and_nothing_else() -> None:
    """`GET /metrics` is the exposition; every other method is refused."""
    with serving("localhost", 0, lambda: False, lambda: "a 1\n") as port:
        url = f"http://localhost:{port}/metrics"
        answer = httpx.get(url, timeout=60)
        assert (answer.status_code, answer.text) == (200, "a 1\n")
        assert answer.headers["content-type"] == CONTENT_TYPE
        for method in ("HEAD", "POST", "PUT", "DELETE"):
            refused = httpx.request(method, url, timeout=60)
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
            assert "a 1" not in refused.text


def test_a_push_shows_in_the_numbers_and_its_names_do_not(people: People) -> None:
    """A controller that works counts what it does, and tells nobody about whom."""
    content = FakeContent({"numbered/app": {"before": V1}})
    live = Live(people, content)
    people.admin.create(resource("Organization", "numbered", creator="alice"))
    port = free_port()
    with running(people.controller, registry=content, health_port=port):

        def scraped() -> dict[str, float]:
            lines = httpx.get(f"http://localhost:{port}/metrics", timeout=60).text.splitlines()
            return {
                name: float(value)
                for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
            }

        def number(name: str) -> float:
            return scraped().get(f"sealoshub_controller_{name}", 0.0)

        live.present("numbered/app:before", "True")
        until(lambda: number('sweeps_total{outcome="done"}') == 1, "the sweep is counted")
        assert number("sweep_differences_total") >= 1
        assert number("sweep_requests_total") >= 3  # the catalogue, its tags, what one names
        assert number("sweep_last_success_timestamp_seconds") > 1_700_000_000
        live.push("numbered/app", "v1", V1, actor="alice")
        live.present("numbered/app:v1", "True")
        ready(people.admin, "Image", "numbered.app.v1")
        live.heard("numbered/app", "v1")
        until(
            lambda: number('reconciles_total{kind="Repository",outcome="done"}') >= 2,
            "the Repository is counted",
        )
        live.tell("nothing")
        until(
            lambda: number('notifications_total{result="refused"}') == 1, "the refusal is counted"
        )
        found = scraped()
        said = httpx.get(f"http://localhost:{port}/metrics", timeout=60).text
    people.admin.delete("Lease", _note(people), HUB_NAMESPACE)
    prefix = "sealoshub_controller_"
    assert found[f"{prefix}leader"] == 1
    assert found[f'{prefix}notifications_total{{result="received"}}'] == 2
    assert found[f'{prefix}notifications_total{{result="dropped"}}'] == 0
    assert found[f'{prefix}objects{{kind="Image"}}'] == 2
    assert found[f'{prefix}writes_total{{kind="Image",verb="apply"}}'] == 2
    assert found[f'{prefix}writes_total{{kind="Repository",verb="create"}}'] == 1
    assert found[f'{prefix}writes_total{{kind="Lease",verb="delete"}}'] == 1
    assert found[f'{prefix}reconciles_total{{kind="Content",outcome="done"}}'] >= 2
    assert not re.search(r"numbered|\bapp\b|alice|v1|nothing", said)


def _note(people: People) -> str:
    (note,) = people.admin.list("Lease", HUB_NAMESPACE, label_selector=CONTENT_CHANGED)
    return str(note["metadata"]["name"])
