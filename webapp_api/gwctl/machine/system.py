"""The machine under the programs: versions, limits, disk, kernel, logs."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from webapp_api.gwctl.machine.diagnosis import Diagnosis, Doctor
from webapp_api.gwctl.machine.host import Host
from webapp_api.gwctl.machine.processes import (
    Socket,
    has_loaded,
    kernel_number,
    most_open_files,
    owners_of,
    sockets,
    sockets_at,
)
from webapp_api.version import VERSION

_VERSIONS: Final = Doctor("versions")
_LIMITS: Final = Doctor("limits")
_DISK: Final = Doctor("disk")
_KERNEL: Final = Doctor("kernel")
_LOGS: Final = Doctor("logs")
_SRTP: Final = Doctor("srtp")
OLDEST_KAMAILIO: Final = (5, 6)
OLDEST_RELAY: Final = (10, 5)
OLDEST_HAPROXY: Final = (2, 6)
_NUMBERS: Final = re.compile(r"\d+(?:\.\d+)+[\w.+~-]*")
RECEIVE_BUFFER: Final = 1 << 20
LIBRARY: Final = "srtp_profiles"
_ROOT_LOOKS: Final = "run the doctor as root"
_FEW_BYTES: Final = 500 * 10**6


async def versions(host: Host) -> AsyncIterator[Diagnosis]:
    """Ask the programs; what a running one is may differ until it is restarted."""
    yield _VERSIONS.ok("gateway software", f"{VERSION}, Python {sys.version.split()[0]}")
    for wanted, program, package, flag, oldest in (
        (host.gateway is not None, "kamailio", "kamailio", "-v", OLDEST_KAMAILIO),
        # The package "rtpengine" would bring a kernel module and a recorder, too.
        (host.relay is not None, "rtpengine", "rtpengine-daemon", "--version", OLDEST_RELAY),
        (bool(host.haproxy), "haproxy", "haproxy", "-v", OLDEST_HAPROXY),
    ):
        if not wanted:
            continue
        version = await asyncio.to_thread(version_of, program, flag)
        if not version:
            yield _VERSIONS.error(
                program, "is not installed, or does not say its version", f"apt-get install {package}"
            )
        elif _first(version) < oldest:
            yield _VERSIONS.error(
                program, f"{version} is older than {oldest[0]}.{oldest[1]}", "install a newer one"
            )
        elif program == "rtpengine" and (told := _told_version(host, version)):
            yield told
        else:
            yield _VERSIONS.ok(program, version)


def version_of(program: str, flag: str) -> str:
    """Return what a program calls its version, "" if it does not."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/bin")
    if path is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - a program of the system
            [path, flag], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = _NUMBERS.search(done.stdout + done.stderr)
    return found[0] if found else ""


def _first(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _told_version(host: Host, version: str) -> Diagnosis | None:
    """Whether the gateway and the media agent are told another version than this machine's relay has."""
    ng = host.relay.address("listen-ng") if host.relay else None
    nodes = [*(host.gateway.media.nodes if host.gateway else ()), *(host.agent.nodes if host.agent else ())]
    for node in nodes:
        if (node.address, node.port) == ng and _first(node.version) != _first(version):
            reason = f"{version}, and the gateway takes it for {node.version}"
            return _VERSIONS.error(
                "rtpengine", reason, "in the inventory: version in gateway_rtpengine_nodes"
            )
    return None


def _programs(host: Host) -> Iterator[tuple[str, list[Socket], int, str]]:
    """Return the programs of this machine: name, sockets, how many files they may need, and for what."""
    if host.gateway is not None:
        sip = host.gateway.sip
        pages = host.site_number("tcp_max_connections") or 0
        yield "kamailio", sockets_at("tcp", sip.ws_address, sip.ws_port), pages, f"{pages} connections"
    if host.web is not None:
        found = sockets_at("tcp", host.web.listen_address, host.web.listen_port)
        listeners = host.web.event_listeners
        yield "web service", found, listeners + host.web.threads + 64, f"{listeners} listeners to events"
    for address, port, certificate in host.front_doors():
        if certificate:
            # HAProxy does not start with less: two for each connection, three for each thread, and some of its own.
            number, threads = host.haproxy_number("maxconn") or 0, host.haproxy_number("nbthread") or 0
            needed = 2 * number + 3 * threads + 100
            yield "haproxy", sockets_at("tcp", address, port), needed, f"{number} connections, two each"
    if host.relay is not None and (ng := host.relay.address("listen-ng")):
        first, last = host.relay_number("port-min") or 0, host.relay_number("port-max") or 0
        ports = max(0, last - first + 1)
        yield "rtpengine", sockets_at("udp", *ng), ports, f"{ports} media ports"


def _running(host: Host) -> list[tuple[str, list[Socket], int, str, int | None]]:
    """Return the same with the process of each."""
    programs = list(_programs(host))
    pids = owners_of([bound for _, bound, _, _ in programs])
    return [(*program, pid) for program, pid in zip(programs, pids, strict=True)]


async def limits(host: Host) -> AsyncIterator[Diagnosis]:
    """Compare what programs may open with what their settings allow."""
    for name, bound, needed, what, pid in await asyncio.to_thread(_running, host):
        if not bound or pid is None:
            if bound:
                yield _LIMITS.warning(name, "its process is not for this user to see", _ROOT_LOOKS)
            continue
        most = most_open_files(pid, raises_it=name == "haproxy")
        if most is None:
            yield _LIMITS.ok(f"{name} (process {pid})", "may open as many files as it wants")
        elif most < needed:
            reason = f"may open {most} files, and is set up for {what}"
            yield _LIMITS.warning(
                f"{name} (process {pid})", reason, f"LimitNOFILE={needed} or more in its service"
            )
        else:
            yield _LIMITS.ok(f"{name} (process {pid})", f"may open {most} files, for {what}")


async def srtp(host: Host) -> AsyncIterator[Diagnosis]:
    """Whether the relay has the library that keeps it to the SRTP profiles we want (ansible/roles/rtpengine)."""
    ng = host.relay.address("listen-ng") if host.relay else None
    if ng is None or not (bound := await asyncio.to_thread(sockets_at, "udp", *ng)):
        return
    (pid,) = await asyncio.to_thread(owners_of, [bound])
    loaded = has_loaded(pid, LIBRARY) if pid is not None else None
    if loaded is None:
        yield _SRTP.warning("SRTP of rtpengine", "its process is not for this user to see", _ROOT_LOOKS)
    elif loaded:
        yield _SRTP.ok(f"SRTP of rtpengine (process {pid})", "keeps to AES-CM, by the library of its role")
    else:
        reason = (
            f"runs without the library {LIBRARY}: one datagram of a stranger may end it with all its calls"
        )
        hint = "ansible/roles/rtpengine/README.md: LD_PRELOAD in the service; then restart rtpengine-daemon"
        yield _SRTP.error(f"SRTP of rtpengine (process {pid})", reason, hint)


async def disk(host: Host) -> AsyncIterator[Diagnosis]:
    """Look at what is free where something is written."""
    folders = {"configuration": host.folder, "logs": Path("/var/log")}
    if data := re.search(r"^dir\s+(\S+)", host.redis, re.MULTILINE):
        folders["Redis"] = Path(data[1])
    if host.gateway is not None and host.gateway.routing_directory:
        folders["routing table"] = Path(host.gateway.routing_directory)
    seen: dict[int, str] = {}
    for what, folder in folders.items():
        try:
            device = folder.stat().st_dev
            usage = shutil.disk_usage(folder)
        except OSError as error:
            yield _DISK.error(f"{what} {folder}", error.strerror or str(error))
            continue
        if device in seen:
            continue
        seen[device] = what
        told = f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.1f}"
        yield judged_disk(f"{what} {folder}", usage.free, usage.total, told)


def judged_disk(subject: str, free: int, total: int, told: str) -> Diagnosis:
    """Judge free space."""
    hint = "journalctl --vacuum-size=200M, apt-get clean, or a larger disk"
    if free < _FEW_BYTES / 5 or (free < 0.01 * total and free < 4 * _FEW_BYTES):
        return _DISK.error(subject, told, hint)
    if free < _FEW_BYTES or (free < 0.05 * total and free < 20 * _FEW_BYTES):
        return _DISK.warning(subject, told, hint)
    return _DISK.ok(subject, told)


async def kernel(host: Host) -> AsyncIterator[Diagnosis]:
    """Look at buffers, and at what was lost for the lack of them."""
    if host.relay is not None or host.gateway is not None:
        most = kernel_number("net/core/rmem_max")
        if most is not None and most < RECEIVE_BUFFER:
            reason = f"{most} bytes: a burst of packets finds no room"
            yield _KERNEL.warning(
                "net.core.rmem_max", reason, f"sysctl -w net.core.rmem_max={4 * RECEIVE_BUFFER}"
            )
        elif most is not None:
            yield _KERNEL.ok("net.core.rmem_max", f"{most} bytes")
        yield await asyncio.to_thread(_dropped, host)
    if host.redis and kernel_number("vm/overcommit_memory") == 0 and "appendonly yes" in host.redis:
        reason = "0: Redis may not be able to write its file when much memory is used"
        yield _KERNEL.warning("vm.overcommit_memory", reason, "sysctl -w vm.overcommit_memory=1")


def _dropped(host: Host) -> Diagnosis:
    """Count datagrams that found no room at our ports, since these were opened."""
    ours = {host.gateway.sip.port: "SIP"} if host.gateway else {}
    if host.relay is not None:
        first, last = host.relay_number("port-min"), host.relay_number("port-max")
        if first is not None and last is not None:
            ours.update(dict.fromkeys(range(first, last + 1), "media"))
        if ng := host.relay.address("listen-ng"):
            ours[ng[1]] = "rtpengine's control"
    lost: dict[str, int] = {}
    for one in sockets("udp"):
        if one.port in ours and one.drops:
            lost[ours[one.port]] = lost.get(ours[one.port], 0) + one.drops
    if not lost:
        return _KERNEL.ok("datagrams", "none was dropped at our ports")
    told = ", ".join(f"{number} of {what}" for what, number in lost.items())
    hint = "too little CPU, or net.core.rmem_default is too small"
    return _KERNEL.warning("datagrams", f"{told} were dropped for lack of room", hint)


async def logs(host: Host) -> AsyncIterator[Diagnosis]:
    """Whether something is written that should not be."""
    level = host.relay_number("log-level")
    if level is not None and level >= 7:
        reason = f"log-level {level} writes SDP with ICE passwords and keys"
        yield _LOGS.error("rtpengine", reason, "in the inventory: rtpengine_log_level: 5")
    elif level is not None:
        yield _LOGS.ok("rtpengine", f"log-level {level}")
    debug = host.site_number("debug")
    if debug is not None and debug >= 3:
        reason = f"debug={debug} writes whole messages, and costs most of the capacity"
        yield _LOGS.error("kamailio", reason, "in the inventory: kamailio_debug: 2")
    elif debug is not None:
        yield _LOGS.ok("kamailio", f"debug={debug}")
