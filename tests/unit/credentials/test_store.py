"""Claims about finding, saving and erasing credentials."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from sealoshub import credentials
from sealoshub.credentials import Compat
from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.credentials.conftest import House

HOST = "hub.example.com"
HUB = "https://index.docker.io/v1/"


def _auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


A, B, C = _auth("a:1"), _auth("b:2"), _auth("c:3")


@pytest.mark.parametrize(
    ("files", "host", "repository", "expected"),
    [
        ({}, HOST, None, None),
        ({"run": {"auths": {HOST: A}}}, HOST, None, "a:1"),
        # order of the files
        ({"run": {"auths": {HOST: A}}, "docker": {"auths": {HOST: B}}}, HOST, None, "a:1"),
        ({"config": {"auths": {HOST: A}}, "docker": {"auths": {HOST: B}}}, HOST, None, "a:1"),
        ({"docker": {"auths": {HOST: B}}, "dockercfg": {HOST: C}}, HOST, None, "b:2"),
        ({"dockercfg": {HOST: C}}, HOST, None, "c:3"),
        # an empty file, and an empty entry, hold nothing
        ({"run": "", "docker": {"auths": {HOST: B}}}, HOST, None, "b:2"),
        ({"run": {"auths": {HOST: {}}}, "docker": {"auths": {HOST: B}}}, HOST, None, "b:2"),
        # the most specific key wins, whole components only
        (
            {"run": {"auths": {HOST: A, f"{HOST}/n": B, f"{HOST}/n/r": C}}},
            HOST,
            "n/r",
            "c:3",
        ),
        ({"run": {"auths": {HOST: A, f"{HOST}/n": B}}}, HOST, "n/r", "b:2"),
        ({"run": {"auths": {HOST: A, f"{HOST}/n": B}}}, HOST, "nn/r", "a:1"),
        ({"run": {"auths": {HOST: A, f"{HOST}/n": B}}}, HOST, None, "a:1"),
        ({"run": {"auths": {f"{HOST}/n": B}}}, HOST, None, None),
        # keys with a scheme and a path
        ({"run": {"auths": {f"https://{HOST}/v1/": A}}}, HOST, None, "a:1"),
        ({"run": {"auths": {f"http://{HOST}": A}}}, HOST, None, "a:1"),
        ({"docker": {"auths": {f"https://{HOST}/v2/": A}}}, HOST, None, "a:1"),
        ({"docker": {"auths": {f"{HOST}/x": A}}}, HOST, None, "a:1"),
        # ports are part of the host
        ({"run": {"auths": {f"{HOST}:5000": A}}}, HOST, None, None),
        ({"run": {"auths": {"localhost:5000": A}}}, "localhost:5000", None, "a:1"),
        # Docker Hub under all of its names
        ({"docker": {"auths": {HUB: A}}}, "docker.io", None, "a:1"),
        ({"run": {"auths": {"docker.io": A}}}, "registry-1.docker.io", None, "a:1"),
        ({"run": {"auths": {"index.docker.io": A}}}, "docker.io", None, "a:1"),
        # how a secret is written
        ({"run": {"auths": {HOST: _auth("a:b:c")}}}, HOST, None, "a:b:c"),
        ({"run": {"auths": {HOST: _auth("a:x\0\0")}}}, HOST, None, "a:x"),
        ({"run": {"auths": {HOST: {"username": "a", "password": "p"}}}}, HOST, None, "a:p"),
        ({"run": {"auths": {HOST: {**_auth("a:"), "identitytoken": "t"}}}}, HOST, None, "a:<t>"),
        ({"run": {"auths": {HOST: {"identitytoken": "t"}}}}, HOST, None, ":<t>"),
    ],
)
def test_find(
    house: House,
    files: dict[str, object],
    host: str,
    repository: str | None,
    expected: str | None,
) -> None:
    """The documented rules decide which entry is found."""
    for name, body in files.items():
        house.put(name, body)
    found = credentials.find(host, repository, places=house.places())
    shown = None
    if found is not None:
        secret = found.secret.reveal()
        shown = f"{found.account}:{f'<{secret}>' if found.is_refresh_token else secret}"
    assert shown == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        ({"auths": []}, "auths in .* is not an object"),
        ({"auths": {HOST: "s3cret"}}, "is not an object"),
        ({"auths": {HOST: {"auth": "s3cret!"}}}, "not base64"),
        ({"auths": {HOST: _auth("s3cret")}}, "without a colon"),
        ({"auths": {HOST: {"auth": 5}}}, "something else than strings"),
        ({"credHelpers": {HOST: "../s3cret"}}, "not the name of a credential helper"),
    ],
    ids=range(8),
)
def test_corrupt_files(house: House, body: object, reason: str) -> None:
    """A corrupt file is an error that shows no content, for reading and for writing."""
    path = house.put("run", body)
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match=reason):
        credentials.find(HOST, places=house.places())
    if reason.startswith(("not valid", "not a JSON", "auths")):
        with pytest.raises(InvalidInputError, match=reason):
            _save(house, compat=Compat.CONTAINERS)
    assert path.read_bytes() == before


def test_inline_wins(house: House) -> None:
    """DOCKER_AUTH_CONFIG wins, and the files stand behind it."""
    house.env["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {HOST: A}})
    house.put("run", {"auths": {HOST: B, "other": C}})
    found = credentials.find(HOST, places=house.places())
    assert found is not None
    assert (found.account, found.location) == ("a", "$DOCKER_AUTH_CONFIG")
    other = credentials.find("other", places=house.places())
    assert other is not None
    assert other.account == "c"


def _save(house: House, compat: Compat = Compat.ALL) -> list[str]:
    places = house.places(compat=compat)
    return credentials.save(HOST, "alice", Secret("shr_x"), is_refresh_token=True, places=places)


def test_save_writes_for_every_client(house: House) -> None:
    """A login lands in docker's file and in auth.json, as an identity token, privately."""
    stored = _save(house)
    assert stored == [str(house.path("docker")), str(house.path("run"))]
    for name in ("docker", "run"):
        assert house.get(name) == {"auths": {HOST: {**_auth("alice:"), "identitytoken": "shr_x"}}}
        assert house.path(name).stat().st_mode & 0o777 == 0o600
        assert house.path(name).parent.stat().st_mode & 0o777 == 0o700


def test_save_then_find(house: House) -> None:
    """What was saved is found again, plain or as a refresh token."""
    for refresh in (True, False):
        credentials.save(
            HOST, "alice", Secret("s"), is_refresh_token=refresh, places=house.places()
        )
        found = credentials.find(HOST, "org/repo", places=house.places())
        assert found is not None
        assert (found.account, found.secret.reveal()) == ("alice", "s")
        assert found.is_refresh_token is refresh


def test_save_keeps_what_it_does_not_know(house: House) -> None:
    """Unknown keys stay, at the top, beside the entries, and inside the entry."""
    body = {
        "HttpHeaders": {"X": "ü"},
        "auths": {HOST: {**A, "email": "a@b"}, "other": {"auth": "x", "odd": 1.5}},
        "psFormat": "t",
    }
    house.put("docker", body)
    _save(house)
    entry = {"auth": _auth("alice:")["auth"], "email": "a@b", "identitytoken": "shr_x"}
    assert house.get("docker") == {
        **body,
        "auths": {HOST: entry, "other": {"auth": "x", "odd": 1.5}},
    }
    assert list(house.get("docker")) == ["HttpHeaders", "auths", "psFormat"]


def test_an_older_login_is_brought_up_to_date(house: House) -> None:
    """An entry that would be read first after a reboot is not left with the old secret."""
    house.put("config", {"auths": {HOST: A, "other": B}})
    stored = _save(house)
    assert str(house.path("config")) in stored
    assert house.get("config")["auths"][HOST]["identitytoken"] == "shr_x"
    assert house.get("config")["auths"]["other"] == B


def test_a_narrower_entry_is_mentioned(house: House) -> None:
    """An entry for one organisation wins there, which is said."""
    house.put("run", {"auths": {f"{HOST}/org": A}})
    notes: list[str] = []
    credentials.save(
        HOST,
        "a",
        Secret("s"),
        is_refresh_token=False,
        places=house.places(),
        on_note=notes.append,
    )
    assert f"{HOST}/org" in notes[0]


def test_without_a_runtime_directory(house: House) -> None:
    """Where /run cannot be written, docker's file is enough, because all clients read it."""
    blocked = house.root / "blocked"
    blocked.write_text("a file, so that no directory can be made")
    house.env["XDG_RUNTIME_DIR"] = str(blocked)
    assert _save(house) == [str(house.path("docker"))]


def test_symlink_and_mode_are_kept(house: House) -> None:
    """A dotfile manager's symbolic link stays one, and its file keeps its mode."""
    real = house.put("dotfiles/docker.json", {"auths": {}})
    real.chmod(0o640)
    link = house.path("docker")
    link.parent.mkdir()
    link.symlink_to(real)
    _save(house, compat=Compat.DOCKER)
    assert link.is_symlink()
    assert HOST in json.loads(real.read_text())["auths"]
    assert real.stat().st_mode & 0o777 == 0o640


def test_dangling_symlink(house: House) -> None:
    """A link to a file that does not exist yet makes the file, not another link's victim."""
    link = house.path("docker")
    link.parent.mkdir()
    link.symlink_to(house.root / "later" / "docker.json")
    _save(house, compat=Compat.DOCKER)
    assert link.is_symlink()
    assert (house.root / "later" / "docker.json").exists()


@pytest.mark.parametrize("setting", [{"credsStore": "desk"}, {"credHelpers": {HOST: "desk"}}])
def test_helper(house: House, setting: dict[str, object]) -> None:
    """A configured helper keeps the secret; the file only says that there is a host."""
    kept = house.helper("desk")
    house.put("docker", setting)
    stored = _save(house, compat=Compat.DOCKER)
    assert stored == ["docker-credential-desk"]
    assert json.loads(kept.read_text())[HOST]["Username"] == "<token>"
    assert house.get("docker")["auths"] == {HOST: {}}
    found = credentials.find(HOST, places=house.places())
    assert found is not None
    assert (found.secret.reveal(), found.is_refresh_token) == ("shr_x", True)
    assert credentials.erase(HOST, places=house.places()) == ["docker-credential-desk"]
    assert json.loads(kept.read_text()) == {}


def test_creds_store_is_dockers_only(house: House) -> None:
    """CredsStore in an auth.json is ignored, as containers/image ignores it."""
    house.helper("desk")
    house.put("run", {"credsStore": "desk", "auths": {HOST: A}})
    found = credentials.find(HOST, places=house.places())
    assert found is not None
    assert found.account == "a"


def test_missing_helper(house: House) -> None:
    """A missing helper is a note when reading, and an error naming it when writing."""
    house.put("docker", {"credsStore": "gone", "auths": {HOST: A}})
    notes: list[str] = []
    found = credentials.find(HOST, places=house.places(), on_note=notes.append)
    assert found is not None
    assert "docker-credential-gone is not installed" in notes[0]
    with pytest.raises(SealosHubError, match="docker-credential-gone is not installed"):
        _save(house)
    assert not house.path("run").exists()


def test_erase_everywhere(house: House) -> None:
    """Erasing removes the host in every spelling and file, and nothing else."""
    house.put("run", {"auths": {HOST: A, f"{HOST}/org": B, "other": C}})
    house.put("docker", {"auths": {f"https://{HOST}/v2/": A, HUB: C}, "x": 1})
    house.put("dockercfg", {HOST: A})
    erased = credentials.erase(HOST, places=house.places())
    assert erased == [str(house.path(name)) for name in ("run", "docker", "dockercfg")]
    assert house.get("run") == {"auths": {f"{HOST}/org": B, "other": C}}
    assert house.get("docker") == {"auths": {HUB: C}, "x": 1}
    assert credentials.erase(HOST, places=house.places()) == []


def test_erase_never_touches_other_hosts_helpers(house: House) -> None:
    """Logging out of one host leaves every other host's helper configured."""
    body = {"auths": {HOST: A}, "credHelpers": {"other": "desk"}, "credsStore": "desk"}
    house.helper("desk")
    house.put("docker", body)
    credentials.erase(HOST, places=house.places())
    assert house.get("docker") == {**body, "auths": {}}


def test_erase_goes_on_after_a_failure(house: House) -> None:
    """One corrupt file does not keep the login in the others; the error comes at the end."""
    house.put("run", "{")
    house.put("docker", {"auths": {HOST: A}})
    with pytest.raises(InvalidInputError, match="not valid JSON"):
        credentials.erase(HOST, places=house.places())
    assert house.get("docker") == {"auths": {}}


def test_account_with_a_colon_is_refused(house: House) -> None:
    """A name that every reader would cut at its colon is not written."""
    with pytest.raises(InvalidInputError, match="has no colon"):
        credentials.save(HOST, "a:b", Secret("s"), is_refresh_token=False, places=house.places())


def test_hosts(house: House) -> None:
    """The hosts of all files are listed once, without the empty entries."""
    house.put("run", {"auths": {HOST: A, "x": {}}})
    house.put("docker", {"auths": {HOST: B, "y": C}})
    assert credentials.hosts(places=house.places()) == [HOST, "y"]


def test_no_temporary_file_is_left(house: House) -> None:
    """After a write there is the file and its lock, nothing else."""
    path: Path = house.path("docker")
    _save(house, compat=Compat.DOCKER)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "config.json",
        "config.json.lock",
    ]
