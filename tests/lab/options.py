"""What one lab is made of: its parts, ports, phones and changed role variables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from tests.lab.ports import LOOPBACK, PortMode


class Part(StrEnum):
    """What can be started; see `lab.STEPS` for the order."""

    REDIS = "redis"
    RTPENGINE = "rtpengine"
    MEDIA_AGENT = "media_agent"
    IMS = "ims"
    PSTN = "pstn"
    CONFERENCE = "conference"
    GATEWAY = "gateway"
    WEB_API = "web_api"
    HAPROXY = "haproxy"
    PHONES = "phones"


WHOLE_WORLD: Final = frozenset(Part)
IMS_SIDE: Final = frozenset({Part.IMS, Part.PSTN, Part.CONFERENCE, Part.PHONES})


WITHOUT_IMS: Final = WHOLE_WORLD - {Part.IMS, Part.PHONES, Part.CONFERENCE}


class Mode(StrEnum):
    """Named sets of parts for the command line."""

    WORLD = "world"
    IMS = "ims"
    STANDALONE = "standalone"


PARTS_BY_MODE: Final[Mapping[Mode, frozenset[Part]]] = {
    Mode.WORLD: WHOLE_WORLD,
    Mode.IMS: IMS_SIDE,
    Mode.STANDALONE: WITHOUT_IMS,
}

_ANY_RATE: Final = {"register": 0, "invite": 0, "in_call": 0, "other": 0}
NO_LIMITS: Final[Mapping[str, Any]] = {
    "gateway_limits_connection": _ANY_RATE,
    "gateway_limits_identity": _ANY_RATE,
    "gateway_limits_address": _ANY_RATE,
    "gateway_limits_unrefused": 0,
    "gateway_calls_per_identity": 0,
    "gateway_failed_logins_per_identity": 0,
    "gateway_failed_logins_per_address": 0,
    "gateway_overload_control": False,  # several labs share a machine, on which every message waits
    "gateway_ban_points": 0,
}
"""Variables of the role kamailio for whoever sends on purpose what no user would."""

DEFAULT_AUDIO_CODECS: Final = ("opus", "AMR-WB", "PCMA", "PCMU")


@dataclass(frozen=True, slots=True)
class PhoneOptions:
    """One baresip phone: a subscriber's name, what it can do and the tone it speaks with."""

    name: str
    audio_codecs: tuple[str, ...] = DEFAULT_AUDIO_CODECS
    # "H264" or "VP8"; empty for a phone without video.
    video_codec: str = ""
    tone_hz: int = 440
    auto_answer: bool = True


PHONE: Final = PhoneOptions("phone", tone_hz=440)
# baresip 1.0 speaks H.264 in packetization mode 0 only, which no browser's preferred offer meets; VP8 it shares.
VIDEOPHONE: Final = PhoneOptions("videophone", video_codec="VP8", tone_hz=520)


@dataclass(frozen=True, slots=True)
class LabOptions:
    """How to build a lab."""

    parts: frozenset[Part] = WHOLE_WORLD
    run_dir: Path | None = None
    # An empty folder for the logs, on another file system than the rest; None: a folder in the run directory.
    log_dir: Path | None = None
    ports: PortMode = PortMode.FREE
    phones: tuple[PhoneOptions, ...] = (PHONE, VIDEOPHONE)
    # Where the IMS core and its phones are: an address of this machine.
    ims_address: str = LOOPBACK
    # Ports of the media relay; an audio call takes four, a video call eight.
    media_ports: int = 400
    # The gateway is its own home network, and the PSTN a carrier with a trunk.
    standalone: bool = False
    # Role name -> variable -> value, on top of what the lab itself sets.
    role_variables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # On a busy machine a lab starts slowly; a process that died is noticed at once.
    ready_timeout_s: float = 60.0
