"""Knocks at a port, as a program of its own in some network, and says whether somebody answers.

python -m tests.provision.knock KIND HOST PORT       # KIND: tcp, stun, sip, ng; says "answered" or "silent"
"""

import os
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Final

import click

from tests.lab.kamailio import answers_options

TIMEOUT_S: Final = 1.0
STUN_COOKIE: Final = 0x2112A442
STUN_RESPONSE: Final = b"\x01\x01"


def takes_connections(host: str, port: int) -> bool:
    """Connect by TCP."""
    socket.create_connection((host, port), TIMEOUT_S).close()
    return True


def answers_stun(host: str, port: int) -> bool:
    """Send a binding request (RFC 8489)."""
    return _asked(host, port, struct.pack("!HHI12s", 1, 0, STUN_COOKIE, os.urandom(12))).startswith(
        STUN_RESPONSE
    )


def answers_ng(host: str, port: int) -> bool:
    """Send a ping of rtpengine's control protocol."""
    return b"pong" in _asked(host, port, b"knock d7:command4:pinge")


def _asked(host: str, port: int, question: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(TIMEOUT_S)
        line.connect((host, port))
        line.send(question)
        return line.recv(4096)


KINDS: Final[Mapping[str, Callable[[str, int], bool]]] = {
    "tcp": takes_connections,
    "stun": answers_stun,
    "sip": answers_options,
    "ng": answers_ng,
}


@click.command()
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.argument("host")
@click.argument("port", type=int)
def main(kind: str, host: str, port: int) -> None:
    """Knock once."""
    try:
        answered = KINDS[kind](host, port)
    except OSError:
        answered = False
    click.echo("answered" if answered else "silent")


if __name__ == "__main__":
    main()
