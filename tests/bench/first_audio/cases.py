"""What is compared: kinds of clients and gateways, as values.

Knows what a client offers and when it takes the answer.  Must not know how it is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.peers.aiortc_wic import SendDirection
from tests.peers.wic import ALLOW


class Through(StrEnum):
    """What stands between the page and the phone."""

    GATEWAY = "gateway"
    CLASSIC = "classic recipe"


class TakesAnswer(StrEnum):
    """Which response's description the page applies."""

    EARLY = "the first one"
    FINAL = "the callee's"


_STOCK_ALLOW: Final = "ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER,PRACK"


@dataclass(frozen=True)
class Case:
    """One kind of call.

    codec: the phone's; anything but Opus is transcoded.
    judged: whether the bar is meant for it.
    """

    name: str
    label: str
    through: Through = Through.GATEWAY
    audio: SendDirection = "sendrecv"
    supported: str = "100rel, outbound"
    allow: str = _STOCK_ALLOW
    takes: TakesAnswer = TakesAnswer.EARLY
    codec: str = "PCMA"
    judged: bool = False


CASES: Final = (
    Case("update", "answer, then UPDATE", audio="sendonly", allow=ALLOW, judged=True),
    Case("100rel", "two-way, 100rel (SIP.js)", judged=True),
    Case(
        "update-opus",
        "answer, then UPDATE; Opus phone",
        audio="sendonly",
        allow=ALLOW,
        codec="opus",
        judged=True,
    ),
    Case("100rel-opus", "two-way, 100rel (SIP.js); Opus phone", codec="opus", judged=True),
    Case(
        "unreliable",
        "two-way, answer taken from the 183 (JsSIP; SIP.js with earlyMedia)",
        supported="outbound",
        judged=True,
    ),
    Case(
        "late",
        "two-way, answer taken from the 200 (SIP.js without earlyMedia)",
        supported="outbound",
        takes=TakesAnswer.FINAL,
    ),
    Case(
        "classic",
        "classic order: media only when the callee answers",
        through=Through.CLASSIC,
        supported="outbound",
        takes=TakesAnswer.FINAL,
    ),
)
CASES_BY_NAME: Final = {case.name: case for case in CASES}
