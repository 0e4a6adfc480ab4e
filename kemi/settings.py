"""Settings of the KEMI code: read once from the TOML file Ansible renders, validated, frozen.

The file's path is in the environment variable GATEWAY_SETTINGS.  A wrong value stops Kamailio at start with a
message that names the key; nothing else in the package reads the environment or a file.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

SETTINGS_VARIABLE = "GATEWAY_SETTINGS"
_MIN_SECRET_LENGTH = 32


class SettingsError(ValueError):
    """The settings file is missing or wrong; the message names the key."""


@dataclass(frozen=True, slots=True)
class SipSettings:
    """Our own sockets."""

    address: str
    port: int
    ws_address: str
    ws_port: int

    @property
    def ims_socket(self) -> str:
        """Kamailio's name of the socket towards the core."""
        return f"udp:{self.address}:{self.port}"

    @property
    def wic_socket(self) -> str:
        """Kamailio's name of the WebSocket listener."""
        return f"tcp:{self.ws_address}:{self.ws_port}"


@dataclass(frozen=True, slots=True)
class MediaNode:
    """One rtpengine daemon."""

    address: str
    port: int
    version: str = "10.5"

    @property
    def name(self) -> str:
        """``address:port``, as call records keep it."""
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """Relay nodes and the codecs shown to the core, best first."""

    nodes: list[MediaNode]
    ng_deadline_ms: int = 1000
    audio_codecs: list[str] = field(default_factory=lambda: ["opus", "AMR-WB", "AMR-WB-OA", "PCMA", "PCMU"])
    video_codecs: list[str] = field(default_factory=lambda: ["H264", "VP8"])


@dataclass(frozen=True, slots=True)
class TimerSettings:
    """Durations in seconds."""

    prack_s: float = 32
    update_s: float = 5
    ims_response_s: float = 5
    ims_answer_s: float = 180
    flow_recovery_s: float = 30
    """How long calls and bindings wait for a page whose connection is gone."""
    unregistered_s: float = 10
    """How long a connection may be without a registration."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the KEMI code knows of its site."""

    realm: str
    visited_network: str
    icscf_uri: str
    origins: list[str]
    flow_secret: str = field(repr=False)
    redis_url: str
    sip: SipSettings
    media: MediaSettings
    timers: TimerSettings = field(default_factory=TimerSettings)
    node: str = ""
    """This node's name in Redis, the same after a restart; "": its SIP address and port."""

    @property
    def node_name(self) -> str:
        """What this node calls itself in Redis."""
        return self.node or f"{self.sip.address}:{self.sip.port}"


def settings_from_text(text: str) -> Settings:
    """Return validated settings from TOML ``text``; raise SettingsError that names the offending key."""
    try:
        raw: dict[str, Any] = tomllib.loads(text)
        settings = msgspec.convert(raw, Settings)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(str(error)) from error
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    if len(settings.flow_secret) < _MIN_SECRET_LENGTH:
        raise SettingsError(f"flow_secret: at least {_MIN_SECRET_LENGTH} characters")
    if not settings.media.nodes:
        raise SettingsError("media.nodes: at least one rtpengine node")
    for node in settings.media.nodes:
        if not re.fullmatch(r"\d+\.\d+(\.\d+)*", node.version):
            raise SettingsError(f"media.nodes: version {node.version!r} of {node.name} is not like 10.5")
    if not settings.media.audio_codecs:
        raise SettingsError("media.audio_codecs: at least one codec")
    if not settings.icscf_uri.startswith("sip:"):
        raise SettingsError(f"icscf_uri: {settings.icscf_uri!r} is not a sip: URI")
    if not settings.origins:
        raise SettingsError("origins: at least one web origin, or no page can connect")
    for name in ("prack_s", "update_s", "ims_response_s", "ims_answer_s", "unregistered_s"):
        if getattr(settings.timers, name) <= 0:
            raise SettingsError(f"timers.{name}: must be positive")


def load_settings() -> Settings:
    """Read the file named by GATEWAY_SETTINGS."""
    path = os.environ.get(SETTINGS_VARIABLE)
    if not path:
        raise SettingsError(f"{SETTINGS_VARIABLE} is not set")
    try:
        return settings_from_text(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error
