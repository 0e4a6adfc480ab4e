"""Kinds of legs: what ng commands say of transport, ICE and keys towards each kind of party.

A site and a route name a kind; the ng keys are written here only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class LegKind(StrEnum):
    """What sort of party a leg leads to."""

    WIC = "wic"
    """A web page: DTLS-SRTP and ICE, RTP and RTCP on one port (RFC 8827, RFC 8834)."""
    IMS = "ims"
    """The core: plain RTP (TS 26.114 §6.2); feedback passes although the protocol does not say so."""
    IMS_AVPF = "ims-avpf"
    """A core that wants RTP/AVPF for feedback (RFC 4585); baresip 1.0.0 refuses it with 488."""
    TRUNK_RTP = "trunk-rtp"
    """A trunk with plain RTP."""
    TRUNK_SRTP = "trunk-srtp"
    """A trunk with SRTP, its keys in SDP (SDES, RFC 4568; TS 33.328 §5 in IMS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """The ng keys of a description that goes to a party of this kind."""

    transport_protocol: str
    ice: str
    ice_lite: str | None = None
    """Which side of an offer it concerns."""
    rtcp_mux: tuple[str, ...] = ()
    sdes: tuple[str, ...] = ()
    dtls: str | None = None


# All but AES_CM_128_HMAC_SHA1_80, which everybody has (RFC 3711 §5).  An answer ends the keys that it does not
# name, and the next `offer` makes new ones under other tags: another party that takes another suite of the same INVITE,
# or the same under a tag of its own, would meet no key, or one that it was not told.
_OTHER_SUITES: Final = (
    "no-AES_CM_128_HMAC_SHA1_32",
    "no-AES_256_CM_HMAC_SHA1_80",
    "no-AES_256_CM_HMAC_SHA1_32",
    "no-F8_128_HMAC_SHA1_80",
    "no-F8_128_HMAC_SHA1_32",
    "no-NULL_HMAC_SHA1_80",
    "no-NULL_HMAC_SHA1_32",
    "no-AES_192_CM_HMAC_SHA1_80",
    "no-AES_192_CM_HMAC_SHA1_32",
    "no-AEAD_AES_256_GCM",
    "no-AEAD_AES_128_GCM",
)
_PLAIN: Final = Leg(transport_protocol="RTP/AVP", ice="remove", rtcp_mux=("demux",))

LEGS: Final[Mapping[LegKind, Leg]] = MappingProxyType(
    {
        LegKind.WIC: Leg(
            transport_protocol="UDP/TLS/RTP/SAVPF",
            ice="force",
            # Towards the answerer; its offer says setup:actpass, and a browser answers active (RFC 8842 §5.3). Unless
            # rtpengine prefers to be passive, it takes a ClientHello that overtakes the answer for an error, for good.
            ice_lite="forward",
            dtls="passive",
            rtcp_mux=("require",),
            sdes=("off",),
        ),
        LegKind.IMS: _PLAIN,
        LegKind.IMS_AVPF: Leg(transport_protocol="RTP/AVPF", ice="remove", rtcp_mux=("demux",)),
        LegKind.TRUNK_RTP: _PLAIN,
        LegKind.TRUNK_SRTP: Leg(
            transport_protocol="RTP/SAVP", ice="remove", rtcp_mux=("demux",), sdes=_OTHER_SUITES, dtls="off"
        ),
    }
)


def far_leg_of(protocol: str, configured: LegKind) -> LegKind:
    """Return the kind of a running leg by the protocol of its m-line: who offered keys goes on with keys, whatever
    is configured for what we offer."""
    if LEGS[configured].transport_protocol == protocol.upper():
        return configured
    if protocol.upper() == LEGS[LegKind.IMS_AVPF].transport_protocol:
        return LegKind.IMS_AVPF
    return LegKind.TRUNK_SRTP if "SAVP" in protocol.upper() else LegKind.IMS
