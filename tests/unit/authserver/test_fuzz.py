"""Whatever is sent, the parsers answer with a value or with a refusal of ours."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any, Final
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from sealoshub.authplugin import Identity, Scope
from sealoshub.authserver import dockerauth, events
from sealoshub.authserver.request import (
    MAX_NAME,
    Login,
    RequestRefusedError,
    parse_authorization,
    parse_form,
    parse_query,
    parse_scopes,
)
from sealoshub.errors import InvalidInputError

FEW: Final = settings(max_examples=60)
FORM: Final = "application/x-www-form-urlencoded"
_SCALARS: Final = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON: Final[st.SearchStrategy[Any]] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
_FIELDS: Final = st.sampled_from(
    ["service", "scope", "account", "client_id", "offline_token", "access_type", "grant_type",
     "username", "password", "refresh_token", "x"]
)  # fmt: skip
_VALUES: Final = st.text(max_size=60) | st.sampled_from(
    ["hub", "password", "refresh_token", "repository:a/b:pull", "repository:*:*", "true", ":::"]
)


@FEW
@given(st.binary(max_size=120), st.sampled_from(["Basic", "basic", "BASIC", "Bearer", "Digest"]))
def test_any_basic_header_is_a_login_or_a_refusal(content: bytes, scheme: str) -> None:
    """With and without padding, of whatever bytes; what it holds comes out as it was."""
    encoded = base64.b64encode(content).decode()
    for value in (encoded, encoded.rstrip("="), encoded + "=", encoded + "!"):
        try:
            found = parse_authorization(f"{scheme} {value}")
        except RequestRefusedError as exc:
            assert value not in exc.message or len(value) < 4  # noqa: PT017  # either may come
            continue
        assert isinstance(found, Login)
        if scheme.lower() == "basic" and value == encoded:
            assert f"{found.account}:{found.secret.reveal()}".encode() == content


@FEW
@given(st.lists(st.tuples(_FIELDS, _VALUES), max_size=12), st.binary(max_size=10))
def test_any_fields_are_a_question_or_a_refusal(fields: list[tuple[str, str]], tail: bytes) -> None:
    """As a query and as a form, in any number and order, with rubbish at the end."""
    for content in (urlencode(fields).encode(), urlencode(fields).encode() + tail):
        with contextlib.suppress(RequestRefusedError):
            assert parse_query(content).service in {"", *(value for _, value in fields)} or tail
        with contextlib.suppress(RequestRefusedError):
            _, login = parse_form(content, FORM)
            assert login.secret


_PARTS: Final = st.sampled_from(["repository", "registry", ":", ",", "/", "a", "*", "pull", "()"])


@FEW
@given(st.lists(_PARTS, max_size=14).map("".join))
def test_pieces_of_scopes_are_scopes_or_nothing(text: str) -> None:
    """No arrangement of colons makes a name empty, or of characters that no name has."""
    for scope in parse_scopes([text]):
        assert isinstance(scope, Scope)
        assert 0 < len(scope.name) <= MAX_NAME
        assert scope.type in {"repository", "registry", "a", "pull"} or scope.type.isalnum()
        assert parse_scopes([str(scope)]) == (scope,) or not scope.actions


@FEW
@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(["Account", "Type", "Name", "Actions", "IP"], JSON)
        | {"Labels": st.dictionaries(st.sampled_from(["kubernetes_user", "x"]), JSON) | JSON},
    )
    | JSON
)
def test_any_request_of_docker_auth_is_read_or_refused(content: Any) -> None:  # noqa: ANN401  # JSON
    """Nobody becomes somebody by a request of an unexpected shape."""
    try:
        account, identity, scope = dockerauth._request(json.dumps(content).encode())
    except InvalidInputError:
        return
    assert isinstance(scope, Scope)
    if account and not (content.get("Labels") or {}).get("kubernetes_user"):
        assert identity is None
    assert identity is None or isinstance(identity, Identity)


@FEW
@given(
    JSON
    | st.fixed_dictionaries(
        {
            "events": st.lists(
                st.fixed_dictionaries(
                    {"action": st.sampled_from(["push", "delete", "pull"]) | JSON},
                    optional={
                        "actor": JSON | st.fixed_dictionaries({"name": JSON}),
                        "target": JSON
                        | st.fixed_dictionaries(
                            {"repository": st.just("team/app") | JSON},
                            optional=dict.fromkeys(["tag", "digest", "mediaType"], JSON),
                        ),
                    },
                )
                | JSON,
                max_size=3,
            )
        }
    )
)
def test_any_envelope_is_read_or_refused(content: Any) -> None:  # noqa: ANN401  # JSON
    """A notification of an unexpected shape names no repository, and nobody."""
    with contextlib.suppress(InvalidInputError):
        for event in events._events(json.dumps(content).encode()):
            change = events.change_of(event)
            assert change is None or change.repository.count("/") == 1
            assert change is None or len(events.lease_name(change)) < 100
            actor, who = event.get("actor"), events.push_of(event).actor
            assert not who or (isinstance(actor, dict) and who == actor["name"])
