"""The same rules and the same controller on a real API server.

The claims are those of the unit tests, which run on the embedded API; both must hold on both.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.kube.cluster import Cluster
from tests.unit.imagehub.conftest import people
from tests.unit.imagehub.test_controller import (
    live,
    test_a_data_pack_ends,
    test_a_data_pack_says_only_what_its_creator_may_pull,
    test_a_member_of_one_repository_has_rights_there_alone,
    test_a_namespace_of_somebody_else_is_left_alone,
    test_an_organization_with_content_stays,
    test_content_brings_its_repository_into_being,
    test_ended_logins_are_removed,
    test_members_come_and_go,
    test_the_next_organization_of_a_name_inherits_no_right,
    test_what_somebody_breaks_is_made_whole,
    test_whoever_makes_an_organization_owns_it,
)
from tests.unit.imagehub.test_manager import (
    test_a_hub_at_rest_is_written_to_by_nobody,
    test_a_replica_that_loses_the_lease_ends,
    test_one_replica_works_and_the_other_takes_over,
)
from tests.unit.imagehub.test_policies import (
    team,
    test_a_data_pack_is_its_creators,
    test_a_manifest_without_a_creator_leaves_it_as_it_is,
    test_a_resource_that_breaks_a_rule_is_refused,
    test_a_user_without_the_right_is_denied,
    test_only_the_controller_removes_the_finalizer,
    test_the_bare_name_of_the_original_means_a_service_account,
    test_the_creator_and_the_labels_fill_themselves_in,
    test_the_old_default_role_gives_no_right,
    test_who_has_the_right_may,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealoshub.secret import Secret
    from tests.integration.servers.kube import KubeApiServer

__all__ = [  # fixtures and tests; pytest finds them by name
    "live",
    "people",
    "team",
    "test_a_data_pack_ends",
    "test_a_data_pack_is_its_creators",
    "test_a_data_pack_says_only_what_its_creator_may_pull",
    "test_a_hub_at_rest_is_written_to_by_nobody",
    "test_a_manifest_without_a_creator_leaves_it_as_it_is",
    "test_a_member_of_one_repository_has_rights_there_alone",
    "test_a_namespace_of_somebody_else_is_left_alone",
    "test_a_replica_that_loses_the_lease_ends",
    "test_a_resource_that_breaks_a_rule_is_refused",
    "test_a_user_without_the_right_is_denied",
    "test_an_organization_with_content_stays",
    "test_content_brings_its_repository_into_being",
    "test_ended_logins_are_removed",
    "test_members_come_and_go",
    "test_one_replica_works_and_the_other_takes_over",
    "test_only_the_controller_removes_the_finalizer",
    "test_the_bare_name_of_the_original_means_a_service_account",
    "test_the_creator_and_the_labels_fill_themselves_in",
    "test_the_next_organization_of_a_name_inherits_no_right",
    "test_the_old_default_role_gives_no_right",
    "test_what_somebody_breaks_is_made_whole",
    "test_who_has_the_right_may",
    "test_whoever_makes_an_organization_owns_it",
]


class RealApi:
    """What the unit tests' `Api` is, on a real API server.

    Args:
        server: The server.
        stack: Closes the clients.
    """

    def __init__(self, server: KubeApiServer, stack: contextlib.ExitStack) -> None:
        self._server = server
        self._stack = stack

    def cluster(self, user: str, *groups: str) -> Cluster:
        """Return the API as *user* sees it."""
        return self._open(self._server.issue_kubeconfig(user, groups))

    def with_token(self, token: Secret, source: str) -> Cluster:
        """Return the API as the holder of *token* sees it."""
        return self._open(self._server.token_kubeconfig(source, token.reveal()))

    def _open(self, kubeconfig: Any) -> Cluster:  # noqa: ANN401  # a path
        return self._stack.enter_context(Cluster.open_kubeconfig(kubeconfig))


@pytest.fixture(scope="module")
def kube(start_kube: Callable[[], KubeApiServer]) -> Iterator[KubeApiServer]:
    """A server of our own: the hub is installed into it."""
    with start_kube() as server:
        yield server


@pytest.fixture(scope="module")
def api(kube: KubeApiServer) -> Iterator[RealApi]:
    """A real API server with nothing of the hub in it."""
    with contextlib.ExitStack() as stack:
        yield RealApi(kube, stack)
