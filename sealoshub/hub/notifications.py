"""What a registry tells the token server, on one machine as in a cluster."""

from __future__ import annotations

from typing import Any


def endpoint(base: str, bearer: str) -> dict[str, Any]:
    """Return the endpoint that a registry's configuration names (distribution, `notifications`).

    Args:
        base: Of the token server, `scheme://host:port`.
        bearer: What the token server lets it in with.
    """
    return {
        "name": "sealoshub",
        "url": f"{base}/v1/events",
        "headers": {"Authorization": [f"Bearer {bearer}"]},
        "timeout": "5s",
        "threshold": 5,
        "backoff": "1s",
        "ignore": {"mediatypes": ["application/octet-stream"], "actions": ["pull"]},
    }
