"""What the doctor says of entry points of the core that are names: as Kamailio would look them up."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from webapp_api.gwctl.machine.core import _entry_point

V4 = (socket.AF_INET, 1, 6, "", ("127.0.0.1", 0))
NOBODY = (socket.AF_INET, 1, 6, "", ("127.0.0.77", 0))
V6 = (socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0))


@pytest.fixture
def core_port() -> Iterator[int]:
    """A core that answers over UDP alone, at 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as core:
        core.bind(("127.0.0.1", 0))

        def answer() -> None:
            while (asked := core.recvfrom(4096))[0] != b"end":
                core.sendto(b"SIP/2.0 200 OK\r\n\r\n", asked[1])

        thread = threading.Thread(target=answer)
        thread.start()
        yield core.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", core.getsockname())
        thread.join()


def told(
    monkeypatch: pytest.MonkeyPatch, uri: str, *addresses: object, is_alone: bool = True
) -> list[tuple[str, str]]:
    """Return level and subject of all that is said of an entry point whose name has these addresses."""

    async def looked_up(*_: object, **__: object) -> list[object]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return list(addresses)

    async def collected() -> list[tuple[str, str]]:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", looked_up)
        return [(one.level.value, one.subject) async for one in _entry_point(uri, is_alone=is_alone)]

    return asyncio.run(collected())


def test_a_name_of_both_families_is_asked_over_ipv4_alone(
    monkeypatch: pytest.MonkeyPatch, core_port: int
) -> None:
    uri = f"sip:icscf.example:{core_port}"
    assert told(monkeypatch, uri, V4, V6) == [
        ("ok", "name icscf.example"),
        ("warning", f"entry point {uri} at 127.0.0.1"),  # no TCP
    ]


def test_a_name_of_ipv6_alone_is_of_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, "sip:icscf.example:5060", V6) == [("error", "name icscf.example")]
    assert told(monkeypatch, "sip:icscf.example:5060") == [("error", "name icscf.example")]
    assert told(monkeypatch, "sip:[::1]:5060") == [("error", "name ::1")]


def test_a_name_without_port_may_have_records_that_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "sip:ims.example"
    assert told(monkeypatch, uri) == [("warning", "name ims.example")]
    assert told(monkeypatch, uri, NOBODY) == [
        ("warning", "name ims.example"),
        ("warning", f"entry point {uri} at 127.0.0.77"),  # the domain's web server, say
    ]
    assert told(monkeypatch, "sip:127.0.0.77") == [("error", "entry point sip:127.0.0.77 at 127.0.0.77")]


@pytest.mark.parametrize(("is_alone", "level"), [(True, "warning"), (False, "ok")])
def test_several_addresses_of_the_only_name_are_no_spare_ones(
    monkeypatch: pytest.MonkeyPatch, core_port: int, is_alone: bool, level: str
) -> None:
    uri = f"sip:icscf.example:{core_port}"
    assert (level, "name icscf.example") in told(monkeypatch, uri, V4, NOBODY, is_alone=is_alone)
