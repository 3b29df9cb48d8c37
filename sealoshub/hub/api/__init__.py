"""The slice of the Kubernetes API that a hub needs, on SQLite.

app.py        one request: who, may he, what, answer
authn.py rbac.py escalation.py tokens.py pki.py     who, and may he
resources.py builtin_resources.py builtin_kinds.py schema.py schemas.json   what there is
write_request.py writes.py deletion.py              what is changed
reading.py watch.py reviews.py                      what is asked
bodies.py protobuf.py metadata.py validation.py rules.py    what an object must be
apply.py fields.py patch.py selectors.py            its parts
admission.py admission_env.py                       policies
cel.py cel_macros.py cel_values.py cel_library.py   expressions
discovery.py openapi.py tables.py status.py request.py      how it is told
store.py engine.py bootstrap.py server.py               where it lives
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealoshub.hub.api.server import ApiConfig

__all__ = ["serve"]


def serve(config: ApiConfig) -> None:
    """Serve the API until SIGTERM; see `server.serve`.

    The web framework is loaded here and not with the package, because `pki` is used by the CLI.

    Raises:
        InvalidInputError: The folder cannot be used.
        UnavailableError: The port is taken, or another process has the database.
    """
    from sealoshub.hub.api import server  # noqa: PLC0415  # see above

    server.serve(config)
