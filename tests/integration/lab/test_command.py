"""`make run` and its sister commands: what cannot be is told, and nobody else's process is touched."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tests.lab.__main__ import main
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.ports import FIXED_PORT, LOOPBACK
from tests.lab.processes import start_ticks
from tests.lab.roles import REPOSITORY
from tests.lab.world import INFO_FILE, info_from_file, info_to_file

RUN = (sys.executable, "-m", "tests.lab", "run")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a lab in a process of its own, whose signals are its own."""
    return subprocess.run([*RUN, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--mode", "standalone", "--sipp"), "--sipp needs --mode world"),
        (("--mode", "ims", "--sipp"), "--sipp needs --mode world"),
        (("--mode", "ims", "--once"), "--once proves a call"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    arguments: tuple[str, ...], why: str, run_dir: Path
) -> None:
    done = run(*arguments, "--run-dir", str(run_dir / "lab"))
    assert done.returncode == 2, done
    assert why in done.stderr
    assert not (run_dir / "lab").exists()


def test_a_port_that_another_program_has_is_named_with_the_way_out(run_dir: Path) -> None:
    with socket.socket() as stranger:
        with contextlib.suppress(OSError):  # a lab with fixed ports runs on this machine: as good
            stranger.bind((LOOPBACK, FIXED_PORT))
        done = run("--run-dir", str(run_dir / "lab"))
    assert done.returncode == 1, done
    assert f"another program has port {FIXED_PORT}" in done.stderr
    assert "PORTS=free" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_lab_that_is_stopped_before_the_proof_has_proven_nothing(run_dir: Path) -> None:
    command = [*RUN, "--once", "--ports", "free", "--run-dir", str(run_dir / "lab")]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline().startswith("ready in")
        os.kill(launcher.pid, signal.SIGTERM)
        assert "stopped" in launcher.stdout.read()
    assert launcher.returncode == 1


def test_a_process_that_has_the_number_of_a_launcher_that_is_gone_lives_on(run_dir: Path) -> None:
    with Lab(LabOptions(parts=frozenset({Part.REDIS}), run_dir=run_dir)):
        pass
    with subprocess.Popen(["/usr/bin/sleep", "60"]) as stranger:
        info = info_from_file(run_dir / INFO_FILE)
        info_to_file(msgspec.structs.replace(info, launcher_pid=stranger.pid), run_dir / INFO_FILE)
        status = CliRunner().invoke(main, ["status", "--run-dir", str(run_dir)])
        stopped = CliRunner().invoke(main, ["stop", "--run-dir", str(run_dir)])
        alive = start_ticks(stranger.pid) is not None
        stranger.kill()
    assert (status.exit_code, stopped.exit_code, alive) == (1, 0, True)
    assert "is gone" in status.output
