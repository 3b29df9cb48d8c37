"""Read the credential out of a kubeconfig that a stranger sent as his password.

A reader of our own, and no Kubernetes client library: those run `exec` plugins, open the files that
a kubeconfig names, and connect where it says. Here a kubeconfig is text from which at most a token,
or a certificate and its key, are copied. What could make a server do something is refused by name,
so that its sender learns why; where the cluster is (`server`, CA, proxy, TLS options) is ignored,
because only the configured API server is ever asked.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

import yaml

from sealoshub.authplugin import CredentialsRejected
from sealoshub.secret import Secret

MAX_BYTES: Final = 64 * 1024  # RSA-4096 makes 8 kB; nothing honest is near this
MAX_DEPTH: Final = 16  # a kubeconfig with extensions has 8
MAX_NODES: Final = 5000
MAX_TOKEN: Final = 16 * 1024  # characters; OIDC tokens with many groups reach 8 kB

_FLATTEN: Final = (
    "Send it with its credentials inside: kubectl config view --raw --minify --flatten."
)
_SHAPE: Final = re.compile(
    r"(?m)^\s*[{,]?\s*\"?(?:apiVersion|kind|clusters|contexts|users|current-context)\"?\s*:"
)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}")
_TOKEN: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_TOKEN}}}")

# Fields of a user that only make sense on the user's own machine, or that would make us act.
_REFUSED: Final = {
    "exec": "it runs a program (exec), which a server must not",
    "auth-provider": "it uses an auth-provider, which works on your machine only",
    "tokenFile": "its token is in a file (tokenFile) on your machine",
    "client-certificate": "its certificate is in a file (client-certificate) on your machine",
    "client-key": "its key is in a file (client-key) on your machine",
    "username": "it uses username and password, which Kubernetes no longer accepts",
    "password": "it uses username and password, which Kubernetes no longer accepts",
    "as": "it impersonates somebody (as)",
    "as-uid": "it impersonates somebody (as-uid)",
    "as-groups": "it impersonates groups (as-groups)",
    "as-user-extra": "it impersonates somebody (as-user-extra)",
}
_KNOWN: Final = frozenset({"token", "client-certificate-data", "client-key-data", "extensions"})

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})

# What the reader makes of YAML: no numbers, dates or truth, only text and what holds it.
Node = str | list["Node"] | dict[str, "Node"] | None


@dataclass(frozen=True, slots=True)
class CertificatePair:
    """PEM certificate and key as they were sent; nobody has looked at them yet."""

    certificate: bytes
    key: Secret


def text_of(password: str) -> str | None:
    """Return the kubeconfig in *password*, which may be base64 of one; None if it holds none.

    Only the shape decides; nothing is parsed.
    """
    # The search takes its time with base64, in which there is no colon.
    if ":" in password and _SHAPE.search(password[:MAX_BYTES]):
        return password
    joined = "".join(password.split()) if len(password) <= 2 * MAX_BYTES else ""
    if not _BASE64.fullmatch(joined):
        return None
    joined = joined.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(joined + "=" * (-len(joined) % 4), validate=True).decode()
    except (ValueError, binascii.Error):
        return None
    return text if _SHAPE.search(text[:MAX_BYTES]) else None


def credential_in(text: str) -> Secret | CertificatePair:
    """Return the token, or certificate and key, of the current context of a kubeconfig.

    If a user has both, the certificate counts, as it does at the API server.

    Raises:
        CredentialsRejected: It is none, or has no credential that may be used here; the message
            says which part, and never shows a value.
    """
    root = _document(text)
    if _text(root, "kind") not in {"", "Config"}:
        raise _rejected("its kind is not Config")
    user, cluster = _current(root)
    if _text(cluster, "certificate-authority"):
        raise _rejected("its certificate-authority is a file on your machine")
    _check(user)
    certificate, key = _text(user, "client-certificate-data"), _text(user, "client-key-data")
    if certificate or key:
        if not (certificate and key):
            raise _rejected("it needs both client-certificate-data and client-key-data")
        return CertificatePair(
            _decoded(certificate, "client-certificate-data"),
            Secret(_decoded(key, "client-key-data").decode("latin-1")),
        )
    token = _text(user, "token")
    if not token:
        raise _rejected("its user has no credential")
    if not _TOKEN.fullmatch(token):
        raise _rejected("its token has characters that no token has")
    return Secret(token)


def _check(user: dict[str, Node]) -> None:
    for field, value in user.items():
        if value in (None, "", [], {}):
            continue  # `kubectl` and other writers leave empty fields behind
        if field in _REFUSED:
            raise _rejected(_REFUSED[field])
        if field not in _KNOWN:
            raise _rejected("its user has a field that is not known here")


def _current(root: dict[str, Node]) -> tuple[dict[str, Node], dict[str, Node]]:
    """Return user and cluster of the current context; the cluster may be absent."""
    contexts = _named(root, "contexts", "context")
    name = _text(root, "current-context")
    if not name and len(contexts) == 1:
        (name,) = contexts
    if not name:
        raise _rejected("it has no current-context")
    context = contexts.get(name)
    if context is None:
        raise _rejected("its current-context does not exist")
    user = _named(root, "users", "user").get(_text(context, "user"))
    if user is None:
        raise _rejected("the user of its current-context does not exist")
    return user, _named(root, "clusters", "cluster").get(_text(context, "cluster"), {})


def _named(root: dict[str, Node], section: str, field: str) -> dict[str, dict[str, Node]]:
    """Return the entries of `contexts`, `users` or `clusters` by name."""
    entries = root.get(section) or []
    found: dict[str, dict[str, Node]] = {}
    if not isinstance(entries, list):
        raise _rejected(f"its {section} are not a list")
    for entry in entries:
        value = entry.get(field) if isinstance(entry, dict) else None
        name = _text(entry, "name") if isinstance(entry, dict) else ""
        if not name or not isinstance(value, dict | None) or name in found:
            raise _rejected(f"its {section} are not a list of entries with different names")
        found[name] = value or {}
    return found


def _text(holder: dict[str, Node], field: str) -> str:
    value = holder.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _rejected(f"its {field} is not text")
    return value


def _decoded(text: str, field: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        raise _rejected(f"its {field} is not base64") from None


def _document(text: str) -> dict[str, Node]:
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise _rejected(f"it is longer than {MAX_BYTES} bytes")
    try:
        root = _tree(text)
    except (yaml.YAMLError, UnicodeError):
        # YAML's own message quotes the text, which is a secret.
        raise _rejected("it is not valid YAML or JSON") from None
    if not isinstance(root, dict):
        raise _rejected("it is not a mapping")
    return root


def _tree(text: str) -> Node:
    """Build the tree from the parser's events, so that aliases and tags never come to life."""
    root: list[Node] = []
    open_nodes: list[list[Node] | dict[str, Node]] = [root]
    keys: list[str | None] = [None]  # per open node: the key that waits for its value
    nodes = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionEndEvent):
            open_nodes.pop()
            keys.pop()
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            nodes += 1
            if nodes > MAX_NODES or len(open_nodes) > MAX_DEPTH:
                raise _rejected("it is nested too deeply or has too many parts")
            node = _node(event)
            _put(open_nodes[-1], keys, node)
            if isinstance(node, list | dict):
                open_nodes.append(node)
                keys.append(None)
        elif isinstance(event, yaml.AliasEvent):
            raise _rejected("it uses YAML anchors")
        elif isinstance(event, yaml.DocumentStartEvent) and root:
            raise _rejected("it holds several documents")
    return root[0] if root else None


def _node(event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> Node:
    """Return the node that *event* begins; only a plain scalar can be null."""
    if event.anchor is not None:
        raise _rejected("it uses YAML anchors")
    if event.tag is not None:
        raise _rejected("it uses YAML tags")
    if isinstance(event, yaml.ScalarEvent):
        text: str = event.value
        return text if event.style or text not in _NULL else None
    return {} if isinstance(event, yaml.MappingStartEvent) else []


def _put(holder: list[Node] | dict[str, Node], keys: list[str | None], node: Node) -> None:
    if isinstance(holder, list):
        holder.append(node)
    elif keys[-1] is None:
        if not isinstance(node, str) or node in holder:
            raise _rejected("it has a key twice, or one that is not text")
        keys[-1] = node
    else:
        holder[keys[-1]] = node
        keys[-1] = None


def _rejected(why: str) -> CredentialsRejected:
    return CredentialsRejected(f"the kubeconfig cannot be used: {why}", hint=_FLATTEN)
