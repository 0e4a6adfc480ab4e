"""Run in network and mount namespaces of its own: a next hop that is a name, and a name server that says nothing.

Kamailio has the environment of its service.  Prints how long the worker stood still for one request, in seconds,
whether it was sent, and the types of the records that were asked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.contract.kamailio.running import PROBE, running
from tests.lab.ports import LOOPBACK
from tests.lab.roles import ROLES

LONGEST_S = 60.0
SERVICE = ROLES / "kamailio/templates/kamailio-service.conf.j2"
RESOLV_CONF = "nameserver 127.0.0.1\nsearch site.example\n"
QUESTION = """\
SUBSCRIBE sip:probe@127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKnamed;rport
Max-Forwards: 5
From: <sip:named@127.0.0.1>;tag=named
To: <sip:probe@127.0.0.1>
Call-ID: named@127.0.0.1
CSeq: 1 SUBSCRIBE
Content-Length: 0

"""


def _asked(silent: socket.socket) -> Iterator[int]:
    """The types in the questions that nobody has answered (RFC 1035 §4.1.2)."""
    silent.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            question = silent.recv(512)[12:]
            yield int.from_bytes(question[question.index(0) + 1 :][:2])


def main() -> int:
    """Do it."""
    for name, value in re.findall(r'^Environment="(RES_OPTIONS)=(.*)"$', SERVICE.read_text(), re.MULTILINE):
        os.environ[name] = value
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        own = Path(folder) / "resolv.conf"
        own.write_text(RESOLV_CONF, encoding="utf-8")
        subprocess.run(["mount", "--bind", str(own), "/etc/resolv.conf"], check=True)
        silent.bind((LOOPBACK, 53))
        with (
            running(Path(folder), PROBE) as kamailio,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as page,
        ):
            page.settimeout(LONGEST_S)
            page.connect((LOOPBACK, kamailio.sip_port))
            began = time.monotonic()
            page.send(QUESTION.replace("\n", "\r\n").encode())
            answer = page.recv(65_536).decode()
            took_s, is_sent = time.monotonic() - began, json.loads(answer.partition("\r\n\r\n")[2])
            print(json.dumps([took_s, is_sent, sorted(set(_asked(silent)))]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
