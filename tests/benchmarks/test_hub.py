"""How a hub grows: the same questions to a controller with 100, 1,000 and 10,000 organisations.

On a real API server with etcd and registry 3, all in memory. `BENCH_SIZES` are the numbers of
organisations (100,1000,10000), each with three members, three repositories and ten images;
`BENCH_SECONDS` (30) is for how long ten images a second are pushed.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.conftest import DOCS
from tests.benchmarks.growing import CROWDED, IMAGES, REPOSITORIES, Bench, milliseconds
from tests.integration.hub import Hub
from tests.integration.servers.kube import KubeApiServer
from tests.integration.servers.process import wait_until
from tests.real_servers import need

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.integration.people import Person

    Publish = Callable[[str, Sequence[dict[str, Any]]], None]

SIZES: Final = [int(text) for text in os.environ.get("BENCH_SIZES", "100,1000,10000").split(",")]
TAGS: Final = 800  # of a repository that has many; its status lists a thousand
CROWDED_AT: Final = 100  # organisations


def test_growth(
    memory_folder: Path,
    server_env: Mapping[str, str],
    new_person: Callable[[str, Path | None], Person],
    publish: Publish,
) -> None:
    """A start grows with what there is; a push, a right and a token do not."""
    starts: list[dict[str, Any]] = []
    lives: list[dict[str, Any]] = []
    images = memory_folder / "images"
    images.mkdir()
    # For what it keeps to check itself, an API server with so much in it would need 7 GiB.
    gates = "--feature-gates=ListFromCacheSnapshot=false,DetectCacheInconsistency=false"
    env = {**server_env, "GOMEMLIMIT": "8GiB"}
    programs = need("etcd"), need("kube-apiserver")

    def in_a_hurry(name: str, kubeconfig: Path | None) -> Person:
        # A sweep at its usual pace is measured by a watch.
        return new_person(name, kubeconfig).with_settings({"SEALOSHUB_SWEEP_RATE": "0"})

    with (
        KubeApiServer(*programs, memory_folder / "kube", env, [gates]) as kube,
        Hub(memory_folder / "hub", need("registry"), kube, in_a_hurry) as hub,
    ):
        bench = Bench(hub, kube, images)
        for size in SIZES:
            os.kill(hub.pids()["controller"], signal.SIGSTOP)
            began = time.perf_counter()
            bench.grow(size)
            seconds = time.perf_counter() - began
            print(f"{size} organisations in {seconds:.0f} s", flush=True)  # noqa: T201  # for whoever waits
            names = {
                "organisations": f"{size:,}",
                "repositories": f"{size * REPOSITORIES:,}",
                "images": f"{size * IMAGES:,}",
            }
            starts.append(names | bench.start())
            print(json.dumps(starts[-1]), flush=True)  # noqa: T201  # for whoever waits
            rights = sorted(bench.rights())
            lives.append(
                {"images": names["images"]}
                | {"right p50, ms": round(statistics.median(rights) * 1000)}
                | {"right p99, ms": milliseconds(rights, 99)}
                | bench.pushes()
                | bench.tokens()
                | bench.fresh()
            )
            if size == CROWDED_AT:
                crowds = [{"tags": IMAGES} | bench.pushes("o0000001/app0", 10)]
                bench.crowd(TAGS)
                bench.start()
                wait_until(partial(bench.is_crowded, TAGS), "all tags to be seen", 600)
                crowds.append({"tags": TAGS} | bench.pushes(CROWDED, 10))
                publish("hub-tags", crowds)
            print(json.dumps(lives[-1]), flush=True)  # noqa: T201  # for whoever waits
        bench.close()
    publish("hub-start", _all("hub-start", starts))
    publish("hub-live", _all("hub-live", [_part(row, cost=False) for row in lives]))
    publish("hub-cost", _all("hub-cost", [_part(row, cost=True) for row in lives]))


def _part(row: Mapping[str, Any], *, cost: bool) -> dict[str, Any]:
    """Return what a push cost, or how long everything took."""
    found = {key: value for key, value in row.items() if _is_cost(key) is cost}
    return {"images": row["images"]} | found


def _is_cost(key: str) -> bool:
    return "CPU" in key or "writes for" in key or key == "of them"


def _all(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *rows* after what is published of smaller sizes, and before that of larger ones."""
    file = DOCS / "benchmarks" / f"{name}.json"
    before = json.loads(file.read_text())["rows"] if file.exists() else []
    new = {row["images"]: row for row in [*before, *rows]}
    return sorted(new.values(), key=lambda row: int(row["images"].replace(",", "")))
