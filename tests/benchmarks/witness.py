"""What an API server tells: when an image is seen, and how much was written."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from tests.integration.servers.kube import KubeApiServer

GROUP: Final = "/apis/imagehub.sealos.io/v1"
WRITTEN: Final = frozenset(
    {"images", "repositories", "organizations", "leases", "namespaces", "roles", "rolebindings"}
)
_COUNT: Final = re.compile(r"^apiserver_request_total\{([^}]*)\} ([\d.e+]+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})


def api_writes(kube: KubeApiServer) -> Counter[str]:
    """Return how often each resource was written so far, without refusals."""
    found: Counter[str] = Counter()
    for text, value in _COUNT.findall(kube.admin.get("/metrics").text):
        labels = dict(_LABEL.findall(text))
        is_write = labels["verb"] in _WRITES and labels["code"].startswith("2")
        if is_write and labels["resource"] in WRITTEN:
            found[labels["resource"]] += round(float(value))
    return found


class Witness:
    """Watches Images and Repositories, and notes when it saw which; a context manager.

    It is a class because two threads write what the caller reads.

    Args:
        kube: Whom to ask.
    """

    def __init__(self, kube: KubeApiServer) -> None:
        self._kube = kube
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.images: dict[str, float] = {}  # `org/repo:tag`, and the time
        self.tags: dict[str, float] = {}  # the same, as the status of its Repository says it

    def __enter__(self) -> Self:
        for plural, take in (("images", self._image), ("repositories", self._repository)):
            version = self._kube.request("GET", f"{GROUP}/{plural}?limit=1")["metadata"]
            thread = threading.Thread(
                target=self._watch, args=(plural, version["resourceVersion"], take), daemon=True
            )
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)

    def has(self, names: Iterable[str]) -> bool:
        """Tell whether all of *names* have been seen, in both kinds."""
        wanted = set(names)
        return wanted <= self.images.keys() and wanted <= self.tags.keys()

    def missing(self, names: Iterable[str]) -> str:
        """Return in words what has not been seen."""
        images = sorted(set(names) - self.images.keys())
        tags = sorted(set(names) - self.tags.keys())
        alive = [thread.is_alive() for thread in self._threads]
        return f"{len(images)} Images {images[:5]}, {len(tags)} tags {tags[:5]}, watches {alive}"

    def _watch(
        self, plural: str, version: str, take: Callable[[dict[str, Any], float], None]
    ) -> None:
        query = {"watch": "1", "resourceVersion": version}
        with self._kube.new_client() as client:
            while not self._over.is_set():
                # A read that times out is how the end is noticed; what broke is opened again.
                with contextlib.suppress(httpx.HTTPError):
                    self._read(client, plural, query, take)

    def _read(
        self,
        client: httpx.Client,
        plural: str,
        query: dict[str, str],
        take: Callable[[dict[str, Any], float], None],
    ) -> None:
        with client.stream("GET", f"{GROUP}/{plural}", params=query, timeout=2) as answer:
            for line in answer.iter_lines():
                obj = json.loads(line)["object"]
                query["resourceVersion"] = obj["metadata"]["resourceVersion"]
                take(obj, time.time())
                if self._over.is_set():
                    return

    def _image(self, obj: dict[str, Any], now: float) -> None:
        self.images.setdefault(obj["spec"]["name"], now)

    def _repository(self, obj: dict[str, Any], now: float) -> None:
        for tag in (obj.get("status") or {}).get("tags") or ():
            self.tags.setdefault(f"{obj['spec']['name']}:{tag['name']}", now)
