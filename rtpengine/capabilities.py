"""What daemons of some version do, where versions differ and it matters here: the one place that compares versions.

No ng command tells a daemon's version (seen in 10.5.3.5, 12.5.1.31 and 26.0.1.26), so it is a setting of each node.
Each row is measured with those three, or stands in rtpengine's history of changes; what lies between is taken from the
older one.
"""

import functools
from dataclasses import dataclass
from typing import Final, TypeAlias

Version: TypeAlias = tuple[int, int]

OLDEST: Final[Version] = (10, 5)
"""What is supposed of a node whose version nobody told."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one daemon does."""

    event_as_long_as_asked: bool
    """`play DTMF` makes an event of the length it is given; before, of one packet more."""
    opus_takes_all_rates: bool
    """Opus is made of what comes, without a resampling to 48 kHz that keeps some samples back."""
    asymmetric_learns: bool
    """The flag `asymmetric` learns where packets come from and goes by that: no good where the SDP is binding."""
    knows_directional: bool
    """The flag `directional` makes `block media` stop one side only; 26.0 stops both without it, and what does not know
    it stops one side, and complains in its log."""
    offer_takes_over: bool
    """An `offer` takes the other side away from who had it. Before, it has both, and the first has to be unsubscribed;
    that would stop what goes to the other side now."""
    digits_after_events: bool
    """`play DTMF` plays whole digits after the WIC has sent telephone-events itself; before, shorter ones or none."""
    passes_while_armed: bool
    """Audio that is armed for digits is passed on as it is while none is played, and digits are lost where the RTP
    timestamp is 2^31 or more: it is taken for a negative number (`codec_encoder_pts`; so in the sources of 12.4 and
    26.2, too)."""
    keeps_srtp_index: bool
    """What is sent under the keys of another DTLS association goes on with the index that the former one has come to,
    and whoever begins to listen takes it to be in the first of its 2^16 packets (RFC 3711 §3.3.1)."""
    unsubscribe_removes_participant: bool
    """`unsubscribe` ends the participant's own media, too."""


_SINCE: Final = {
    "opus_takes_all_rates": (11, 2),
    "asymmetric_learns": (11, 3),
    "knows_directional": (12, 5),
    "keeps_srtp_index": (12, 2),
    "event_as_long_as_asked": (12, 5),
    "passes_while_armed": (12, 4),
    "digits_after_events": (12, 5),
    "offer_takes_over": (12, 5),
    "unsubscribe_removes_participant": (26, 0),
}


@functools.cache
def capabilities(version: Version) -> Capabilities:
    """Return what a daemon of this version does."""
    return Capabilities(**{name: version >= since for name, since in _SINCE.items()})
