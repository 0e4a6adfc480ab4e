"""The values the steps need of the site; built once from kemi/settings.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kemi.core.policy import TargetRules
    from kemi.core.trunk.trunk import Trunk


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What a call needs to know of this gateway.  Durations in seconds."""

    realm: str
    ims_host: str
    """``address:port`` of our socket towards the core, as it stands in Contact."""
    media_address: str
    """Address in the o= lines we write for the core."""
    audio_codecs: tuple[str, ...]
    video_codecs: tuple[str, ...]
    prack_s: float = 32.0
    update_s: float = 5.0
    ims_response_s: float = 5.0
    ims_answer_s: float = 180.0
    flow_recovery_s: float = 30.0
    ice_restart_s: float = 1.0
    """How long a page that is back after its connection was lost has to restart ICE itself; 0: it is never helped."""
    reports_s: float = 180.0
    """How long a call that is over waits for the last report on its transfer: as long as a telephone may ring."""
    session_expires_s: int = 1800
    """How long a session with the core lasts without a refresh (RFC 4028); 0: no session timer of ours."""
    min_se_s: int = 90
    """The shortest such time we take."""
    early_media_by_default: bool = True
    """Whether a fork that says nothing of early media (RFC 5009) is heard before it answers."""
    network: str = ""
    """Name of our network, in charging data."""
    access_network_info: str = ""
    """P-Access-Network-Info of all pages, "" for none."""
    from_counts: bool = False
    """Whether From chooses among a page's registered identities."""
    feedback_towards_core: bool = True
    """Whether the core may answer video as RTP/AVPF (RFC 4585), as IMS does (TS 26.114 §6.2.3)."""
    keys_towards_core: bool = False
    """Whether the far side is offered SRTP with keys in SDP (SDES) alone."""
    max_bundle_pages: bool = False
    """Whether the site's pages have the bundle policy max-bundle; they then cannot add video to a call."""
    longest_call_s: float = 0.0
    """How long an answered call may take; 0: no limit."""

    nodes_with_digits_after_events: frozenset[str] = frozenset()
    """Media nodes that play whole digits also after a page has sent telephone-events itself."""

    profiles: Mapping[str, CallSettings] = field(default_factory=dict)
    """What differs for calls with a media profile of a name."""
    profile_domains: Mapping[str, str] = field(default_factory=dict)
    """Domain of the far end -> name of that profile."""

    tls_host: str = ""
    """The same of our socket for TLS."""
    trunks: Mapping[str, Trunk] = field(default_factory=dict)
    """Trunks of the site, by name."""

    targets: TargetRules | None = None
    """Whom pages may call, and so whom they may send their callers to; None: everybody."""

    def of(self, profile: str) -> CallSettings:
        """Return what holds for calls with a media profile; of one that is no more, the default."""
        return self.profiles.get(profile, self)

    def host_towards(self, transport: str) -> str:
        """Return host, port and transport of our Contact for who is reached by udp, tcp or tls."""
        host = self.tls_host if transport == "tls" else self.ims_host
        return host if transport == "udp" else f"{host};transport={transport}"

    @property
    def wic_contact(self) -> str:
        """Our Contact towards pages; they reach it over their WebSocket whatever it says (RFC 7118 §5)."""
        return f"sip:gateway@{self.realm};transport=ws"

    @property
    def codecs(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Video and audio codecs shown to the core, as kemi.core.sdp.judge takes them."""
        return self.video_codecs, self.audio_codecs
