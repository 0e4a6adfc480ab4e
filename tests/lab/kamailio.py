"""Running Kamailio in the lab and looking inside it: command line, readiness by OPTIONS, JSON-RPC by datagram."""

import json
import os
import secrets
import socket
import tempfile
from pathlib import Path
from typing import Any, Final

BINARY: Final = os.environ.get("KAMAILIO", "/usr/sbin/kamailio")
RPC_TIMEOUT_S: Final = 5.0
OPTIONS_TIMEOUT_S: Final = 0.3
# A Unix socket's path must fit in 108 bytes.
SOCKET_PATH_LIMIT: Final = 107


class RpcError(Exception):
    """Kamailio answered an RPC with an error."""


def command_line(
    config: Path, run_dir: Path, shm_mb: int, pkg_mb: int, memory_manager: str = "qm"
) -> list[str]:
    """Build the command that runs Kamailio in the foreground, logging to standard error."""
    memory = ["-m", str(shm_mb), "-M", str(pkg_mb), "-x", memory_manager, "-X", memory_manager]
    folders = ["-Y", str(run_dir), "-w", str(run_dir), "-P", str(run_dir / f"{config.stem}.pid")]
    return [BINARY, "-DD", "-E", *memory, "-f", str(config), *folders]


def answers_options(address: str, port: int) -> bool:
    """Tell whether a SIP server answers OPTIONS over UDP with 200."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(OPTIONS_TIMEOUT_S)
        probe.connect((address, port))
        own_address, own_port = probe.getsockname()
        branch = secrets.token_hex(8)
        lines = [
            f"OPTIONS sip:{address}:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP {own_address}:{own_port};branch=z9hG4bK{branch};rport",
            "Max-Forwards: 5",
            f"From: <sip:lab@{own_address}>;tag={branch}",
            f"To: <sip:{address}:{port}>",
            f"Call-ID: {branch}@{own_address}",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
        ]
        probe.send("\r\n".join([*lines, "", ""]).encode())
        return probe.recv(4096).startswith(b"SIP/2.0 200 ")


class KamailioRpc:
    """JSON-RPC 2.0 over Kamailio's datagram socket."""

    def __init__(self, rpc_socket: Path) -> None:
        self.rpc_socket = rpc_socket

    def __call__(self, method: str, *params: str | int) -> Any:
        """Call one RPC and return its result; raise RpcError with Kamailio's text."""
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        with (
            tempfile.TemporaryDirectory(prefix="rpc-") as folder,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line,
        ):
            line.bind(f"{folder}/answer")
            line.settimeout(RPC_TIMEOUT_S)
            line.sendto(json.dumps(question).encode(), str(self.rpc_socket))
            answer = json.loads(line.recv(1 << 18))
        if "error" in answer:
            raise RpcError(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def htable(self, name: str) -> dict[str, Any]:
        """Return a hash table's entries by key."""
        return {slot["name"]: slot["value"] for entry in self("htable.dump", name) for slot in entry["slot"]}
