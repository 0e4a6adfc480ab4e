"""Where everything of a running lab is, as data (lab.json) and as tools to look inside it.

A test in the launching process has the `Lab` itself; any other process reads lab.json and gets a `World`.
"""

import http.client
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from rtpengine.ng.commands import Command, List, R
from rtpengine.pool import NodeAddress
from rtpengine.transport.udp import UdpClient
from tests.lab.baresip import Phone
from tests.lab.control import Control
from tests.lab.kamailio import KamailioRpc
from tests.lab.ports import LOOPBACK

INFO_FILE: Final = "lab.json"


class UserInfo(msgspec.Struct, frozen=True):
    """A subscriber as a client needs it."""

    name: str
    impi: str
    impu: str
    tel: str
    scheme: str
    password: str


class WebInfo(msgspec.Struct, frozen=True):
    """The public origin: HTTPS pages and API, SIP over secure WebSocket."""

    origin: str
    wss_url: str
    # The web service without the TLS front.
    service_url: str
    certificate: str
    # Accounts of the web service: login name -> password, which is not the SIP password.
    accounts: Mapping[str, str]
    # Where Prometheus reads this machine's figures (HAProxy's; /gateway, /media_agent and /webapp_api below it).
    metrics_url: str


class GatewayInfo(msgspec.Struct, frozen=True):
    """The eP-CSCF: `sip` towards the core (UDP and TCP, STUN on UDP), `ws` for HAProxy, `control` for the node's own
    programs."""

    address: str
    sip_port: int
    ws_port: int
    control_port: int
    control_secret: str
    rpc_socket: str
    # Of the home part, where the gateway is its own home network.
    home_port: int


class RtpengineInfo(msgspec.Struct, frozen=True):
    """The eIMS-AGW."""

    ng_address: str
    ng_port: int
    cli_port: int
    wic_address: str
    ims_address: str
    port_min: int
    port_max: int
    dtmf_port: int


class ImsInfo(msgspec.Struct, frozen=True):
    """The core's nodes as SIP URIs, its HSS control line and RPC sockets by node."""

    realm: str
    icscf: str
    scscf: str
    pcscf: str
    hss_control_port: int
    rpc_sockets: Mapping[str, str]


class PhoneInfo(msgspec.Struct, frozen=True):
    """One baresip phone."""

    name: str
    impu: str
    tel: str
    sip_port: int
    control_port: int
    folder: str
    audio_codecs: tuple[str, ...]
    video_codec: str
    tone_hz: int


class ServiceInfo(msgspec.Struct, frozen=True):
    """The PSTN gateway or the conference service: what to dial, what is heard, where it is asked."""

    uri: str
    sip_port: int
    control_port: int
    tone_hz: int


class ConferenceInfo(ServiceInfo, frozen=True):
    """The conference service: `uri` is an open room; behind the door's URI and number a PIN leads into a room."""

    door_uri: str
    door_number: str
    # PIN -> the room it leads into.
    pins: Mapping[str, str]


class LabInfo(msgspec.Struct, frozen=True):
    """Everything about one lab; addresses are planned for all parts, `parts` says which of them run."""

    run_dir: str
    log_dir: str
    parts: tuple[str, ...]
    # Whether the gateway is its own home network.
    standalone: bool
    launcher_pid: int
    processes: Mapping[str, int]
    web: WebInfo
    gateway: GatewayInfo
    rtpengine: RtpengineInfo
    ims: ImsInfo
    redis_url: str
    users: Mapping[str, UserInfo]
    phones: Mapping[str, PhoneInfo]
    pstn: ServiceInfo
    conference: ConferenceInfo


def info_to_file(info: LabInfo, path: Path) -> None:
    """Write lab.json, readable for its owner only: it holds passwords and process ids."""
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n")


def info_from_file(path: Path) -> LabInfo:
    """Read lab.json."""
    return msgspec.json.decode(path.read_bytes(), type=LabInfo)


class World:
    """Tools to look inside a running lab."""

    info: LabInfo

    @cached_property
    def hss(self) -> Control:
        """Ask the HSS: peers, fault, records, terminate, subscriptions."""
        return Control(LOOPBACK, self.info.ims.hss_control_port)

    @cached_property
    def pstn(self) -> Control:
        """Ask the PSTN gateway: calls, dial, hangup."""
        return Control(LOOPBACK, self.info.pstn.control_port)

    @cached_property
    def conference(self) -> Control:
        """Ask the conference service: calls, hangup."""
        return Control(LOOPBACK, self.info.conference.control_port)

    @cached_property
    def gateway_rpc(self) -> KamailioRpc:
        """Ask the gateway's Kamailio."""
        return KamailioRpc(Path(self.info.gateway.rpc_socket))

    def relay_calls(self) -> tuple[str, ...]:
        """Return the ng call-ids the media relay knows."""
        return self.ask_relay(List()).call_ids

    def ask_relay(self, command: Command[R]) -> R:
        """Send one ng command to the media relay; raise the ng client's errors."""
        client = UdpClient(NodeAddress(self.info.rtpengine.ng_address, self.info.rtpengine.ng_port))
        try:
            return client.request(command)
        finally:
            client.close()

    def control(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        secret: str | None = None,
        port: int | None = None,
    ) -> tuple[int, Any]:
        """Ask the gateway's control endpoint; return status and what it says, as JSON where it is.

        Args:
            method, path: of the request.
            body: bytes are sent as they are, anything but None as JSON.
            secret: "" sends none; None: the right one.
            port: another port than the endpoint's.
        """
        secret = self.info.gateway.control_secret if secret is None else secret
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        line = http.client.HTTPConnection(LOOPBACK, port or self.info.gateway.control_port, timeout=5)
        try:
            line.request(method, path, content, {"Authorization": f"Bearer {secret}"} if secret else {})
            response = line.getresponse()
            text = response.read()
            is_json = response.headers["Content-Type"] == "application/json"
            return response.status, msgspec.json.decode(text) if is_json else text.decode()
        finally:
            line.close()

    def core_rpc(self, node: str) -> KamailioRpc:
        """Ask a node of the core: icscf, scscf or pcscf."""
        return KamailioRpc(Path(self.info.ims.rpc_sockets[node]))

    @cached_property
    def _phones(self) -> dict[str, Phone]:
        return {}

    def phone(self, name: str) -> Phone:
        """Return a phone's control line, the same one every time."""
        if name not in self._phones:
            phone = self.info.phones[name]
            self._phones[name] = Phone(LOOPBACK, phone.control_port, Path(phone.folder))
        return self._phones[name]

    def disconnect(self) -> None:
        """Close the lines to the phones."""
        for phone in self._phones.values():
            phone.close()
        self._phones.clear()


def world_from_file(path: Path) -> World:
    """Attach to a lab that another process has started."""
    world = World()
    world.info = info_from_file(path)
    return world
