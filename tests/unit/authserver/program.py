"""The token server as a program of its own, and clients that never stop asking it."""

from __future__ import annotations

import contextlib
import http.client
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import yaml

from sealoshub.authserver import keys
from tests.unit.authserver.fake_kubernetes import OWN_TOKEN

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.authserver.fake_kubernetes import FakeKubernetes

OPEN = "/token?service=hub&scope=repository:team/open:pull"
_PROGRAM = (
    "import sys, pathlib; from sealoshub.authserver.server import run;"
    "run(pathlib.Path(sys.argv[1]))"
)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait until *condition* holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        threading.Event().wait(0.02)


class Program:
    """A token server on the fake API, run as `sealoshub hub auth-server` runs it.

    Args:
        fake: The API server.
        folder: For its files.
        changes: Keys of its configuration.
    """

    def __init__(self, fake: FakeKubernetes, folder: Path, **changes: object) -> None:
        folder.mkdir(exist_ok=True)
        keys.ensure(folder / "keys")
        (folder / "own-token").write_text(OWN_TOKEN)
        self.folder = folder
        self.port = self.metrics_port = 0
        self.config: dict[str, Any] = {
            "listen": "localhost:0",
            "metrics_listen": "localhost:0",
            "keys_dir": "keys",
            "api": {"server": fake.url, "token_file": "own-token"},
            "plugins": [{"name": "kubernetes"}],
            "audit": "audit.log",
            **changes,
        }
        self.write()
        self._output = (folder / "stdout").open("w+")
        self._errors = (folder / "stderr").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, folder / "auth-server.yaml"],
            stdout=self._output,
            stderr=self._errors,
        )

    def __enter__(self) -> Self:
        wait_for(lambda: "serving tokens" in self.stderr(), "the token server to start")
        self.port = self._port_of("tokens")
        self.metrics_port = self._port_of("metrics")
        wait_for(self.ready, "the token server to be ready")
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._errors.close()
        self._output.close()

    def _port_of(self, what: str) -> int:
        """Return the free port that it took; a port chosen before could be taken meanwhile."""
        found = re.search(rf"serving {what} on \S+?:(\d+)$", self.stderr(), re.MULTILINE)
        assert found is not None, self.stderr()
        return int(found[1])

    def write(self) -> None:
        """Write the configuration."""
        (self.folder / "auth-server.yaml").write_text(yaml.safe_dump(self.config))

    def stdout(self) -> str:
        """Return what it wrote."""
        return (self.folder / "stdout").read_text()

    def stderr(self) -> str:
        """Return what it said."""
        return (self.folder / "stderr").read_text()

    def get(self, path: str, port: int | None = None) -> tuple[int, bytes]:
        """Send one GET on a connection of its own."""
        connection = http.client.HTTPConnection("localhost", port or self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ready(self) -> bool:
        """Tell whether it answers 200 to a readiness probe."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/readyz")[0] == 200
        return False

    def metric(self, name: str) -> float:
        """Return one number of `/metrics`."""
        lines = self.get("/metrics", self.metrics_port)[1].decode().splitlines()
        (line,) = [line for line in lines if line.rpartition(" ")[0] == name]
        return float(line.rpartition(" ")[2])

    def workers(self) -> set[int]:
        """Return the process ids of the workers."""
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(children, encoding="ascii") as file:  # noqa: PTH123  # not a file of ours
            return {int(word) for word in file.read().split()}

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)


class Load:
    """Threads that ask for tokens, on kept connections and on new ones, and count the answers.

    Args:
        ports: Returns where somebody who was told of readiness would go now.
        threads: How many.
    """

    def __init__(self, ports: Callable[[], list[int]], threads: int = 4) -> None:
        self._ports = ports
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]
        self.results: Counter[str] = Counter()
        self._rounds = [0] * threads
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, rounds: int = 10) -> None:
        """Wait until every thread has asked so many times more."""
        wanted = [count + rounds for count in self._rounds]
        wait_for(
            lambda: all(done >= some for done, some in zip(self._rounds, wanted, strict=True)),
            "questions under load",
            60,
        )

    @property
    def wrong(self) -> dict[str, int]:
        """Everything but 200."""
        return {key: count for key, count in self.results.items() if key != "200"}

    def _run(self, number: int) -> None:
        kept: dict[int, http.client.HTTPConnection] = {}
        count = number
        while not self._stop.wait(0.002):
            count += 1
            ports = self._ports()
            port = ports[count % len(ports)] if ports else 0
            connection = kept.pop(port, None) or http.client.HTTPConnection(
                "localhost", port, timeout=60
            )
            try:
                connection.request("GET", OPEN)
                answer = connection.getresponse()
                answer.read()
                self._note(str(answer.status))
                # Half of the threads keep their connections as long as the server lets them.
                if number % 2 == 0 and not answer.will_close:
                    kept[port] = connection
            except (OSError, http.client.HTTPException) as exc:
                self._note(repr(exc))
            finally:
                if port not in kept:
                    connection.close()
                self._rounds[number] += 1
        for connection in kept.values():
            connection.close()

    def _note(self, result: str) -> None:
        with self._lock:
            self.results[result] += 1
