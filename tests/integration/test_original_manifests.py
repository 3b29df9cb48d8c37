"""Manifests as they were written for the original ImageHub (v4.3.0) apply unchanged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from tests.integration.servers.process import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.hub import Hub

# Our own words in the shape of the original's samples: a bare ServiceAccount as creator and
# manager, dashes folded to dots, `authorIcon`, empty specs, a namespace where there is none, and
# several documents in one file.
MANIFESTS: Final = """\
apiVersion: imagehub.sealos.io/v1
kind: Organization
metadata:
  name: ORG
spec:
  name: ORG
  creator: ORG
  manager: [ ORG ]
---
apiVersion: imagehub.sealos.io/v1
kind: Repository
metadata:
  name: ORG.cert-manager
  namespace: sealos-imagehub
spec:
  name: ORG/cert-manager
---
apiVersion: imagehub.sealos.io/v1
kind: Repository
metadata:
  name: ORG.nothing-said
spec:
---
apiVersion: imagehub.sealos.io/v1
kind: Image
metadata:
  name: FOLDED.cert.manager.v1.8.0
spec:
  name: ORG/cert-manager:v1.8.0
  detail:
    url: https://certificates.example.com/
    keywords: [ storage, Network ]
    description: Certificates for everything that runs in a cluster
    icon: https://certificates.example.com/logo.svg
    authorIcon: authorIcon
    docs: |
      # Certificates
DOCS
    ID: Unkonw
    arch: Unkonw
    size: 123456
    creatTime: "2022-12-27T07:33:08Z"
    actions:
      - name: install
        actionType: command
        actions: sealos run ORG/cert-manager:v1.8.0
        cmd: sealos
---
apiVersion: imagehub.sealos.io/v1
kind: Image
metadata:
  name: ORG.empty.v1
spec:
---
apiVersion: imagehub.sealos.io/v1
kind: DataPack
metadata:
  name: ORG-base
  namespace: sealos-imagehub
spec:
  type: base
  expireTime: 30m
  names:
    - ORG/cert-manager:v1.8.0
---
apiVersion: imagehub.sealos.io/v1
kind: DataPack
metadata:
  name: ORG-grid
spec:
  type: grid
  names:
    - ORG/cert-manager:v1.8.0
---
apiVersion: imagehub.sealos.io/v1
kind: DataPack
metadata:
  name: ORG-detail
spec:
  type: detail
  names:
    - ORG/cert-manager:v1.8.0
    - ORG/not-there:v1
"""
LINE: Final = "      All work and no play makes a dull certificate.\n"


@pytest.mark.parametrize(
    "hub", ["embedded-registry-3", "kube-registry-2.8"], indirect=True, scope="session"
)
def test_manifests_of_the_original_apply_unchanged(hub: Hub, unique: str, tmp_path: Path) -> None:
    """Kubectl and `sealoshub apply` take them, twice, and the controller makes sense of them."""
    text = MANIFESTS.replace("DOCS\n", LINE * 2000)
    text = text.replace("FOLDED", unique).replace("ORG", unique)
    file = tmp_path / "original.yaml"
    file.write_text(text)
    count = len(list(yaml.safe_load_all(text)))

    def apply(*more: str) -> list[str]:
        done = hub.admin.run("kubectl", "apply", "-f", file, *more, expect=0)
        return done.stdout.splitlines()

    assert [line.split()[-1] for line in apply()] == ["created"] * count
    wait_until(lambda: _is_ready(hub, unique), "the organisation to be ready")
    assert [line.split()[-1] for line in apply()] == ["unchanged"] * count
    hub.admin.run("sealoshub", "apply", "-f", file, expect=0)

    account = f"system:serviceaccount:user-system:{unique}"
    question = ("kubectl", "auth", "can-i", "manage", "organizations.imagehub.sealos.io")
    scope = (f"--namespace=hub-{unique}", f"--as={account}")
    wait_until(
        lambda: hub.admin.run(*question, *scope).stdout.strip() == "yes", "the manager to own it"
    )
    image = hub.get(hub.admin, "images", f"{unique}.cert.manager.v1.8.0")
    assert image["metadata"]["labels"]["repository.imagehub.sealos.io"] == "cert-manager"
    for kind in ("base", "grid", "detail"):
        name = f"{unique}-{kind}"
        wait_until(
            lambda: hub.get(hub.admin, "datapacks", name).get("status", {}).get("code") == 1,  # noqa: B023  # called at once
            f"DataPack {name} to be answered",
        )
        datas = hub.get(hub.admin, "datapacks", name)["status"]["datas"]
        assert list(datas) == [f"{unique}/cert-manager:v1.8.0"], json.dumps(datas)[:500]


def _is_ready(hub: Hub, name: str) -> bool:
    status = hub.get(hub.admin, "organizations", name).get("status") or {}
    return any(
        item["type"] == "Ready" and item["status"] == "True"
        for item in status.get("conditions") or ()
    )
