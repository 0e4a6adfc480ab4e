"""A hundred mistakes of operators: what is written where, and which key must be blamed with what word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mistake:
    """``old`` is replaced by ``new``, once."""

    file: str
    old: str
    new: str
    key: str
    word: str
    """In what is said, suggestion included."""
    blamed: str = ""
    """The file that is to be blamed; "": this one."""


G, W, A, R, H, D = (
    "gateway.toml",
    "webapp_api.toml",
    "media_agent.toml",
    "rtpengine.conf",
    "haproxy.cfg",
    "redis.conf",
)
SECRET: Final = "0123456789abcdef0123456789abcdef"
NODE: Final = '{ address = "127.0.0.1", port = 2223, version = "10.5", weight = 1 }'
AGENTS_NODE: Final = 'port = 2223\nversion = "10.5"'

MISTAKES: Final = tuple(
    Mistake(*parts)
    for parts in (
        # gateway.toml: slips of the pen
        (G, "prack_s =", "prak_s =", "timers.prak_s", "prack_s"),
        (G, "flow_secret =", "flowsecret =", "flowsecret", "flow_secret"),
        (G, "icscf_uris =", "icscf_uri =", "icscf_uri", "icscf_uris"),
        (G, "audio_codecs = [\"opus", "audio_codec = [\"opus", "media.audio_codec", "audio_codecs"),
        (G, "ws_port =", "wsport =", "sip.wsport", "ws_port"),
        (G, "longest_call_s", "longest_call", "policy.longest_call", "longest_call_s"),
        (G, "lock_s =", "locks_s =", "limits.locks_s", "lock_s"),
        (G, "weight = 1", "wieght = 1", "media.nodes[0].wieght", "weight"),
        (G, "domains = [\"pstn", "domain = [\"pstn", "media.profiles[0].domain", "domains"),
        (G, 'profile = "pstn"', 'profiles = "pstn"', "trunks[0].profiles", "profile"),
        (G, "[timers]", "[timer]", "timer", "timers"),
        (G, "invite = 2,", "invites = 2,", "limits.connection.invites", "invite"),
        (G, "audience =", "audiences =", "tokens.issuers[0].audiences", "audience"),
        (G, "[control]", "[controls]", "controls", "control"),
        # types
        (G, "port = 5060", 'port = "5060"', "sip.port", "int"),
        (G, 'realm = "ims.example"', "realm = 1", "realm", "str"),
        (G, 'origins = ["https://gw.example"]', 'origins = "https://gw.example"', "origins", "array"),
        (G, "update_s = 5", 'update_s = "5 s"', "timers.update_s", "float"),
        (G, "from_counts = false", 'from_counts = "no"', "registration.from_counts", "bool"),
        (G, "port = 2223,", 'port = "2223",', "media.nodes[0].port", "int"),
        (G, 'audio_codecs = ["PCMA"]', 'audio_codecs = "PCMA"', "media.profiles[0].audio_codecs", "array"),
        (G, 'uris = ["sip:192.0.2.7:5060"]', 'uris = "sip:192.0.2.7:5060"', "trunks[0].uris", "array"),
        (G, "in_call = 30", 'in_call = "30"', "limits.connection.in_call", "float"),
        (G, "ng_deadline_ms = 1000", "ng_deadline_ms = 1000.5", "media.ng_deadline_ms", "int"),
        (G, 'core_source = "signalled"', 'core_source = "signaled"', "media.core_source", "signaled"),
        # missing
        (G, 'visited_network = "ims.example"\n', "", "visited_network", "missing"),
        (G, 'address = "192.0.2.1"\n', "", "sip.address", "missing"),
        (G, "ws_port = 8080\n", "", "sip.ws_port", "missing"),
        (G, f'secret = "{SECRET}"\n\n[registration]', "\n[registration]", "control.secret", "missing"),
        (G, 'authz_server = "https://gw.example/"\n', "", "tokens.issuers[0].authz_server", "missing"),
        # not TOML
        (G, 'realm = "ims.example"', "realm = ims.example", "", "TOML"),
        (G, 'origins = ["https://gw.example"]', 'origins = ["https://gw.example"', "", "TOML"),
        (G, "prack_s = 32", "prack_s = 32\nprack_s = 33", "", "TOML"),
        (G, 'visited_network = "', "visited_network = “", "", "TOML"),
        # values
        (G, f'flow_secret = "{SECRET}"', 'flow_secret = "secret"', "flow_secret", "32"),
        (G, f'secret = "{SECRET}"\n\n[reg', 'secret = "changeme"\n\n[reg', "control.secret", "32"),
        (G, 'origins = ["https://gw.example"]', "origins = []", "origins", "at least one"),
        (G, 'origins = ["https://gw.example"]', 'origins = ["https://gw.example:443"]', "origins", ":443"),
        (G, 'origins = ["https://gw.example"]', 'origins = ["https://Gw.example"]', "origins", "lower case"),
        (G, 'origins = ["https://gw.example"]', 'origins = ["https://gw.example/"]', "origins", "path"),
        (G, 'origins = ["https://gw.example"]', 'origins = ["gw.example"]', "origins", "scheme"),
        (G, 'realm = "ims.example"', 'realm = ""', "realm", "no domain"),
        (G, 'realm = "ims.example"', 'realm = "sip:ims.example"', "realm", "no domain"),
        (G, '["sip:127.0.0.1:4060"]', "[]", "icscf_uris", "at least one"),
        (G, "sip:127.0.0.1:4060", "127.0.0.1:4060", "icscf_uris", "sip:"),
        (G, "nodes = [\n    " + NODE + ",\n]", "nodes = []", "media.nodes", "at least one"),
        (G, f"{NODE},", f"{NODE},\n    {NODE},", "media.nodes", "once"),
        (G, 'version = "10.5", w', 'version = "latest", w', "media.nodes[0].version", "10.5"),
        (G, "weight = 1 }", "weight = 5000 }", "media.nodes[0].weight", "1000"),
        (G, '["opus", "AMR-WB", "AMR-WB-OA", "PCMA", "PCMU"]', "[]", "media.audio_codecs", "at least one"),
        (G, 'core_leg = "ims"', 'core_leg = "trunk"', "media.core_leg", "trunk-rtp"),
        (G, "prack_s = 32", "prack_s = 0", "timers.prack_s", "positive"),
        (G, "entry_point_s = 5", "entry_point_s = 60", "timers.entry_point_s", "28 s"),
        (G, "session_expires_s = 1800", "session_expires_s = 60", "timers.session_expires_s", "min_se_s"),
        (G, "media_timeout_s = 60", "media_timeout_s = -1", "timers.media_timeout_s", "0"),
        (G, '["digest", "bearer"]', '["basic"]', "registration.schemes", "digest"),
        (G, 'digest_protection = "tls"', 'digest_protection = "yes"', "registration.digest_protection", "ip-assoc"),
        (G, '"https://gw.example/"\n', '"http://gw.example/"\n', "tokens.issuers[0].authz_server", "https"),
        (G, "longest_call_s = 14400", "longest_call_s = 100000", "policy.longest_call_s", "86000"),
        (G, '"+870"', '"+870x"', "policy.denied_numbers", "870x"),
        (G, "domains = []\n", 'domains = ["https://a.example"]\n', "policy.domains", "https"),
        (G, "calls_per_identity = 10", "calls_per_identity = -1", "limits.calls_per_identity", "0"),
        (G, "burst_s = 5", "burst_s = 0", "limits.burst_s", "more than 0"),
        (G, "in_call = 30", "in_call = -30", "limits.connection.in_call", "0 for no limit"),
        (G, "192.0.2.0/24", "192.0.2.1/24", "sip.core_networks", "host bits"),
        (G, 'address = "127.0.0.1"\nport = 8081', 'address = "192.0.2.1"\nport = 8081', "control.address", "loopback"),
        (G, "port = 8081", "port = 8080", "control.port", "reach"),
        (G, "calls_kept_s = 604800", "calls_kept_s = -5", "calls_kept_s", "0"),
        (G, 'name = "pstn"', 'name = "PSTN"', "media.profiles", "a-z"),
        (G, 'profile = "pstn"', 'profile = "isdn"', "trunks[0].profile", "isdn"),
        (G, "sip:192.0.2.7:5060", "192.0.2.7:5060", "trunks[0].uris", "sip:HOST"),
        (G, 'profile = "pstn"', 'profile = "pstn"\nregister = true', "trunks[0].register", "password"),
        (G, 'profile = "pstn"', 'profile = "pstn"\nnumbers = "national"', "trunks[0].country", "capital"),
        (G, 'profile = "pstn"', 'profile = "pstn"\ncaller = "030123"', "trunks[0].caller", "+49"),
        # webapp_api.toml
        (W, "listen_port =", "port =", "port", "unknown"),
        (W, "public_origin =", "origin =", "public_origin", "missing"),
        (W, 'public_origin = "https://gw.example"', 'public_origin = "https://gw.example/"', "public_origin", "path"),
        (W, '"https://gw.example"', '"http://gw.example"', "public_origin", "https"),
        (W, 'domain = "ims.example"', 'domain = "ims example"', "domain", "domain name"),
        (W, '["192.0.2.1:5060"]', '["stun:192.0.2.1:5060"]', "stun_servers", "host:port"),
        (W, "workers = 2", 'workers = "2"', "workers", "whole number"),
        (W, "threads = 8", "threads = 0", "threads", "1 to 256"),
        (W, f'key_secret = "{SECRET}"', 'key_secret = "short"', "key_secret", "32"),
        (W, 'token_algorithm = "ES256"', 'token_algorithm = "HS256"', "token_algorithm", "ES256"),
        (W, "session_idle_s = 3600", "session_idle_s = 50000", "session_idle_s", "session_lifetime_s"),
        (W, "guest_login = false", "guest_login = true", "guest_login", "identity_pool"),
        (W, "redis://127.0.0.1:6379/0", "127.0.0.1:6379", "redis_url", "URL"),
        (G, "redis://127.0.0.1:6379/0", "redis://127.0.0.1:70000/0", "redis_url", "65535"),
        (W, "token_lifetime_s = 600", "token_lifetime_s = 3600", "token_lifetime_s", "600"),
        # media_agent.toml
        (A, "ping_s =", "pings_s =", "health.pings_s", "ping_s"),
        (A, "silent_s = 0.6", "silent_s = 0.1", "health", "order"),
        (A, f'secret = "{SECRET}"', 'secret = "x"', "control.secret", "32"),
        (A, AGENTS_NODE, AGENTS_NODE.replace("2223", '"2223"'), "nodes[0].port", "int"),
        # rtpengine.conf
        (R, "[rtpengine]", "[rtpengine-daemon]", "", "[rtpengine]"),
        (R, "interface = wic/192.0.2.1;ims/192.0.2.2", "interface = 192.0.2.1", "interface", "wic/"),
        (R, "wic/192.0.2.1;", "wic/0.0.0.0;", "interface", "every address"),
        (R, "wic/192.0.2.1;", "wic/192.0.2.1!2001:db8::1;", "interface", "another IP version"),
        (R, "port-min = 30000", "port-min = 50000", "port-min", "no range"),
        (R, "delete-delay = 0", "delete-delay = 30", "delete-delay", "0"),
        (R, "mos = LQ\n", "", "mos", "LQ"),
        (R, "listen-ng = 127.0.0.1:2223", "listen-ng = 127.0.0.1", "listen-ng", "port"),
        (R, "silent-timeout =", "silent-timout =", "silent-timout", "silent-timeout"),
        (R, "timeout = 14400\nsilent", "timeout = 1h\nsilent", "timeout", "number"),
        # redis.conf
        (D, "noeviction", "allkeys-lru", "maxmemory-policy", "noeviction"),
        (D, "bind 127.0.0.1", "bind 0.0.0.0", "bind", "password"),
        (D, "protected-mode yes", "protected-mode no", "protected-mode", "yes"),
        # one file beside another
        (W, 'domain = "ims.example"', 'domain = "other.example"', "domain", "realm"),
        (W, '"https://gw.example"', '"https://www.example"', "origins", "www.example", G),
        (W, "6379/0", "6379/1", "redis_url", "another Redis"),
        (W, ":5060", ":3478", "stun_servers", "5060"),
        (W, "listen_port = 8000", "listen_port = 8001", "", "8001", H),
        (W, 'token_issuer = ""', 'token_issuer = "https://id.example"', "tokens.issuers", "id.example", G),
        (W, 'token_audience = ""', 'token_audience = "sip:other"', "tokens.issuers[0].audience", "sip:other", G),
        (G, '["digest", "bearer"]', '["digest"]', "registration.schemes", "log in"),
        (A, "port = 8081", "port = 8082", "control.port", "not heard"),
        (A, SECRET, SECRET[::-1], "control.secret", "not heard"),
        (A, AGENTS_NODE, AGENTS_NODE.replace("2223", "2229"), "media.nodes[0]", "2223", G),
        (A, AGENTS_NODE, AGENTS_NODE.replace("10.5", "12.5"), "nodes[0].version", "12.5"),
        (A, "exclusive = false", "exclusive = true", "reconcile.exclusive", "192.0.2.9"),
        (R, "listen-ng = 127.0.0.1:2223", "listen-ng = 127.0.0.1:2299", "listen-ng", "2299"),
        (R, "dtmf-log-dest = 127.0.0.1:2225", "dtmf-log-dest = 127.0.0.1:2230", "dtmf-log-dest", "2225"),
        (R, "dtmf-log-dest = 127.0.0.1:2225\n", "", "dtmf-log-dest", "missing"),
        (R, "port-min = 30000", "port-min = 5000", "port-min", "5060"),
        (G, "ws_port = 8080", "ws_port = 8000", "listen_port", "too", W),
        (H, "server kamailio 127.0.0.1:8080", "server kamailio 127.0.0.1:8088", "", "8080"),
        (D, "port 6379", "port 6380", "redis_url", "6380", G),
    )
)  # fmt: skip
