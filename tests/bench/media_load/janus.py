"""Janus with its SIP plugin, as Debian packs it, and the callee it calls.

`apt-get install --no-install-recommends janus`; its service need not run. Everything but the SIP plugin and WebSocket
is switched off, logs go nowhere.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.bench.targets import wait_for_port
from tests.lab.ports import PortBlocks, PortMode
from tests.peers.sip import SipRequest, message_from_bytes, message_to_bytes, new_tag, response_to

PROGRAM: Final = shutil.which("janus")
HOW_TO_INSTALL: Final = (
    "Janus is not installed: apt-get install --no-install-recommends janus && systemctl disable --now janus"
)
_LIBRARY: Final = Path("/usr/lib/x86_64-linux-gnu/janus")
_PATIENCE_S: Final = 10.0
_PORTS: Final = "33000-60000"
"""Of RTP. Not the lab's, and taken by chance: Janus tries again where one is in use."""
_LARGEST: Final = 65_507
_LOOPBACK: Final = "127.0.0.1"


class JanusError(RuntimeError):
    """Janus did not do what it was asked."""


class Janus:
    """A running Janus and one session in it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, host: str) -> None:
        self.pid, self.port, self.host = process.pid, port, host
        self._callee = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._callee.bind((_LOOPBACK, 0))
        self._callee.settimeout(_PATIENCE_S)
        self._web: ClientConnection = _connected(port)
        self._events: list[dict[str, Any]] = []
        self._session = self._ask({"janus": "create"})["data"]["id"]
        self._users = 0

    def call(self, offer: str, core_host: str, core_port: int) -> tuple[str, str]:
        """Call from a new handle; returns the answer for the page and the offer the core got."""
        self._users += 1
        attach = {"janus": "attach", "plugin": "janus.plugin.sip"}
        handle = self._ask(attach)["data"]["id"]
        # As a guest: no registrar, and no REGISTER, which is no part of what is measured.
        user = f"sip:user{self._users}@{_LOOPBACK}"
        self._message(handle, {"request": "register", "type": "guest", "username": user})
        self._event(handle, "registered")
        uri = f"sip:callee@{_LOOPBACK}:{self._callee.getsockname()[1]}"
        self._message(handle, {"request": "call", "uri": uri}, {"type": "offer", "sdp": offer})
        core_offer = self._answer(core_host, core_port)
        return self._event(handle, "accepted")["jsep"]["sdp"], core_offer

    def close(self) -> None:
        """Close our sockets."""
        self._web.close()
        self._callee.close()

    def _message(self, handle: int, body: dict[str, Any], jsep: dict[str, str] | None = None) -> None:
        message = {"janus": "message", "handle_id": handle, "body": body}
        self._ask(message if jsep is None else {**message, "jsep": jsep}, "ack")

    def _ask(self, message: dict[str, Any], expected: str = "success") -> dict[str, Any]:
        transaction = secrets.token_hex(6)
        message = {**message, "transaction": transaction}
        if hasattr(self, "_session"):
            message["session_id"] = self._session
        self._web.send(json.dumps(message))
        while True:
            reply = self._read()
            if reply["janus"] == "event":  # may overtake the acknowledgement, and has its transaction
                self._events.append(reply)
            elif reply.get("transaction") == transaction:
                if reply["janus"] != expected:
                    raise JanusError(str(reply))
                return reply

    def _event(self, handle: int, name: str) -> dict[str, Any]:
        while True:
            reply = self._events.pop(0) if self._events else self._read()
            data = reply.get("plugindata", {}).get("data", {})
            if reply.get("sender") == handle and (reply["janus"] == "hangup" or "error" in data):
                raise JanusError(str(reply))
            if reply.get("sender") == handle and data.get("result", {}).get("event") == name:
                return reply

    def _read(self) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(self._web.recv(_PATIENCE_S))
        return reply

    def _answer(self, host: str, port: int) -> str:
        """Take the INVITE and answer it with Opus at this address; returns its offer."""
        while True:
            data, source = self._callee.recvfrom(_LARGEST)
            request = message_from_bytes(data)
            if isinstance(request, SipRequest) and request.method == "INVITE":
                break
        lines = [
            "v=0",
            f"o=callee 1 1 IN IP4 {host}",
            "s=-",
            f"c=IN IP4 {host}",
            "t=0 0",
            f"m=audio {port} RTP/AVP 111",
            "a=rtpmap:111 opus/48000/2",
            "a=sendrecv",
        ]
        contact = ("Contact", f"<sip:callee@{_LOOPBACK}:{self._callee.getsockname()[1]}>")
        sdp = "\r\n".join(lines) + "\r\n"
        response = response_to(request, 200, to_tag=new_tag(), headers=[contact], sdp=sdp)
        self._callee.sendto(message_to_bytes(response), source)
        return request.sdp


@dataclass(frozen=True)
class Server:
    """A running Janus."""

    process: subprocess.Popen[bytes]
    port: int
    """Of its WebSocket, on loopback."""
    host: str
    """Where its ICE is."""


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Run Janus with a configuration of its own until the block ends."""
    if PROGRAM is None:
        raise JanusError(HOW_TO_INSTALL)
    with PortBlocks(PortMode.FREE, rtp_ports=0) as blocks:
        port, host = blocks.port(), _own_address()
        _write_configuration(folder, port)
        command = [PROGRAM, "-F", str(folder), "-C", str(folder / "janus.jcfg")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            wait_for_port(port, process)
            yield Server(process, port, host)
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def running_janus(folder: Path) -> Iterator[Janus]:
    """Run Janus with one session until the block ends."""
    with running_server(folder) as server:
        janus = Janus(server.process, server.port, server.host)
        yield janus
        janus.close()


def _write_configuration(folder: Path, port: int) -> None:
    disabled = {
        kind: ",".join(sorted(path.name for path in (_LIBRARY / kind).glob("*.so") if path.name != kept))
        for kind, kept in (("plugins", "libjanus_sip.so"), ("transports", "libjanus_websockets.so"))
    }
    files = {
        "janus.jcfg": f"""
general: {{
  configs_folder = "{folder}"
  plugins_folder = "{_LIBRARY}/plugins"
  transports_folder = "{_LIBRARY}/transports"
  events_folder = "{_LIBRARY}/events"
  loggers_folder = "{_LIBRARY}/loggers"
  debug_level = 3
  session_timeout = 0
}}
plugins: {{ disable = "{disabled["plugins"]}" }}
transports: {{ disable = "{disabled["transports"]}" }}
""",
        "janus.plugin.sip.jcfg": f"""
general: {{
  local_ip = "{_LOOPBACK}"
  rtp_port_range = "{_PORTS}"
}}
""",
        "janus.transport.websockets.jcfg": f"""
general: {{
  ws = true
  ws_ip = "{_LOOPBACK}"
  ws_port = {port}
}}
""",
    }
    for name, text in files.items():
        (folder / name).write_text(text)


def _own_address() -> str:
    """Return an address of this machine that is not loopback: Janus' ICE has no candidates there.

    Packets to it stay in this machine all the same.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            return _LOOPBACK
        address: str = asking.getsockname()[0]
        return address


def _connected(port: int) -> ClientConnection:
    return connect(
        f"ws://{_LOOPBACK}:{port}",
        subprotocols=[Subprotocol("janus-protocol")],
        compression=None,
        ping_interval=None,
        legacy=True,
    )
