"""The PSTN behind its gateway (MGCF): numbers that answer with a tone, ring, announce or refuse.

The last four digits of a called number say what it does; see `treatment_of`.
"""

from collections.abc import Mapping
from typing import Final

import click

from tests.lab.ports import LOOPBACK
from tests.lab.services.g711_stream import FRAME_SAMPLES, RATE_HZ
from tests.lab.services.media_server import Leg, MediaServer, Treatment
from tests.lab.services.program import run
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
    """Answers for every number of the PSTN and can call into the IMS."""

    def __init__(self, rtp: tuple[int, int], realm: str, icscf: Address) -> None:
        super().__init__("mgcf", rtp)
        self._realm = realm
        self._icscf = icscf

    def treatment(self, user: str) -> Treatment:
        return treatment_of(user)

    def sound(self, leg: Leg, frames: Mapping[str, Samples], tick: int) -> Samples:
        hz = TONE_HZ if leg.is_answered else ANNOUNCEMENT_HZ
        return sine(hz, rate_hz=RATE_HZ, start=tick * FRAME_SAMPLES, count=FRAME_SAMPLES)

    async def op_dial(self, target: str, caller: str) -> str:
        """Call a subscriber from a PSTN number; return the Call-ID."""
        return await self.call(target, f"sip:{caller}@{self._realm};user=phone", self._icscf)


@click.command()
@click.option("--address", required=True)
@click.option("--port", type=int, required=True)
@click.option("--control-port", type=int, required=True)
@click.option("--rtp", type=(int, int), required=True)
@click.option("--realm", required=True)
@click.option("--icscf-port", type=int, required=True)
def main(
    address: str, port: int, control_port: int, rtp: tuple[int, int], realm: str, icscf_port: int
) -> None:
    """Run the lab's PSTN gateway in the foreground."""
    gateway = PstnGateway(rtp, realm, (LOOPBACK, icscf_port))
    run(gateway, address, port, control_port, {"dial": gateway.op_dial})


if __name__ == "__main__":
    main()
