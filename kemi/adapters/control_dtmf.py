"""Route of the control endpoint about DTMF: the media agent tells of keys that were pressed.

    POST /v1/dtmf {"call_id": KEY, "source_tag": TAG, "event": N, "duration": MS, "volume": N} -> {"told": BOOL}

KEY is the relay's name of the audio of a call, which is the record's.  What the far end pressed becomes INFO for a page
that wants it; "told" says whether the call was asked.  What the page pressed, or was played for it, is reported by the
relay as well, and ends here.  No digit is ever logged.
"""

from __future__ import annotations

from typing import Any, Final

from kemi.adapters.control import Answer, ControlRefusal, Routes, number_of, text_of
from kemi.adapters.dispatcher import Dispatcher
from kemi.core.call.events import DigitReceived
from kemi.core.dtmf import DIGITS
from rtpengine.sessions import IMS_TAG

_LONGEST_MS: Final = 60_000


def dtmf_routes(dispatcher: Dispatcher) -> Routes:
    """Return the route about DTMF."""

    def pressed(body: dict[str, Any]) -> Answer:
        key, source = text_of(body, "call_id"), text_of(body, "source_tag")
        event = number_of(body, "event", -1, 0, 255)
        duration_ms = number_of(body, "duration", -1, 0, _LONGEST_MS)
        if source != IMS_TAG or event >= len(DIGITS):
            return 200, {"told": False}
        if not dispatcher.dispatch(key, DigitReceived(DIGITS[event], duration_ms)):
            raise ControlRefusal(404, "no such call")
        return 200, {"told": True}

    return {("POST", "/v1/dtmf"): pressed}
