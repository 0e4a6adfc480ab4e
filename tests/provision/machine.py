"""One machine: a Debian root booted with its own service manager, in a network of its own, reached by SSH.

    with Network("10.199.7.1/24") as network, Machine(root_of("bookworm"), network, "10.199.7.2/24") as machine:
        machine.run("systemctl", "is-system-running")

Everything it does stays in its own network namespace, and in that of the network it is a part of.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.lab.waiting import wait_until
from tests.provision.network import BRIDGE, Network, first_of, run
from tests.provision.roots import Root

BOOT_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
POWER_OFF: Final = signal.SIGRTMIN + 4
# Where this system's control groups are that a service manager uses, whichever there are.
CONTROL_GROUPS: Final = (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))
# Machines that share a control group take each other's services away.
_IN_GROUPS_OF_ITS_OWN: Final = 'for group in $0; do echo $$ >"$group/cgroup.procs"; done; exec "$@"'


class Machine:
    """A booted system; gone without a trace afterwards."""

    def __init__(self, root: Root, network: Network, *addresses: str) -> None:
        self.base = root
        self.network = network
        self.addresses = addresses
        self.address = first_of(addresses)
        self.name = f"gw{secrets.token_hex(3)}"
        self._place = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self._root = self._place / "root"
        self._groups = [place / self.name for place in CONTROL_GROUPS if place.is_dir()]
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        try:
            self._lay_root()
            self._boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _lay_root(self) -> None:
        """Lay an empty layer over the base, which stays as it is."""
        self._root.mkdir()
        layer = self._place / "layer"
        layer.mkdir()
        # overlayfs takes no upper layer on some file systems of /tmp; a file system of our own always serves.
        run("mount", "-t", "tmpfs", "-o", "size=3g", "tmpfs", str(layer))
        for folder in ("upper", "work"):
            (layer / folder).mkdir()
        options = f"lowerdir={self.base.path},upperdir={layer / 'upper'},workdir={layer / 'work'}"
        run("mount", "-t", "overlay", "-o", options, "overlay", str(self._root))
        home = self._root / "root/.ssh"
        home.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(self.network.key.with_suffix(".pub"), home / "authorized_keys")
        (self._root / "etc/hostname").write_text(f"{self.name}\n")
        (self._root / "etc/machine-id").write_text("")

    def _boot(self) -> None:
        log = (self._place / "boot.log").open("wb")
        for group in self._groups:
            group.mkdir()
        groups = " ".join(map(str, self._groups))
        self._nspawn = subprocess.Popen(
            [
                *self.network.inside("sh", "-c", _IN_GROUPS_OF_ITS_OWN, groups),
                *("systemd-nspawn", "--quiet", "--boot", "--directory", str(self._root)),
                *("--machine", self.name, f"--network-bridge={BRIDGE}", "--register=no", "--keep-unit"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        wait_until(self._find_leader, "the machine's first process", BOOT_TIMEOUT_S)
        for address in self.addresses:
            self.run("ip", "addr", "add", address, "dev", "host0")
        self.run("ip", "link", "set", "host0", "up")
        wait_until(self._is_up, "the machine is up", BOOT_TIMEOUT_S)

    def _find_leader(self) -> bool:
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended: {(self._place / 'boot.log').read_text()[-1000:]}")
        children = _children(self._nspawn.pid)
        if not children:
            return False
        self._leader = children[0]
        return Path(f"/proc/{self._leader}/comm").read_text().strip() == "systemd"

    def _is_up(self) -> bool:
        said = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return (
            said in ("running", "degraded")
            and self.run("systemctl", "is-active", "ssh", check=False).returncode == 0
        )

    def run(
        self, *command: str, check: bool = True, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root."""
        inside = ("nsenter", "--target", str(self._leader), *["-m", "-u", "-i", "-n", "-p", "-r", "-w"])
        return run(*inside, *command, check=check, timeout_s=timeout_s)

    def has(self, path: str) -> bool:
        """Tell whether there is such a file inside."""
        return self.run("test", "-e", path, check=False).returncode == 0

    def journal(self, lines: int = 60) -> str:
        """Return the end of what its programs wrote."""
        return self.run("journalctl", "--no-pager", "-n", str(lines), "-o", "cat", check=False).stdout

    def in_network(self, *command: str) -> list[str]:
        """Return a command of this system that runs in the machine's network."""
        return ["nsenter", "--target", str(self._leader), "--net", *command]

    def stop(self) -> None:
        """Power off and remove everything."""
        if self._nspawn is not None and self._nspawn.poll() is None:
            os.kill(self._leader or self._nspawn.pid, POWER_OFF if self._leader else signal.SIGKILL)
            try:
                self._nspawn.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._nspawn.pid, signal.SIGKILL)
                self._nspawn.wait()
        for group in self._groups:
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):  # something of it still ends
                    Path(folder).rmdir()
        for mounted in (self._root, self._place / "layer"):
            for _ in range(20):
                if not mounted.is_mount() or not run("umount", str(mounted), check=False).returncode:
                    break
                time.sleep(0.2)
        if not self._root.is_mount():
            shutil.rmtree(self._place, ignore_errors=True)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
