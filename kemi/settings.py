"""Settings of the KEMI code: read once from the TOML file Ansible renders, validated, frozen.

The file's path is in the environment variable GATEWAY_SETTINGS.  A wrong value stops Kamailio at start with a
message that names the key; nothing else in the package reads the environment or a file.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from kemi.core.bans import BanSettings, check_bans
from kemi.core.emergency import EmergencySettings, check_emergency
from kemi.core.entry_points import check_entry_points
from kemi.core.headers import MMTEL_ICSI_TAG
from kemi.core.home.socket import HomeSettings, check_home
from kemi.core.limits import LimitSettings, check_limits
from kemi.core.origins import origin_fault
from kemi.core.overload import OverloadSettings, check_overload
from kemi.core.policy import CallPolicy, check_domain, check_prefix
from kemi.core.registration.token import ALGORITHMS, TokenIssuer
from kemi.core.trace.settings import HepSettings, TraceSettings, check_traces
from kemi.core.trunk.trunk import Trunk, check_trunks, is_literal, transport_of
from kemi.core.trust import CoreNetworks
from kemi.core.unknown_keys import unknown_keys
from kemi.state.connection import sentinel_address_from_url

SETTINGS_VARIABLE = "GATEWAY_SETTINGS"
_MIN_SECRET_LENGTH = 32
MAX_PORT, MAX_WEIGHT = 65_535, 1000
SCHEMES = ("digest", "bearer")
PAGE_CODECS = frozenset({"opus", "g722", "pcma", "pcmu", "evs"})
CORE_LEGS = ("ims", "ims-avpf", "trunk-rtp", "trunk-srtp")
"""Kinds of far ends, as in rtpengine.legs."""
ACCESS_PROTECTIONS = ("tls", "ip-assoc", "")
MAX_TOKEN_LIFETIME_S = 3600
"""The table of used tokens keeps one a little longer than this (kamailio/params/state.cfg)."""
MAX_WAIT_S, MAX_LIFETIME_S = 3600, 86_000
"""What a call waits for; calls, and what is remembered of who makes them: kept a little longer than this (the same)."""
MAX_CALLS_KEPT_S = 366 * 86_400
_REALM = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_LINE = re.compile(r"[^\x00-\x1f\x7f]*")
_QUOTED = re.compile(r"[^\x00-\x1f\x7f\"\\]+")


class SettingsError(ValueError):
    """The settings file is missing or wrong; the message names the key."""


@dataclass(frozen=True, slots=True)
class SipSettings:
    """Our own sockets."""

    address: str
    port: int
    ws_address: str
    ws_port: int
    core_networks: list[str] = field(default_factory=list)
    """Networks whose SIP is taken on the side of the core, as 192.0.2.0/24; empty: everybody's."""
    peers: list[str] = field(default_factory=list)
    """Addresses of the site's other gateways, which pass requests on to us; they need not be in ``core_networks``."""
    tls_port: int = 0
    """For trunks over TLS; 0: there is none."""
    tcp_workers: int = 4
    """Processes that work on the pages' messages."""

    def socket_towards(self, next_hop: str) -> str:
        """Return Kamailio's name of the socket that a request to a next hop leaves by: of its transport."""
        transport = transport_of(next_hop)
        return f"{transport}:{self.address}:{self.tls_port if transport == 'tls' else self.port}"

    @property
    def ims_socket(self) -> str:
        """Kamailio's name of the socket towards the core."""
        return f"udp:{self.address}:{self.port}"

    @property
    def wic_socket(self) -> str:
        """Kamailio's name of the WebSocket listener."""
        return f"tcp:{self.ws_address}:{self.ws_port}"


@dataclass(frozen=True, slots=True)
class RegistrationPolicy:
    """How pages register in our realm, and what is said of them to the core."""

    schemes: list[str] = field(default_factory=lambda: ["digest"])
    """How a page may prove who it is: digest (the core checks), bearer (an access token, which we check)."""
    digest_protection: str = "tls"
    contact_tags: list[str] = field(
        default_factory=lambda: [f'+g.3gpp.icsi-ref="{MMTEL_ICSI_TAG}"', "audio", "video"]
    )
    access_network_info: str = ""
    hide_users: bool = True
    """Whether a page that has not logged in hears the same of users the core knows and of others."""
    from_counts: bool = False
    """Whether a page's From chooses among its registered identities when it prefers none."""


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Whose access tokens count."""

    issuers: list[TokenIssuer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MediaNode:
    """One rtpengine daemon."""

    address: str
    port: int
    version: str = "10.5"
    """Of rtpengine or of its package, as ``12.5.1.31-1``: no ng command tells it."""
    weight: int = 1
    """How many calls it gets beside the others; 0: none but those it has."""

    @property
    def name(self) -> str:
        """``address:port``, as call records keep it; an IPv6 address in brackets."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class NamedProfile:
    """What calls with a far end of one kind are offered; see MediaSettings, whose values are those of the default."""

    name: str
    audio_codecs: list[str]
    domains: list[str] = field(default_factory=list)
    """Of the far end: the host of the URI a page calls, or of the caller's identity."""
    core_leg: str = "ims"
    transcoding: bool = True
    """Without: both sides have a codec in common, or there is no call (488)."""
    core_source: Literal["signalled", "learned", "anywhere"] = "signalled"


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """Relay nodes and the codecs shown to the core, best first."""

    nodes: list[MediaNode]
    ng_deadline_ms: int = 1000
    audio_codecs: list[str] = field(default_factory=lambda: ["opus", "AMR-WB", "AMR-WB-OA", "PCMA", "PCMU"])
    video_codecs: list[str] = field(default_factory=lambda: ["H264", "VP8"])
    core_leg: str = "ims"
    """What the far side is offered: ims (RTP/AVP), ims-avpf, trunk-rtp, trunk-srtp (keys by SDES)."""
    early_media_by_default: bool = True
    """Whether a callee is heard before it answers although its network does not ask for it (RFC 5009)."""
    max_bundle_pages: bool = False
    """Whether the site's pages have the bundle policy max-bundle (RFC 8829 §4.1.1)."""
    core_source: Literal["signalled", "learned", "anywhere"] = "signalled"
    """Whose packets are taken on the side of the core (``MediaSource`` of rtpengine/profiles.py)."""
    profiles: list[NamedProfile] = field(default_factory=list)
    """For far ends of other kinds; a call keeps the one it began with."""

    @property
    def default_profile(self) -> NamedProfile:
        """What calls have whose far end is in none of the profiles' domains."""
        return NamedProfile("", self.audio_codecs, core_leg=self.core_leg, core_source=self.core_source)


@dataclass(frozen=True, slots=True)
class TimerSettings:
    """Durations in seconds."""

    prack_s: float = 32
    update_s: float = 5
    ims_response_s: float = 5
    ims_answer_s: float = 180
    flow_recovery_s: float = 30
    """How long calls and bindings wait for a page whose connection is gone."""
    reports_s: float = 180
    """How long a call that is over waits for the last report on its transfer."""
    flow_wait_s: float = 5
    """How long a request of the core waits for a page whose connection has just ended; 0: not at all."""
    ice_restart_s: float = 1
    """How long a page that is back in a running call has to restart ICE itself before it is offered that; 0: never."""
    entry_point_s: float = 5
    """How long an entry point of the home network may take to answer before the next one is tried."""
    entry_point_avoid_s: float = 60
    """How long one that failed comes after the others."""
    unregistered_s: float = 10
    """How long a connection may be without a registration, and without trying; six times that at most."""
    media_timeout_s: float = 60
    """How long a call may be without any packet from either side, but for held ones; 0: for ever."""
    session_expires_s: int = 1800
    """How long a session with the core lasts without a refresh (RFC 4028); 0: only if the core wants one."""
    min_se_s: int = 90
    """The shortest such time that is accepted; RFC 4028 §5 knows none below 90."""


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Where this node's own programs, as the media agent, ask and tell the gateway."""

    address: str
    port: int
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the KEMI code knows of its site."""

    realm: str
    """Domain of the home network; what is read from a file is in lower case, as the routing table's realms."""
    visited_network: str
    icscf_uris: list[str]
    """Entry points of the home network, best first."""
    origins: list[str]
    flow_secret: str = field(repr=False)
    redis_url: str
    sip: SipSettings
    control: ControlSettings
    media: MediaSettings
    timers: TimerSettings = field(default_factory=TimerSettings)
    registration: RegistrationPolicy = field(default_factory=RegistrationPolicy)
    tokens: TokenSettings = field(default_factory=TokenSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    overload: OverloadSettings = field(default_factory=OverloadSettings)
    bans: BanSettings = field(default_factory=BanSettings)
    policy: CallPolicy = field(default_factory=CallPolicy)
    emergency: EmergencySettings = field(default_factory=EmergencySettings)
    calls_kept_s: int = 7 * 86_400
    """How long Redis keeps what is known of finished calls; 0: not at all."""
    trace: TraceSettings = field(default_factory=TraceSettings)
    hep: HepSettings = field(default_factory=HepSettings)
    home: HomeSettings | None = None
    """None: the home network of the pages is an IMS core."""
    trunks: list[Trunk] = field(default_factory=list)
    """Carriers that the routing table may name."""
    routing_directory: str = ""
    """Where this node keeps the routing table; "": there is none, and every call goes to the core."""
    node: str = ""
    """This node's name in Redis, the same after a restart; "": its SIP address and port."""

    @property
    def node_name(self) -> str:
        """What this node calls itself in Redis."""
        return self.node or f"{self.sip.address}:{self.sip.port}"


def settings_from_text(text: str) -> Settings:
    """Return validated settings from TOML ``text``; raise SettingsError that names the offending key."""
    try:
        raw: dict[str, Any] = tomllib.loads(text)
        settings = msgspec.convert(raw, Settings)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(str(error)) from error
    for unknown in unknown_keys(raw, Settings):
        raise SettingsError(str(unknown))
    settings = replace(settings, realm=settings.realm.lower())
    _check(settings)
    return settings


def _keyed(key: str, check: Callable[[Any], object], value: object) -> None:
    try:
        check(value)
    except ValueError as error:
        raise SettingsError(f"{key}: {error}") from error


def _check(settings: Settings) -> None:
    if not _REALM.fullmatch(settings.realm):
        raise SettingsError(f"realm: {settings.realm!r} is no domain")
    _keyed("redis_url", sentinel_address_from_url, settings.redis_url)
    if len(settings.flow_secret) < _MIN_SECRET_LENGTH:
        raise SettingsError(f"flow_secret: at least {_MIN_SECRET_LENGTH} characters")
    _check_control(settings.control, settings.sip)
    _check_nodes(settings.media.nodes)
    if not 0 <= settings.calls_kept_s <= MAX_CALLS_KEPT_S:
        raise SettingsError(f"calls_kept_s: at most {MAX_CALLS_KEPT_S}, or 0 to keep none")
    _check_media(settings.media)
    if not settings.origins:
        raise SettingsError("origins: at least one web origin, or no page can connect")
    for origin in settings.origins:
        if fault := origin_fault(origin):
            raise SettingsError(f"origins: {origin} {fault}")
    _check_timers(settings.timers)
    networks = [*settings.sip.core_networks, *settings.sip.peers]
    _keyed("sip.core_networks, sip.peers", CoreNetworks, networks)
    if any(":" in peer for peer in settings.sip.peers):
        raise SettingsError("sip.peers: gateways speak IPv4 with each other")
    _check_registration(settings.registration, settings.tokens)
    _check_policy(settings.policy)
    try:
        check_entry_points(settings.icscf_uris, settings.timers.entry_point_s)
        check_emergency(settings.emergency, has_core=settings.home is None)
        check_limits(settings.limits, MAX_LIFETIME_S)
        check_overload(settings.overload)
        check_traces(settings.trace, settings.hep)
        check_bans(settings.bans)
        check_trunks(settings.trunks, {profile.name for profile in settings.media.profiles})
        if settings.home is not None:
            used = (settings.sip.port, settings.sip.ws_port, settings.sip.tls_port)
            check_home(settings.home, used, settings.icscf_uris, settings.registration.schemes)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    _check_tls(settings)
    for trunk in settings.trunks if settings.sip.core_networks or settings.home is not None else ():
        if not trunk.networks and not all(map(is_literal, trunk.uris)):
            raise SettingsError(
                f"trunks: {trunk.name}: networks: needed for a next hop that is a name, "
                "or none of its answers would be taken"
            )


def _check_timers(timers: TimerSettings) -> None:
    for name in ("prack_s", "update_s", "ims_response_s", "ims_answer_s", "unregistered_s", "entry_point_s"):
        if getattr(timers, name) <= 0:
            raise SettingsError(f"timers.{name}: must be positive")
    for name in ("prack_s", "ims_answer_s", "flow_recovery_s", "flow_wait_s", "ice_restart_s", "reports_s"):
        if not 0 <= getattr(timers, name) <= MAX_WAIT_S:
            raise SettingsError(f"timers.{name}: 0 to {MAX_WAIT_S} seconds")
    if not 0 <= timers.media_timeout_s < math.inf:
        raise SettingsError("timers.media_timeout_s: seconds, or 0 for none at all")
    if timers.min_se_s < 1 or (timers.session_expires_s and timers.session_expires_s < timers.min_se_s):
        raise SettingsError("timers.session_expires_s: 0, or at least timers.min_se_s, which is at least 1")


def _check_tls(settings: Settings) -> None:
    if settings.sip.tls_port:
        if not 0 < settings.sip.tls_port <= MAX_PORT or settings.sip.tls_port in (
            settings.sip.port,
            settings.sip.ws_port,
            settings.control.port,
        ):
            raise SettingsError(f"sip.tls_port: 1 to {MAX_PORT}, and no other port of ours; 0 for none")
        return
    for trunk in settings.trunks:
        if any(transport_of(uri) == "tls" for uri in trunk.uris):
            raise SettingsError(f"trunks: {trunk.name}: TLS needs sip.tls_port")


def _check_media(media: MediaSettings) -> None:
    for profile in (media.default_profile, *media.profiles):
        key = f"media.profiles: {profile.name}: " if profile.name else "media."
        if not profile.audio_codecs:
            raise SettingsError(f"{key}audio_codecs: at least one codec")
        if profile.core_leg not in CORE_LEGS:
            raise SettingsError(f"{key}core_leg: one of {', '.join(CORE_LEGS)}")
        passing = PAGE_CODECS.intersection(name.lower() for name in profile.audio_codecs)
        if not profile.transcoding and not passing:
            raise SettingsError(f"{key}audio_codecs: none that pages have, and nothing is transcoded")
    names = [profile.name for profile in media.profiles]
    if len(set(names)) < len(names) or not all(re.fullmatch(r"[a-z0-9-]{1,32}", name) for name in names):
        raise SettingsError("media.profiles: each name once, of a-z, 0-9 and -")
    domains = [domain for profile in media.profiles for domain in profile.domains]
    if len(set(domains)) < len(domains):
        raise SettingsError("media.profiles: each domain in one profile only")
    for domain in domains:
        _keyed("media.profiles", check_domain, domain)


def _check_nodes(nodes: list[MediaNode]) -> None:
    if not nodes:
        raise SettingsError("media.nodes: at least one rtpengine node")
    for node in nodes:
        if not re.fullmatch(r"\d+\.\d+([.+~-][\w.+~-]*)?", node.version):
            raise SettingsError(f"media.nodes: version {node.version!r} of {node.name} is not like 10.5")
        if not 0 <= node.weight <= MAX_WEIGHT:
            raise SettingsError(f"media.nodes: weight of {node.name}: 0 to {MAX_WEIGHT}")
    if len({node.name for node in nodes}) < len(nodes):
        raise SettingsError("media.nodes: each node once")


def _check_control(control: ControlSettings, sip: SipSettings) -> None:
    try:
        loopback = ipaddress.ip_address(control.address).is_loopback
    except ValueError as error:
        raise SettingsError(f"control.address: {error}") from error
    if not loopback:
        raise SettingsError(
            "control.address: only a loopback address, who knows the secret may do everything"
        )
    if not 1 <= control.port <= MAX_PORT or control.port in (sip.port, sip.ws_port):
        raise SettingsError(f"control.port: 1 to {MAX_PORT}, and no port that pages or the core can reach")
    if not re.fullmatch(rf"[\x21-\x7e]{{{_MIN_SECRET_LENGTH},}}", control.secret):
        raise SettingsError(f"control.secret: at least {_MIN_SECRET_LENGTH} characters, none of them a space")


def _check_registration(policy: RegistrationPolicy, tokens: TokenSettings) -> None:
    if not policy.schemes or not set(policy.schemes) <= set(SCHEMES):
        raise SettingsError(f"registration.schemes: one or more of {', '.join(SCHEMES)}")
    if "bearer" in policy.schemes and not tokens.issuers:
        raise SettingsError("tokens.issuers: at least one, or no page can register with a token")
    if policy.digest_protection not in ACCESS_PROTECTIONS:
        raise SettingsError('registration.digest_protection: "tls", "ip-assoc" or ""')
    if not all(_LINE.fullmatch(text) for text in (*policy.contact_tags, policy.access_network_info)):
        raise SettingsError("registration: contact_tags and access_network_info stand on one line each")
    for issuer in tokens.issuers:
        _check_issuer(issuer)


def _check_policy(policy: CallPolicy) -> None:
    if not 0 <= policy.longest_call_s <= MAX_LIFETIME_S:
        raise SettingsError(f"policy.longest_call_s: at most {MAX_LIFETIME_S}, or 0 for no limit")
    for name, check in (
        ("allowed_numbers", check_prefix),
        ("denied_numbers", check_prefix),
        ("domains", check_domain),
    ):
        for text in getattr(policy, name):
            _keyed(f"policy.{name}", check, text)


def _check_issuer(issuer: TokenIssuer) -> None:
    key = f"tokens.issuers: {issuer.issuer!r}:"
    if not issuer.algorithms or not set(issuer.algorithms) <= set(ALGORITHMS):
        raise SettingsError(f"{key} algorithms: one or more of {', '.join(ALGORITHMS)}")
    if not issuer.authz_server.startswith("https://"):
        raise SettingsError(f"{key} authz_server must be an https URL (RFC 8898 §4)")
    if not all(_QUOTED.fullmatch(text) for text in (issuer.issuer, issuer.scope, issuer.authz_server)):
        raise SettingsError(f"{key} issuer, scope and authz_server must not be empty nor need escaping")
    if not 0 < issuer.max_lifetime_s <= MAX_TOKEN_LIFETIME_S:
        raise SettingsError(f"{key} max_lifetime_s: at most {MAX_TOKEN_LIFETIME_S}")


def load_settings() -> Settings:
    """Read the file named by GATEWAY_SETTINGS."""
    if not (path := os.environ.get(SETTINGS_VARIABLE)):
        raise SettingsError(f"{SETTINGS_VARIABLE} is not set")
    try:
        return settings_from_text(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error
