"""Fixtures of the attacks: an attacked token server and its cast, on the hubs that all tests share.

Every attack runs on the embedded API and on a real kube-apiserver. The token server never speaks to
the registry, so one registry is enough, except for forged tokens, which the registry must refuse.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.attacks.cast import Cast
from tests.attacks.target import Target, api_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.attacks.target import Client
    from tests.integration.hub import Hub

HERE: Final = Path(__file__).parent
EVERY_REGISTRY: Final = "test_row_23"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave registry 2.8 to the attacks on registries.

    Deselected and not parametrised anew, so that these tests keep sharing the hubs of all others.
    """
    unwanted = [item for item in items if _is_superfluous(item)]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if not _is_superfluous(item)]


def _is_superfluous(item: pytest.Item) -> bool:
    on = getattr(item, "callspec", None)
    return (
        item.path.is_relative_to(HERE)
        and not item.name.startswith(EVERY_REGISTRY)
        and on is not None
        and str(on.params.get("hub", "")).endswith("registry-2.8")
    )


@pytest.fixture(scope="session")
def cast(hub: Hub) -> Iterator[Cast]:
    """The people on a hub."""
    with Cast(hub) as found:
        yield found


@pytest.fixture(scope="session")
def target(hub: Hub, memory_folder: Path, server_env: Mapping[str, str]) -> Iterator[Target]:
    """A token server of the attacks' own on the API of a hub.

    In the end nothing that anybody sent it as a secret stands in its logs or metrics, or in a log
    of the hub: row 14 for the whole session.
    """
    folder = memory_folder / f"attacked-{hub.data.name}"
    with Target(folder, api_of(hub.data), server_env) as running:
        yield running
        said = running.said()
        leaked = [secret for secret in running.secrets if secret in said]
        leaked += [secret for secret in running.secrets if hub.logs_contain(secret)]
    assert not leaked, f"{len(leaked)} of {len(running.secrets)} secrets stand in a log"


@pytest.fixture
def stranger(target: Target) -> Client:
    """Somebody at an address of his own."""
    return target.stranger()
