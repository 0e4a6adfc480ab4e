"""A core that answers is not taken for a dead one before anything is changed."""

import runpy
import socket
import sys
import threading
from typing import Any

import pytest

from tests.lab.roles import ROLES

PROGRAM = str(ROLES / "kamailio/files/sip_answers.py")
OWN = "127.0.0.1"


def asked(monkeypatch: pytest.MonkeyPatch, uri: str, found: list[Any]) -> int:
    """Ask an entry point whose name has these addresses; return the exit status."""

    def getaddrinfo(_host: str, _port: int, family: int = 0, type: int = 0) -> list[Any]:
        fit = [one for one in found if family in (0, one[0])]
        if not fit:
            raise socket.gaierror("Name or service not known")
        return fit

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(sys, "argv", [PROGRAM, OWN, uri])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(PROGRAM, run_name="__main__")
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_name_that_has_addresses_of_both_versions_is_asked_by_ipv4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as core:
        core.bind((OWN, 0))
        core.settimeout(5)

        def answer() -> None:
            _, source = core.recvfrom(4096)
            core.sendto(b"SIP/2.0 200 OK\r\n\r\n", source)

        answering = threading.Thread(target=answer)
        answering.start()
        six = (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", 9, 0, 0))
        four = (socket.AF_INET, socket.SOCK_DGRAM, 17, "", core.getsockname())
        assert asked(monkeypatch, "sip:core.example:5060", [six, four]) == 0
        answering.join()


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        pytest.param("sip:ims.example", 0, id="SRV says where"),
        pytest.param("sip:core.ims.example:5060", 1, id="no such name"),
        pytest.param("sip:[2001:db8::1]", 1, id="IPv6"),
    ],
)
def test_a_name_without_address_may_be_one_of_srv(
    monkeypatch: pytest.MonkeyPatch, uri: str, status: int
) -> None:
    assert asked(monkeypatch, uri, []) == status


@pytest.mark.parametrize(
    ("uri", "record"),
    [("sip:ims.example", "_sip._udp.ims.example"), ("sip:b.example;transport=TCP", "_sip._tcp.b.example")],
)
def test_it_says_which_record_such_a_name_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uri: str, record: str
) -> None:
    asked(monkeypatch, uri, [])
    assert f"Kamailio asks for SRV of {record} and for nothing else;" in capsys.readouterr().out
