"""baresip as an MMTel device: its configuration files and its control line.

Knows baresip 1.0 and 3.16: no PRACK, no UPDATE, no session timer. The control line is netstring-framed JSON over TCP;
baresip keeps one connection, so a second client takes the line over.
"""

import json
import re
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from tests.lab.ports import LOOPBACK
from tests.lab.waiting import wait_until

BINARY: Final = "/usr/bin/baresip"
ANSWER_TIMEOUT_S: Final = 5.0
# ausine speaks at this rate and in stereo only; the codecs' own rates are resampled from it.
SAMPLE_RATE: Final = 48000


class Codec(NamedTuple):
    """baresip's spelling of a codec and the module that has it."""

    spelling: str
    module: str


AUDIO_CODECS: Final[Mapping[str, Codec]] = {
    "opus": Codec("opus/48000/2", "opus.so"),
    "AMR-WB": Codec("AMR-WB/16000", "amr.so"),
    "AMR": Codec("AMR/8000", "amr.so"),
    "G722": Codec("G722/16000", "g722.so"),
    "PCMA": Codec("PCMA/8000", "g711.so"),
    "PCMU": Codec("PCMU/8000", "g711.so"),
}
VIDEO_CODECS: Final[Mapping[str, Codec]] = {
    "H264": Codec("H264", "avcodec.so"),
    "VP8": Codec("VP8", "vp8.so"),
}
_PNG_END: Final = b"IEND\xaeB`\x82"
_ACTIVE_CALLS: Final = re.compile(r"Active calls \((\d+)\)")
_DECODER: Final = re.compile(r"rx: +decode: (\S+)")
_FRAMES_SHOWN: Final = re.compile(r"vidisp: .*frames=(\d+)")


class BaresipError(Exception):
    """baresip refused a command."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the phone registers as, and through which proxy."""

    impu: str
    impi: str
    password: str
    outbound: str
    auto_answer: bool


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything one phone's configuration depends on; its control line is on loopback."""

    account: Account
    address: str
    sip_port: int
    control_port: int
    rtp: tuple[int, int]
    audio_codecs: tuple[str, ...]
    video_codec: str
    tone_hz: int


def write_configuration(folder: Path, setup: Setup) -> None:
    """Write config, accounts and contacts into the phone's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config").write_text("\n".join(_config_lines(folder, setup)) + "\n")
    (folder / "accounts").write_text(_account_line(setup) + "\n")
    (folder / "contacts").write_text("")


def _config_lines(folder: Path, setup: Setup) -> list[str]:
    codec_modules = {AUDIO_CODECS[name].module for name in setup.audio_codecs}
    # sndfile.so records both directions; aubridge.so is a sink for what is heard.
    modules = ["menu.so", "ctrl_tcp.so", "ausine.so", "sndfile.so", "aubridge.so", *sorted(codec_modules)]
    video = []
    if setup.video_codec:
        modules += ["fakevideo.so", "snapshot.so", VIDEO_CODECS[setup.video_codec].module]
        video = ["video_source fakevideo,nil", "video_display fakevideo,nil"]
        video += ["video_size 352x288", "video_bitrate 256000", "video_fps 15"]
    return [
        "poll_method epoll",
        f"sip_listen {setup.address}:{setup.sip_port}",
        "call_local_timeout 120",
        "call_max_calls 8",
        "statmode_default off",
        f"audio_source ausine,{setup.tone_hz}",
        "audio_player aubridge,sink",
        "audio_alert nil",
        "audio_level no",
        f"ausrc_srate {SAMPLE_RATE}",
        f"auplay_srate {SAMPLE_RATE}",
        "ausrc_channels 2",
        "auplay_channels 2",
        *(f"{direction}_format s16" for direction in ("ausrc", "auplay", "auenc", "audec")),
        f"snd_path {folder}",
        "rtp_ports {}-{}".format(*setup.rtp),
        "rtp_stats yes",
        "rtcp_mux no",
        "jitter_buffer_delay 1-5",
        f"net_interface {setup.address}",
        *video,
        "module_path /usr/lib/baresip/modules",
        *(f"module {module}" for module in modules),
        "module_tmp uuid.so",
        "module_tmp account.so",
        f"ctrl_tcp_listen {LOOPBACK}:{setup.control_port}",
    ]


def _account_line(setup: Setup) -> str:
    account = setup.account
    parameters = [
        f"auth_user={account.impi}",
        f"auth_pass={account.password}",
        f'outbound="{account.outbound};transport=udp"',
        "regint=600",
        f"answermode={'auto' if account.auto_answer else 'manual'}",
        "audio_codecs=" + ",".join(AUDIO_CODECS[name].spelling for name in setup.audio_codecs),
    ]
    if setup.video_codec:
        parameters.append(f"video_codecs={VIDEO_CODECS[setup.video_codec].spelling}")
    return f"<{account.impu};transport=udp>;" + ";".join(parameters)


class Phone:
    """A phone's control line and recordings; connects at the first command."""

    def __init__(self, address: str, control_port: int, folder: Path) -> None:
        self._where = (address, control_port)
        self._folder = folder
        self._line: socket.socket | None = None
        self._buffer = b""
        self._token = 0
        self.events: list[dict[str, Any]] = []

    def command(self, command: str, params: str = "") -> str:
        """Run one command and return its text; raise BaresipError with baresip's words."""
        self._token += 1
        token = str(self._token)
        message = json.dumps({"command": command, "params": params, "token": token}).encode()
        self._connected().sendall(b"%d:%s," % (len(message), message))
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            answer = self._next_message(deadline, f"answer to {command}")
            if answer.get("token") == token:
                break
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(answer.get("data", "")))
        if not answer.get("ok", False):
            raise BaresipError(f"{command}: {text}")
        return text

    def dial(self, uri: str) -> None:
        """Call a URI."""
        self.command("dial", uri)

    def hangup(self) -> None:
        """End the current call."""
        self.command("hangup")

    def active_calls(self) -> int:
        """Return how many calls the phone has."""
        found = _ACTIVE_CALLS.search(self.command("listcalls"))
        return int(found.group(1)) if found else 0

    def hangup_all(self) -> None:
        """End every call."""
        for _ in range(self.active_calls()):
            self.hangup()

    def hold(self) -> None:
        """Put the current call on hold."""
        self.command("hold")

    def resume(self) -> None:
        """Take the current call back."""
        with suppress(BaresipError):  # what 3.16 says although it does it
            self.command("resume")

    def send_digits(self, digits: str) -> None:
        """Send DTMF (RFC 4733) in the current call."""
        self.command("sndcode", digits)

    def is_registered(self) -> bool:
        """Tell whether the registrar has said yes."""
        return "OK" in self.command("reginfo")

    def wait_for(self, event: str, timeout_s: float = 10.0) -> dict[str, Any]:
        """Return the next event of that type that nobody has taken yet; raise TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while True:
            for index, seen in enumerate(self.events):
                if seen.get("type") == event:
                    return self.events.pop(index)
            self._connected()
            self._next_message(deadline, f"event {event}")

    def listen(self) -> None:
        """Connect now: events before the connection are lost."""
        self._connected()

    def recordings(self) -> list[Path]:
        """Return what was heard, decoded, one WAV file per audio stream, oldest first."""
        files = self._folder.glob("dump-*-dec.wav")
        return sorted(files, key=lambda path: path.stat().st_mtime_ns)

    def forget_recordings(self) -> None:
        """Delete what was recorded so far; only between calls."""
        for path in self._folder.glob("dump-*.wav"):
            path.unlink()

    def audio_codec(self) -> str:
        """Return the codec the current call is heard in, "" without one."""
        found = _DECODER.search(self.command("audio_debug"))
        return found.group(1) if found else ""

    def frames_shown(self) -> int:
        """Return how many decoded pictures the current call has shown."""
        found = _FRAMES_SHOWN.search(self.command("video_debug"))
        return int(found.group(1)) if found else 0

    def snapshot(self, name: str) -> bytes:
        """Take the next picture that is shown, as PNG; raise NotReady when none comes."""
        path = self._folder / f"{name}.png"
        path.unlink(missing_ok=True)
        self.command("snapshot_recv", str(path))
        wait_until(lambda: path.read_bytes().endswith(_PNG_END), "a picture", ANSWER_TIMEOUT_S)
        return path.read_bytes()

    def close(self) -> None:
        """Drop the control line."""
        if self._line is not None:
            self._line.close()
            self._line = None
            self._buffer = b""

    def _connected(self) -> socket.socket:
        if self._line is None:
            self._line = socket.create_connection(self._where, ANSWER_TIMEOUT_S)
        return self._line

    def _next_message(self, deadline: float, what: str) -> dict[str, Any]:
        """Read one message; events are also kept."""
        line = self._connected()
        while (message := self._take_message()) is None:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError(f"no {what}")
            line.settimeout(remaining)
            try:
                received = line.recv(65536)
            except TimeoutError:
                raise TimeoutError(f"no {what}") from None
            if not received:
                self.close()
                raise ConnectionResetError("the phone closed its control line")
            self._buffer += received
        if message.get("event"):
            self.events.append(message)
        return message

    def _take_message(self) -> dict[str, Any] | None:
        length, colon, rest = self._buffer.partition(b":")
        if not colon or len(rest) <= int(length):
            return None
        self._buffer = rest[int(length) + 1 :]
        message: dict[str, Any] = json.loads(rest[: int(length)])
        return message

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
