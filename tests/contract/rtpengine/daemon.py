"""A real rtpengine on loopback, configured by the role's own template."""

import collections
import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import jinja2
import yaml

from rtpengine.pool import NodeAddress
from tests.lab.ports import PortBlocks, PortMode
from tests.lab.relay_program import relay_command

ROLE: Final = Path(__file__).parents[3] / "ansible" / "roles" / "rtpengine"
WIC_ADDRESS: Final = "127.0.0.1"
IMS_ADDRESS: Final = "127.0.0.2"
# How long to wait for the daemon's own "Startup complete", in seconds.
START_TIMEOUT_S: Final = 60.0


@contextlib.contextmanager
def media_ports(count: int) -> Iterator[range]:
    """Claim that many ports in a row."""
    with PortBlocks(PortMode.FREE, rtp_ports=count, service_ports=0) as blocks:
        first, last = blocks.rtp_range(count)
        yield range(first, last + 1)


def free_port(host: str) -> int:
    """Return a port that is free for TCP and UDP right now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        with (
            socket.socket(family, socket.SOCK_STREAM) as tcp,
            socket.socket(family, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind((host, 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind((host, port))
                return port


def render_configuration(**variables: object) -> str:
    """Render the role's configuration with its defaults and `variables`."""
    return render(ROLE / "templates" / "rtpengine.conf.j2", **variables)


def render(template: Path, **variables: object) -> str:
    """Render one of the role's templates with its defaults and `variables`."""
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    unknown = variables.keys() - defaults.keys()
    assert not unknown, f"not variables of the role: {unknown}"
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, autoescape=False)
    return environment.from_string(template.read_text()).render(defaults | variables)


class Daemon:
    """One rtpengine process; may be started again on the same ports after it ended."""

    def __init__(
        self,
        directory: Path,
        ports: range,
        *,
        ng_host: str = "127.0.0.1",
        command: Sequence[str] | None = None,
        **variables: object,
    ) -> None:
        """Write the configuration; `ports` are for media, `variables` further ones of the role.

        `command`: another one than every test's.
        """
        self._command = command or relay_command()
        # Not of the system's own choosing: while the daemon is down somebody else could get such a port.
        self._claimed = PortBlocks(PortMode.FREE, rtp_ports=0)
        self.address = NodeAddress(ng_host, self._claimed.port())
        self.cli_port = self._claimed.port()
        """Of rtpengine-ctl, on loopback."""
        self.log: collections.deque[str] = collections.deque(maxlen=5000)
        self._configuration = directory / "rtpengine.conf"
        values: dict[str, object] = {
            "rtpengine_wic_address": WIC_ADDRESS,
            "rtpengine_ims_address": IMS_ADDRESS,
            "rtpengine_ng_address": ng_host,
            "rtpengine_ng_port": self.address.port,
            "rtpengine_cli_port": self.cli_port,
            "rtpengine_port_min": ports.start,
            "rtpengine_port_max": ports.stop - 1,
            "rtpengine_threads": 2,
            "rtpengine_log_level": 6,
        }
        self._configuration.write_text(render_configuration(**{**values, **variables}))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._claimed.release()

    def start(self) -> None:
        """Start the process and wait until it says that it is ready."""
        self._process = subprocess.Popen(
            [*self._command, f"--config-file={self._configuration}", "--foreground", "--log-stderr"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read_log, args=(self._process, ready), daemon=True)
        self._reader.start()
        if not ready.wait(START_TIMEOUT_S) or self._process.poll() is not None:
            self.stop()
            raise AssertionError("rtpengine did not start:\n" + "".join(self.log))

    def stop(self) -> None:
        """Kill the process, whatever state it is in."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def pause(self) -> None:
        """Keep the process from doing anything; its socket still takes datagrams."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """Undo `pause`."""
        self._process.send_signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        """The process of this moment."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is still the one that was started."""
        return self._process.poll() is None

    def _read_log(self, process: "subprocess.Popen[str]", ready: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                self.log.append(line)
                if "Startup complete" in line:
                    ready.set()
        ready.set()
