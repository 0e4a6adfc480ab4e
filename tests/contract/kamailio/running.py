"""Starts a real Kamailio with the project's own configuration on free ports."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.kamailio import KamailioRpc, answers_options, command_line
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.lab.roles import REPOSITORY, render_role
from tests.lab.waiting import wait_until

START_S: Final = 60.0
PROBE: Final = Path(__file__).with_name("probe.py")
"""A script that answers every request with what it saw of it."""


@dataclass(frozen=True, slots=True)
class Kamailio:
    """Where it listens, and what it was started with."""

    sip_port: int
    config: Path
    environment: dict[str, str]
    rpc: KamailioRpc


def _render(folder: Path, ports: PortBlocks, entry: Path | None, changed: dict[str, int]) -> Kamailio:
    sip_port = ports.port()
    variables = {
        "kamailio_code_dir": str(REPOSITORY),
        "kamailio_run_dir": str(folder),
        "kamailio_state_dir": str(folder),
        "kamailio_sip_address": LOOPBACK,
        "kamailio_sip_port": sip_port,
        "kamailio_ws_address": LOOPBACK,
        "kamailio_ws_port": ports.port(),
        "kamailio_control_address": LOOPBACK,
        "kamailio_control_port": ports.port(),
        "gateway_control_secret": "fedcba9876543210fedcba9876543210",
        "kamailio_udp_workers": 1,
        "kamailio_tcp_workers": 1,
        "gateway_flow_secret": "0123456789abcdef0123456789abcdef",
        "gateway_standalone": True,  # loads every module there is
        "kamailio_home_port": ports.port(),
        "gateway_registration_schemes": ["bearer"],
        "gateway_token_issuers": [{"issuer": "https://localhost", "authz_server": "https://localhost/"}],
        **changed,
    }
    config, settings = folder / "site.cfg", folder / "gateway.toml"
    text = render_role("kamailio", "site.cfg.j2", variables)
    if entry is not None:
        ours = f"{REPOSITORY}/kemi/entry/gateway.py"
        assert ours in text
        text = text.replace(ours, str(entry))
    config.write_text(text, encoding="utf-8")
    settings.write_text(render_role("kamailio", "gateway.toml.j2", variables), encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{REPOSITORY}:{sysconfig.get_path('purelib')}",
        "GATEWAY_SETTINGS": str(settings),
    }
    return Kamailio(sip_port, config, environment, KamailioRpc(folder / "kamailio-rpc.sock"))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def running(
    folder: Path, entry: Path | None = None, *, shm_mb: int = 64, **variables: int
) -> Iterator[Kamailio]:
    """Run Kamailio in a folder, with another script than the gateway's and variables of the role if told."""
    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports, (folder / "log").open("wb") as log:
        kamailio = _render(folder, ports, entry, variables)
        process = subprocess.Popen(
            command_line(kamailio.config, folder, shm_mb=shm_mb, pkg_mb=8),
            env=kamailio.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(
                lambda: process.poll() is None and answers_options(LOOPBACK, kamailio.sip_port),
                timeout_s=START_S,
                what="Kamailio answers OPTIONS",
            )
            yield kamailio
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # Kamailio 5.6 may hang in its own end, now and then
                for child in _children(process.pid):
                    os.kill(child, signal.SIGKILL)
                process.kill()
                process.wait(5)
