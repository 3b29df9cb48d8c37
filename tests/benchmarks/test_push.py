"""How fast images are pushed and pulled, beside the clients that everybody uses.

Same source, same registry, in turns. `BENCH_RUNS` (5) is the number of rounds. `BENCH_ONLY` is a
regular expression for the names of cases; of the others the table keeps what it says.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import itertools
import json
import os
import random
import re
import shutil
import statistics
import tarfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.benchmarks.contestants import CONTESTANTS, OURS, Contestant, Cost, run
from tests.images import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, REF_NAME, layer_tar
from tests.integration.people import SEALOSHUB
from tests.integration.servers.registry import RegistryServer
from tests.real_servers import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

KIB: Final = 1024
MIB: Final = 1024 * KIB
RESULTS: Final = Path(__file__).parents[2] / "docs" / "explanation" / "benchmarks"


@dataclass(frozen=True, slots=True)
class Case:
    """Something to push.

    Args:
        name: For people.
        layers: How many.
        size: Bytes of each, before compression.
        again: The image has been pushed before, by the same client to the same repository.
        archive: From a docker archive with uncompressed layers; otherwise from an OCI layout.
    """

    name: str
    layers: int
    size: int
    again: bool = False
    archive: bool = False


CASES: Final = (
    Case("one layer of 1 GiB", 1, 1024 * MIB),
    Case("8 layers of 32 MiB", 8, 32 * MIB),
    Case("100 layers of 64 KiB", 100, 64 * KIB),
    Case("second push of 100 layers", 100, 64 * KIB, again=True),
    Case("docker archive, 4 layers of 64 MiB", 4, 64 * MIB, archive=True),
    Case("second push of the archive", 4, 64 * MIB, again=True, archive=True),
)
PULLS: Final = (
    Case("pull of one layer of 1 GiB", 1, 1024 * MIB),
    Case("pull of 100 layers of 64 KiB", 100, 64 * KIB),
)
REGISTRIES: Final = {"2.8": "docker-registry", "3": "registry"}
ENV: Final[Mapping[str, str]] = dict(os.environ)  # before `clean_environment`
RUNS: Final = int(ENV.get("BENCH_RUNS", "5"))
ONLY: Final = re.compile(ENV.get("BENCH_ONLY", ""))


@pytest.fixture(scope="module")
def folder(memory_folder: Path) -> Iterator[Path]:
    """Return a folder in memory: disks are not what is measured."""
    made = memory_folder / "bench"
    made.mkdir()
    yield made
    shutil.rmtree(made)


def test_push(folder: Path, publish: Callable[[str, Sequence[dict[str, Any]]], None]) -> None:
    """Push every case with every client, round after round; the fastest is the measure."""
    programs = all_programs()
    rows: list[dict[str, Any]] = []
    for case in CASES:
        if not ONLY.search(case.name):
            rows += earlier("push", case)
            continue
        source = folder / "source"
        if case.archive:
            write_archive(source, case)
        else:
            write_layout(source, case)
        for version, binary in REGISTRIES.items():
            costs = measure(
                [each for each in CONTESTANTS if each.archive or not case.archive],
                partial(one_push, programs, case, source, need(binary)),
                folder,
            )
            rows.append(row(case, version, costs))
            print(json.dumps(rows[-1], indent=2))  # noqa: T201  # a long benchmark says how far it is
        shutil.rmtree(source)
    publish("push", rows)


def test_pull(folder: Path, publish: Callable[[str, Sequence[dict[str, Any]]], None]) -> None:
    """Pull every case with every client, round after round, from a registry that has it."""
    programs = all_programs()
    rows: list[dict[str, Any]] = []
    for case in PULLS:
        if not ONLY.search(case.name):
            rows += earlier("pull", case)
            continue
        source = folder / "source"
        write_layout(source, case)
        for version, binary in REGISTRIES.items():
            with registry_with(source, folder / "served", need(binary)) as registry:
                costs = measure(
                    CONTESTANTS,
                    partial(one_pull, programs, registry),
                    folder,
                )
            shutil.rmtree(folder / "served")
            rows.append(row(case, version, costs))
            print(json.dumps(rows[-1], indent=2))  # noqa: T201  # a long benchmark says how far it is
        shutil.rmtree(source)
    if rows:
        publish("pull", rows)


def all_programs() -> dict[str, Path]:
    """Return where the clients are."""
    found = {each.name: need(each.name) for each in CONTESTANTS if each.name != OURS}
    return {**found, OURS: SEALOSHUB}


def earlier(table: str, case: Case) -> list[dict[str, Any]]:
    """Return the rows of an earlier run."""
    result = RESULTS / f"{table}.json"
    if not result.exists():
        return []
    known: list[dict[str, Any]] = json.loads(result.read_text())["rows"]
    return [row for row in known if row["case"] == case.name]


def measure(
    contestants: Sequence[Contestant], go: Callable[[Contestant, Path], Cost], folder: Path
) -> dict[str, list[Cost]]:
    """Return what the rounds cost each client; a first round warms up.

    Args:
        contestants: Who takes part.
        go: Lets one of them run, in a folder of its own.
        folder: For those folders.
    """
    costs: dict[str, list[Cost]] = {each.name: [] for each in contestants}
    numbers = itertools.count()
    for turn in range(RUNS + 1):
        # Every round begins with another client: who comes first finds a colder machine.
        shift = turn % len(contestants)
        for each in [*contestants[shift:], *contestants[:shift]]:
            place = folder / f"run-{next(numbers)}"
            cost = go(each, place)
            shutil.rmtree(place)
            if turn:
                costs[each.name].append(cost)
    return costs


def one_push(  # noqa: PLR0913, PLR0917  # what differs from run to run
    programs: Mapping[str, Path],
    case: Case,
    source: Path,
    binary: Path,
    contestant: Contestant,
    place: Path,
) -> Cost:
    """Push to a registry that has nothing, from a home folder that has nothing."""
    env, program = new_home(place), programs[contestant.name]
    with RegistryServer(binary, place / "registry", {"PATH": env["PATH"]}) as registry:
        values = {
            "layout": str(source),
            "archive": str(source / "image.tar"),
            "host": registry.host,
            "reference": f"{registry.host}/bench/image:v1",
        }
        if contestant.prepare:
            run(program, contestant.prepare, values, env)
        words = contestant.archive if case.archive else contestant.layout
        cost = run(program, words, values, env)
        return run(program, words, values, env) if case.again else cost


def one_pull(
    programs: Mapping[str, Path], registry: RegistryServer, contestant: Contestant, place: Path
) -> Cost:
    """Pull into an OCI layout that is not there yet, from a home folder that has nothing."""
    env, program = new_home(place), programs[contestant.name]
    values = {
        "target": str(place / "layout"),
        "host": registry.host,
        "reference": f"{registry.host}/bench/image:v1",
    }
    if contestant.prepare:
        run(program, contestant.prepare, values, env)
    return run(program, contestant.pull, values, env)


@contextlib.contextmanager
def registry_with(source: Path, place: Path, binary: Path) -> Iterator[RegistryServer]:
    """Return a registry that has the image of an OCI layout."""
    env = new_home(place)
    with RegistryServer(binary, place / "registry", {"PATH": env["PATH"]}) as registry:
        crane = next(each for each in CONTESTANTS if each.name == "crane")
        values = {"layout": str(source), "reference": f"{registry.host}/bench/image:v1"}
        run(need("crane"), crane.layout, values, env)
        yield registry


def new_home(place: Path) -> dict[str, str]:
    """Return the environment of a client whose home folder is new."""
    home = place / "home"
    (home / "run").mkdir(parents=True)
    return {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": ENV.get("PATH", os.defpath),
        "TMPDIR": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
    }


def row(case: Case, version: str, costs: Mapping[str, Sequence[Cost]]) -> dict[str, Any]:
    """Return a row of the table: medians of each client, and our ratios to the fastest.

    A ratio is the median of the rounds' ratios: what slows a whole round does not count.
    """
    middle = statistics.median
    walls = {name: middle(cost.wall for cost in known) for name, known in costs.items()}
    peers = [name for name in costs if name != OURS]
    fastest = min(peers, key=lambda name: walls[name])
    rounds = list(zip(costs[OURS], costs[fastest], strict=True))
    return {
        "case": case.name,
        "registry": version,
        **{each.name: _shown(costs.get(each.name)) for each in CONTESTANTS},
        "ratio": f"{middle(our.wall / their.wall for our, their in rounds):.2f} ({fastest})",
    }


def _shown(costs: Sequence[Cost] | None) -> str:
    if not costs:
        return "-"
    wall = statistics.median(cost.wall for cost in costs)
    cpu = statistics.median(cost.cpu for cost in costs)
    memory = max(cost.memory for cost in costs)
    return f"{wall:.2f} s, {cpu:.2f} s, {memory / MIB:.0f} MiB"


# ---------------------------------------------------------------- sources


def write_layout(path: Path, case: Case) -> None:
    """Write an OCI layout whose layers are gzip files that hold random bytes."""
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    chance = random.Random(case.name)  # noqa: S311  # content, no secret
    layers = [_layer(blobs, case.size, chance) for _ in range(case.layers)]
    config = _blob(
        blobs,
        {
            "os": "linux",
            "architecture": "amd64",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        },
        CONFIG_TYPE,
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config,
        "layers": layers,
    }
    top = _blob(blobs, manifest, MANIFEST_TYPE) | {"annotations": {REF_NAME: "v1"}}
    (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))


def _layer(blobs: Path, size: int, chance: random.Random) -> dict[str, Any]:
    """Write a layer block by block; level 0 keeps its size and the time short."""
    draft = blobs / "draft"
    with draft.open("wb") as raw, gzip.GzipFile("", "wb", 0, raw, 0) as file:
        for start in range(0, size, MIB):
            file.write(chance.randbytes(min(MIB, size - start)))
    with draft.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    length = draft.stat().st_size
    draft.rename(blobs / digest)
    return {"mediaType": LAYER_TYPE, "digest": f"sha256:{digest}", "size": length}


def _blob(blobs: Path, document: Mapping[str, Any], media_type: str) -> dict[str, Any]:
    content = json.dumps(document).encode()
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def write_archive(path: Path, case: Case) -> None:
    """Write a docker archive as `docker save` did: uncompressed layers of text."""
    path.mkdir()
    chance = random.Random(case.name)  # noqa: S311  # content, no secret
    words = [chance.randbytes(chance.randint(2, 9)).hex() for _ in range(5000)]
    text = " ".join(chance.choices(words, k=4 * MIB // 10)).encode()
    entries = []
    with tarfile.open(path / "image.tar", "w") as tar:
        digests = []
        for number in range(case.layers):
            layer = _text_layer(text, case.size, number)
            digests.append(f"sha256:{hashlib.sha256(layer).hexdigest()}")
            entries.append(f"{number:064x}/layer.tar")
            _member(tar, entries[-1], layer)
        config = json.dumps(
            {
                "os": "linux",
                "architecture": "amd64",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": digests},
            }
        ).encode()
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        _member(tar, name, config)
        manifest = [{"Config": name, "RepoTags": ["bench/image:v1"], "Layers": entries}]
        _member(tar, "manifest.json", json.dumps(manifest).encode())


def _text_layer(text: bytes, size: int, number: int) -> bytes:
    """Return a layer; repeats are farther apart than any compressor of layers looks back."""
    start = number * 1000
    content = b"".join(
        text[start + turn :] + text[: start + turn] for turn in range(size // len(text) + 1)
    )[:size]
    return layer_tar({f"data/{number}": content})


def _member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
