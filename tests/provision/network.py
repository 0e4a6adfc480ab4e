"""The network that machines and their operator share: a bridge in a namespace of its own."""

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

BRIDGE: Final = "site"


class Network:
    """A bridge, the operator's addresses on it, and the operator's key; gone without a trace afterwards."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.name = f"gw{secrets.token_hex(3)}"
        self.place = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))

    @property
    def key(self) -> Path:
        """The operator's private key for SSH."""
        return self.place / "key"

    @property
    def lines(self) -> Path:
        """A folder for the sockets of kept SSH connections."""
        return self.place / "ssh"

    def __enter__(self) -> Self:
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        run("ip", "netns", "add", self.name)
        try:
            self.run("ip", "link", "set", "lo", "up")
            self.run("ip", "link", "add", BRIDGE, "type", "bridge")
            for address in self.addresses:
                self.run("ip", "addr", "add", address, "dev", BRIDGE)
            self.run("ip", "link", "set", BRIDGE, "up")
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove it."""
        run("ip", "netns", "delete", self.name, check=False)
        shutil.rmtree(self.place, ignore_errors=True)

    def inside(self, *command: str) -> list[str]:
        """Return a command of this system that runs in the operator's network."""
        # Not `ip netns exec`, which hides the control groups that systemd needs.
        return ["nsenter", f"--net=/run/netns/{self.name}", *command]

    def run(
        self, *command: str, check: bool = True, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of this system in the operator's network, where machines are reached by their addresses."""
        return run(*self.inside(*command), check=check, timeout_s=timeout_s)


def run(*command: str, check: bool = True, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command of this system; raise RuntimeError with what it said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def first_of(addresses: Sequence[str]) -> str:
    """Return the first address, without the length of its network."""
    return addresses[0].partition("/")[0]
