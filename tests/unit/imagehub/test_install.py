"""The installation: order, proof, repetition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sealoshub.errors import DeniedError, InvalidInputError, UnavailableError
from sealoshub.hub.api.rbac import MASTERS
from sealoshub.imagehub import install
from sealoshub.kube import ApplyResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.kube import Object
    from tests.unit.imagehub.conftest import Api


def test_a_second_installation_changes_nothing(api: Api) -> None:
    """An installation creates everything, and the next one finds everything as it should be."""
    admin = api.cluster("admin", MASTERS)
    first, second = install.install(admin), install.install(admin)
    assert (first.created, first.configured, first.unchanged) == (
        len(install.manifests(mutations=first.mutations)),
        0,
        0,
    )
    assert (second.created, second.configured, second.unchanged) == (0, 0, first.created)


def test_only_an_administrator_installs(api: Api) -> None:
    """A user gets the API server's refusal."""
    with pytest.raises(DeniedError):
        install.install(api.cluster("alice"))


class OldCluster:
    """A cluster that answers as told and notes what was applied.

    Args:
        kinds: What it serves.
        refuses: Whether its policies take effect.
        stumbles: How often it fails before, as an API server does that learns new kinds.
    """

    server = "https://old"

    def __init__(self, kinds: set[str], *, refuses: bool, stumbles: int = 0) -> None:
        self.kinds = kinds
        self.refuses = refuses
        self.stumbles = stumbles
        self.applied: list[str] = []

    def supports(self, kind: str) -> bool:
        """Tell whether the kind is served."""
        return kind in self.kinds

    def apply(self, obj: Mapping[str, Any], **_: object) -> ApplyResult:
        """Note the object."""
        self.applied.append(f"{obj['kind']} {obj['metadata']['name']}")
        return ApplyResult(dict(obj), "created")

    def get(self, *_: object) -> Object:
        """Return an established CRD."""
        return {"status": {"conditions": [{"type": "Established", "status": "True"}]}}

    def create(self, obj: Mapping[str, Any], *, dry_run: bool) -> Object:
        """Answer a probe."""
        assert dry_run
        if self.stumbles > 0:
            self.stumbles -= 1
            raise UnavailableError("Resource kind not found")
        if self.refuses:
            raise InvalidInputError(
                "labels must say what spec.name says, must be the name of the organisation"
            )
        return dict(obj)


ALL = {"CustomResourceDefinition", "ValidatingAdmissionPolicy"}


def test_nothing_is_granted_before_the_policies_refuse() -> None:
    """Where the policies never take effect, no role is bound to anybody."""
    cluster = OldCluster(ALL, refuses=False)
    times = iter(range(100))
    with pytest.raises(UnavailableError, match="nothing was granted"):
        install.install(cluster, clock=lambda: next(times), sleep=lambda _: None)  # type: ignore[arg-type]  # a fake
    assert [name for name in cluster.applied if name.startswith("ClusterRoleBinding")] == []


def test_an_api_server_may_take_its_time() -> None:
    """Admission plugins that do not know the new kinds yet are waited for."""
    cluster = OldCluster(ALL, refuses=True, stumbles=3)
    install.install(cluster, sleep=lambda _: None)  # type: ignore[arg-type]  # a fake
    assert cluster.applied[-1] == "ClusterRoleBinding imagehub:user"


def test_a_cluster_without_policies_is_refused_before_anything_is_open() -> None:
    """Kubernetes before 1.30 has no admission policies, so there can be no hub."""
    cluster = OldCluster({"CustomResourceDefinition"}, refuses=False)
    with pytest.raises(InvalidInputError, match="ValidatingAdmissionPolicy"):
        install.install(cluster)  # type: ignore[arg-type]  # a fake
    assert [name for name in cluster.applied if "imagehub.sealos.io" in name] == []


def test_mutations_are_left_out_where_they_are_not_served() -> None:
    """Kubernetes 1.30 to 1.35 gets everything but the MutatingAdmissionPolicies."""
    cluster = OldCluster(ALL, refuses=True)
    assert not install.install(cluster).mutations  # type: ignore[arg-type]  # a fake
    assert [name for name in cluster.applied if name.startswith("Mutating")] == []
    assert len(cluster.applied) == len(install.manifests(mutations=False))


def test_a_provider_may_keep_kube_system_for_itself() -> None:
    """Whoever may not write there gets a hub all the same, and is told what it does without."""

    class Provider(OldCluster):
        """A cluster whose `kube-system` is the provider's."""

        def apply(self, obj: Mapping[str, Any], **options: object) -> ApplyResult:
            """Refuse what is in that namespace."""
            if obj["metadata"].get("namespace") == "kube-system":
                raise DeniedError("the namespace is managed")
            return super().apply(obj, **options)

    cluster, told = Provider(ALL, refuses=True), list[str]()
    install.install(cluster, told.append)  # type: ignore[arg-type]  # a fake
    assert cluster.applied[-1] == "ClusterRoleBinding imagehub:user"
    assert "works without the client CA: the namespace is managed" in told[-3]


def test_private_names_stay_private_until_somebody_says_otherwise(api: Api) -> None:
    """An upgrade that says nothing changes nothing; a hub that is new is open."""
    with api.cluster("admin", MASTERS) as admin, api.cluster("bob") as bob:
        for wanted, private in ((None, False), (True, True), (None, True), (False, False)):
            assert install.install(admin, private_names=wanted).private_names is private
            if private:
                with pytest.raises(DeniedError):
                    bob.list("Organization")
            else:
                assert bob.list("Organization") == []


def test_the_rendered_stream_ends_with_the_grant() -> None:
    """A plain `kubectl apply -f -` opens the hub to users last, after the policies."""
    kinds = [obj["kind"] for obj in yaml.safe_load_all(install.render())]
    names = [obj["metadata"]["name"] for obj in yaml.safe_load_all(install.render())]
    assert names[-2:] == ["imagehub:user", "imagehub:user"]
    assert kinds.index("ValidatingAdmissionPolicy") < kinds.index("ClusterRoleBinding")
    assert kinds.index("CustomResourceDefinition") < kinds.index("ValidatingAdmissionPolicy")
    assert kinds[0] == "Namespace"
