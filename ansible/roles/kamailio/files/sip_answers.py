"""Tells whether one of some SIP entry points answers OPTIONS, over UDP or TCP: sip_answers.py OWN_ADDRESS URI...

Run on a node before anything is installed there: Python's standard library only.  Exit status 0: one answers, or may
be named by SRV records alone (RFC 3263 §4.2), which are not looked up here.
"""

from __future__ import annotations

import re
import secrets
import socket
import sys

TIMEOUT_S = 1.0
ATTEMPTS = 3
DEFAULT_PORT = 5060
URI = re.compile(r"sips?:(?:[^@;]*@)?(?P<host>\[[^\]]+\]|[^:;]+)(?::(?P<port>\d+))?")


def request(protocol: str, own: str, host: str, port: int) -> bytes:
    """Build one OPTIONS."""
    branch = secrets.token_hex(8)
    lines = [
        f"OPTIONS sip:{host}:{port} SIP/2.0",
        f"Via: SIP/2.0/{protocol} {own};branch=z9hG4bK{branch};rport",
        "Max-Forwards: 5",
        f"From: <sip:preflight@{own}>;tag={branch}",
        f"To: <sip:{host}:{port}>",
        f"Call-ID: {branch}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def answers(own: str, host: str, port: int) -> bool:
    """Ask over UDP, then over TCP, by IPv4, as the gateway does; any SIP response counts."""
    bare = host.strip("[]")
    family, _, _, _, address = socket.getaddrinfo(bare, port, family=socket.AF_INET, type=socket.SOCK_DGRAM)[
        0
    ]
    for kind, protocol in ((socket.SOCK_DGRAM, "UDP"), (socket.SOCK_STREAM, "TCP")):
        for _ in range(ATTEMPTS if kind is socket.SOCK_DGRAM else 1):
            with socket.socket(family, kind) as line:
                line.settimeout(TIMEOUT_S)
                try:
                    line.bind((own.strip("[]"), 0))
                    line.connect(address)
                    said_from = line.getsockname()
                    line.sendall(request(protocol, f"{own}:{said_from[1]}", host, port))
                    if line.recv(4096).startswith(b"SIP/2.0 "):
                        return True
                except OSError:
                    continue
    return False


def main() -> int:
    """Ask all of them."""
    own, *uris = sys.argv[1:]
    status = 1
    for uri in uris:
        found = URI.match(uri)
        if found is None:
            print(f"{uri} is no SIP URI;", end=" ")
            continue
        try:
            if answers(own, found["host"], int(found["port"] or DEFAULT_PORT)):
                return 0
            print(f"{uri} does not answer;", end=" ")
        except socket.gaierror as error:
            if found["port"] is None and not found["host"].startswith("["):
                status = 0
                service = "_sip._tcp" if "transport=tcp" in uri.lower() else "_sip._udp"
                asked = f"Kamailio asks for SRV of {service}.{found['host']} and for nothing else"
                print(f"{uri} has no address of its own, and was not asked: {asked};", end=" ")
            else:
                print(f"{uri}: {error};", end=" ")
        except OSError as error:
            print(f"{uri}: {error};", end=" ")
    return status


if __name__ == "__main__":
    sys.exit(main())
