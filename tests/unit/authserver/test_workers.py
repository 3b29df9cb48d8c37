"""Several workers on one socket, and ends that cut nobody off."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.unit.authserver.program import OPEN, Load, Program, wait_for
from tests.unit.authserver.running import SCOPE, TOKEN, basic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.authserver.fake_kubernetes import FakeKubernetes


def test_workers_die_and_are_replaced_and_nobody_notices(
    fake: FakeKubernetes, tmp_path: Path
) -> None:
    """SIGHUP replaces all of them under load without a failed request; their numbers are added."""
    with Program(fake, tmp_path / "one", workers=2) as program:
        wait_for(lambda: len(program.workers()) == 2, "both workers")  # one is ready
        first = program.workers()
        with Load(lambda: [program.port]) as load:
            program.signal(signal.SIGHUP)
            wait_for(
                lambda: len(program.workers() - first) == 2 and not program.workers() & first,
                "other workers",
            )
            load.wait_for_more()
        assert load.wrong == {}

        def lines() -> int:
            text = (program.folder / "audit.log").read_text()
            whole = text[: text.rfind("\n") + 1]  # the last line may be half written
            return len([json.loads(line) for line in whole.splitlines()])

        wait_for(lambda: lines() == load.results["200"], "the audit lines of all workers")
        second = program.workers()
        os.kill(min(second), signal.SIGKILL)
        wait_for(lambda: len(program.workers() - {min(second)}) == 2, "a new worker")
        wait_for(lambda: program.metric("sealoshub_workers") == 2, "two workers to be counted")
        total = program.metric('sealoshub_token_requests_total{status="200"}')
        assert total == load.results["200"]
        program.signal(signal.SIGTERM)
        assert program.process.wait(60) == 0
    assert "Traceback" not in program.stderr()


def test_a_configuration_that_is_wrong_now_keeps_the_workers(
    fake: FakeKubernetes, tmp_path: Path
) -> None:
    """A reload that fails is a line in the log, and everything goes on."""
    with Program(fake, tmp_path / "one", workers=2) as program:
        wait_for(lambda: len(program.workers()) == 2, "both workers")
        before = program.workers()
        program.config["token_seconds"] = 1
        program.write()
        program.signal(signal.SIGHUP)
        wait_for(lambda: "workers that run are kept" in program.stderr(), "the message")
        assert "token_seconds" in program.stderr()
        assert program.workers() == before
        assert program.get(OPEN)[0] == 200


def test_workers_end_with_their_parent(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Even if it is killed and can tell nobody."""
    with Program(fake, tmp_path / "one", workers=2) as program:
        wait_for(lambda: len(program.workers()) == 2, "both workers")
        workers = program.workers()
        program.process.kill()
        program.process.wait()
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}/fd/0") for pid in workers), "the end")  # noqa: PTH110  # not files of ours


def test_a_stop_drops_no_request(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Readiness goes first; until the others have seen it, and for what has begun, it serves."""
    one = Program(fake, tmp_path / "one", drain_seconds=300)
    two = Program(fake, tmp_path / "two")
    with one, two:
        endpoints = [one.port, two.port]
        watching = threading.Event()

        def watch() -> None:  # what a Service does: send nobody there who is not ready
            while not watching.is_set():
                if not one.ready() and one.port in endpoints:
                    endpoints.remove(one.port)
                watching.wait(0.05)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with Load(lambda: list(endpoints)) as load:
                one.signal(signal.SIGTERM)
                wait_for(lambda: endpoints == [two.port], "the end of readiness")
                load.wait_for_more()
                assert one.get(OPEN)[0] == 200, "it serves on"
                one.signal(signal.SIGTERM)  # enough of that
                assert one.process.wait(60) == 0
                load.wait_for_more()
        finally:
            watching.set()
            watcher.join()
        assert load.wrong == {}
        assert endpoints == [two.port]


def test_a_request_under_way_is_answered(fake: FakeKubernetes, tmp_path: Path) -> None:
    """One that waits for the API server, and one whose head is half there, at SIGTERM."""
    with Program(fake, tmp_path / "one") as program, ThreadPoolExecutor(1) as pool:
        fake.stalled = True

        def ask() -> tuple[int, str | None]:
            connection = http.client.HTTPConnection("localhost", program.port, timeout=60)
            path = f"/token?service=hub&scope={SCOPE}"
            connection.request("GET", path, headers=basic(("alice", TOKEN)))
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer.status, answer.getheader("connection")

        asked = len(fake.asked)
        waiting = pool.submit(ask)
        wait_for(lambda: len(fake.asked) > asked, "the question to arrive")
        with socket.create_connection(("localhost", program.port), timeout=60) as half:
            half.sendall(f"GET {OPEN} HTTP/1.1\r\nhost: localhost\r\n".encode())
            wait_for(lambda: program.get("/healthz")[0] == 200, "the half to have arrived")
            program.signal(signal.SIGTERM)
            wait_for(lambda: "stopping" in program.stderr(), "the stop to begin")
            half.sendall(b"\r\n")
            assert half.recv(20).startswith(b"HTTP/1.1 200")
        fake.stalled = False
        # 503 if this machine was so busy that the API server's time was over.
        assert waiting.result(60) in {(200, "close"), (503, "close")}
        assert program.process.wait(60) == 0
