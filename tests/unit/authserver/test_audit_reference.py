"""The reference of the audit log has every line that is written, with its fields."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.unit.authserver.running import SCOPE, TOKEN, basic

if TYPE_CHECKING:
    from tests.unit.authserver.running import RunningServer

PAGE: Final = Path(__file__).parents[3] / "docs" / "reference" / "auth-server.md"


def documented() -> dict[str, set[str]]:
    """Return the fields of each event that the reference names."""
    section = PAGE.read_text().partition("\n## Audit log\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z]+)` \| [^|]+ \| (.*) \|$", section, re.MULTILINE)
    return {event: set(re.findall(r"`([a-z]+)`", cell)) for event, cell in rows if event != "event"}


def test_every_line_is_documented(token_server: RunningServer) -> None:
    """Each event with all of its fields, and none that is never written."""
    header = basic(("alice", TOKEN))
    refresh = token_server.get(SCOPE, login=("alice", TOKEN), offline_token="true")
    token_server.get(login=("alice", "wrong"))
    body = json.dumps({"name": "ci", "seconds": 3600}).encode()
    made = token_server.request("POST", "/v1/logins", body=body, headers=header)
    login_id = made.json["login"]["id"]
    token_server.request("DELETE", f"/v1/logins/{login_id}", headers=header)
    own = basic(("", refresh.json["refresh_token"]))
    token_server.request("DELETE", "/v1/logins/self", headers=own)
    written = {line["event"]: set(line) - {"time", "event"} for line in token_server.audit()}
    assert written == documented()
