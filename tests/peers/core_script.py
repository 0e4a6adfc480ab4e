"""How the scripted core treats an INVITE, as values: steps, cancellation, ready-made scripts.

Knows the vocabulary only. Must not know how a step is carried out: that is `core_call`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from tests.peers.device_sdp import DeviceMedia
from tests.peers.multipart import Part

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Provisional:
    """Send a 1xx; a reliable one is repeated until its PRACK, which the script awaits."""

    status: int = 180
    reliable: bool = False
    media: DeviceMedia | None = None
    fork: str = "a"
    headers: Fields = ()
    await_prack: bool = True
    parts: tuple[Part, ...] = ()
    """Further parts of the body."""


@dataclass(frozen=True)
class Final:
    """Send a final response; a 2xx is repeated until its ACK."""

    status: int = 200
    media: DeviceMedia | None = None
    fork: str = "a"
    headers: Fields = ()
    await_ack: bool = True
    parts: tuple[Part, ...] = ()
    """Further parts of the body."""


@dataclass(frozen=True)
class Pause:
    """Wait; a ringing callee needs time."""

    seconds: float


@dataclass(frozen=True)
class UntilCancelled:
    """Wait for the CANCEL."""


Step = Provisional | Final | Pause | UntilCancelled


class OnCancel(Enum):
    """What follows a CANCEL, which itself always gets 200."""

    TERMINATE = auto()
    """487 to the INVITE, the script ends."""
    GO_ON = auto()
    """The script goes on: the answer crossed the CANCEL (RFC 3261 §9.1)."""


@dataclass(frozen=True)
class CoreScript:
    """The treatment of one INVITE; the steps run in order."""

    steps: tuple[Step, ...]
    on_cancel: OnCancel = OnCancel.TERMINATE
    trying: bool = True
    """Whether 100 is sent at once."""
    gap_s: float = 0.03
    """Time before each further response: datagrams sent back to back overtake each other in the
    workers of any proxy. Set to 0 to see what that does."""


def answers(
    media: DeviceMedia | None = None, *, ringing: tuple[Step, ...] = (Provisional(180),), ring_s: float = 0.0
) -> CoreScript:
    """Ring, then 200 with SDP."""
    pause = (Pause(ring_s),) if ring_s else ()
    return CoreScript((*ringing, *pause, Final(200, media or DeviceMedia())))


def early_media(
    media: DeviceMedia | None = None, *, reliable: bool = True, ring_s: float = 0.0
) -> CoreScript:
    """183 with SDP, 180, then 200 that repeats the SDP when the 183 was not reliable (RFC 6337 §3.1.1)."""
    chosen = media or DeviceMedia()
    pause = (Pause(ring_s),) if ring_s else ()
    last = None if reliable else chosen
    return CoreScript((Provisional(183, reliable, chosen), Provisional(180), *pause, Final(200, last)))


def forks(media: DeviceMedia | None = None, *, winner: str = "b") -> CoreScript:
    """Two devices ring reliably with their own To-tags; `winner` ("a" or "b") answers."""
    chosen = media or DeviceMedia()
    return CoreScript(
        (
            Provisional(183, True, chosen, "a"),
            Provisional(180, True, chosen, "b"),
            Final(200, None, winner),
        )
    )


def answers_twice(media: DeviceMedia | None = None, *, gap_s: float = 0.05) -> CoreScript:
    """Two devices send 200 (RFC 3261 §13.2.2.4): the second has to be acknowledged and ended."""
    chosen = media or DeviceMedia()
    return CoreScript(
        (
            Provisional(180),
            Final(200, chosen, "a", await_ack=False),
            Pause(gap_s),
            Final(200, chosen, "b"),
        )
    )


def rejects(status: int, *headers: tuple[str, str], ringing: bool = True) -> CoreScript:
    """Refuse with 3xx-6xx, after 180 unless told otherwise."""
    first: tuple[Step, ...] = (Provisional(180),) if ringing else ()
    return CoreScript((*first, Final(status, headers=headers)))


def rings_for_ever() -> CoreScript:
    """180 and nothing more until CANCEL."""
    return CoreScript((Provisional(180), UntilCancelled()))


def crosses_cancel(media: DeviceMedia | None = None) -> CoreScript:
    """180, and a 200 that comes only after the CANCEL."""
    return CoreScript(
        (Provisional(180), UntilCancelled(), Final(200, media or DeviceMedia())), on_cancel=OnCancel.GO_ON
    )


def silent() -> CoreScript:
    """Nothing at all, not even 100."""
    return CoreScript((UntilCancelled(),), trying=False)
