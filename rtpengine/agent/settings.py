"""Settings of the media agent: read once from the TOML file Ansible renders, validated, frozen."""

import ipaddress
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from rtpengine.health import Patience
from rtpengine.pool import NodeAddress, node_to_text

DEFAULT_PATH: Final = Path("/etc/webrtc-ims-gateway/media_agent.toml")
MIN_SECRET_LENGTH: Final = 32


class SettingsError(ValueError):
    """The settings file is missing or wrong; the message names the key."""


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The gateway's control endpoint."""

    address: str
    port: int
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One rtpengine daemon."""

    address: str
    port: int
    version: str = "10.5"

    @property
    def ng(self) -> NodeAddress:
        """Where it listens."""
        return NodeAddress(self.address, self.port)

    @property
    def name(self) -> str:
        """``address:port``, as the gateway names it."""
        return node_to_text(self.ng)

    @property
    def source(self) -> str:
        """Where its datagrams come from, as the system writes addresses: IPv6 may be spelt in many ways."""
        return str(ipaddress.ip_address(self.address))


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """How nodes are watched, in seconds; see rtpengine/health.py."""

    ping_s: float = 0.1
    late_s: float = 0.15
    silent_s: float = 0.6
    statistics_s: float = 1.0

    @property
    def patience(self) -> Patience:
        """What a node is allowed."""
        return Patience(late_s=self.late_s, silent_s=self.silent_s, unanswered=min(4, self._pings))

    @property
    def _pings(self) -> int:
        """How many pings go out until a node has been silent too long."""
        return max(2, int(self.silent_s / self.ping_s))


@dataclass(frozen=True, slots=True)
class ReconcileSettings:
    """How calls of the gateway and of the nodes are compared, in seconds."""

    interval_s: float = 5.0
    grace_s: float = 10.0
    """How long a node may have a call that the gateway does not know."""
    exclusive: bool = False
    """Whether no other gateway uses these nodes: then every call that this one does not know is left over."""


@dataclass(frozen=True, slots=True)
class DtmfSettings:
    """Where the nodes log DTMF to (their `dtmf-log-dest`); port 0: nowhere, and no page hears of keys by INFO."""

    address: str = "127.0.0.1"
    port: int = 0
    peers: list[str] = field(default_factory=list)
    """ADDRESS:PORT ([ADDRESS]:PORT) of other gateways' agents, whose calls the nodes that log here may have."""

    @property
    def peer_addresses(self) -> list[tuple[str, int]]:
        """The same, to send to; raises ValueError."""
        return [_address_from_text(peer) for peer in self.peers]


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where Prometheus reads what the agent measures; port 0: nowhere."""

    address: str = "127.0.0.1"
    port: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the agent knows of its site."""

    control: ControlSettings
    nodes: list[NodeSettings]
    health: HealthSettings = field(default_factory=HealthSettings)
    reconcile: ReconcileSettings = field(default_factory=ReconcileSettings)
    dtmf: DtmfSettings = field(default_factory=DtmfSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)


def settings_from_text(text: str) -> Settings:
    """Return validated settings from TOML `text`; raises SettingsError that names the offending key."""
    try:
        settings = msgspec.convert(tomllib.loads(text), Settings)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(str(error)) from error
    _check(settings)
    return settings


def settings_from_file(path: Path) -> Settings:
    """Read a file; raises SettingsError."""
    try:
        return settings_from_text(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def _address_from_text(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    if not (port.isdecimal() and 0 < int(port) <= 0xFFFF) or (":" in host) != host.startswith("["):
        raise ValueError(f"{text!r} is no address and port")
    return str(address), int(port)


def _check(settings: Settings) -> None:
    if not re.fullmatch(rf"[\x21-\x7e]{{{MIN_SECRET_LENGTH},}}", settings.control.secret):
        raise SettingsError(f"control.secret: at least {MIN_SECRET_LENGTH} characters, none of them a space")
    try:
        loopback = ipaddress.ip_address(settings.control.address).is_loopback
        for node in settings.nodes:
            ipaddress.ip_address(node.address)
        ipaddress.ip_address(settings.dtmf.address)
        ipaddress.ip_address(settings.metrics.address)
    except ValueError as error:
        raise SettingsError(
            f"control.address, nodes.address, dtmf.address, metrics.address: {error}"
        ) from error
    if not 0 <= settings.dtmf.port <= 0xFFFF:
        raise SettingsError("dtmf.port: a port, 0 for none")
    try:
        peers = settings.dtmf.peer_addresses
    except ValueError as error:
        raise SettingsError(f"dtmf.peers: {error}") from error
    own = ipaddress.ip_address(settings.dtmf.address)
    if any(ipaddress.ip_address(address).version != own.version for address, _ in peers):
        raise SettingsError("dtmf.peers: not of the same kind (IPv4, IPv6) as dtmf.address")
    if peers and own.is_loopback and not all(ipaddress.ip_address(one).is_loopback for one, _ in peers):
        raise SettingsError("dtmf.address: a loopback address, and dtmf.peers are on other machines")
    if not 0 <= settings.metrics.port <= 0xFFFF:
        raise SettingsError("metrics.port: a port, 0 for none")
    if not loopback:
        raise SettingsError("control.address: the gateway is on this machine, on a loopback address")
    names = [node.name for node in settings.nodes]
    if not names or len(set(names)) < len(names):
        raise SettingsError("nodes: at least one, each of them once")
    health, reconcile = settings.health, settings.reconcile
    if not 0.02 <= health.ping_s <= health.late_s <= health.silent_s:
        raise SettingsError("health: ping_s (at least 0.02), late_s and silent_s in this order")
    if health.statistics_s <= 0 or reconcile.interval_s <= 0 or reconcile.grace_s < 0:
        raise SettingsError("health.statistics_s, reconcile.interval_s and grace_s: seconds")
