"""What tests of one machine and of several have in common."""

import subprocess
from pathlib import Path
from typing import Any, Final

from tests.lab.roles import REPOSITORY
from tests.peers.aiortc_wic import TONE_HZ
from tests.provision.machine import Machine
from tests.provision.operator import ANSIBLE
from tests.provision.world import PHONE, TOLERANCE_HZ

MOST_EXPOSED: Final = 3.0
"""Of systemd-analyze security: 0 is confined, 10 is not at all."""


def make_release() -> Path:
    """Make a release of the working copy."""
    done = subprocess.run([ANSIBLE / "make_release"], capture_output=True, text=True, check=True)
    return REPOSITORY / done.stdout.strip()


def exposure_of(machine: Machine, service: str) -> float:
    """Return how exposed a service is."""
    said = machine.run("systemd-analyze", "security", "--no-pager", f"{service}.service").stdout
    return float(said.strip().splitlines()[-1].split(":")[1].split()[0])


def heard_both_ways(said: dict[str, Any]) -> bool:
    """Tell whether page and phone heard each other, whoever called."""
    return all(
        abs(call["page_heard_hz"] - PHONE.tone_hz) <= TOLERANCE_HZ
        and abs(call["phone_heard_hz"] - TONE_HZ) <= TOLERANCE_HZ
        for call in (said["page_calls"], said["phone_calls"])
    )
