"""A lab starts beside others, ends without a trace, and says why when it cannot start."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.lab import Lab, RunDirectoryInUse
from tests.lab.options import LabOptions, Part
from tests.lab.ports import PortsExhausted, port_is_free
from tests.lab.processes import ProcessDied, start_ticks
from tests.lab.roles import REPOSITORY
from tests.lab.waiting import wait_until
from tests.lab.world import INFO_FILE, LabInfo, info_from_file, world_from_file

SMALL = frozenset({Part.REDIS, Part.RTPENGINE})
EVERY_PROCESS = {
    *("redis", "rtpengine", "media_agent", "hss", "icscf", "scscf", "pcscf", "gateway"),
    *("web_api", "haproxy", "pstn", "conference", "phone", "videophone"),
}


def children_of(group: int) -> list[int]:
    """Return the live processes of a process group."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(pgrp) == group and state != "Z":
            members.append(int(stat.parent.name))
    return members


def nothing_is_left(info: LabInfo) -> bool:
    return not any(children_of(pid) for pid in info.processes.values())


def test_the_whole_world_starts_and_ends_without_a_trace() -> None:
    with Lab() as lab:
        info = lab.info
        assert set(info.processes) == EVERY_PROCESS
        assert all(start_ticks(pid) is not None for pid in info.processes.values())
        assert lab.gateway_rpc("core.version").startswith("kamailio")
        assert lab.relay_calls() == ()
        assert lab.hss.ask("peers") == ["icscf.ims.test", "scscf.ims.test"]
    assert nothing_is_left(info)
    assert not Path(info.run_dir).exists()
    ports = (
        info.gateway.sip_port,
        info.gateway.ws_port,
        info.gateway.control_port,
        info.rtpengine.ng_port,
        info.ims.hss_control_port,
    )
    assert all(port_is_free(port) for port in ports)


def test_two_labs_run_side_by_side() -> None:
    with Lab(LabOptions(parts=SMALL)) as one, Lab(LabOptions(parts=SMALL)) as other:
        assert one.relay_calls() == other.relay_calls() == ()
        ranges = [(r.port_min, r.port_max) for r in (one.info.rtpengine, other.info.rtpengine)]
        (_, first_end), (second_begin, _) = sorted(ranges)
        assert first_end < second_begin
        assert one.info.redis_url != other.info.redis_url
        assert one.info.run_dir != other.info.run_dir


def test_another_process_can_look_inside_a_lab() -> None:
    with Lab(LabOptions(parts=SMALL)) as lab:
        world = world_from_file(Path(lab.info.run_dir) / INFO_FILE)
        assert world.info == lab.info
        assert world.relay_calls() == ()


def test_nothing_is_left_when_the_launcher_is_killed(run_dir: Path) -> None:
    command = [sys.executable, "-m", "tests.lab", "run", "--mode", "ims", "--ports", "free"]
    with subprocess.Popen(
        [*command, "--run-dir", str(run_dir / "lab")], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout is not None
        while not (line := launcher.stdout.readline()).startswith("Ctrl-C"):
            assert line, "the lab did not start"
        info = info_from_file(run_dir / "lab" / INFO_FILE)
        assert info.launcher_pid == launcher.pid
        assert all(children_of(pid) for pid in info.processes.values())
        os.kill(launcher.pid, signal.SIGKILL)
    wait_until(lambda: nothing_is_left(info), "the end of every process", 10)


def test_a_new_lab_clears_the_run_directory_of_a_crashed_one(run_dir: Path) -> None:
    options = LabOptions(parts=frozenset({Part.REDIS}), run_dir=run_dir)
    crashed = Lab(options).start()
    survivor = crashed.info.processes["redis"]
    try:
        crashed.leave_run_dir()  # the launcher is gone as far as the next lab can see; its process still runs
        with Lab(options) as lab:
            assert start_ticks(survivor) is None
            assert lab.info.processes["redis"] != survivor
            assert (run_dir / INFO_FILE).exists()
    finally:
        crashed.stop()


def test_a_lab_leaves_one_that_runs_alone(run_dir: Path) -> None:
    options = LabOptions(parts=SMALL, run_dir=run_dir)
    with Lab(options) as lab:
        with pytest.raises(RunDirectoryInUse, match="a lab runs in"):
            Lab(options).start()
        assert lab.check()
        assert lab.relay_calls() == ()
        assert info_from_file(run_dir / INFO_FILE) == lab.info


def test_a_folder_that_no_lab_wrote_is_not_emptied(run_dir: Path) -> None:
    treasure = run_dir / "treasure"
    treasure.write_text("keep")
    with pytest.raises(RunDirectoryInUse):
        Lab(LabOptions(parts=SMALL, run_dir=run_dir)).start()
    assert treasure.read_text() == "keep"


def test_a_part_that_cannot_start_is_named_with_its_log(run_dir: Path) -> None:
    wrong = {"redis": {"redis_max_memory_mb": "much"}}
    with pytest.raises(ProcessDied, match=r"redis ended with status 1[\s\S]*maxmemory"):
        Lab(LabOptions(parts=frozenset({Part.REDIS}), run_dir=run_dir, role_variables=wrong)).start()


def test_a_variable_that_the_role_does_not_have_is_refused(run_dir: Path) -> None:
    wrong = {"redis": {"redis_colour": "blue"}}
    with pytest.raises(KeyError, match="redis_colour"):
        Lab(LabOptions(parts=frozenset({Part.REDIS}), run_dir=run_dir, role_variables=wrong)).start()


def test_more_ports_than_there_are_cannot_be_had(run_dir: Path) -> None:
    with pytest.raises(PortsExhausted):
        Lab(LabOptions(parts=SMALL, run_dir=run_dir, media_ports=20_000)).start()


def test_what_a_test_killed_or_stopped_is_mended() -> None:
    with Lab(LabOptions(parts=SMALL)) as lab:
        before = lab.process_ids
        lab.kill("redis")
        os.kill(before["rtpengine"], signal.SIGSTOP)
        lab.mend()
        assert lab.is_ready(Part.REDIS)
        assert lab.relay_calls() == ()
        assert lab.process_ids["rtpengine"] == before["rtpengine"]


def test_what_ended_by_itself_runs_again_and_is_told() -> None:
    with Lab(LabOptions(parts=SMALL)) as lab:
        os.kill(lab.process_ids["redis"], signal.SIGKILL)
        wait_until(lambda: start_ticks(lab.info.processes["redis"]) is None, "the end of redis", 10)
        with pytest.raises(ProcessDied, match="redis ended with status -9"):
            lab.mend()
        assert lab.is_ready(Part.REDIS)
        lab.mend()


def test_a_killed_part_is_gone_and_the_others_stay() -> None:
    with Lab(LabOptions(parts=SMALL)) as lab:
        pid = lab.info.processes["redis"]
        lab.kill("redis")
        assert children_of(pid) == []
        assert lab.relay_calls() == ()
