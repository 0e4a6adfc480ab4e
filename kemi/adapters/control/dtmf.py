"""Route of the control endpoint about DTMF: the media agent tells of keys that were pressed.

    POST /v1/dtmf {"call_id": KEY, "source_tag": TAG, "event": N, "duration": MS, "volume": N} -> {"told": BOOL}

KEY is the relay's name of the audio of a call, which is the record's.  What the far end pressed becomes INFO for a page
that wants it; "told" says whether the call was asked.  What the page pressed itself matters to what is played for it;
what was played is reported by the relay as well, with a volume of its own, and ends here.  No digit is ever logged.
"""

from __future__ import annotations

from typing import Any, Final

from kemi.adapters.calls.dispatcher import Dispatcher
from kemi.adapters.control.endpoint import Answer, ControlRefusal, Routes, number_of, text_of
from kemi.core.call.events import DigitReceived, PageSentEvents
from kemi.core.dtmf import DIGITS
from rtpengine.dtmf import VOLUME
from rtpengine.sessions import IMS_TAG, WIC_TAG

_LONGEST_MS: Final = 60_000


def dtmf_routes(dispatcher: Dispatcher) -> Routes:
    """Return the route about DTMF."""

    def pressed(body: dict[str, Any]) -> Answer:
        key, source = text_of(body, "call_id"), text_of(body, "source_tag")
        event = number_of(body, "event", -1, 0, 255)
        duration_ms = number_of(body, "duration", -1, 0, _LONGEST_MS)
        volume = number_of(body, "volume", VOLUME, 0, 255)
        if (
            source not in (IMS_TAG, WIC_TAG)
            or event >= len(DIGITS)
            or (source == WIC_TAG and volume == VOLUME)
        ):
            return 200, {"told": False}
        told = PageSentEvents() if source == WIC_TAG else DigitReceived(DIGITS[event], duration_ms)
        if not dispatcher.dispatch(key, told):
            raise ControlRefusal(404, "no such call")
        return 200, {"told": True}

    return {("POST", "/v1/dtmf"): pressed}
