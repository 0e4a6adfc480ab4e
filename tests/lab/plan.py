"""Which port every part of one lab has, decided before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.lab.options import LabOptions
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
    """Ports by part; an RTP range is (first, last)."""

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
    """Claim blocks large enough for everything in the options."""
    rtp_ports = options.media_ports + 2 * RTP_PORTS_PER_SERVICE + len(options.phones) * RTP_PORTS_PER_PHONE
    return PortBlocks(options.ports, rtp_ports)


def plan_ports(options: LabOptions, blocks: PortBlocks) -> Plan:
    """Hand out the claimed ports."""
    return Plan(
        https=blocks.fixed(FIXED_HTTPS_PORT) if options.ports is PortMode.FIXED else blocks.port(),
        web_api=blocks.port(),
        redis=blocks.port(),
        ng=blocks.port(),
        rtpengine_cli=blocks.port(),
        rtpengine_dtmf=blocks.port(),
        media_rtp=blocks.rtp_range(options.media_ports),
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
        pstn_rtp=blocks.rtp_range(RTP_PORTS_PER_SERVICE),
        conference=blocks.port(),
        conference_control=blocks.port(),
        conference_rtp=blocks.rtp_range(RTP_PORTS_PER_SERVICE),
        phones={
            phone.name: PhonePorts(blocks.pair(), blocks.port(), blocks.rtp_range(RTP_PORTS_PER_PHONE))
            for phone in options.phones
        },
    )
