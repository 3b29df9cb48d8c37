"""The signing key changes while people push and pull, and none of them notices."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import pytest

from tests.integration.servers.process import wait_until
from tests.integration.test_way_through import ACCEPTED, organization

if TYPE_CHECKING:
    from tests.integration.hub import Hub
    from tests.integration.people import Person

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
ROUNDS: Final = 5  # of every thread, before and after each change
THREADS: Final = 2
SECONDS: Final = 60.0  # for one answer; the machine may be busy


class Traffic:
    """People who push an image and pull it again, each time with a new token.

    Args:
        hub: Where.
        repository: `org/repo`.
        refresh_token: Of somebody who may push there.
    """

    def __init__(self, hub: Hub, repository: str, refresh_token: str) -> None:
        self._registry = f"{hub.url}/v2/{repository}"
        self._realm = f"{hub.auth_url}/token"
        self._scope = f"repository:{repository}:pull,push"
        self._login = ("", refresh_token)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(THREADS)]
        self.signed_by: set[str] = set()
        self.tokens: list[str] = []
        self.wrong: list[str] = []
        self.rounds = [0] * THREADS

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def go_on(self) -> None:
        """Wait until everybody has done some more."""
        wanted = [count + ROUNDS for count in self.rounds]
        wait_until(
            lambda: all(done >= some for done, some in zip(self.rounds, wanted, strict=True)),
            f"pushes and pulls; wrong so far: {self.wrong}",
        )

    def pull(self, token: str) -> int:
        """Return the status of a pull with *token*."""
        with httpx.Client(trust_env=False, timeout=SECONDS) as client:
            headers = {"authorization": f"Bearer {token}", "accept": MANIFEST}
            return client.get(f"{self._registry}/manifests/t0", headers=headers).status_code

    def _run(self, number: int) -> None:
        with httpx.Client(trust_env=False, timeout=SECONDS) as client:
            while not self._over.is_set():
                try:
                    self._round(client, number)
                except (httpx.HTTPError, KeyError, ValueError) as exc:
                    self.wrong.append(repr(exc))
                self.rounds[number] += 1

    def _round(self, client: httpx.Client, number: int) -> None:
        query = {"service": "hub", "scope": self._scope}
        answer = self._expect(client.get(self._realm, params=query, auth=self._login), 200)
        token = answer.json()["token"]
        self.tokens.append(token)
        self.signed_by.add(signer(token))
        client.headers["authorization"] = f"Bearer {token}"
        content = f"{number} {self.rounds[number]}".encode()
        blob = self._upload(client, content)
        # Nobody else's: while one uploads a blob again, registry 2.8 may not find it for another.
        config = self._upload(client, json.dumps({"author": str(number)}).encode())
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {**config, "mediaType": "application/vnd.oci.image.config.v1+json"},
                "layers": [{**blob, "mediaType": "application/vnd.oci.image.layer.v1.tar"}],
            }
        ).encode()
        target = f"{self._registry}/manifests/t{number}"
        kind = {"content-type": MANIFEST}
        self._expect(client.put(target, content=manifest, headers=kind), 201)
        pulled = self._expect(client.get(target, headers={"accept": MANIFEST}), 200)
        layer = self._expect(client.get(f"{self._registry}/blobs/{blob['digest']}"), 200)
        if pulled.content != manifest or layer.content != content:
            self.wrong.append("something else came back")

    def _upload(self, client: httpx.Client, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = self._expect(client.post(f"{self._registry}/blobs/uploads/"), 202)
        target = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest})
        self._expect(client.put(target, content=content), 201)
        return {"digest": digest, "size": len(content)}

    def _expect(self, answer: httpx.Response, status: int) -> httpx.Response:
        if answer.status_code != status:
            self.wrong.append(f"{answer.request.method} {answer.url}: {answer.status_code}")
        return answer


def signer(token: str) -> str:
    """Return the `kid` of a token."""
    header = token.partition(".")[0]
    content = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    return str(content["kid"])


def refresh_token(person: Person, hub: Hub) -> str:
    """Log in, and return what was stored."""
    person.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    stored = json.loads((person.home / ".docker" / "config.json").read_text())
    found: str = stored["auths"][hub.host]["identitytoken"]
    return found


def listed(hub: Hub) -> dict[str, list[dict[str, Any]]]:
    """Return the keys of the hub by what they are for."""
    answer = json.loads(hub.operate("keys list", "-o", "json").stdout)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in answer["data"]["keys"]:
        found.setdefault(row["state"], []).append(row)
    return found


# Every registry, and every API once: token server and registry read files, and ask nobody.
@pytest.mark.parametrize(
    "hub",
    ["embedded-registry-2.8", "embedded-registry-3", "kube-registry-3"],
    indirect=True,
    scope="session",
)
def test_keys_change_under_load_without_a_failed_request(hub: Hub, unique: str) -> None:
    """Two changes in a row need no restart; the one after lets the registry start again.

    What the old keys signed is good all the while.
    """
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    pids = hub.pids()
    known = [row["kid"] for row in listed(hub)["standby"] if row["known"]]
    assert len(known) == 2, "as many as are made; no other test changes keys"
    with Traffic(hub, f"{unique}/app", refresh_token(alice, hub)) as traffic:
        before = set(traffic.signed_by)
        changes = []
        for _ in known:
            done = json.loads(hub.operate("keys rotate", "-o", "json").stdout)["data"]
            assert (done["restarted"], done["proved"]) == (False, True)
            changes.append(done["after"])
            traffic.go_on()
    assert traffic.wrong == []
    assert traffic.signed_by == before | set(changes)
    assert hub.pids() == pids, "nothing was restarted"

    done = json.loads(hub.operate("keys rotate", "-o", "json").stdout)["data"]
    assert (done["restarted"], done["proved"]) == (True, True)
    assert hub.pids()["registry"] != pids["registry"]
    keys = listed(hub)
    assert [row["kid"] for row in keys["signing"]] == [done["after"]]
    assert {*before, *changes} <= {row["kid"] for row in keys["retired"]}
    # Also by the registry that started after they were retired.
    newest = {signer(token): token for token in traffic.tokens}
    assert {kid: traffic.pull(token) for kid, token in newest.items()} == dict.fromkeys(newest, 200)
    with Traffic(hub, f"{unique}/app", refresh_token(alice, hub)) as again:
        again.go_on()
    assert (again.wrong, again.signed_by) == ([], {done["after"]})
