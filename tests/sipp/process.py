"""One running SIPp (Debian's sip-tester 3.6.1): how it is started, what it said and heard, how it ended.

Knows SIPp's command line, its message log and exit codes.  Must not know what a scenario is about.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final, Self

from tests.lab.ports import port_is_free
from tests.peers.sip import SipRequest, SipResponse, message_from_text
from tests.peers.trace import DEFAULT_WAIT_S

READY_S: Final = 5.0
_EXIT: Final = {
    0: "every call went as the scenario has it",
    1: "a call did not go as the scenario has it",
    97: "it was told to stop",
    99: "no call came",
    254: "it could not bind its port",
    255: "it could not start",
}
_POLL_S: Final = 0.02
# A dash line with the time, then "UDP message received [123] bytes :", an empty line and the message.
_ENTRY: Final = re.compile(r"^-{20,} \d{4}-.*$\n^\w+ message (sent|received) .*$\n\n?", re.MULTILINE)


class SippFailed(AssertionError):
    """SIPp was not content; the text says with what, and what it sent and heard."""


@dataclass(frozen=True)
class Heard:
    """One message of SIPp's log."""

    sent: bool
    message: SipRequest | SipResponse

    @property
    def label(self) -> str:
        """One rung of the ladder, as the scripted peers write it."""
        way = "->" if self.sent else "<-"
        return f"{way} {self.message.start_line}"


class Sipp:
    """One SIPp with one scenario file; use `start` and `done`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, folder: Path, port: int) -> None:
        self.name = name
        self.port = port
        self._process = process
        self._messages = folder / f"{name}.messages"
        self._errors = folder / f"{name}.errors"
        self._log = folder / f"{name}.log"

    @classmethod
    async def start(
        cls,
        scenario: Path,
        folder: Path,
        *,
        name: str,
        address: str,
        port: int,
        target: tuple[str, int] | None = None,
        calls: int = 1,
        rate: float = 0.0,
        timeout_s: float = 20.0,
        keys: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        trace: bool = True,
    ) -> Self:
        """Start SIPp and wait until its port is bound.

        Args:
            scenario: the XML file.
            folder: where its logs go.
            name: of its logs, and of the party in what people read.
            address, port: where it listens, UDP.
            target: whom it calls; None for a scenario that begins with a request it receives.
            calls: after so many calls it ends; 0: when it is told to.
            rate: calls per second of a caller; 0: SIPp's own.
            timeout_s: when it gives up.
            keys: values of the scenario's keywords, as [tone].
            arguments: more of SIPp's own.
            trace: whether every message is logged; not for load.
        """
        program = shutil.which("sipp")
        if program is None:
            raise SippFailed("there is no sipp here: apt-get install sip-tester")
        command = [
            program,
            *([f"{target[0]}:{target[1]}"] if target else []),
            *("-sf", str(scenario), "-i", address, "-p", str(port), "-mi", address),
            *("-timeout", f"{timeout_s:g}s", "-timeout_error", "-nostdin"),
            *(("-m", str(calls)) if calls else ()),
            *(("-r", f"{rate:g}") if rate else ()),
            *("-trace_err", "-error_file", str(folder / f"{name}.errors")),
            *(("-trace_msg", "-message_file", str(folder / f"{name}.messages")) if trace else ()),
            *(word for key, value in (keys or {}).items() for word in ("-key", key, value)),
            *arguments,
        ]
        with (folder / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                cwd=scenario.parent,
            )
        sipp = cls(name, process, folder, port)
        if target is None:
            deadline = time.monotonic() + READY_S
            while port_is_free(port, address):
                if process.returncode is not None or time.monotonic() > deadline:
                    raise SippFailed(f"{name}: {_EXIT.get(process.returncode or 0, '')}\n{sipp.said()}")
                await asyncio.sleep(_POLL_S)
        return sipp

    # ------------------------------------------------------------------ what went over the wire

    def entries(self) -> list[Heard]:
        """Return what it sent and received so far, in order."""
        text = self._messages.read_bytes().decode(errors="replace") if self._messages.exists() else ""
        marks = list(_ENTRY.finditer(text))
        found = []
        for mark, following in zip_longest(marks, marks[1:]):
            body = text[mark.end() : following.start() if following else None]
            with contextlib.suppress(ValueError):  # written in part, or no SIP at all
                found.append(Heard(mark[1] == "sent", message_from_text(re.sub(r"\r?\n", "\r\n", body))))
        return found

    def requests(self, method: str, *, sent: bool = False) -> list[SipRequest]:
        """Return the requests of a method that it received, or sent."""
        messages = (entry.message for entry in self.entries() if entry.sent is sent)
        return [m for m in messages if isinstance(m, SipRequest) and m.method == method]

    def responses(self, method: str, *, sent: bool = False) -> list[SipResponse]:
        """Return the responses to a method that it received, or sent."""
        messages = (entry.message for entry in self.entries() if entry.sent is sent)
        return [m for m in messages if isinstance(m, SipResponse) and m.cseq.method == method]

    async def wait_request(
        self, method: str, *, count: int = 1, timeout_s: float = DEFAULT_WAIT_S
    ) -> SipRequest:
        """Return the `count`-th request of that method it received."""
        deadline = time.monotonic() + timeout_s
        while len(found := self.requests(method)) < count:
            if time.monotonic() > deadline:
                raise SippFailed(f"{self.name} received no {method}\n{self.ladder()}")
            await asyncio.sleep(_POLL_S)
        return found[count - 1]

    async def wait_response(
        self, method: str, status: int, *, count: int = 1, timeout_s: float = DEFAULT_WAIT_S
    ) -> SipResponse:
        """Return the `count`-th response of that status to its own requests of that method."""
        deadline = time.monotonic() + timeout_s
        while len(found := [one for one in self.responses(method) if one.status == status]) < count:
            if time.monotonic() > deadline:
                raise SippFailed(f"{self.name} received no {status} to its {method}\n{self.ladder()}")
            await asyncio.sleep(_POLL_S)
        return found[count - 1]

    def ladder(self) -> str:
        """Say what it sent (->) and received (<-)."""
        rungs = [entry.label for entry in self.entries()]
        return "\n".join(f"    {self.name} {rung}" for rung in rungs) or f"    {self.name} heard nothing"

    def said(self) -> str:
        """Return its own words about what went wrong, the last lines of them."""
        for path in (self._errors, self._log):
            if path.exists() and (lines := path.read_text(errors="replace").strip().splitlines()):
                return "\n".join(f"    {line}" for line in lines[-12:])
        return ""

    # ------------------------------------------------------------------ its end

    async def done(self, timeout_s: float = 20.0) -> None:
        """Wait for its end; raise SippFailed unless every call went as the scenario has it."""
        try:
            code = await asyncio.wait_for(self._process.wait(), timeout_s)
        except TimeoutError:
            await self.stop()
            raise SippFailed(f"{self.name} still waits after {timeout_s:g} s\n{self.ladder()}") from None
        if code:
            why = _EXIT.get(code, "unknown")
            raise SippFailed(f"{self.name} ended with {code}: {why}\n{self.said()}\n{self.ladder()}")

    def finish(self) -> None:
        """Let it end when its calls have ended; no new one is taken."""
        self._process.send_signal(signal.SIGUSR1)

    async def stop(self) -> None:
        """End it; does nothing when it has ended."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
