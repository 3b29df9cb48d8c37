"""Ending logins of others: all of one user, all that belong to one organization, or one by its id.

A login is a `Login` resource, and deleting it ends it within the seconds for which token servers
believe what they read; access tokens that are out end by themselves within minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealoshub.authserver import loginrecord
from sealoshub.errors import NotFoundError
from sealoshub.imagehub.names import HUB_NAMESPACE, organization_namespace
from sealoshub.kube.account import service_account

if TYPE_CHECKING:
    from sealoshub.authserver.loginrecord import LoginRecord
    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster
    from sealoshub.kube.reader import Reader

KIND = "Login"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which logins are meant; what is None does not matter, and one at least is not.

    Args:
        user: Those of the user with this full name.
        organization: Those of the robots of this organization, and the personal tokens that are
            good for nothing but its repositories.
        login: The one with this id.
    """

    user: str | None = None
    organization: str | None = None
    login: str | None = None

    def means(self, record: LoginRecord) -> bool:
        """Tell whether *record* is meant."""
        return (
            self.user in {None, record.identity.name}
            and self.login in {None, record.id}
            and (self.organization is None or belongs(record, self.organization))
        )


def belongs(record: LoginRecord, organization: str) -> bool:
    """Tell whether a login is good for one organization only, or is that of one of its robots."""
    namespace, _ = service_account(record.identity.name)
    if namespace == organization_namespace(organization):
        return True
    limits = record.scopes or ()
    return bool(limits) and all(
        scope.type == "repository" and scope.name.partition("/")[0] == organization
        for scope in limits
    )


def find(cluster: Reader, choice: Choice) -> list[LoginRecord]:
    """Return the logins that *choice* means, oldest first.

    Raises:
        SealosHubError: The API server refuses or does not answer.
    """
    selector = None
    if choice.user is not None:
        selector = f"{loginrecord.USER_LABEL}={loginrecord.user_label(choice.user)}"
    items: list[Object] = cluster.list(KIND, HUB_NAMESPACE, label_selector=selector)
    records = (loginrecord.read(item) for item in items)
    found = [record for record in records if record is not None and choice.means(record)]
    return sorted(found, key=lambda record: record.created)


def end(cluster: Cluster, records: list[LoginRecord]) -> list[LoginRecord]:
    """Delete *records*; return those that were there still.

    Raises:
        SealosHubError: The API server refuses or does not answer; those before are gone.
    """
    ended = []
    for record in records:
        try:
            cluster.delete(KIND, record.id, HUB_NAMESPACE)
        except NotFoundError:
            continue
        ended.append(record)
    return ended
