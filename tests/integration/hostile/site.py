"""A site whose limits are soon met, with a real core, and clients of it that have addresses of their own.

HAProxy, gateway and web API are real; each test attacks from loopback addresses nobody else has.  127.0.0.1, where the
core lives, is trusted, and nobody else is.
"""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import redis

from kemi.state import keys
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS, LabOptions, Part
from tests.lab.ports import LOOPBACK
from tests.peers.digest import Credentials
from tests.peers.websocket import Handshake, unverified_tls
from tests.peers.wic import ScriptedWic, WicIdentity

PARTS: Final = frozenset(
    {Part.REDIS, Part.RTPENGINE, Part.IMS, Part.GATEWAY, Part.WEB_API, Part.HAPROXY, Part.MEDIA_AGENT}
)
CONNECTIONS: Final = 40
CONNECTIONS_PER_10S: Final = 60
NEW_PER_S: Final = 150
WAITING: Final = 90
REQUESTS_PER_10S: Final = 200
ERRORS_PER_10S: Final = 30
POINTS: Final = 8
BAN_S: Final = 10
MARK_S: Final = 1
LOGIN_ATTEMPTS: Final = 4
LOGIN_WINDOW_S: Final = 10
TRUSTED: Final = f"{LOOPBACK}/32"

_TLS: Final = unverified_tls()
_hosts = itertools.count(1)


def hostile_options(**gateway: Any) -> LabOptions:
    """Return the lab."""
    kamailio = {
        **NO_LIMITS,
        "gateway_limits_connection": {"register": 100, "invite": 2, "in_call": 30, "other": 10},
        "gateway_limits_burst_s": 2,
        "gateway_core_networks": [TRUSTED],
        "gateway_trusted_networks": [TRUSTED],
        "gateway_unregistered_timeout_s": 30,
        "gateway_ban_points": POINTS,
        "gateway_ban_known_factor": 10,
        "gateway_ban_s": BAN_S,
        **gateway,
    }
    haproxy = {
        "haproxy_client_connections": CONNECTIONS,
        "haproxy_client_connections_per_10s": CONNECTIONS_PER_10S,
        "haproxy_new_connections_per_s": NEW_PER_S,
        "haproxy_new_connections_waiting": WAITING,
        "haproxy_client_requests_per_10s": REQUESTS_PER_10S,
        "haproxy_client_errors_per_10s": ERRORS_PER_10S,
        "haproxy_trusted_networks": [TRUSTED],
        "haproxy_ban_mark_s": MARK_S,
        "haproxy_request_timeout_s": 1,
        "haproxy_handshake_timeout_s": 1,
    }
    web = {
        "webapp_api_login_attempts": 1000,
        "webapp_api_login_attempts_per_address": LOGIN_ATTEMPTS,
        "webapp_api_login_window_s": LOGIN_WINDOW_S,
    }
    variables = {"kamailio": kamailio, "haproxy": haproxy, "webapp_api": web}
    return LabOptions(parts=PARTS, phones=(), role_variables=variables)


def new_host() -> str:
    """Return a client address nobody has used yet."""
    number = next(_hosts)
    return f"127.66.{number // 250}.{number % 250 + 1}"


class Client:
    """Somebody with an address of his own, who speaks TLS with the public origin and keeps to nothing else."""

    def __init__(self, lab: Lab, host: str = "") -> None:
        self.host = host or new_host()
        self.origin = lab.info.web.origin
        self._place = (LOOPBACK, urlsplit(self.origin).port or 443)
        self._lab = lab

    def tcp(self) -> socket.socket:
        """Connect; the front may end the connection at once."""
        return socket.create_connection(self._place, 3, source_address=(self.host, 0))

    def tls(self) -> ssl.SSLSocket:
        """Connect and shake hands; raise OSError where the front does not want us."""
        return _TLS.wrap_socket(self.tcp(), server_hostname="localhost")

    def is_let_in(self) -> bool:
        """Whether the front takes connections of this address; not asked more often than any client may."""
        time.sleep(0.2)
        try:
            self.tls().close()
        except OSError:
            return False
        return True

    def ask(self, data: bytes, *, wait_s: float = 2.0) -> bytes:
        """Send bytes and return all that comes until the other side ends the connection, or is silent."""
        with self.tls() as line:
            line.settimeout(wait_s)
            line.sendall(data)
            found = b""
            try:
                while more := line.recv(65536):
                    found += more
            except OSError:
                pass
            return found

    def get(self, path: str, *lines: str) -> int:
        """Ask for something and return the status."""
        fields = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *lines, "", ""]
        return int(self.ask("\r\n".join(fields).encode(), wait_s=10).split(b" ", 2)[1])

    def handshake(self, origin: str | None = None) -> Handshake:
        """Return how a page at this address connects."""
        return Handshake(
            self._lab.info.web.wss_url, origin or self.origin, forwarded_for=None, source_address=self.host
        )

    def page(self, name: str, password: str = "") -> ScriptedWic:
        """Return a page of a user of the core, or of nobody, at this address."""
        user = self._lab.info.users.get(name)
        impi = user.impi if user else f"{name}@{self._lab.info.ims.realm}"
        secret = password or (user.password if user else "guessed")
        return ScriptedWic(
            self.handshake(), WicIdentity(f"sip:{impi}", credentials=Credentials(impi, secret))
        )


def bans(lab: Lab) -> dict[str, dict[str, Any]]:
    """Return which addresses are banned, as Redis has it."""
    store = redis.Redis.from_url(lab.info.redis_url, decode_responses=True)
    try:
        return {str(host): json.loads(text) for host, text in store.hgetall(keys.BANS).items()}
    finally:
        store.close()


def tell_front(lab: Lab, command: str) -> None:
    """Say something to HAProxy's admin socket, as the role's tasks do."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(5)
        line.connect(str(Path(lab.info.run_dir) / "haproxy.sock"))
        line.sendall(f"{command}\n".encode())
        answer = b"".join(iter(lambda: line.recv(65536), b"")).decode().strip()
    assert not answer


def log_of(lab: Lab, name: str) -> str:
    """Return the whole log of a program."""
    return (Path(lab.info.log_dir) / f"{name}.log").read_text(errors="replace")


def was_banned(lab: Lab, host: str) -> bool:
    """Whether the gateway has ever banned an address; on a busy machine the ban may be over."""
    return f"event=address_banned address={host} " in log_of(lab, "gateway")


def bans_here(lab: Lab) -> dict[str, dict[str, Any]]:
    """Return which addresses are banned, as the gateway has it."""
    now = time.time()
    found = {host: json.loads(text) for host, text in lab.gateway_rpc.htable("ban").items()}
    return {host: ban for host, ban in found.items() if ban["until"] > now}
