"""A program as an operator would write it for the `exec` plugin, with bad habits on demand.

It knows Alice by her password, lets her pull everything, and says nothing about the rest. Accounts
choose its habits: `slow`, `silent`, `dies`, `garbage`, `echo`, `endless`, `nobody`, `down`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

_LOCK = threading.Lock()


def authenticate(question: dict[str, Any]) -> dict[str, Any]:
    """Answer who it is."""
    account = question["account"]
    if account == "down":
        return {"answer": "unavailable", "message": "the directory is closed", "retry_after": 7}
    if account == "nobody":
        return {"answer": "identity", "identity": {"name": "system:anonymous"}}
    if account not in {"alice", "slow"}:
        return {"answer": "no_opinion"}
    if question["secret"] != "wonder":
        return {"answer": "rejected", "message": "wrong password", "hint": "Ask the porter."}
    return {
        "answer": "identity",
        "identity": {
            "name": account,
            "uid": "1",
            "groups": ["dev"],
            "extra": {"floor": ["3"]},
            "expires": "2030-01-01T00:00:00Z",
        },
    }


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Answer a question of any kind."""
    match question["ask"]:
        case "authenticate":
            return authenticate(question)
        case "authorize":
            if question["identity"]["name"] != "alice":
                return {"answer": "no_opinion"}
            actions = ["pull", "admin"]  # more than was asked for
            return {"answer": "grant", "actions": actions, "reason": "she is Alice"}
        case _:
            return {"answer": "confirmed", "exists": question["identity"]["name"] == "alice"}


def say(number: int, content: dict[str, Any]) -> None:
    """Write an answer."""
    with _LOCK:
        write(json.dumps({"id": number, **content}))


def write(text: str) -> None:
    """Write a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def later(folder: Path, number: int, content: dict[str, Any]) -> None:
    """Write an answer when there is a file `go`."""
    while not (folder / "go").exists():
        time.sleep(0.01)
    say(number, content)


def note(file: Path, text: str) -> None:
    """Add a line to a file."""
    with file.open("a") as opened:
        opened.write(text + "\n")


def main(folder: Path) -> None:
    """Answer until the input ends; note starts and questions in files of *folder*."""
    note(folder / "starts", "started")
    sys.stderr.write("ready \x1b[31m\n")
    sys.stderr.flush()
    for line in sys.stdin:
        question = json.loads(line)
        number, account = question["id"], question.get("account", "")
        note(folder / "asked", account)
        if account == "slow":
            arguments = (folder, number, answer(question))
            threading.Thread(target=later, args=arguments, daemon=True).start()
        elif account == "silent":
            time.sleep(3600)
        elif account == "dies":
            sys.exit(1)
        elif account == "garbage":
            write("Traceback: no JSON")
        elif account == "echo":
            write(line)
        elif account == "endless":
            write("[" * (1 << 19))
        else:
            say(number + 1000, {"answer": "rejected"})  # to nobody's question
            say(number, answer(question))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
