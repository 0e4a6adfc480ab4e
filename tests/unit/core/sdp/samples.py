"""Real descriptions as test material, and short ways to bend them.

The golden files are named <who wrote it>-<version>-<case>.  ``firefox-form`` is written by hand in Firefox's form:
what both engines share is in the Chromium files, what only Firefox does (session-level attributes, bundle-only) here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kemi.core.sdp.judge import ClientCapabilities, Judgement, client_capabilities, judge_offer
from kemi.core.sdp.model import Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text

_FOLDER: Final = Path(__file__).parents[3] / "golden" / "sdp"
GOLDEN_NAMES: Final = sorted(path.stem for path in _FOLDER.glob("*.txt"))

OUR_SDK: Final = client_capabilities(
    "ACK,BYE,CANCEL,INVITE,PRACK,UPDATE", "outbound, 100rel", "", "SIP.js/0.21.1"
)
STOCK_SIP_JS: Final = client_capabilities("ACK,BYE,CANCEL,INVITE,INFO,REFER", "100rel", "", "SIP.js/0.21.1")
JSSIP: Final = client_capabilities("INVITE,ACK,CANCEL,BYE,UPDATE", "timer,ice", "", "JsSIP 3.13.8")

ORIGIN: Final = Origin(4711, 1, "192.0.2.10")

RELAY_IMS_OFFERS: Final = {
    "audio": "rtpengine-10.5-av-audio-ims-offer",
    "video": "rtpengine-10.5-av-video-ims-offer",
}
RELAY_WIC_ANSWERS: Final = {
    "audio": "rtpengine-10.5-av-audio-wic-answer",
    "video": "rtpengine-10.5-av-video-wic-answer",
}
RELAY_SUBSCRIBE_REQUESTS: Final = {
    "audio": "rtpengine-10.5-av-audio-subscribe-request",
    "video": "rtpengine-10.5-av-video-subscribe-request",
}


def golden(name: str) -> str:
    """Read a golden file with its own line ends."""
    with (_FOLDER / f"{name}.txt").open(encoding="utf-8", newline="") as file:
        return file.read()


def goldens(names: Mapping[str, str], kinds: tuple[str, ...]) -> dict[str, str]:
    """Read one golden file per kind."""
    return {kind: golden(names[kind]) for kind in kinds}


def bent(name: str, *changes: tuple[str, str]) -> str:
    """Read a golden file and replace texts in it; each must be there."""
    text = golden(name)
    for old, new in changes:
        assert old in text, f"{old!r} is not in {name}"
        text = text.replace(old, new)
    return text


def without(name: str, *attributes: str) -> str:
    """Read a golden file and leave lines out that start with one of these."""
    return "".join(line for line in golden(name).splitlines(keepends=True) if not line.startswith(attributes))


def judged(name: str, client: ClientCapabilities = OUR_SDK) -> tuple[SessionDescription, Judgement]:
    """Read and judge a golden offer."""
    offer = sdp_from_text(golden(name))
    return offer, judge_offer(offer, client)
