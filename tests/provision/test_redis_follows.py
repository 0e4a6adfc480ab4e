"""`check.yml` finds a Redis that follows nobody's address.

Runs the tasks of the role on this machine, with a Redis of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.lab.ports import LOOPBACK, PortBlocks, PortMode, port_is_free
from tests.lab.waiting import wait_until
from tests.provision.operator import ANSIBLE

PLAY: Final = """
- name: Look at Redis
  hosts: localhost
  gather_facts: false
  tasks:
    - name: It is master or has one
      ansible.builtin.import_role: {name: redis, tasks_from: follows}
"""


@pytest.mark.parametrize("follows", [False, True])
def test_a_redis_that_is_no_master_and_has_none_is_found(tmp_path: Path, follows: bool) -> None:
    (tmp_path / "play.yml").write_text(PLAY)
    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports:
        port, nobody = ports.port(), ports.port()
        settings = f'bind {LOOPBACK}\nport {port}\nrequirepass secret\nsave ""\n'
        (tmp_path / "redis.conf").write_text(
            settings + (f"replicaof {LOOPBACK} {nobody}\n" if follows else "")
        )
        variables = {"redis_config_dir": str(tmp_path), "redis_port": port, "redis_asked_times": 2}
        with subprocess.Popen(["redis-server", tmp_path / "redis.conf"], stdout=subprocess.DEVNULL) as server:
            try:
                wait_until(lambda: not port_is_free(port), "Redis listens", 5)
                done = subprocess.run(
                    [
                        *(sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local"),
                        *("--extra-vars", json.dumps(variables), str(tmp_path / "play.yml")),
                    ],
                    cwd=ANSIBLE,
                    env={
                        **os.environ,
                        "ANSIBLE_FORCE_COLOR": "0",
                        "ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles"),
                    },
                    capture_output=True,
                    text=True,
                    check=False,
                )
            finally:
                server.terminate()
    said = " ".join((done.stdout + done.stderr).split())
    assert (done.returncode != 0) == follows, said
    wanted = f"Redis on localhost follows {LOOPBACK}:{nobody}, which it does not reach"
    assert (wanted in said) == follows, said
