"""One call of a lab service, as data."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from tests.lab.services.g711_stream import RATE_HZ, G711Stream
from tests.peers.dialog import Dialog
from tests.peers.sip import SipRequest
from tests.peers.tone import peak_of, tones_of
from tests.peers.udp import Address

ANSWERED: Final = "answered"


@dataclass(frozen=True, slots=True)
class Treatment:
    """What happens to a call: ring, perhaps with early media, then a final status."""

    status: int = 200
    ring_s: float = 0.0
    early_media: bool = False


@dataclass(slots=True)
class Leg:
    """One call; `user` is the called (or calling) user part on our side."""

    user: str
    far_end: str
    port: int
    invite: SipRequest
    source: Address
    dialog: Dialog | None = None
    stream: G711Stream | None = None
    sdp: str = ""
    digits: str = ""
    state: str = "ringing"
    refusal: int = 0
    """Final status by which the other end refused a call of ours."""
    end_reasons: tuple[str, ...] = ()
    """Reason values of the far end's BYE."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    pracked: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """A call of ours is answered or over."""

    @property
    def call_id(self) -> str:
        return self.invite.call_id

    @property
    def is_answered(self) -> bool:
        return self.state == ANSWERED

    def described(self) -> dict[str, Any]:
        """Return what the control line says of the call."""
        heard = self.stream.heard() if self.stream else None
        peak = peak_of(heard, RATE_HZ) if heard is not None else None
        return {
            "call_id": self.call_id,
            "user": self.user,
            "far_end": self.far_end,
            "state": self.state,
            "codec": self.stream.form.codec if self.stream else "",
            "packets_received": self.stream.packets_received if self.stream else 0,
            "heard_hz": peak.hz if peak else 0.0,
            "heard_db": peak.level_db if peak else -180.0,
            "tones_hz": tones_of(heard, RATE_HZ) if heard is not None else [],
            "digits": self.digits,
            "end_reasons": list(self.end_reasons),
        }
