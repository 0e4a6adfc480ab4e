"""Which port every part of one lab has, decided before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.lab.options import LabOptions, Part
from tests.lab.ports import PortBlocks, PortMode

FIXED_HTTPS_PORT: Final = 8443
RTP_PORTS_PER_PHONE: Final = 40
RTP_PORTS_PER_SERVICE: Final = 60

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PhonePorts:
    """Ports of one phone; SIP takes the next port too."""

    sip: int
    control: int
    rtp: Range


@dataclass(frozen=True, slots=True)
class Plan:
    """Ports by part; an RTP range is (first, last), empty for a part that is not started."""

    https: int
    web_api: int
    redis: int
    ng: int
    rtpengine_cli: int
    rtpengine_dtmf: int
    media_rtp: Range
    gateway_sip: int
    gateway_ws: int
    gateway_control: int
    gateway_home: int
    agent_metrics: int
    metrics: int
    icscf: int
    scscf: int
    pcscf: int
    icscf_cx: int
    scscf_cx: int
    hss: int
    hss_control: int
    pstn: int
    pstn_control: int
    pstn_rtp: Range
    conference: int
    conference_control: int
    conference_rtp: Range
    phones: Mapping[str, PhonePorts]


def claim_ports(options: LabOptions) -> PortBlocks:
    """Claim blocks large enough for what is started: there are few for all the labs of a machine."""
    of_parts = sum(rtp_ports(options, part) for part in (Part.RTPENGINE, Part.PSTN, Part.CONFERENCE))
    return PortBlocks(options.ports, of_parts + len(options.phones) * rtp_ports(options, Part.PHONES))


def rtp_ports(options: LabOptions, part: Part) -> int:
    """Return how many RTP ports a part has, each phone of the phones; 0 when it is not started."""
    wanted = {Part.RTPENGINE: options.media_ports, Part.PHONES: RTP_PORTS_PER_PHONE}
    return wanted.get(part, RTP_PORTS_PER_SERVICE) if part in options.parts else 0


def plan_ports(options: LabOptions, blocks: PortBlocks) -> Plan:
    """Hand out the claimed ports."""
    return Plan(
        https=blocks.fixed(FIXED_HTTPS_PORT) if options.ports is PortMode.FIXED else blocks.port(),
        web_api=blocks.port(),
        redis=blocks.port(),
        ng=blocks.port(),
        rtpengine_cli=blocks.port(),
        rtpengine_dtmf=blocks.port(),
        media_rtp=blocks.rtp_range(rtp_ports(options, Part.RTPENGINE)),
        gateway_sip=blocks.port(),
        gateway_ws=blocks.port(),
        gateway_control=blocks.port(),
        gateway_home=blocks.port(),
        agent_metrics=blocks.port(),
        metrics=blocks.port(),
        icscf=blocks.port(),
        scscf=blocks.port(),
        pcscf=blocks.port(),
        icscf_cx=blocks.port(),
        scscf_cx=blocks.port(),
        hss=blocks.port(),
        hss_control=blocks.port(),
        pstn=blocks.port(),
        pstn_control=blocks.port(),
        pstn_rtp=blocks.rtp_range(rtp_ports(options, Part.PSTN)),
        conference=blocks.port(),
        conference_control=blocks.port(),
        conference_rtp=blocks.rtp_range(rtp_ports(options, Part.CONFERENCE)),
        phones={
            phone.name: PhonePorts(
                blocks.pair(), blocks.port(), blocks.rtp_range(rtp_ports(options, Part.PHONES))
            )
            for phone in options.phones
        },
    )
