"""Pushes through a proxy that breaks them, into the real registries.

In each case the image is complete afterwards, byte for byte, what was sent again is counted, the
exit code is right, and nothing that should not be seen is in any output or file.
"""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pytest

from tests.images import Layout, oci_layout
from tests.integration import faults
from tests.integration.cutting_proxy import CuttingProxy, Rule
from tests.integration.faults import CUT, LARGE, LAYER, LIMIT, Case
from tests.integration.people import SEALOSHUB
from tests.integration.servers.process import free_port, wait_until
from tests.integration.servers.registry import RegistryServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.integration.hub import Hub
    from tests.integration.people import Person

SECONDS: Final = 60.0  # for what takes one
PLANTED: Final = "planted-in-the-credential-file"
SECRETS: Final = ("planted", "_state", "Bearer ", "shr_", "eyJ")


@pytest.fixture(scope="module")
def server(
    registry_binary: Path, memory_folder: Path, server_env: Mapping[str, str]
) -> Iterator[RegistryServer]:
    """Run each registry, for this module alone: a test kills it."""
    port = free_port()
    folder = memory_folder / f"{registry_binary.name}-faults-{port}"
    # As most run: without a secret, so that after a start it does not know its own signatures.
    settings = {"http": {"addr": f"localhost:{port}"}}
    with RegistryServer(registry_binary, folder, server_env, port=port, settings=settings) as found:
        yield found


@pytest.fixture(scope="module")
def image(memory_folder: Path) -> Layout:
    """An image with one large layer; nobody changes it."""
    # A name of its own each time: pytest may leave this module and come back.
    folder = Path(tempfile.mkdtemp(dir=memory_folder)) / "faulty"
    return oci_layout(folder, layers=1, layer_bytes=LAYER)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a test pushes, as whom, and where to.

    Args:
        server: The registry.
        new: It is registry 3.
        image: What is pushed.
        pusher: Somebody who has never pushed.
        repository: Nobody else's.
        folder: Empty.
    """

    server: RegistryServer
    new: bool
    image: Layout
    pusher: Person
    repository: str
    folder: Path

    @property
    def stored(self) -> str:
        """Where the image is, without the proxy."""
        return f"{self.server.host}/{self.repository}:v1"

    def through(self, proxy: CuttingProxy) -> str:
        """Return where the image is pushed to."""
        return f"{proxy.host}/{self.repository}:v1"


@pytest.fixture
def bench(  # noqa: PLR0913, PLR0917  # fixtures
    server: RegistryServer,
    registry_binary: Path,
    image: Layout,
    new_person: Callable[[str, Path | None], Person],
    unique: str,
    tmp_path: Path,
) -> Bench:
    """Put everything for a push on the table."""
    pusher = new_person("pusher", None)
    return Bench(server, is_new(registry_binary), image, pusher, f"faults/{unique}", tmp_path)


def is_new(binary: Path) -> bool:
    """Tell whether this is registry 3."""
    return binary.name == "registry"


def command(reference: str, image: Layout) -> list[str]:
    """Return the arguments of a push."""
    return ["push", str(image.path), reference, "--plain-http", "--cr-option", "no", "--verbose"]


def uploads(person: Person) -> Path:
    """Return where the person's pushes write down their uploads."""
    return person.home / ".local" / "state" / "sealoshub" / "uploads"


def plant(person: Person, host: str) -> None:
    """Give the person a credential for *host*, which must never be seen."""
    folder = person.home / ".docker"
    folder.mkdir()
    auth = base64.b64encode(f"pusher:{PLANTED}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def assert_clean(person: Person, *outputs: str) -> None:
    """No secret was told or written down, and no upload is left in the journal."""
    files = [file for file in uploads(person).glob("*") if file.is_file()]
    left = [file.name for file in files if not file.name.startswith("limit-")]
    assert left == []
    texts = [*outputs, *(file.read_text() for file in files)]
    assert [secret for secret in SECRETS for text in texts if secret in text] == []


def assert_complete(person: Person, reference: str, image: Layout, folder: Path) -> None:
    """What a stock client pulls is the image, byte for byte."""
    person.run("crane", "pull", "--insecure", "--format=oci", reference, folder, expect=0)
    (top,) = json.loads((folder / "index.json").read_text())["manifests"]
    assert top["digest"] == image.digest
    for source in (image.path / "blobs" / "sha256").iterdir():
        assert (folder / "blobs" / "sha256" / source.name).read_bytes() == source.read_bytes()


def large_blob(image: Layout) -> int:
    """Return the bytes of the large layer."""
    return max(file.stat().st_size for file in (image.path / "blobs" / "sha256").iterdir())


def assert_cost(case: Case, proxy: CuttingProxy, image: Layout, *, new: bool) -> None:
    """What was sent beyond the image is what the table says."""
    cost = case.new if new else case.old
    again = max(0, proxy.uploaded() - image.size)  # less if the push failed
    most = large_blob(image) if cost.most is None else cost.most
    if cost.exact:
        assert again == most
    else:
        assert again <= most


@pytest.mark.parametrize("case", faults.CASES, ids=lambda case: case.name)
def test_fault(case: Case, bench: Bench) -> None:
    """A passing fault costs what the table says, and nothing else."""
    pusher, image = bench.pusher, bench.image
    with CuttingProxy(bench.server.host, body_limit=case.body_limit) as proxy:
        plant(pusher, proxy.host)
        rules = list(case.rules())
        proxy.rules += rules
        words = [*command(bench.through(proxy), image), *case.options]
        done = pusher.run("sealoshub", *words, expect=case.exit_code)
        assert_cost(case, proxy, image, new=bench.new)
        if bench.new:
            assert [rule for rule in rules if not rule.used] == [], "nothing went wrong"
    assert_clean(pusher, done.stdout, done.stderr)
    if case.exit_code == 0:
        assert done.stdout.endswith(f"/{bench.repository}@{image.digest}\n")
        assert_complete(pusher, bench.stored, image, bench.folder / "pulled")


def test_learned_limit_is_kept(bench: Bench) -> None:
    """The second push to a host with a limit is refused nothing any more."""
    other = oci_layout(bench.folder / "other", layers=1, layer_bytes=LAYER, seed=1)
    with CuttingProxy(bench.server.host, body_limit=LIMIT) as proxy:
        words = command(bench.through(proxy), other)
        bench.pusher.run("sealoshub", *words, expect=0)
        assert [seen.status for seen in proxy.seen].count(413) == 3
        proxy.seen.clear()
        words = command(bench.through(proxy), bench.image)
        bench.pusher.run("sealoshub", *words, expect=0)
        assert [seen.status for seen in proxy.seen].count(413) == 0
    assert_clean(bench.pusher)
    assert_complete(bench.pusher, bench.stored, bench.image, bench.folder / "pulled")


def test_nowhere_to_write(bench: Bench) -> None:
    """Without a folder to write in, a push says so to whoever wants details, and goes on."""
    pusher = bench.pusher.with_settings({"XDG_STATE_HOME": "/dev/null"})
    done = pusher.run("sealoshub", *command(bench.stored, bench.image), expect=0)
    assert "/dev/null/sealoshub/uploads: Not a directory" in done.stderr
    words = command(bench.stored, oci_layout(bench.folder / "b", layer_bytes=LARGE, seed=1))
    assert "/dev/null" not in pusher.run("sealoshub", *words[:-1], expect=0).stderr


class Pushing:
    """A push under way, as a program; use it in a `with` block, which ends it if need be."""

    def __init__(self, person: Person, reference: str, image: Layout) -> None:
        # With default signals: what runs under nohup, as CI may, begins with SIGHUP ignored.
        self.process = subprocess.Popen(
            ["env", "--default-signal", str(SEALOSHUB), *command(reference, image)],
            cwd=person.home,
            env=person.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> str:
        """Wait for it, and return what it said."""
        out, err = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0, err
        return out + err


def hold() -> Rule:
    """Return a rule that holds the large layer in its middle."""
    return Rule("PUT", "/blobs/uploads/", LARGE, hold=CUT)


def wait_for_small_blobs(proxy: CuttingProxy, image: Layout) -> None:
    """Wait until the blobs beside the large one have been stored."""

    def stored() -> bool:
        with proxy.lock:
            found = sum(each.method == "PUT" and each.status == 201 for each in proxy.seen)
        return found == len(image.blobs) - 1

    wait_until(stored, "the small blobs to be stored", SECONDS)


def test_killed(bench: Bench) -> None:
    """After `kill -9` the next push sends what is missing on 3, and the one blob again on 2.8."""
    pusher = bench.pusher
    with CuttingProxy(bench.server.host) as proxy:
        reference = bench.through(proxy)
        plant(pusher, proxy.host)
        rule = hold()
        proxy.rules.append(rule)
        with Pushing(pusher, reference, bench.image) as push:
            assert rule.held.wait(SECONDS)
            wait_for_small_blobs(proxy, bench.image)
            push.process.kill()
            push.process.wait()
        assert rule.ended.wait(SECONDS)
        (entry,) = uploads(pusher).glob("*.json")
        assert "?" not in entry.read_text()
        assert [path.stat().st_mode & 0o777 for path in (entry, uploads(pusher))] == [0o600, 0o700]
        done = pusher.run("sealoshub", *command(reference, bench.image), expect=0)
        assert_cost(faults.KILLED, proxy, bench.image, new=bench.new)
    assert_clean(pusher, done.stdout, done.stderr)
    assert_complete(pusher, bench.stored, bench.image, bench.folder / "pulled")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ended_by_a_signal(bench: Bench, number: signal.Signals) -> None:
    """SIGTERM and SIGHUP end with a line and a code; the next push goes on as after `kill -9`."""
    pusher = bench.pusher
    with CuttingProxy(bench.server.host) as proxy:
        reference = bench.through(proxy)
        rule = hold()
        proxy.rules.append(rule)
        with Pushing(pusher, reference, bench.image) as push:
            assert rule.held.wait(SECONDS)
            wait_for_small_blobs(proxy, bench.image)
            push.process.send_signal(number)
            _, said = push.process.communicate(timeout=SECONDS)
        assert push.process.returncode == 128 + number
        assert said.splitlines()[-1].startswith(f"error: ended by {number.name}")
        assert "Traceback" not in said
        assert rule.ended.wait(SECONDS)
        assert len(list(uploads(pusher).glob("*.json"))) == 1
        done = pusher.run("sealoshub", *command(reference, bench.image), expect=0)
        assert_cost(faults.KILLED, proxy, bench.image, new=bench.new)
    assert_clean(pusher, done.stdout, done.stderr)
    assert_complete(pusher, bench.stored, bench.image, bench.folder / "pulled")


def test_restarted(bench: Bench) -> None:
    """A registry that is killed and started again in the middle of a blob costs a retry."""
    with CuttingProxy(bench.server.host) as proxy:
        rule = hold()
        proxy.rules.append(rule)
        with Pushing(bench.pusher, bench.through(proxy), bench.image) as push:
            assert rule.held.wait(SECONDS)
            wait_for_small_blobs(proxy, bench.image)
            bench.server.restart()
            rule.release.set()
            said = push.end()
        assert_cost(faults.RESTARTED, proxy, bench.image, new=bench.new)
    assert_clean(bench.pusher, said)
    assert_complete(bench.pusher, bench.stored, bench.image, bench.folder / "pulled")


def test_full(bench: Bench) -> None:
    """A registry whose disk is full answers 500; when there is room again, the push goes on."""
    server = bench.server
    with CuttingProxy(server.host) as proxy:
        rule = Rule("PUT", "/blobs/uploads/", LARGE, then=lambda: server.limit_files(None))
        proxy.rules.append(rule)
        server.limit_files(2 * LAYER // 3)
        words = command(bench.through(proxy), bench.image)
        try:
            done = bench.pusher.run("sealoshub", *words, expect=0)
        finally:
            server.limit_files(None)  # other tests use it
        assert rule.used == 1
        assert_cost(faults.FULL, proxy, bench.image, new=bench.new)
    assert_clean(bench.pusher, done.stdout, done.stderr)
    assert_complete(bench.pusher, bench.stored, bench.image, bench.folder / "pulled")


def test_together(bench: Bench) -> None:
    """Two pushes of the same image at once leave each other's uploads alone."""
    pusher = bench.pusher
    with CuttingProxy(bench.server.host) as proxy:
        reference = bench.through(proxy)
        rule = hold()
        proxy.rules.append(rule)
        with Pushing(pusher, reference, bench.image) as push:
            assert rule.held.wait(SECONDS)
            wait_for_small_blobs(proxy, bench.image)
            other = pusher.run("sealoshub", *command(reference, bench.image), expect=0)
            assert proxy.count("DELETE") == 0
            assert len(list(uploads(pusher).glob("*.json"))) == 1, "the first one's is gone"
            rule.release.set()
            said = push.end()
        assert_cost(faults.TOGETHER, proxy, bench.image, new=bench.new)
    assert_clean(pusher, said, other.stderr)
    assert_complete(pusher, bench.stored, bench.image, bench.folder / "pulled")


def login(person: Person, host: str) -> None:
    """Log in with the person's kubeconfig."""
    words = ("login", host, "--plain-http", "--kubeconfig", person.kubeconfig)
    person.run("sealoshub", *words, expect=0)


@pytest.mark.parametrize(
    "hub", ["embedded-registry-2.8", "embedded-registry-3"], indirect=True, scope="session"
)
def test_token_refused_in_the_middle(hub: Hub, image: Layout, unique: str, tmp_path: Path) -> None:
    """A token that runs out in the middle of a blob is renewed, and no header is over 8 kB."""
    alice = hub.user(f"alice-{unique}")
    alice.run("sealoshub", "org", "create", unique, "--wait", "90s", expect=0)
    with CuttingProxy(hub.host, header_limit=8192) as proxy:
        login(alice, proxy.host)
        rules = [
            Rule("PUT", "/blobs/uploads/", LARGE, cut_at=CUT),
            Rule("GET", "/blobs/uploads/", spoil=True),
            Rule("POST", "/blobs/uploads/", spoil=True),
            Rule("HEAD", "/manifests/", spoil=True),
        ]
        proxy.rules += rules
        reference = f"{proxy.host}/{unique}/app:v1"
        done = alice.run("sealoshub", *command(reference, image), expect=0)
        assert_cost(faults.EXPIRED, proxy, image, new=is_new(hub.registry_binary))
        assert [rule for rule in rules if not rule.used] == [], "no token was refused"
        assert [seen.status for seen in proxy.seen].count(400) == 0
        # 2.8 is asked for the upload by its bare address as well.
        asked = 2 if is_new(hub.registry_binary) else 3
        assert proxy.count("GET", "/uploads/") == asked, "once more after the refusal"
    assert_clean(alice, done.stdout, done.stderr)
    login(alice, hub.host)
    assert_complete(alice, f"{hub.host}/{unique}/app:v1", image, tmp_path / "pulled")


def test_table() -> None:
    """The documentation shows these cases."""
    assert faults.table() in faults.PAGE.read_text()
