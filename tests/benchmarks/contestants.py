"""Who pushes and pulls in the benchmark, and what one run of theirs costs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The peak memory of a process begins with that of the process it was forked from, so a program is
# started and waited for by an interpreter that is smaller than any of them.
_MEASURE: Final = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
began = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - began
code = os.waitstatus_to_exitcode(status)
print(json.dumps([code, wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A client and how it is told to push and to pull.

    Words of the commands may hold `{layout}` (an OCI layout and the name of its image are
    `{layout}:v1`), `{archive}`, `{host}`, `{reference}`, and `{target}` (a new OCI layout).

    Args:
        name: Name of the program.
        layout: Pushes an OCI layout.
        pull: Pulls into an OCI layout.
        archive: Pushes a docker archive; empty if the client has no way.
        prepare: Is run once for each home folder.
    """

    name: str
    layout: tuple[str, ...]
    pull: tuple[str, ...]
    archive: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()


OURS: Final = "sealoshub"
CONTESTANTS: Final = (
    Contestant(
        OURS,
        layout=("push", "--cr-option", "no", "oci:{layout}:v1", "{reference}"),
        pull=("pull", "{reference}", "oci:{target}"),
        archive=("push", "--cr-option", "no", "docker-archive:{archive}", "{reference}"),
    ),
    Contestant(
        "crane",
        layout=("push", "{layout}", "{reference}"),
        pull=("pull", "--format", "oci", "{reference}", "{target}"),
        archive=("push", "{archive}", "{reference}"),
    ),
    Contestant(
        "oras",
        layout=("cp", "--from-oci-layout", "--to-plain-http", "{layout}:v1", "{reference}"),
        pull=("cp", "--to-oci-layout", "--from-plain-http", "{reference}", "{target}:v1"),
    ),
    Contestant(
        "regctl",
        layout=("image", "copy", "ocidir://{layout}:v1", "{reference}"),
        pull=("image", "copy", "{reference}", "ocidir://{target}:v1"),
        prepare=("registry", "set", "--tls", "disabled", "{host}"),
    ),
    Contestant(
        "skopeo",
        layout=(
            "copy",
            "--quiet",
            "--preserve-digests",
            "--insecure-policy",
            "--dest-tls-verify=false",
            "oci:{layout}:v1",
            "docker://{reference}",
        ),
        pull=(
            "copy",
            "--quiet",
            "--insecure-policy",
            "--src-tls-verify=false",
            "docker://{reference}",
            "oci:{target}:v1",
        ),
        archive=(
            "copy",
            "--quiet",
            "--insecure-policy",
            "--dest-tls-verify=false",
            "docker-archive:{archive}",
            "docker://{reference}",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took.

    Args:
        wall: Seconds from start to end.
        cpu: Seconds of processor time, user and system.
        memory: Peak resident bytes.
    """

    wall: float
    cpu: float
    memory: int


def run(
    program: Path, words: tuple[str, ...], values: Mapping[str, str], env: Mapping[str, str]
) -> Cost:
    """Run *program* and say what it cost; its own output goes nowhere.

    Raises:
        AssertionError: It failed.
    """
    arguments = [word.format_map(values) for word in words]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _MEASURE, program, *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    code, wall, cpu, memory = json.loads(done.stdout)
    assert code == 0, f"{program.name} {' '.join(arguments)}: {done.stderr}"
    return Cost(wall, cpu, memory)
