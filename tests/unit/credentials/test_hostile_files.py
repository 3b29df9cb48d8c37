"""Credential files that somebody else wrote, or owns."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealoshub import credentials
from sealoshub.credentials import authfile
from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from tests.unit.credentials.conftest import House

HOST: Final = "hub.example.com"
_SCALARS: Final = st.none() | st.booleans() | st.integers() | st.text(max_size=12)
ANY: Final[st.SearchStrategy[Any]] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
_ENTRY: Final = st.dictionaries(
    st.sampled_from(["auth", "username", "password", "identitytoken", "registrytoken"]),
    st.sampled_from(["YTpi", "YTo=", "!", "", "a\x00b"]) | ANY,
)
_KEYS: Final = st.sampled_from([HOST, f"https://{HOST}/v1/", f"{HOST}/org", "", "x"])
FILE: Final = st.fixed_dictionaries(
    {},
    optional={
        "auths": st.dictionaries(_KEYS, _ENTRY | ANY) | ANY,
        "credHelpers": st.dictionaries(_KEYS, st.sampled_from(["no", "../x", "", "a b"]) | ANY),
        "credsStore": st.sampled_from(["no", "/bin/sh", "-x", ""]) | ANY,
    },
)


@settings(max_examples=80)
@given(body=FILE, name=st.sampled_from(["run", "config", "docker", "dockercfg"]))
def test_any_file_is_a_credential_or_an_error_of_ours(
    house: House, body: dict[str, object], name: str
) -> None:
    """Whatever JSON a credential file holds, nothing else comes out of it, nor is it changed."""
    path = house.put(name, body)
    before = path.read_bytes()
    with contextlib.suppress(SealosHubError):
        found = credentials.find(HOST, "org/app", places=house.places())
        assert found is None or isinstance(found.secret, Secret)
    assert path.read_bytes() == before
    path.unlink()


@pytest.mark.parametrize("linked", [False, True], ids=["the file", "behind a link"])
def test_a_file_of_somebody_else_is_not_replaced(
    house: House, monkeypatch: pytest.MonkeyPatch, *, linked: bool
) -> None:
    """Writing would give him the credential, or take the file away from him."""
    victim = house.put("elsewhere/config.json", {"auths": {"other": {"auth": "YTpi"}}})
    path = victim
    if linked:
        path = house.path("docker")
        path.parent.mkdir()
        path.symlink_to(victim)
    before = victim.read_bytes()
    stranger = victim.stat().st_uid + 1  # as if another user ran this test
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    with pytest.raises(InvalidInputError, match="belongs to another user"):
        authfile.edit(path, lambda body: bool(body.update({"auths": {}})) or True)
    assert victim.read_bytes() == before
    assert sorted(item.name for item in victim.parent.iterdir() if item.suffix != ".lock") == [
        "config.json"
    ]


def test_a_file_that_never_ends_is_refused(house: House) -> None:
    """Neither a huge file nor a folder in its place is read to the end."""
    huge = house.put("run", json.dumps({"auths": {"x": {"auth": "A" * authfile.MAX_FILE}}}))
    with pytest.raises(InvalidInputError, match="larger than"):
        credentials.find(HOST, places=house.places())
    huge.unlink()
    huge.mkdir()
    with pytest.raises(InvalidInputError, match="cannot be read"):
        credentials.find(HOST, places=house.places())
