"""What the doctor says of the machine: real sockets, a real clock, and what is judged of both."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from webapp_api.check.relay_file import RelayFile
from webapp_api.gwctl.machine import processes
from webapp_api.gwctl.machine.clock import _compared, _kernel_status, _provider
from webapp_api.gwctl.machine.codecs import judged
from webapp_api.gwctl.machine.diagnosis import Diagnosis
from webapp_api.gwctl.machine.host import Host, NothingHere
from webapp_api.gwctl.machine.ports import _judged, _start_of
from webapp_api.gwctl.machine.processes import Socket, most_open_files, owners_of, sockets_at
from webapp_api.gwctl.machine.run import CHECKS, examine
from webapp_api.gwctl.machine.system import judged_disk, version_of
from webapp_api.gwctl.machine.talk import HttpAnswer, http_get, options_by_tcp, options_by_udp, reach
from webapp_api.settings import Settings


def test_a_folder_without_our_files_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(NothingHere, match=r"has none of gateway\.toml"):
        Host.read(tmp_path)


def test_a_broken_file_is_told_and_the_others_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("x = ")
    (tmp_path / "site.cfg").write_text("debug=4\n")
    found = examine(Host.read(tmp_path), ("logs",))
    assert [(one.check, one.subject, one.level.value) for one in found] == [
        ("files", "gateway.toml", "error"),
        ("logs", "kamailio", "error"),
    ]


def test_a_check_that_breaks_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(_: Host) -> object:
        raise ZeroDivisionError("x")
        yield

    monkeypatch.setitem(CHECKS, "clock", breaks)
    found = examine(Host(tmp_path, site="debug=2\n"), ("clock", "logs"))
    assert [(one.check, one.level.value) for one in found] == [("clock", "error"), ("logs", "ok")]
    assert "ZeroDivisionError" in found[0].reason


def test_the_owner_of_a_port_and_its_limit_are_known() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other,
    ):
        port = server.getsockname()[1]
        assert owners_of([sockets_at("tcp", "127.0.0.1", port)]) == [os.getpid()]
        assert sockets_at("tcp", "127.0.0.2", port) == []
        other.bind(("::1", 0))
        assert owners_of([sockets_at("udp", "::1", other.getsockname()[1])]) == [os.getpid()]
    assert owners_of([sockets_at("tcp", "127.0.0.1", port)]) == [None]
    assert (most_open_files(os.getpid()) or 1) > 0


def test_owners_of_several_ports_are_found_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid, file, target in ((9, 3, "7"), (10, 3, "7"), (10, 4, "8"), (11, 5, "9")):
        folder = tmp_path / str(pid) / "fd"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(file)).symlink_to(f"socket:[{target}]")
    (tmp_path / "12").mkdir()  # not ours to see
    (tmp_path / "net").mkdir()
    monkeypatch.setattr(processes, "PROC", tmp_path)
    reads = []
    look = processes._target

    def counted(link: str) -> str:
        reads.append(link)
        return look(link)

    monkeypatch.setattr(processes, "_target", counted)
    groups = [[Socket("::", 1, inode, 0)] for inode in ("8", "7", "99")]
    assert owners_of([[], *groups]) == [None, 10, 9, None]
    assert len(reads) == 4
    reads.clear()
    assert owners_of(groups[:2]) == [10, 9]
    assert len(reads) == 3  # the other processes need not be looked at


async def test_other_questions_go_on_while_processes_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = RelayFile({"listen-ng": "127.0.0.1:9"}, {})
    looks = []

    def slow(*_: object) -> list[Socket]:
        looks.append(threading.current_thread())
        time.sleep(0.1)
        return []

    monkeypatch.setattr("webapp_api.gwctl.machine.system.sockets_at", slow)
    monkeypatch.setattr("webapp_api.gwctl.machine.system.sockets", slow)
    for check in ("limits", "srtp", "kernel"):
        assert {one.level async for one in CHECKS[check](Host(tmp_path, relay=relay))} <= {"ok", "warning"}
    assert len(looks) == 3
    assert threading.main_thread() not in looks


def test_datagrams_that_found_no_room_are_counted(tmp_path: Path) -> None:
    kind = (socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(*kind) as full, socket.socket(*kind) as sender:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        full.bind(("127.0.0.1", 0))
        port = full.getsockname()[1]
        relay = RelayFile({"port-min": str(port), "port-max": str(port)}, {})
        host = Host(tmp_path, relay=relay)
        assert found_of("kernel", host)["datagrams"].level == "ok"
        for _ in range(100):
            sender.sendto(bytes(1000), ("127.0.0.1", port))
        told = found_of("kernel", host)["datagrams"]
        assert told.level == "warning"
        assert "of media were dropped" in told.reason


def found_of(check: str, host: Host) -> dict[str, Diagnosis]:
    return {one.subject: one for one in examine(host, (check,))}


async def test_nobody_at_a_port_and_a_silent_one_are_told_apart() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(TimeoutError):
            await options_by_udp("127.0.0.1", port, "sip:x")
        received = silent.recv(2000)
        assert received.startswith(b"OPTIONS sip:x SIP/2.0\r\n")
        silent.setblocking(False)
        assert silent.recv(2000) == received  # sent again, as it was
    with pytest.raises(ConnectionRefusedError):
        await options_by_udp("127.0.0.1", port, "sip:x")
    with pytest.raises(ConnectionRefusedError):
        await options_by_tcp("127.0.0.1", port, "sip:x")
    with pytest.raises(ConnectionRefusedError):
        await reach("127.0.0.1", port)


async def test_somebody_who_closes_or_speaks_otherwise_is_told() -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"220 mail\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(ConnectionError, match="no SIP answer"):
            await options_by_tcp("127.0.0.1", port, "sip:x")
        with pytest.raises(ConnectionError, match="no HTTP answer"):
            await http_get("127.0.0.1", port, "/", "x")


@pytest.mark.parametrize(
    ("kind", "word"),
    [("application/problem+json", "does not reach Kamailio"), ("text/plain; charset=utf-8", "drain=false")],
)
def test_who_refuses_a_websocket_is_told(kind: str, word: str) -> None:
    """HAProxy, which reaches nobody, or the gateway behind it."""
    hint = "502, 503: it does not reach Kamailio"
    told = _judged("SIP behind it", HttpAnswer(503, {"content-type": kind}), 101, hint)
    assert told.level == "error"
    assert told.reason.startswith("answers 503")
    assert word in told.suggestion


@pytest.mark.parametrize(
    ("bound_as", "word"),
    [
        pytest.param("h.sock", "drain=false", id="runs"),
        pytest.param("h.sock.17.tmp", "drain=false", id="runs, as HAProxy binds it"),
        pytest.param("h.sock.17.old", "start it", id="another one"),
        pytest.param("", "start it", id="does not run"),
    ],
)
def test_a_closed_door_of_a_haproxy_that_runs_is_no_reason_to_start_it(
    tmp_path: Path, bound_as: str, word: str
) -> None:
    """It is drained, and would be back in service."""
    with socket.socket() as closed, socket.socket(socket.AF_UNIX) as commands:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        if bound_as:
            commands.bind(str(tmp_path / bound_as))
            commands.listen()
        door = f"127.0.0.1:{closed.getsockname()[1]}"
        text = f"    stats socket {tmp_path}/h.sock mode 600\n    bind {door} ssl crt x.pem\n"
        told = found_of("ports", Host(tmp_path, haproxy=text))[f"HAProxy {door}"]
    assert told.level == "error"
    assert "Connect" in told.reason
    assert word in told.suggestion
    assert ("though HAProxy runs" in told.reason) is (word == "drain=false")


def test_a_relay_that_is_down_is_started_where_it_is(tmp_path: Path) -> None:
    here = Host(tmp_path, relay=RelayFile({"listen-ng": "192.0.2.21:2223"}, {}))
    assert _start_of("192.0.2.21:2223", here).startswith("start it: systemctl")
    assert _start_of("192.0.2.22:2223", here).startswith("on 192.0.2.22: start it: systemctl")
    assert _start_of("[2001:db8::1]:2223", Host(tmp_path)).startswith("on [2001:db8::1]: start it")


def test_a_relay_that_is_not_installed_is_debians_rtpengine_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp_api.gwctl.machine.system.version_of", lambda *_: "")
    told = found_of("versions", Host(tmp_path, relay=RelayFile({}, {})))["rtpengine"]
    assert told.suggestion == "apt-get install rtpengine-daemon"


def test_clocks_are_compared_as_sharply_as_they_can_be() -> None:
    for theirs, level in ((100.0, "ok"), (101.5, "warning"), (98.0, "warning"), (115.0, "error")):
        assert _compared("x", theirs, 99.9, 100.1).level == level, theirs
    assert _compared("x", 99.2, 99.9, 100.1, 1.0).level == "ok"  # HTTP's Date is cut to seconds
    assert _compared("x", 130.0, 90.0, 150.0).level == "ok"  # so slow an answer tells nothing
    assert _kernel_status() is not None


@pytest.mark.parametrize(("off", "level"), [(0, "ok"), (3600, "error")])
def test_the_clock_of_a_provider(off: int, level: str) -> None:
    class Provider(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", formatdate(time.time() + off, usegmt=True))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    found = _provider(f"http://127.0.0.1:{server.server_address[1]}")
    thread.join()
    server.server_close()
    assert found.level == level
    assert _provider(f"http://127.0.0.1:{server.server_address[1]}").level == "error"


def test_sentinels_that_do_not_run(tmp_path: Path) -> None:
    url = "redis+sentinel://:secret@127.0.0.1:1/gw"
    host = Host(tmp_path, web=Settings(public_origin="https://a.example", domain="a.example", redis_url=url))
    found = examine(host, ("redis", "clock"))
    assert [one.subject for one in found if one.level == "error"] == [
        "Sentinel 127.0.0.1:1", "Redis gw (by Sentinels)",
    ]  # fmt: skip
    assert "secret" not in str(found)


def test_a_machine_with_redis_alone(tmp_path: Path) -> None:
    host = Host(tmp_path, redis='bind 192.0.2.1\nport 6380\nrequirepass "a b"\nreplicaof 192.0.2.2 6380\n')
    assert (host.redis_url, host.is_redis_copy) == ("redis://:a%20b@192.0.2.1:6380/0", True)


def test_what_is_judged_of_disks_codecs_and_versions() -> None:
    gigabyte = 10**9
    assert judged_disk("x", 50 * gigabyte, 100 * gigabyte, "").level == "ok"
    assert judged_disk("x", 3 * gigabyte, 100 * gigabyte, "").level == "warning"
    assert judged_disk("x", gigabyte // 20, 10 * gigabyte, "").level == "error"
    assert (
        judged_disk("x", 19 * gigabyte, 2000 * gigabyte, "").level == "ok"
    )  # days of logs, whatever the share
    assert judged_disk("x", 3 * gigabyte, 2000 * gigabyte, "").level == "warning"
    assert judged_disk("x", gigabyte, 2000 * gigabyte, "").level == "error"
    missing = judged("relay", ["opus", "PCMA"], ["opus", "AMR-WB"])
    assert (missing.level, missing.reason) == ("error", "cannot make AMR-WB")
    assert "libavcodec-extra" in missing.suggestion
    assert version_of("no-such-program", "-v") == ""
    assert version_of("python3", "--version").startswith("3.")
