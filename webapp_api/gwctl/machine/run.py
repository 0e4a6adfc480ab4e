"""All checks, side by side."""

from __future__ import annotations

import asyncio
from typing import Final

from webapp_api.gwctl.machine.certificates import certificates
from webapp_api.gwctl.machine.clock import clock
from webapp_api.gwctl.machine.codecs import codecs
from webapp_api.gwctl.machine.core import core
from webapp_api.gwctl.machine.diagnosis import Check, Diagnosis, Doctor
from webapp_api.gwctl.machine.host import NOT_OURS, Host
from webapp_api.gwctl.machine.ports import ports
from webapp_api.gwctl.machine.redis_server import redis_server
from webapp_api.gwctl.machine.system import disk, kernel, limits, logs, srtp, versions

CHECKS: Final[dict[str, Check]] = {
    "ports": ports,
    "certificates": certificates,
    "codecs": codecs,
    "clock": clock,
    "redis": redis_server,
    "core": core,
    "srtp": srtp,
    "versions": versions,
    "limits": limits,
    "disk": disk,
    "kernel": kernel,
    "logs": logs,
}
MOST_S: Final = 30.0
"""For one check, whatever does not answer."""


def examine(host: Host, names: tuple[str, ...] = ()) -> list[Diagnosis]:
    """Run the checks, all or those named, and return what they found in their order."""
    return asyncio.run(_examine(host, [name for name in CHECKS if not names or name in names]))


async def _examine(host: Host, names: list[str]) -> list[Diagnosis]:
    files = Doctor("files")
    broken = [
        files.error(
            name, why, "run it as root" if why == NOT_OURS else f"gwctl check {host.folder} says more"
        )
        for name, why in host.broken.items()
    ]
    found = await asyncio.gather(*(_run(name, host) for name in names))
    return [*broken, *(one for part in found for one in part)]


async def _run(name: str, host: Host) -> list[Diagnosis]:
    found: list[Diagnosis] = []
    try:
        async with asyncio.timeout(MOST_S):
            async for one in CHECKS[name](host):
                found.append(one)
    except TimeoutError:
        found.append(Doctor(name).error("the check", f"took more than {MOST_S:.0f} s and was given up"))
    except Exception as error:
        reason = f"could not be finished: {type(error).__name__}: {error}"
        found.append(Doctor(name).error("the check", reason, "this is our fault: please report it"))
    return found
