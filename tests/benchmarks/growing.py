"""A hub that grows, and the questions that a benchmark asks of it."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import httpx

from sealoshub.reference import Reference
from sealoshub.registry.auth import Credential
from sealoshub.registry.client import Client
from sealoshub.registry.push import push
from sealoshub.registry.source import open_image
from sealoshub.secret import Secret
from tests.benchmarks import wrk
from tests.benchmarks.clones import TEMPLATE, Etcd, copy_content, name_of
from tests.benchmarks.witness import Witness, api_writes
from tests.images import oci_layout
from tests.integration.servers.process import wait_until
from tests.integration.test_way_through import organization, token_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.integration.hub import Hub
    from tests.integration.people import Person
    from tests.integration.servers.kube import KubeApiServer

SECONDS: Final = int(os.environ.get("BENCH_SECONDS", "30"))
RATE: Final = 10  # pushes a second
PUSHERS: Final = 8
REPOSITORIES: Final = 3  # of an organisation
IMAGES: Final = 10  # of an organisation
CHANGES: Final = 20  # of members, and tokens that are asked for
FRESH: Final = 20  # organisations that the controller has not seen
CROWDED: Final = "o0000000/app0"
LONG: Final = 3600.0  # seconds; until something is wrong
GROUP: Final = "/apis/imagehub.sealos.io/v1"
MEMBERS: Final = [
    {"kind": "User", "name": "developer", "role": "developer"},
    {"kind": "Group", "name": "maintainers", "role": "maintainer"},
    {"kind": "User", "name": "viewer", "role": "viewer"},
]

_READ: Final = re.compile(r"the cluster is read in ([\d.]+) s; (\d+) keys")
_LOOKED: Final = re.compile(r"everything is looked at in ([\d.]+) s")
_SWEPT: Final = re.compile(r"(\d+) repositories are swept in ([\d.]+) s")


class Bench:
    """A hub that grows, and its parts.

    Args:
        hub: It runs.
        kube: Its API server.
        folder: For images to push.
    """

    def __init__(self, hub: Hub, kube: KubeApiServer, folder: Path) -> None:
        self.hub = hub
        self.kube = kube
        self.folder = folder
        self.organizations = 0
        self.pushed = 0
        self._rounds = 0  # of pushes
        self.random = random.Random(1)  # noqa: S311  # the same choices every time
        self.log = hub.data / "run" / "log" / "controller.log"
        self.pusher: Person = hub.robot("pusher")
        self._etcd = Etcd(kube.etcd_url)
        organization(self.pusher, TEMPLATE, members=MEMBERS)
        for number in range(IMAGES):
            self.push(f"{TEMPLATE}/app{number % REPOSITORIES}:v{number}")
        wait_until(self._is_template_ready, "the template to be ready", 60)
        self._template = self._settled()

    def close(self) -> None:
        """Close connections."""
        self._etcd.close()

    def push(self, name: str) -> float:
        """Push a small image that nobody has pushed yet; return when it was there."""
        self.pushed += 1
        layout = oci_layout(self.folder / str(self.pushed), seed=self.pushed, layer_bytes=64)
        credential = Credential("token", Secret(token_of(self.pusher)), is_refresh_token=False)
        client = Client(self.hub.host, credential, trust_realm=True)
        try:
            with open_image(f"oci:{layout.path}") as image:
                push(client, image, Reference.parse(f"{self.hub.host}/{name}"), jobs=1)
            return time.time()
        finally:
            client.close()

    def _settled(self) -> list[list[tuple[bytes, bytes]]]:
        """Return the template when nobody changes it any more."""
        while True:
            found = self._etcd.template()
            time.sleep(3)
            if self._etcd.template() == found:
                return found

    def grow(self, organizations: int) -> None:
        """Copy the template, behind the back of a controller that sleeps."""
        numbers = range(self.organizations, organizations)
        self._etcd.copy(self._template, numbers)
        storage = next(self.hub.data.rglob("docker/registry/v2"))
        copy_content(storage, numbers)
        self.organizations = organizations
        last = f"{name_of(organizations - 1)}.app0.v0"
        # As its watchers see it.
        wait_until(lambda: self._is_there(f"images/{last}?resourceVersion=0"), last, LONG)

    def start(self) -> dict[str, Any]:
        """Kill the controller; return what its successor needed."""
        old = self.hub.pids()["controller"]
        seen = self.log.stat().st_size
        before = api_writes(self.kube)
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: self.hub.pids().get("controller", old) != old, "a new controller", 60)
        pid = self.hub.pids()["controller"]

        def said(pattern: re.Pattern[str]) -> re.Match[str] | None:
            with self.log.open() as file:
                file.seek(seen)
                return pattern.search(file.read())

        wait_until(lambda: said(_LOOKED) is not None, "the controller to be done", LONG)
        cpu, peak = wrk.cpu_seconds(pid), peak_memory(pid)
        writes = sum((api_writes(self.kube) - before).values())
        wait_until(lambda: said(_SWEPT) is not None, "the registry to be swept", LONG)
        read, looked, swept = said(_READ), said(_LOOKED), said(_SWEPT)
        assert read is not None and looked is not None and swept is not None  # noqa: PT018  # for mypy
        return {
            "read, s": float(read[1]),
            "looked at, s": float(looked[1]),
            "CPU s": round(cpu, 1),
            "writes": writes,
            "peak memory, MB": round(peak / 1e6),
            "swept, s": float(swept[2]),
            "memory after the sweep, MB": round(wrk.resident(pid) / 1e6),
        }

    def rights(self) -> list[float]:
        """Return the seconds from a change of members to the right, for some organisations."""
        found = []
        for number in range(CHANGES):
            name = name_of(self.random.randrange(self.organizations))
            user = f"new-{number}-{self.organizations}"
            added = [*MEMBERS, {"kind": "User", "name": user, "role": "developer"}]
            path = f"{GROUP}/organizations/{name}"
            body = {"spec": {"members": added}}
            headers = {"Content-Type": "application/merge-patch+json"}
            began = time.perf_counter()
            answer = self.kube.admin.patch(path, json=body, headers=headers)
            assert answer.status_code == httpx.codes.OK, answer.text
            wait_until(lambda name=name, user=user: self._may_push(name, user), "the right", 60)  # type: ignore[misc]  # mypy knows no defaults of lambdas
            found.append(time.perf_counter() - began)
        return found

    def crowd(self, tags: int) -> None:
        """Give one repository so many tags, as if the controller had missed all their pushes."""
        storage = next(self.hub.data.rglob("docker/registry/v2"))
        named = storage / "repositories" / CROWDED / "_manifests" / "tags"
        link = next(named.rglob("current/link")).read_bytes()
        for number in range(tags - len(list(named.iterdir()))):
            file = named / f"x{number}" / "current" / "link"
            file.parent.mkdir(parents=True)
            file.write_bytes(link)

    def is_crowded(self, tags: int) -> bool:
        """Tell whether the crowded repository says that it has so many tags."""
        path = f"{GROUP}/repositories/{CROWDED.replace('/', '.')}"
        found = self.kube.request("GET", path)
        return int((found.get("status") or {}).get("tagCount") or 0) >= tags

    def pushes(self, only: str = "", seconds: int = SECONDS) -> dict[str, Any]:
        """Push for a while; return when it was seen, and what it cost.

        Args:
            only: To this repository; empty: all over the hub.
            seconds: For how long.
        """
        begin = time.time() + 0.5
        before, cpu = api_writes(self.kube), self._cpu()
        with Witness(self.kube) as witness, ThreadPoolExecutor(PUSHERS) as pool:
            self._rounds += 1
            targets = [
                f"{only}:p{self._rounds}-{number}" if only else self._target(number)
                for number in range(RATE * seconds)
            ]

            def at(number: int) -> tuple[str, float]:
                time.sleep(max(0.0, begin + number / RATE - time.time()))
                return targets[number], self.push(targets[number])

            done = dict(pool.map(at, range(len(targets))))
            taken = time.time() - begin
            try:
                wait_until(lambda: witness.has(done), "everything to be seen", 120)
            except AssertionError as exc:
                log = "".join(self.log.read_text().splitlines(keepends=True)[-40:])
                raise AssertionError(f"{witness.missing(done)}\n{log}") from exc
            images = sorted(max(0.0, witness.images[name] - when) for name, when in done.items())
            tags = sorted(max(0.0, witness.tags[name] - when) for name, when in done.items())
        time.sleep(1)  # notes that are being removed
        spent = self._cpu()
        writes = api_writes(self.kube) - before
        return {
            "pushes/s": round(len(done) / taken, 1),
            "Image p50, ms": milliseconds(images, 50),
            "Image p99, ms": milliseconds(images, 99),
            "Repository p99, ms": milliseconds(tags, 99),
            "writes for each push": round(sum(writes.values()) / len(done), 2),
            "of them": ", ".join(
                f"{kind} {count / len(done):.2f}" for kind, count in sorted(writes.items())
            ),
            **{
                f"{part} CPU, ms": round((used - cpu[part]) / len(done) * 1000, 1)
                for part, used in spent.items()
            },
        }

    def _cpu(self) -> dict[str, float]:
        """Return the processor seconds that each part has used."""
        pids = {**self.hub.pids(), "API server": self.kube.pid}
        parts = ("controller", "API server", "auth-server", "registry")
        return {part: wrk.cpu_seconds(pids[part]) for part in parts}

    def tokens(self) -> dict[str, Any]:
        """Return how long the decision about a repository takes that was not asked about yet."""
        pid = self.hub.pids()["auth-server"]
        header = {"Authorization": f"Bearer {token_of(self.pusher)}"}
        taken = []
        cpu = wrk.cpu_seconds(pid)
        with httpx.Client(base_url=self.hub.auth_url, headers=header) as client:
            for number in range(CHANGES * 5):
                organization_name = name_of(self.random.randrange(self.organizations))
                scope = f"repository:{organization_name}/x{number}-{self.organizations}:pull,push"
                began = time.perf_counter()
                answer = client.get("/token", params={"service": "hub", "scope": scope})
                assert answer.status_code == httpx.codes.OK, answer.text
                taken.append(time.perf_counter() - began)
        used = wrk.cpu_seconds(pid) - cpu
        return {
            "token p50, ms": milliseconds(sorted(taken), 50),
            "token p99, ms": milliseconds(sorted(taken), 99),
            "token server CPU, ms": round(used / len(taken) * 1000, 1),
        }

    def fresh(self) -> dict[str, Any]:
        """Return how long organisations take of which nothing has been made yet."""
        made = [f"f{self.organizations}-{number}" for number in range(FRESH)]
        pid = self.hub.pids()["controller"]
        os.kill(pid, signal.SIGSTOP)
        try:
            for name in made:
                self._make(name)
        finally:
            before = api_writes(self.kube)
            began = time.perf_counter()
            os.kill(pid, signal.SIGCONT)
        names = {f"{name}/app{n % REPOSITORIES}:v{n}" for name in made for n in range(IMAGES)}
        wait_until(lambda: self._ready_images(made) == len(names), "all to be ready", 300)
        seconds = time.perf_counter() - began
        writes = sum((api_writes(self.kube) - before).values())
        return {
            "new objects/s": round(FRESH * (1 + REPOSITORIES + IMAGES) / seconds),
            "writes/s": round(writes / seconds),
        }

    def _make(self, name: str) -> None:
        def post(kind: str, plural: str, spec_name: str, **spec: object) -> None:
            metadata = {"name": spec_name.replace("/", ".").replace(":", ".")}
            body = {"apiVersion": "imagehub.sealos.io/v1", "kind": kind, "metadata": metadata}
            self.kube.request(
                "POST", f"{GROUP}/{plural}", body | {"spec": {"name": spec_name, **spec}}
            )

        post("Organization", "organizations", name, creator="admin", members=MEMBERS)
        for number in range(REPOSITORIES):
            post("Repository", "repositories", f"{name}/app{number}", isPrivate=True)
        for number in range(IMAGES):
            digest = f"sha256:{number:064x}"
            post("Image", "images", f"{name}/app{number % REPOSITORIES}:v{number}", digest=digest)

    def _ready_images(self, organizations: Sequence[str]) -> int:
        count = 0
        for name in organizations:
            selector = f"organization.imagehub.sealos.io={name}"
            path = f"{GROUP}/images?labelSelector={selector}"
            count += self.kube.admin.get(path).text.count('"InRepository"')
        return count

    def _target(self, number: int) -> str:
        organization_name = name_of(self.random.randrange(self.organizations))
        # Every tenth goes to a repository that is not there yet.
        name = f"new{self._rounds}-{number}" if number % 10 == 0 else f"app{number % REPOSITORIES}"
        return f"{organization_name}/{name}:p{self._rounds}-{number}"

    def _may_push(self, organization_name: str, user: str) -> bool:
        attributes = {
            "namespace": f"hub-{organization_name}",
            "group": "imagehub.sealos.io",
            "resource": "repositories",
            "name": "app0",
            "verb": "push",
        }
        spec = {"user": user, "resourceAttributes": attributes}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answer: dict[str, Any] = self.kube.request("POST", path, {**body, "spec": spec})
        return answer["status"]["allowed"] is True

    def _is_there(self, path: str) -> bool:
        return self.kube.admin.get(f"{GROUP}/{path}").status_code == httpx.codes.OK

    def _is_template_ready(self) -> bool:
        organizations = self.kube.request("GET", f"{GROUP}/organizations/{TEMPLATE}")
        images = self.kube.request("GET", f"{GROUP}/images")["items"]
        repositories = self.kube.request("GET", f"{GROUP}/repositories")["items"]
        mine = [one for one in images if one["metadata"]["name"].startswith(TEMPLATE)]
        tags = sum(len((one.get("status") or {}).get("tags") or ()) for one in repositories)
        said = json.dumps(mine)
        counts = (said.count('"InRepository"'), said.count('"InRegistry"'), tags)
        listed = (organizations.get("status") or {}).get("repoCount")
        return counts == (IMAGES,) * 3 and listed == REPOSITORIES


def peak_memory(pid: int) -> int:
    """Return the largest resident memory that a process has had, in bytes."""
    with open(f"/proc/{pid}/status") as file:  # noqa: PTH123  # a file of the kernel
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def milliseconds(taken: Sequence[float], percent: int) -> int:
    """Return a percentile of sorted seconds, in milliseconds."""
    return round(taken[min(len(taken) - 1, len(taken) * percent // 100)] * 1000)
