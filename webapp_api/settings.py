"""Settings of the web service: typed, frozen, checked once at start. The only file here that reads the environment."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from kemi.core.origins import origin_fault
from webapp_api.identities import Identity
from webapp_api.login_settings import (
    LOGIN_TYPES,
    RANGES,
    OidcSettings,
    TokenService,
    login_faults,
    tables_from_toml,
)

ENVIRONMENT_VARIABLE: Final = "WEBAPP_SETTINGS"
METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's own: the folder in which the processes of one server add up what they measure."""
SIP_PATH: Final = "/sip"
_SHORTEST_SECRET: Final = 32

_HOST: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)"
_DOMAIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_HOST_AND_PORT: Final = re.compile(rf"{_HOST}:(?P<port>[0-9]{{1,5}})")
_ORIGIN: Final = re.compile(rf"https?://{_HOST}(?::[0-9]{{1,5}})?")


class SettingsError(ValueError):
    """Settings that cannot be used; the message lists every fault, one per line."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the web service has to be told.

    Raises:
        SettingsError: a value is missing, has the wrong type, or makes no sense.
    """

    public_origin: str
    """Scheme, host and port under which browsers reach the gateway; https unless the host is this machine."""
    domain: str
    """Home network domain, the realm of the accounts."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of TLS fronts on other machines, which may say who the client is; this machine's always
    may."""
    stun_servers: tuple[str, ...] = ()
    """host:port of the gateway's STUN servers; a page learns its reflexive address there."""
    ice_gathering_timeout_ms: int = 1000
    """Longest wait of a page for candidates before its INVITE goes out."""
    listen_address: str = "127.0.0.1"
    listen_port: int = 8080
    workers: int = 2
    """Processes of the HTTP server."""
    threads: int = 8
    """Threads of each process."""
    event_listeners: int = 2000
    """Who may listen to events at a time, in each process; each has a thread of its own beside `threads`."""
    event_listeners_per_user: int = 10
    """Of one person, over all processes."""
    event_listeners_per_address: int = 200
    """Of one client address, over all processes; many people may share an address."""
    metrics_secret: str = field(default="", repr=False)
    """What Prometheus shows as Bearer to read /metrics; empty: there is no such page."""
    features: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({"video": True}))
    """Flags that pages read, by name."""

    redis_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    key_secret: str = field(default="", repr=False)
    """Encrypts the signing keys in Redis; the same for all web processes. Empty: there is no web login."""
    password_login: bool = True
    """Whether people with an account log in here."""
    session_lifetime_s: int = 43_200
    session_idle_s: int = 3600
    """A session ends when it was not used for so long; a registered page uses it for each token."""
    login_attempts: int = 10
    """Failed logins of one account in one window."""
    login_attempts_per_address: int = 100
    """Failed logins, and leases, of one client address in one window; many people may share an address."""
    login_window_s: int = 900
    token_issuer: str = ""
    """Claim iss of our access tokens; empty: public_origin."""
    token_audience: str = ""
    """Claim aud, what the gateway expects; empty: sip:domain."""
    token_algorithm: str = "ES256"  # noqa: S105 the name of an algorithm
    token_lifetime_s: int = 600
    key_rotation_days: int = 30
    key_activation_s: int = 120
    """How long a new key is published before it signs; longer than the gateway takes to read the set again."""
    guest_login: bool = False
    """Whether anybody may lease an identity of the pool."""
    identity_pool: tuple[Identity, ...] = ()
    lease_settling_s: int = 10
    """How long an identity rests after it was given back; longer than the gateway takes to end a registration."""
    lease_grace_s: int = 60
    """How long a guest whose registration ended keeps the identity without asking for a token."""
    oidc: OidcSettings | None = None
    token_services: tuple[TokenService, ...] = ()
    """Further issuers whose keys are shown to the gateway."""

    def __post_init__(self) -> None:
        if faults := [*_type_faults(self)] or [*_value_faults(self)]:
            raise SettingsError(faults)

    @property
    def wss_url(self) -> str:
        """The gateway's WebSocket: same origin, so that one certificate and one Origin check suffice."""
        origin = urlsplit(self.public_origin)
        return f"{'wss' if origin.scheme == 'https' else 'ws'}://{origin.netloc}{SIP_PATH}"

    @property
    def issuer(self) -> str:
        """Who issues our access tokens."""
        return self.token_issuer or self.public_origin

    @property
    def audience(self) -> str:
        """Who our access tokens are for."""
        return self.token_audience or f"sip:{self.domain}"

    @property
    def web_login(self) -> bool:
        """Whether anybody can log in here at all."""
        return bool(self.key_secret)


def settings_from_text(text: str) -> Settings:
    """Read settings in TOML; raises SettingsError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"not TOML: {error}"]) from error
    known = {item.name for item in fields(Settings)}
    faults = [f"{name}: unknown setting" for name in sorted(table.keys() - known)]
    faults += [f"{name}: missing" for name in ("public_origin", "domain") if name not in table]
    faults += tables_from_toml(table)
    if faults:
        raise SettingsError(faults)
    for name in ("stun_servers", "trusted_proxies"):
        if isinstance(table.get(name), list):
            table[name] = tuple(table[name])
    if isinstance(table.get("features"), dict):
        table["features"] = MappingProxyType(table["features"])
    return Settings(**table)


def settings_from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the TOML file that WEBAPP_SETTINGS names; raises SettingsError."""
    name = environment.get(ENVIRONMENT_VARIABLE, "")
    if not name:
        raise SettingsError([f"{ENVIRONMENT_VARIABLE} does not name a settings file"])
    try:
        text = Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"{name}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{name}: not UTF-8"]) from error
    return settings_from_text(text)


def metrics_directory(environment: Mapping[str, str] = os.environ) -> str:
    """Return the folder, empty when the server starts; "": each process tells of itself alone."""
    return environment.get(METRICS_VARIABLE, "")


_TYPES: Final[dict[str, tuple[type, str]]] = {
    "public_origin": (str, "a text"),
    "domain": (str, "a text"),
    "stun_servers": (tuple, "a list of texts"),
    "trusted_proxies": (tuple, "a list of texts"),
    "ice_gathering_timeout_ms": (int, "a whole number"),
    "listen_address": (str, "a text"),
    "listen_port": (int, "a whole number"),
    "workers": (int, "a whole number"),
    "threads": (int, "a whole number"),
    "event_listeners": (int, "a whole number"),
    "event_listeners_per_user": (int, "a whole number"),
    "event_listeners_per_address": (int, "a whole number"),
    "metrics_secret": (str, "a text"),
    "features": (Mapping, "a table of true and false"),
    **LOGIN_TYPES,
}


def _type_faults(settings: Settings) -> list[str]:
    faults = []
    for name, (expected, words) in _TYPES.items():
        value: Any = getattr(settings, name)
        fits = isinstance(value, expected) and not (expected is int and isinstance(value, bool))
        if expected is tuple:
            fits = fits and all(isinstance(one, str) for one in value)
        if name == "features":
            fits = fits and all(isinstance(flag, bool) for flag in value.values())
        if not fits:
            faults.append(f"{name}: must be {words}")
    return faults


_RANGES: Final[dict[str, tuple[float, float]]] = {
    "ice_gathering_timeout_ms": (50, 10_000),
    "listen_port": (1, 65_535),
    "workers": (1, 64),
    "threads": (1, 256),
    "event_listeners": (0, 5000),
    "event_listeners_per_user": (1, 1000),
    "event_listeners_per_address": (1, 100_000),
    **RANGES,
}


def _value_faults(settings: Settings) -> list[str]:
    faults = []
    if not _ORIGIN.fullmatch(settings.public_origin):
        faults.append("public_origin: must be scheme://host or scheme://host:port, without a path")
    elif fault := origin_fault(settings.public_origin):
        faults.append(f"public_origin: {fault}")
    elif settings.public_origin.startswith("http:") and not _is_this_machine(settings.public_origin):
        faults.append("public_origin: must be https, browsers give no microphone to other pages")
    if not _DOMAIN.fullmatch(settings.domain):
        faults.append("domain: must be a domain name")
    for network in settings.trusted_proxies:
        if not _is_network(network):
            faults.append(f'trusted_proxies: "{network}" is neither an address nor a network')
    for server in settings.stun_servers:
        match = _HOST_AND_PORT.fullmatch(server)
        if match is None or not 1 <= int(match["port"]) <= 65_535:
            faults.append(f'stun_servers: "{server}" is not host:port')
    if not _is_address(settings.listen_address):
        faults.append("listen_address: must be an IP address")
    for name, (least, most) in _RANGES.items():
        if not least <= getattr(settings, name) <= most:
            faults.append(f"{name}: must be {least} to {most}")
    if settings.metrics_secret and len(settings.metrics_secret) < _SHORTEST_SECRET:
        faults.append(f"metrics_secret: at least {_SHORTEST_SECRET} characters, or none")
    faults += login_faults(settings)
    return faults


def _is_this_machine(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
