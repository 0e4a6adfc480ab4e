"""Debian systems to provision: made once from this machine's own package sources, kept, and copied for each run.

A root has systemd, an SSH server and Python, nothing of the gateway; in it lies a package archive with what the
roles install, so that the machine that is provisioned needs no network. Knows nothing of running machines.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.lab.roles import REPOSITORY, ROLES

CACHE: Final = Path(os.environ.get("GATEWAY_ROOTS", "/var/tmp/webrtc-ims-gateway-roots"))
BASE_PACKAGES: Final = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",
    "python3-apt",
    "iproute2",
    "ca-certificates",
)
# What the roles install beside the lists in their defaults.
ROLE_PACKAGES: Final = ("redis-server", "redis-sentinel", "haproxy", "nftables", "python3-venv", "gcc")
ARCHIVE: Final = "srv/debian"
PYTHON_OF: Final = {"bookworm": "3.11", "trixie": "3.13"}
RELAY: Final = {"bookworm": "10.5", "trixie": "12.5"}
"""rtpengine's versions, as gateway_rtpengine_nodes has them."""


@dataclass(frozen=True, slots=True)
class Root:
    """A system that nobody changes any more, and wheels for its Python."""

    suite: str
    path: Path
    wheelhouse: Path


def root_of(suite: str) -> Root:
    """Return the root of a Debian release (`bookworm`, `trixie`); make it when it is not there yet (half a minute)."""
    packages = sorted(_role_packages())
    requirements = _requirements()
    mark = hashlib.sha256(repr((BASE_PACKAGES, packages, requirements)).encode()).hexdigest()[:12]
    place = CACHE / f"{suite}-{mark}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            _make_root(suite, place / "root", packages)
            make_wheelhouse = str(REPOSITORY / "ansible/make_wheelhouse")
            _run(
                "env",
                f"PYTHON={sys.executable}",
                make_wheelhouse,
                str(place / "wheelhouse"),
                PYTHON_OF[suite],
            )
            (place / "complete").touch()
    return Root(suite, place / "root", place / "wheelhouse")


def _role_packages() -> set[str]:
    packages = set(ROLE_PACKAGES)
    for defaults in ROLES.glob("*/defaults/main.yml"):
        variables: dict[str, Any] = yaml.safe_load(defaults.read_text()) or {}
        for name, value in variables.items():
            if name.endswith("_packages"):
                packages.update(value)
    return packages


def _requirements() -> list[str]:
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return list(project["dependencies"])


def _sources(suite: str) -> str:
    """Return this machine's own package sources, for another release of Debian where it is not this one's."""
    own = platform.freedesktop_os_release()["VERSION_CODENAME"]
    stanzas: list[str] = []
    for file in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        stanzas += [
            stanza
            for stanza in re.split(r"\n\s*\n", file.read_text())
            if re.search(rf"^Suites:.*\b{own}\b", stanza, re.MULTILINE)
        ]
    listed = Path("/etc/apt/sources.list")
    lines = listed.read_text().splitlines() if listed.exists() else []
    stanzas += [line for line in lines if re.match(rf"deb .*\b{own}\b", line)]
    return "\n\n".join(re.sub(rf"\b{own}\b", suite, stanza) for stanza in stanzas) + "\n"


def _make_root(suite: str, root: Path, packages: list[str]) -> None:
    sources = root.with_suffix(".sources")
    sources.write_text(_sources(suite))
    _run(
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(BASE_PACKAGES)}",
        suite,
        str(root),
        str(sources),
    )
    # The archive: apt chooses and fetches, the machine itself finds them in a folder.
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    _run("chroot", str(root), "apt-get", "update")
    fetch = ("apt-get", "install", "--yes", "--download-only", "--no-install-recommends", *packages)
    _run("chroot", str(root), *fetch)
    archive = root / ARCHIVE
    archive.mkdir(parents=True)
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        package.rename(archive / package.name)
    index = _run("dpkg-scanpackages", "--multiversion", ".", cwd=archive)
    (archive / "Packages").write_text(index)
    for file in (root / "etc/apt/sources.list", *(root / "etc/apt/sources.list.d").iterdir()):
        file.unlink(missing_ok=True)
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:/{ARCHIVE} ./\n")
    shutil.rmtree(root / "var/lib/apt/lists")
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
    _run("chroot", str(root), "apt-get", "update")
    (root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)


def _run(*command: str, cwd: Path | None = None) -> str:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-2000:]}")
    return done.stdout
