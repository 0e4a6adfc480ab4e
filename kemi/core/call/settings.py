"""The values the steps need of the site; built once from kemi/settings.py."""

from __future__ import annotations

from dataclasses import dataclass


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
    network: str = ""
    """Name of our network, in charging data."""
    access_network_info: str = ""
    """P-Access-Network-Info of all pages, "" for none."""
    from_counts: bool = False
    """Whether From chooses among a page's registered identities."""
    max_bundle_pages: bool = False
    """Whether the site's pages have the bundle policy max-bundle; they then cannot add video to a call."""
    longest_call_s: float = 0.0
    """How long an answered call may take; 0: no limit."""

    @property
    def wic_contact(self) -> str:
        """Our Contact towards pages; they reach it over their WebSocket whatever it says (RFC 7118 §5)."""
        return f"sip:gateway@{self.realm};transport=ws"
