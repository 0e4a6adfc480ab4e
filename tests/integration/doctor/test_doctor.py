"""Everything the doctor looks at, on a running node: as it should be, and with faults."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from tests.integration.doctor.conftest import Look, wrong
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.lab.relay_program import bare_command
from tests.lab.waiting import wait_until
from webapp_api.gwctl.machine.processes import sockets_at
from webapp_api.gwctl.machine.run import CHECKS
from webapp_api.gwctl.main import main

ALL = tuple(CHECKS)


def gwctl(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def entry_point(node: Lab) -> str:
    return node.info.ims.icscf


def own_sip(node: Lab) -> str:
    return f"sip:{node.info.gateway.address}:{node.info.gateway.sip_port}"


def test_a_node_that_is_right_has_no_errors(node: Lab, look: Look) -> None:
    core = ("gateway.toml", entry_point(node), own_sip(node))  # somebody who answers OPTIONS
    found = look(ALL, core)
    assert wrong(found) == {}
    assert {one.check for one in found.values()} == set(ALL)
    fine = {subject for subject, one in found.items() if one.level == "ok"}
    gateway = node.info.gateway
    assert {
        f"SIP over UDP {gateway.address}:{gateway.sip_port}", f"SIP over TCP {gateway.address}:{gateway.sip_port}",
        "media agent", f"rtpengine {node.info.rtpengine.ng_address}:{node.info.rtpengine.ng_port}",
        "clock of Redis", "datagrams",
    } <= fine  # fmt: skip
    assert any(subject.endswith("SIP behind it") for subject in fine)
    assert any("chain" in subject and one.level == "warning" for subject, one in found.items())  # by itself


def test_the_command_says_what_is_wrong_and_what_to_do(node: Lab) -> None:
    """The lab as it is has no core."""
    done = gwctl("doctor", node.info.run_dir, "--only", "core")
    assert (done.exit_code, done.stderr) == (1, "")
    subject = f"entry point {entry_point(node)} at {LOOPBACK}"
    assert f"ERROR    core: {subject}: does not answer OPTIONS (UDP: " in done.stdout
    assert "does the core know this node's address" in done.stdout
    told = json.loads(gwctl("doctor", node.info.run_dir, "--only", "core", "--json").stdout)
    assert (told["errors"], told["diagnoses"][0]["level"]) == (1, "error")


def test_a_core_that_is_silent_or_has_no_name(node: Lab, look: Look) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((LOOPBACK, 0))
        port = silent.getsockname()[1]
        found = look(("core",), ("gateway.toml", entry_point(node), f"sip:{LOOPBACK}:{port}"))
    (reason,) = wrong(found).values()
    assert "UDP: no answer; TCP: Connect" in reason.replace("Connection refused", "Connect")
    found = look(("core",), ("gateway.toml", entry_point(node), "sip:core.invalid:5060"))
    assert list(wrong(found)) == ["name core.invalid"]


def test_a_core_that_takes_datagrams_alone(node: Lab, look: Look) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as short:
        short.bind((LOOPBACK, 0))
        short.settimeout(10)

        def answer() -> None:
            _, asker = short.recvfrom(4096)
            short.sendto(b"SIP/2.0 200 OK\r\n\r\n", asker)

        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        found = look(
            ("core",), ("gateway.toml", entry_point(node), f"sip:{LOOPBACK}:{short.getsockname()[1]}")
        )
        answering.join()
    (warning,) = (one for one in found.values() if one.level == "warning")
    assert "answers OPTIONS over UDP alone (TCP: " in warning.reason
    assert "kamailio_udp_mtu" in warning.suggestion


@contextmanager
def stopped(node: Lab, *processes: tuple[str, Part]) -> Iterator[None]:
    for name, _ in processes:
        node.kill(name)
    try:
        yield
    finally:
        for name, part in processes:
            node.start_again(name, part)
        wait_until(lambda: is_well(node), "the gateway finds all well", 10)


def is_well(node: Lab) -> bool:
    told = node.control("GET", "/v1/nodes")[1]
    return told["agent"] and all(one["state"] == "up" and not one["broken"] for one in told["nodes"])


def test_programs_that_do_not_run(node: Lab, look: Look) -> None:
    gone = (("redis", Part.REDIS), ("web_api", Part.WEB_API), ("media_agent", Part.MEDIA_AGENT))
    with stopped(node, *gone):
        wait_until(lambda: node.control("GET", "/v1/nodes")[1]["agent"] is False, "its report is old", 10)
        found = wrong(look(("ports", "redis")))
    web = next(reason for subject, reason in found.items() if subject.startswith("web service"))
    assert web.startswith("Connect")
    behind = next(reason for subject, reason in found.items() if subject.endswith("web service behind it"))
    assert "answers 503" in behind
    assert found["media agent"].startswith("does not report")
    assert any(subject.startswith("media agent, reports of keys") for subject in found)
    assert any(
        subject.startswith("Redis") and "cannot be used" in reason for subject, reason in found.items()
    )
    assert "media agent, figures for Prometheus" in " ".join(found)
    assert len(found) == 6


def test_a_relay_that_does_not_run(node: Lab, look: Look) -> None:
    with stopped(node, ("rtpengine", Part.RTPENGINE)):
        found = wrong(look(("ports", "codecs", "srtp")))
    name = f"{node.info.rtpengine.ng_address}:{node.info.rtpengine.ng_port}"
    assert {f"rtpengine ng {name}", f"rtpengine {name}"} <= set(found)


@pytest.mark.parametrize(
    ("checks", "change", "subject", "word"),
    [
        pytest.param(
            ("ports",), ("haproxy.cfg", "    bind 127.0.0.1:", "    bind 127.0.0.1:1\n    bind 127.0.0.1:"),
            "HAProxy 127.0.0.1:1", "Connect", id="closed port",
        ),
        pytest.param(
            ("ports",), ("rtpengine.conf", "ims/127.0.0.2", "ims/192.0.2.77"), "media address ims 192.0.2.77",
            "assign", id="media address of another machine",
        ),
        pytest.param(
            ("ports",), ("gateway.toml", 'secret = "', 'secret = "0'), "control endpoint", "401", id="another secret"
        ),
        pytest.param(
            ("ports",), ("webapp_api.toml", "https://localhost", "https://gw.example"), "SIP behind it", "answers 403",
            id="origin that the gateway does not know",
        ),
        pytest.param(
            ("certificates",), ("webapp_api.toml", "https://localhost", "https://gw.example"), ", names",
            "pages are at gw.example", id="certificate for another name",
        ),
        pytest.param(
            ("versions",), ("gateway.toml", 'version = "', 'version = "99.'), "rtpengine", "takes it for 99.",
            id="another version of the relay",
        ),
        pytest.param(("logs",), ("rtpengine.conf", "log-level = 6", "log-level = 7"), "rtpengine", "ICE", id="log"),
        pytest.param(("logs",), ("site.cfg", "debug=2", "debug=3"), "kamailio", "whole messages", id="debug"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_named(
    look: Look, checks: tuple[str, ...], change: tuple[str, str, str], subject: str, word: str
) -> None:
    assert not wrong(look(checks))
    found = wrong(look(checks, change))
    assert any(subject in one and word in reason for one, reason in found.items()), found
    assert len(found) == 1


def test_a_limit_that_is_too_low_for_the_settings(look: Look) -> None:
    found = look(("limits",), ("site.cfg", "tcp_max_connections=", "tcp_max_connections=9999"))
    (kamailio,) = (one for subject, one in found.items() if subject.startswith("kamailio"))
    assert kamailio.level == "warning"
    assert "LimitNOFILE=" in kamailio.suggestion


def test_a_relay_without_its_library(node: Lab, look: Look, tmp_path: Path) -> None:
    text = (Path(node.info.run_dir) / "rtpengine.conf").read_text()
    ng, cli = node.info.rtpengine.ng_port, text.split("listen-cli = 127.0.0.1:")[1].split()[0]
    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports:
        other, other_cli = ports.port(), ports.port()
        file = tmp_path / "bare.conf"
        file.write_text(text.replace(f":{ng}", f":{other}").replace(f":{cli}", f":{other_cli}"))
        command = [*bare_command(), f"--config-file={file}", "--foreground", "--log-stderr"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: bool(sockets_at("udp", LOOPBACK, other)), "rtpengine listens", 10)
            found = look(
                ("srtp",), ("rtpengine.conf", f"listen-ng = 127.0.0.1:{ng}", f"listen-ng = 127.0.0.1:{other}")
            )
        finally:
            process.terminate()
            process.wait(10)
    (reason,) = wrong(found).values()
    assert "without the library" in reason


def test_a_redis_that_forgets_or_refuses(node: Lab, look: Look) -> None:
    client: Any = redis.Redis.from_url(node.info.redis_url, decode_responses=True)
    kept = {name: client.config_get(name)[name] for name in ("maxmemory-policy", "maxmemory", "save")}
    assert any("nothing on disk" in one.reason for one in look(("redis",)).values())
    try:
        for changes, subject, word in (
            ({"maxmemory-policy": "allkeys-lru"}, ", memory policy", "drops calls"),
            ({"maxmemory": "1200000"}, ", memory", "refuse new state"),
        ):
            for name, value in changes.items():
                client.config_set(name, value)
            found = wrong(look(("redis",)))
            assert any(one.endswith(subject) and word in reason for one, reason in found.items()), found
            for name in changes:
                client.config_set(name, kept[name])
        client.config_set("save", "3600 1")
        assert not any(one.level == "warning" for one in look(("redis",)).values())
        client.replicaof(LOOPBACK, 1)
        assert any("a copy of another one" in reason for reason in wrong(look(("redis",))).values())
    finally:
        client.replicaof("NO", "ONE")
        for name, value in kept.items():
            client.config_set(name, value)
        client.close()


def test_the_relay_keeps_nothing_of_what_it_was_asked(node: Lab, look: Look) -> None:
    assert wrong(look(("codecs",))) == {}
    assert not node.relay_calls()


def test_status_and_trunks_leave_on_a_running_node(node: Lab) -> None:
    here = ("--config", node.info.run_dir)
    wait_until(lambda: gwctl(*here, "status").exit_code == 0, "all is well", 10)
    told = json.loads(gwctl(*here, "status", "--json").stdout)
    assert (told["wrong"], told["gateways"][0]["calls"]) == ([], 0)
    assert told["nodes"][0]["state"] == "up"
    assert gwctl(*here, "trunks", "leave").stdout == "this gateway leaves all trunks\n"
    assert json.loads(gwctl(*here, "trunks", "leave", "--no", "--json").stdout) == {"leave": False}
