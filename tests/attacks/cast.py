"""Who takes part in the attacks: an organisation, its people, and strangers."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from sealoshub.imagehub.names import API_VERSION, GROUP
from sealoshub.kube.cluster import Cluster
from tests.integration.servers.process import wait_until
from tests.integration.test_way_through import token_of

if TYPE_CHECKING:
    from types import TracebackType

    from tests.integration.hub import Hub
    from tests.integration.people import Person

READY_SECONDS: Final = 60.0  # it takes one; the machine may be busy


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody with a credential of the cluster.

    Args:
        name: Kubernetes user name.
        secret: What he sends as his password: a token, or a kubeconfig with a certificate.
        cluster: The API server, as he sees it.
    """

    name: str
    secret: str
    cluster: Cluster

    def __repr__(self) -> str:
        return f"Actor({self.name})"

    @property
    def login(self) -> tuple[str, str]:
        """Account and password for HTTP Basic; without a colon in the account."""
        return self.name.rpartition(":")[2], self.secret


class Cast:
    """An organisation of Alice (a ServiceAccount) with the developer Bob, and the stranger Mallory.

    `org/private` is a private repository with an Image, `org/public` a public one; Mallory owns an
    organisation of his own. A context manager that opens and closes the connections.

    Args:
        hub: Where they live.
    """

    def __init__(self, hub: Hub) -> None:
        mark = os.urandom(3).hex()
        self.hub = hub
        self.organization = f"attacked-{mark}"
        self.own = f"mallory-{mark}"
        self.private = f"{self.organization}/private"
        self.public = f"{self.organization}/public"
        self._mark = mark
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.admin = self._open(self.hub.admin.kubeconfig)
        self.alice = self.robot(f"alice-{self._mark}")
        self.bob = self.user(f"bob-{self._mark}")
        self.mallory = self.user(f"mallory-{self._mark}")
        bob = {"kind": "User", "name": self.bob.name, "role": "developer"}
        self.make_organization(self.alice, self.organization, members=[bob])
        self.make_organization(self.mallory, self.own)
        self.alice.cluster.create(repository(self.private, private=True))
        self.alice.cluster.create(repository(self.public, private=False))
        self.alice.cluster.create(image(f"{self.private}:v1", "the secret of the organisation"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def robot(self, name: str) -> Actor:
        """Make a ServiceAccount in the namespace of users."""
        person = self.hub.robot(name)
        return Actor(person.name, token_of(person), self._open(person.kubeconfig))

    def user(self, name: str) -> Actor:
        """Make a user with a client certificate."""
        person: Person = self.hub.user(name)
        secret = person.kubeconfig.read_text()
        return Actor(name, secret, self._open(person.kubeconfig))

    def make_organization(self, owner: Actor, name: str, **spec: Any) -> None:  # noqa: ANN401  # fields of a resource
        """Let *owner* make an organisation, and wait until its rights are there."""
        owner.cluster.create(organization(name, creator=owner.name, **spec))
        self.wait_ready(name)

    def wait_ready(self, name: str) -> None:
        """Wait until an organisation is made, and the API server grants what its bindings say."""
        wait_until(lambda: self.is_ready(name), f"organisation {name}", READY_SECONDS)
        namespace = f"hub-{name}"
        subjects = [
            str(subject["name"])
            if subject["kind"] == "User"
            else f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
            for binding in self.admin.list("RoleBinding", namespace)
            for subject in binding["subjects"]
        ]
        asked = {"namespace": namespace, "verb": "pull", "group": GROUP, "resource": "repositories"}
        for user in subjects:
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {"user": user, "resourceAttributes": asked},
            }
            wait_until(
                lambda q=review: self.admin.review(q)["status"]["allowed"],  # type: ignore[misc]  # a default binds the loop's value
                f"the rights of {user}",
                READY_SECONDS,
            )

    def is_ready(self, name: str) -> bool:
        """Tell whether the controller has seen the newest version of an organisation."""
        found = self.admin.get("Organization", name)
        generation = found["metadata"]["generation"]
        return any(
            (item["type"], item["status"], item.get("observedGeneration", generation))
            == ("Ready", "True", generation)
            for item in (found.get("status") or {}).get("conditions") or ()
        )

    def _open(self, kubeconfig: Any) -> Cluster:  # noqa: ANN401  # a path
        return self._stack.enter_context(Cluster.open_kubeconfig(kubeconfig))


def organization(name: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of a resource
    """Return an Organization."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Organization",
        "metadata": {"name": name},
        "spec": {"name": name, **spec},
    }


def repository(name: str, *, private: bool, object_name: str = "", **spec: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of a resource
    """Return a Repository."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Repository",
        "metadata": {"name": object_name or name.replace("/", ".")},
        "spec": {"name": name, "isPrivate": private, **spec},
    }


def image(name: str, description: str) -> dict[str, Any]:
    """Return an Image."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Image",
        "metadata": {"name": name.replace("/", ".").replace(":", ".")},
        "spec": {"name": name, "detail": {"description": description}},
    }
