"""The configuration of the token server: one YAML file, every fault reported at once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import yaml

from sealoshub.authserver.logins import Lifetimes
from sealoshub.errors import InvalidInputError
from sealoshub.imagehub.names import HUB_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MIN_TOKEN_SECONDS: Final = 60  # clients that know no expires_in assume this much
MAX_TOKEN_SECONDS: Final = 3600  # nothing revokes a token before its end
MAX_WORKERS: Final = 64
MAX_DRAIN: Final = 300  # seconds
_ISSUER: Final = "sealoshub"
_SERVICE: Final = "hub"
_PORTS: Final = 65535

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Api:
    """The one API server: URL, CA file (None: the system's), file with our own token."""

    server: str
    ca_file: Path | None
    token_file: Path | None


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of the server's certificate and key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says.

    Args:
        listen: Address of the token endpoint.
        issuer: `iss` of the tokens.
        services: Accepted audiences, the registries' `service`.
        token_seconds: Life of an access token.
        keys_dir: Folder of the signing keys.
        api: The API server; None for a hub with static users only.
        plugins: Name and configuration, in the order in which they are asked.
        hub_namespace: Namespace of the hub's own objects.
        login: Life of a login.
        metrics_listen: Address of `/metrics`; None for none.
        audit: File of the audit log, `-` for standard output, None for none.
        tls: Certificate; None where a proxy in front has it, or on loopback.
        trusted_proxies: Whose `X-Forwarded-For` is believed.
        workers: Processes that serve.
        drain_seconds: Between SIGTERM, which ends readiness, and the end of accepting.
        events_token_file: Bearer token of the registries' notifications; None for no `/v1/events`.
    """

    listen: Address
    keys_dir: Path
    plugins: tuple[tuple[str, Mapping[str, object]], ...]
    issuer: str = _ISSUER
    services: tuple[str, ...] = (_SERVICE,)
    token_seconds: int = 300
    api: Api | None = None
    hub_namespace: str = HUB_NAMESPACE
    login: Lifetimes = field(default_factory=Lifetimes)
    metrics_listen: Address | None = None
    audit: str | None = "-"
    tls: Tls | None = None
    trusted_proxies: tuple[_Network, ...] = ()
    workers: int = 1
    drain_seconds: int = 0
    events_token_file: Path | None = None


def load(path: Path, *, serving: bool = True) -> Config:
    """Read the configuration in *path*; relative paths in it are relative to its folder.

    Args:
        path: The file.
        serving: Demand what serving takes: an address and keys. Decisions do without.

    Raises:
        InvalidInputError: It cannot be read, or something in it is wrong; one line for each fault.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise InvalidInputError(f"cannot read {path}: {exc.strerror}") from exc
    except (yaml.YAMLError, UnicodeError) as exc:
        raise InvalidInputError(f"{path} is not valid YAML: {exc}") from exc
    reader = _Reader(content, path.parent, serving=serving)
    config = reader.config()
    if reader.faults or config is None:
        raise InvalidInputError(f"{path}:\n  " + "\n  ".join(reader.faults))
    return config


class _Reader:
    """Read key by key and collect what is wrong."""

    def __init__(self, content: object, folder: Path, *, serving: bool = True) -> None:
        self.faults: list[str] = []
        self._serving = serving
        self._folder = folder
        self._root = self._mapping(content, "the file")

    def config(self) -> Config | None:
        """Return the configuration; what was wrong has a default, and is in `faults`."""
        root = self._root
        self._only(
            root,
            "",
            "listen issuer service token_seconds keys_dir api plugins hub_namespace login"
            " metrics_listen audit tls trusted_proxies workers drain_seconds events_token_file",
        )
        listen = self._address("listen", required=self._serving)
        keys_dir = self._path(root, "keys_dir", "keys_dir", required=self._serving)
        config = Config(
            listen=listen or Address("localhost", 0),
            keys_dir=keys_dir or self._folder,
            plugins=self._plugins(),
            issuer=self._text(root, "issuer", "issuer", _ISSUER),
            services=self._services(),
            token_seconds=self._number(
                root, "token_seconds", "token_seconds", 300, MIN_TOKEN_SECONDS, MAX_TOKEN_SECONDS
            ),
            api=self._api(),
            hub_namespace=self._text(root, "hub_namespace", "hub_namespace", HUB_NAMESPACE),
            login=self._lifetimes(),
            metrics_listen=self._address("metrics_listen"),
            audit=self._audit(),
            tls=self._tls(),
            trusted_proxies=self._proxies(),
            workers=self._number(root, "workers", "workers", 1, 1, MAX_WORKERS),
            drain_seconds=self._number(root, "drain_seconds", "drain_seconds", 0, 0, MAX_DRAIN),
            events_token_file=self._path(root, "events_token_file", "events_token_file"),
        )
        return None if self.faults else config

    def _plugins(self) -> tuple[tuple[str, Mapping[str, object]], ...]:
        raw = self._root.get("plugins")
        if not isinstance(raw, list) or not raw:
            self.faults.append("plugins: at least one is needed, for example [{name: kubernetes}]")
            return ()
        found = []
        for position, entry in enumerate(raw):
            where = f"plugins[{position}]"
            plugin = self._mapping(entry, where)
            self._only(plugin, where, "name config")
            name = self._text(plugin, "name", f"{where}.name", "")
            config = self._section(plugin, "config", f"{where}.config")
            if not name and "name" not in plugin:
                self.faults.append(f"{where}.name: is missing")
            found.append((name, config))
        return tuple(found)

    def _services(self) -> tuple[str, ...]:
        raw = self._root.get("service", _SERVICE)
        found = raw if isinstance(raw, list) else [raw]
        if not found or not all(isinstance(item, str) and item for item in found):
            self.faults.append("service: must be a name, or a list of names")
            return (_SERVICE,)
        return tuple(found)

    def _api(self) -> Api | None:
        if self._root.get("api") is None:
            return None
        raw = self._mapping(self._root["api"], "api")
        self._only(raw, "api", "server ca_file token_file")
        server = self._text(raw, "server", "api.server", "")
        if not server.startswith(("https://", "http://")):
            self.faults.append("api.server: must be the URL of the API server")
        return Api(
            server,
            self._path(raw, "ca_file", "api.ca_file"),
            self._path(raw, "token_file", "api.token_file"),
        )

    def _lifetimes(self) -> Lifetimes:
        raw = self._section(self._root, "login", "login")
        self._only(raw, "login", "absolute_seconds idle_seconds most_logins most_tokens")
        absolute = self._number(
            raw, "absolute_seconds", "login.absolute_seconds", Lifetimes().absolute, 60, 10**9
        )
        idle = self._number(raw, "idle_seconds", "login.idle_seconds", Lifetimes().idle, 0, 10**9)
        own = Lifetimes()
        logins = self._number(raw, "most_logins", "login.most_logins", own.most_logins, 1, 10**6)
        tokens = self._number(raw, "most_tokens", "login.most_tokens", own.most_tokens, 1, 10**6)
        return Lifetimes(absolute, idle, logins, tokens)

    def _audit(self) -> str | None:
        raw = self._root.get("audit", "-")
        if raw is None or raw == "-":
            return raw
        path = self._path(self._root, "audit", "audit")
        return None if path is None else str(path)

    def _tls(self) -> Tls | None:
        if self._root.get("tls") is None:
            return None
        raw = self._mapping(self._root["tls"], "tls")
        self._only(raw, "tls", "certificate key")
        certificate = self._path(raw, "certificate", "tls.certificate", required=True)
        key = self._path(raw, "key", "tls.key", required=True)
        return None if certificate is None or key is None else Tls(certificate, key)

    def _proxies(self) -> tuple[_Network, ...]:
        raw = self._root.get("trusted_proxies") or []
        found: list[_Network] = []
        if not isinstance(raw, list):
            self.faults.append("trusted_proxies: must be a list of networks")
            return ()
        for item in raw:
            try:
                found.append(ipaddress.ip_network(str(item)))
            except ValueError:
                self.faults.append(f"trusted_proxies: {item!r} is not a network like 10.0.0.0/8")
        return tuple(found)

    def _address(self, key: str, *, required: bool = False) -> Address | None:
        raw = self._root.get(key)
        if raw is None and not required:
            return None
        host, colon, port = str(raw or "").rpartition(":")
        if not colon or not port.isdigit() or int(port) > _PORTS:
            self.faults.append(f"{key}: must be host:port, for example localhost:5001")
            return None
        return Address(host.removeprefix("[").removesuffix("]"), int(port))

    # ------------------------------------------------------------------ one value
    def _mapping(self, raw: object, where: str) -> Mapping[str, object]:
        if isinstance(raw, dict) and all(isinstance(key, str) for key in raw):
            return raw
        self.faults.append(f"{where}: must be a mapping")
        return {}

    def _section(self, raw: Mapping[str, object], key: str, where: str) -> Mapping[str, object]:
        return {} if raw.get(key) is None else self._mapping(raw[key], where)

    def _only(self, raw: Mapping[str, object], where: str, known: str) -> None:
        for key in raw:
            if key not in known.split():
                name = f"{where}.{key}" if where else key
                self.faults.append(f"{name}: is not known; known are {', '.join(known.split())}")

    def _text(self, raw: Mapping[str, object], key: str, where: str, default: str) -> str:
        value = raw.get(key, default)
        if isinstance(value, str) and (value or not default):
            return value
        self.faults.append(f"{where}: must be text")
        return default

    def _number(  # noqa: PLR0913, PLR0917  # value, place, default and bounds
        self,
        raw: Mapping[str, object],
        key: str,
        where: str,
        default: int,
        least: int,
        most: int,
    ) -> int:
        value = raw.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.faults.append(f"{where}: must be a whole number from {least} to {most}")
        return default

    def _path(
        self, raw: Mapping[str, object], key: str, where: str, *, required: bool = False
    ) -> Path | None:
        value = raw.get(key)
        if value is None and not required:
            return None
        if isinstance(value, str) and value:
            return self._folder / value
        self.faults.append(f"{where}: must be a path")
        return None
