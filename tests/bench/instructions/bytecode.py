"""Counts what Python does for one full call: `python -m tests.bench.instructions.bytecode [--files]`.

The gateway's own code runs in four gateways, as in as many processes (a TCP worker, two UDP workers, housekeeping), on
the fake of KSR with the tables they share; the relay's control port is the stand-in of the benches, the page is the
load client's, Redis takes everything.  Executed bytecode instructions, calls of KSR, and writings and readings of call
records are counted: nothing of that depends on the machine.  What C functions do is not in it.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click
import pytest

from tests.fakes.installed_ksr import installed_ksr

KSR = installed_ksr()  # before anything imports kemi.adapters.kamailio.ksr

from kemi.adapters import gateway as gateway_module  # noqa: E402
from kemi.adapters.calls import history as call_history  # noqa: E402
from kemi.adapters.gateway import Gateway  # noqa: E402
from kemi.adapters.log import LOGGER  # noqa: E402
from kemi.adapters.monitoring import traces  # noqa: E402
from kemi.core.call.record import CallRecord  # noqa: E402
from kemi.settings import settings_from_text  # noqa: E402
from kemi.state import calls  # noqa: E402
from kemi.state.continuity import NOTHING  # noqa: E402
from kemi.state.redis_link import Heard, RedisLink, Stored  # noqa: E402
from tests.bench.callee import answer_to, fields_from_request, first_field  # noqa: E402
from tests.bench.load_call import LoadCall  # noqa: E402
from tests.bench.report import aligned  # noqa: E402
from tests.fakes.ksr import FakeKamailio  # noqa: E402
from tests.fakes.sip import FakeMessage  # noqa: E402
from tests.unit.adapters.messages import from_core, from_page  # noqa: E402
from tests.unit.adapters.played import MESSAGE, connected_page  # noqa: E402
from tests.unit.site import SETTINGS_TEXT  # noqa: E402

_ROOT: Final = Path(__file__).parents[3]
_OURS: Final = f"{_ROOT}/"
_FAKES: Final = f"{_ROOT / 'tests'}/"
WARM_UP: Final = 4
TICK_S: Final = 0.12
TICKS: Final = 60
"""Traces wait for some seconds for messages that come late."""
PAGES, CORE, KEEPER = "TCP worker", "UDP workers", "housekeeping"


_NEVER: Final = "{ register = 1e6, invite = 1e6, in_call = 1e6, other = 1e6 }"
LIMITS: Final = f"""
[limits]
connection = {_NEVER}
identity = {_NEVER}
address = {_NEVER}
unrefused = 1e6
calls_per_identity = 1000000
"""
"""As for the targets of the benches: counted, never reached."""


class QuietRedis:
    """Takes everything and has nothing to say."""

    node = "gateway"

    _SAYS: Final = {
        "stored": Stored({}, {}),
        "exchange": Heard([], {}, set(), 0),
        "exchange_bans": ({}, None),
        "trim_calls": 0.0,
        "take_change": NOTHING,
    }

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not hasattr(RedisLink, name):
            raise AttributeError(f"RedisLink has no {name}")
        return lambda *_, **__: self._SAYS.get(name, {})


class Troubles(logging.Handler):
    """Errors that the gateway logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(record.getMessage())


@dataclass
class Counted:
    """What was executed, by process and file."""

    instructions: Counter[tuple[str, str]] = field(default_factory=Counter)
    functions: Counter[tuple[str, str]] = field(default_factory=Counter)
    ksr: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    process: str = ""

    def clear(self) -> None:
        """Begin anew."""
        for counter in (self.instructions, self.functions, self.ksr, self.records, self.characters):
            counter.clear()

    @contextmanager
    def by(self, process: str) -> Iterator[None]:
        """Count what the block does for this process."""
        self.process = process
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(None)

    def _called(self, frame: FrameType, _event: str, _argument: object) -> Any:
        code = frame.f_code
        if _whose(frame).startswith(_FAKES):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        name = _short(code.co_filename)
        file, function = (self.process, name), (self.process, f"{name} {code.co_qualname}")
        instructions, functions = self.instructions, self.functions

        def count(_frame: FrameType, event: str, _argument: object) -> Any:
            if event == "opcode":
                instructions[file] += 1
                functions[function] += 1
            return count

        return count


def _whose(frame: FrameType | None) -> str:
    """Return the file of ours that a frame is of, or works for."""
    while frame is not None and not frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return "" if frame is None else frame.f_code.co_filename


def _short(name: str) -> str:
    if name.startswith(_OURS):
        return name.removeprefix(_OURS)
    return "dataclasses, enum" if name.startswith("<") or name.endswith("enum.py") else Path(name).name


class Node:
    """The processes of a gateway, one page and the core."""

    def __init__(self, relay_port: int, patch: pytest.MonkeyPatch) -> None:
        text = SETTINGS_TEXT.replace('"192.0.2.9", port = 2223', f'"127.0.0.1", port = {relay_port}')
        text += LIMITS
        patch.setattr(gateway_module, "RedisLink", lambda *_, **__: QuietRedis())
        self.kamailio = KSR.kamailio = FakeKamailio()
        self.kamailio.script("tm.t_check_trans", -1)
        self.pages, *self.core, self.keeper = (Gateway(settings_from_text(text)) for _ in range(4))
        self.counted = Counted()
        self._turn = 0
        self._troubles = Troubles(logging.ERROR)
        LOGGER.addHandler(self._troubles)
        connected_page(self.kamailio, self.pages)
        self._now = time.time()
        self.work()
        for name, outcome in {
            "tm.t_is_canceled": -1,
            "tm.t_branch_timeout": -1,
            "tmx.t_continue": self._continued,
            "tm.t_uac_send": self._own_request,
        }.items():
            self.kamailio.script(name, outcome)

    def call(self) -> None:
        """Play one call, from INVITE to the 200 to BYE; housekeeping ticks after each message."""
        self._to_page: list[str] = []
        self._to_core: list[FakeMessage] = []
        ended: list[str | None] = []
        from_page_: list[str] = []
        call = LoadCall("page.invalid", "alice", from_page_.append, lambda _call, why: ended.append(why))
        call.start()
        while not ended:
            while from_page_:
                self._from_page(from_page_.pop(0))
            if self._to_core:
                self._at_core(self._to_core.pop(0))
            while self._to_page:
                call.received(self._to_page.pop(0), 0.0)
        if ended != [None]:
            raise AssertionError(f"the call failed: {ended}")

    def work(self) -> None:
        """Let housekeeping tick until all of a call is shipped; its clock is ours."""
        for _ in range(TICKS):
            self._now += TICK_S
            with self.counted.by(KEEPER):
                self.keeper._housekeeping.tick(self._now)
        if self._troubles.lines:  # what is left undone costs nothing
            raise AssertionError(self._troubles.lines[0])

    # ------------------------------------------------------------ the page

    def _from_page(self, text: str) -> None:
        message = self.kamailio.receive(from_page(text))
        if message.method == "INVITE":
            self._invite = message
        replies = len(self.kamailio.replies)
        relayed = len(self.kamailio.relayed)
        with self.counted.by(PAGES):
            self.pages.ksr_received(MESSAGE)
            if message.is_reply:
                self.pages.ksr_reply_route(MESSAGE)
                self.pages.ksr_onreply_own_request(MESSAGE)
            else:
                self.pages.ksr_request_route(MESSAGE)
        self._sent(self.pages, PAGES, message, replies, relayed)

    def _sent(self, gateway: Gateway, process: str, request: FakeMessage, replies: int, relayed: int) -> None:
        for reply in self.kamailio.replies[replies:]:
            tag = "" if ";tag=" in (request.value("To") or "") else ";tag=none"
            copied = "".join(
                f"{name}: {value}{tag if name == 'To' else ''}\r\n"
                for name, value in request.headers
                if name in ("Via", "From", "To", "Call-ID", "CSeq")
            )
            lines = "".join(f"{line}\r\n" for line in reply.headers)
            self._leaves(
                gateway,
                process,
                f"SIP/2.0 {reply.status} {reply.reason_phrase}\r\n{copied}{lines}\r\n{reply.body}",
            )
            self._to_page.append(self._left)
        for message in self.kamailio.relayed[relayed:]:
            self._leaves(gateway, process, message.sent())
            if message.method != "ACK":
                self._to_core.append(message)

    def _leaves(self, gateway: Gateway, process: str, text: str) -> None:
        self._left = text.replace("\r\n", "\n").replace("\n", "\r\n")
        before = self.kamailio.message
        self.kamailio.message = FakeMessage.from_bytes(self._left.encode())
        with self.counted.by(process):
            gateway.ksr_sent(MESSAGE)
        self.kamailio.message = before

    def _own_request(self, method: str, uri: str, _hop: str, _socket: str, headers: str, body: str) -> int:
        text = f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/WSS own;branch=z9hG4bKown\r\n{headers}\r\n{body}"
        before = self.kamailio.message, self.kamailio.transaction
        self.kamailio.message = FakeMessage.from_bytes(text.encode())
        self.pages.ksr_tm_event(MESSAGE, "tm:local-request")
        self.pages.ksr_sent(MESSAGE)
        self.kamailio.message, self.kamailio.transaction = before
        self._to_page.append(text)
        return 1

    def _continued(self, *_: object) -> int:
        before = self.kamailio.message, self.kamailio.transaction
        invite = self._invite.sent()  # with our To-tag, which is in the request itself
        self.kamailio.receive(from_page(invite), transaction=(11, 22))
        result = self.pages.ksr_continue_invite(MESSAGE)
        self.kamailio.message, self.kamailio.transaction = before
        return result

    # ------------------------------------------------------------ the core

    def _at_core(self, request: FakeMessage) -> None:
        fields = fields_from_request(request.sent().replace("\n", "\r\n").encode())
        to = first_field(fields, b"To").decode()
        to += "" if ";tag=" in to else ";tag=core"
        copied = "".join(
            f"{name.decode()}: {value.decode()}\r\n"
            for name, value in fields
            if name in (b"Via", b"Record-Route", b"From", b"Call-ID", b"CSeq")
        )
        contact = "Contact: <sip:callee@198.51.100.7:5060>\r\n"
        is_invite = request.method == "INVITE"
        for status, body in (
            ((180, ""), (200, answer_to(request.sent().encode()).decode())) if is_invite else ((200, ""),)
        ):
            kind = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n" if body else ""
            self._from_core(f"SIP/2.0 {status} OK\r\n{copied}To: {to}\r\n{contact}{kind}\r\n{body}")

    def _from_core(self, text: str) -> None:
        worker = self.core[self._turn % len(self.core)]
        self._turn += 1
        message = self.kamailio.receive(from_core(text))
        with self.counted.by(CORE):
            worker.ksr_received(MESSAGE)
            worker.ksr_reply_route(MESSAGE)
        if not self.kamailio.dropped:
            self._leaves(worker, CORE, message.sent())
            self._to_page.append(self._left)


@contextmanager
def node() -> Iterator[Node]:
    """A gateway with a stand-in for the relay."""
    command = [sys.executable, "-m", "tests.bench.relay"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as relay,
        pytest.MonkeyPatch.context() as patch,
    ):
        assert relay.stdout is not None
        try:
            found = Node(int(relay.stdout.readline()), patch)
            _watch_records(found.counted, patch)
            for module in (traces, call_history):  # or what is left for later depended on the machine
                patch.setattr(module, "READING_S", 60.0)
            yield found
        finally:
            relay.communicate()


def _watch_records(counted: Counted, patch: pytest.MonkeyPatch) -> None:
    """Count how often call records are written and read, and how long they are."""
    write, read = calls.record_to_text, calls.record_from_text

    def written(record: CallRecord) -> str:
        text = write(record)
        counted.records["written"] += 1
        counted.characters["written"] += len(text)
        return text

    def was_read(text: str) -> CallRecord:
        counted.records["read"] += 1
        counted.characters["read"] += len(text)
        return read(text)

    patch.setattr(calls, "record_to_text", written)
    patch.setattr(calls, "record_from_text", was_read)


def count() -> tuple[Counted, int]:
    """Return what one call costs when others have gone before, and how many instructions an idle tick has."""
    with node() as gateway:
        for _ in range(WARM_UP):
            gateway.call()
            gateway.work()
        counted = gateway.counted
        counted.clear()
        gateway.kamailio.calls.clear()
        gateway.work()
        idle, idle_ksr = sum(counted.instructions.values()), len(gateway.kamailio.calls)
        idle_functions = Counter(counted.functions), Counter(counted.instructions)
        counted.clear()
        gateway.kamailio.calls.clear()
        gateway.call()
        asked = len(gateway.kamailio.calls)
        counted.ksr["workers"] = asked
        gateway.work()
        counted.ksr[KEEPER] = len(gateway.kamailio.calls) - asked - idle_ksr
        counted.functions.subtract(idle_functions[0])
        counted.instructions.subtract(idle_functions[1])
        return counted, idle // TICKS


@click.command()
@click.option("--most", default=40, show_default=True, help="Rows of files and functions.")
def main(most: int) -> None:
    """Print what one call costs."""
    found, idle = count()
    processes: Counter[str] = Counter()
    for (process, _), number in found.instructions.items():
        processes[process] += number
    rows = [["instructions", name, f"{number:,}"] for name, number in processes.most_common()]
    rows += [["instructions", "idle tick of all parts", f"{idle:,}"]]
    rows += [["calls of KSR", name, f"{number:,}"] for name, number in found.ksr.items()]
    rows += [
        ["records", name, f"{number} ({found.characters[name]:,} characters)"]
        for name, number in found.records.items()
    ]
    for counter in (found.instructions, found.functions):
        rows += [[process, name, f"{number:,}"] for (process, name), number in counter.most_common(most)]
    click.echo(aligned(rows))


if __name__ == "__main__":
    main()
