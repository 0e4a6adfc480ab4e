"""The PSTN behind its gateway (MGCF): numbers that answer with a tone, ring, announce or refuse.

The last four digits of a called number say what it does; see `treatment_of`. The number of the conference service is
put through to it: a call of our own there (B2BUA), G.711 and digits handed on between the two.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import click

from tests.lab.control import Operation
from tests.lab.ports import LOOPBACK
from tests.lab.services.conference import NUMBER as CONFERENCE_NUMBER
from tests.lab.services.g711_stream import FRAME_SAMPLES, RATE_HZ, SILENCE
from tests.lab.services.leg import Leg, Treatment
from tests.lab.services.media_server import MediaServer
from tests.lab.services.negotiation import user_of
from tests.lab.services.program import run
from tests.peers.device_sdp import NoCommonCodecError
from tests.peers.tone import Samples, sine
from tests.peers.udp import Address

PREFIX: Final = "+1555"
# What an answered number says, and what an announcement before the answer says.
TONE_HZ: Final = 620
ANNOUNCEMENT_HZ: Final = 950
RING_S: Final = 1.0
RINGS_FOR_EVER_S: Final = 120.0

_BY_ENDING: Final[Mapping[str, Treatment]] = {
    "0180": Treatment(ring_s=RING_S),
    "0183": Treatment(ring_s=RING_S, early_media=True),
    "0000": Treatment(status=480, ring_s=RINGS_FOR_EVER_S),
}
_REFUSALS: Final = range(400, 700)


def treatment_of(number: str) -> Treatment:
    """Read a number: …0180 rings first, …0183 announces first, …0000 rings until cancelled,
    …0400 to …0699 refuse with that status, all others answer at once; outside the prefix nothing is assigned."""
    if not number.startswith(PREFIX):
        return Treatment(status=404)
    ending = number[-4:]
    if ending in _BY_ENDING:
        return _BY_ENDING[ending]
    if ending.isdigit() and int(ending) in _REFUSALS:
        return Treatment(status=int(ending))
    return Treatment()


class PstnGateway(MediaServer):
    """Answers for every number of the PSTN, connects to the conference service and can call into the IMS."""

    def __init__(self, rtp: tuple[int, int], realm: str, icscf: Address, conference: Address) -> None:
        super().__init__("mgcf", rtp)
        self._realm = realm
        self._icscf = icscf
        self._conference = conference
        self._partners: dict[str, str] = {}
        """Call-ID of each leg of a call that is put through -> that of the other leg."""

    def treatment(self, user: str) -> Treatment:
        return treatment_of(user)

    async def serve(self, leg: Leg) -> None:
        if leg.user == CONFERENCE_NUMBER:
            await self._put_through(leg)
        else:
            await super().serve(leg)

    async def _put_through(self, leg: Leg) -> None:
        try:
            leg.sdp = self.answer_sdp(leg, leg.invite)
        except NoCommonCodecError:
            self.refuse(leg, 488)
            return
        self.ring(leg)
        far = self.legs[await self._call_conference(user_of(leg.far_end))]
        self._partners |= {leg.call_id: far.call_id, far.call_id: leg.call_id}
        waits = [asyncio.create_task(event.wait()) for event in (far.settled, leg.cancelled)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if leg.cancelled.is_set():
            self.refuse(leg, 487)
            await far.settled.wait()
            if far.is_answered:
                await self.hang_up(far.call_id)
        elif far.is_answered:
            await self.answer(leg)
        else:
            self.refuse(leg, far.refusal or 480)

    async def _call_conference(self, caller: str) -> str:
        host, port = self._conference
        return await self.call(
            f"sip:{CONFERENCE_NUMBER}@{host}:{port};user=phone",
            f"sip:{caller}@{self._realm};user=phone",
            self._conference,
        )

    def leg_ended(self, leg: Leg) -> None:
        """End the other leg of a call that was put through, with the same reason."""
        other = self.legs.get(self._partners.pop(leg.call_id, ""))
        if other is not None and other.is_answered:
            self.spawn(self._end_partner(other.call_id, leg.end_reasons))

    async def _end_partner(self, call_id: str, reasons: Sequence[str]) -> None:
        await self.hang_up(call_id, reasons)

    def digit_received(self, leg: Leg, digit: str) -> None:
        """Hand a digit on, and do not keep it: it may be a PIN."""
        partner = self.legs.get(self._partners.get(leg.call_id, ""))
        if partner is None:
            super().digit_received(leg, digit)
        elif partner.stream is not None:
            partner.stream.send_digit(digit)

    def sound(self, leg: Leg, frames: Mapping[str, Samples], tick: int) -> Samples:
        if partner := self._partners.get(leg.call_id):
            return frames.get(partner, SILENCE)
        hz = TONE_HZ if leg.is_answered else ANNOUNCEMENT_HZ
        return sine(hz, rate_hz=RATE_HZ, start=tick * FRAME_SAMPLES, count=FRAME_SAMPLES)

    async def op_dial(self, target: str, caller: str) -> str:
        """Call a subscriber from a PSTN number; return the Call-ID."""
        return await self.call(target, f"sip:{caller}@{self._realm};user=phone", self._icscf)

    async def op_dial_conference(self, caller: str) -> str:
        """Have somebody in the PSTN call the conference service's number; return the Call-ID."""
        return await self._call_conference(caller)


@click.command()
@click.option("--address", required=True)
@click.option("--port", type=int, required=True)
@click.option("--control-port", type=int, required=True)
@click.option("--rtp", type=(int, int), required=True)
@click.option("--realm", required=True)
@click.option("--icscf-port", type=int, required=True)
@click.option("--conference-port", type=int, required=True)
def main(
    address: str,
    port: int,
    control_port: int,
    rtp: tuple[int, int],
    realm: str,
    icscf_port: int,
    conference_port: int,
) -> None:
    """Run the lab's PSTN gateway in the foreground."""
    gateway = PstnGateway(rtp, realm, (LOOPBACK, icscf_port), (LOOPBACK, conference_port))
    operations: dict[str, Operation] = {
        "dial": gateway.op_dial,
        "dial_conference": gateway.op_dial_conference,
    }
    run(gateway, address, port, control_port, operations)


if __name__ == "__main__":
    main()
