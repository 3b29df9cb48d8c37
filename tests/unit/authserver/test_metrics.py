"""The numbers for Prometheus."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sealoshub.authserver.board import Board
from sealoshub.authserver.metrics import EVENTS, FAMILIES, STATUSES, Metrics, columns

PAGE: Final = Path(__file__).parents[3] / "docs" / "reference" / "auth-server.md"


def test_every_metric_is_documented_and_no_other() -> None:
    """Name and type, as the exposition has them."""
    section = PAGE.read_text().partition("\n## Metrics\n")[2].partition("\n## ")[0]
    written = dict(
        re.findall(r"^\| `([a-z_]+)(?:\{[a-z]+\})?` \| ([a-z]+) \|", section, re.MULTILINE)
    )
    assert written == {name: family.type for name, family in FAMILIES.items()}
    labels = dict(re.findall(r"^\| `([a-z_]+)\{([a-z]+)\}`", section, re.MULTILINE))
    assert labels == {
        name: ",".join(family.labels) for name, family in FAMILIES.items() if family.labels
    }


def test_the_exposition() -> None:
    """Every family is there from the beginning, with help and type; buckets are cumulative."""
    metrics = Metrics()
    for status, seconds in ((200, 0.0004), (200, 0.03), (503, 9.0), (418, 0.0)):
        metrics.count(status, seconds)
    for result in EVENTS:
        metrics.count_event(result)
    lines = metrics.text().splitlines()
    for name, family in FAMILIES.items():
        assert f"# HELP {name} {family.help}" in lines
        assert f"# TYPE {name} {family.type}" in lines
    wanted = {
        'sealoshub_token_requests_total{status="200"} 2',
        'sealoshub_token_requests_total{status="503"} 1',
        'sealoshub_token_requests_total{status="other"} 1',
        'sealoshub_token_requests_total{status="401"} 0',
        'sealoshub_token_request_seconds_bucket{le="0.001"} 2',
        'sealoshub_token_request_seconds_bucket{le="0.05"} 3',
        'sealoshub_token_request_seconds_bucket{le="+Inf"} 4',
        "sealoshub_token_request_seconds_count 4",
        "sealoshub_token_request_seconds_sum 9.030400",
        'sealoshub_events_total{result="dropped"} 1',
    }
    assert wanted <= set(lines)
    resident = next(line for line in lines if line.startswith("process_resident_memory_bytes "))
    assert int(resident.split()[1]) > 1_000_000
    assert all(re.fullmatch(r"#.*|[a-z_]+(\{[a-z]+=\"[^\"]*\"\})? [0-9.]+", line) for line in lines)


def test_the_rows_of_all_workers_are_added() -> None:
    """Whoever is asked; and one that left no longer counts as serving, but what it did does."""
    board = Board(columns(), rows=3)
    first, second = Metrics(board, 0), Metrics(board, 2)
    for metrics in (first, second):
        metrics.row.put("sealoshub_workers", 1)
        for _ in range(1_500_000 // 2):
            metrics.row.add("sealoshub_logins_created_total")
            if metrics is first:
                break
    assert "\nsealoshub_workers 2\n" in first.text()
    assert "\nsealoshub_logins_created_total 750001\n" in first.text()
    second.leave()
    assert "\nsealoshub_workers 1\n" in first.text()
    assert "\nsealoshub_logins_created_total 750001\n" in first.text()


def test_statuses_are_those_that_are_answered() -> None:
    """A status of the token route that is not in the list is counted as another."""
    assert set(STATUSES) >= {"200", "400", "401", "405", "408", "413", "414", "429", "500", "503"}
