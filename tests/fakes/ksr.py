"""A strict Kamailio for tests of kemi/adapters.

The functions are those of the real one and no others (tests/fakes/ksr_api.py); wrong arguments are refused.  What the
adapters read and change is kept in one state: the message, the hash tables, the replies and requests that leave.
Functions about which nothing sensible can be assumed must be scripted by the test; calling one that is not raises
UnscriptedCall, which is no Exception, so that no guard can swallow it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from tests.fakes.ksr_api import STUB, Signature, api_from_stub
from tests.fakes.sip import FakeMessage, long_name

API: Final = api_from_stub(STUB.read_text(encoding="utf-8"))
_MODULES: Final = {name.partition(".")[0] for name in API if "." in name}
_ROOM_FOR_DIGITS: Final = 65_535
"""Of what is longer Kamailio gives nothing (TR_S_ENCODEHEXA of its pv_trans.c)."""
LOG_LEVELS: Final = ("dbg", "info", "notice", "warn", "err", "crit")


class UnscriptedCall(BaseException):
    """The code under test called something the test did not expect."""


@dataclass(frozen=True, slots=True)
class SentReply:
    """A local answer."""

    status: int
    reason_phrase: str
    headers: tuple[str, ...]
    body: str
    stateful: bool


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request of our own (tm.t_uac_send)."""

    method: str
    uri: str
    next_hop: str
    socket: str
    headers: tuple[str, ...]
    body: str


@dataclass
class FakeKamailio:
    """What one worker process sees, and what it did."""

    message: FakeMessage | None = None
    cancelled_tag: str | None = None
    """To-tag of the INVITE that the current CANCEL is for."""
    cancelled_source: tuple[str, int] | None = None
    """Its sender; None: that of the CANCEL."""
    transaction: tuple[int, int] | None = None
    """Index and label of the current message's transaction."""
    failure_status: int | None = None
    """$T_reply_code inside a failure route."""
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    statistics: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)
    replies: list[SentReply] = field(default_factory=list)
    requests: list[SentRequest] = field(default_factory=list)
    relayed: list[FakeMessage] = field(default_factory=list)
    http_replies: list[tuple[int, str, str]] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)
    dropped: bool = False
    _locks: Counter[tuple[str, str]] = field(default_factory=Counter)
    _iterators: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _reply_headers: str = ""
    _reply_body: str = ""
    _scripted: dict[str, Callable[..., object]] = field(default_factory=dict)

    # -- for the test

    def receive(self, message: FakeMessage, *, transaction: tuple[int, int] | None = None) -> FakeMessage:
        """Make this the message Kamailio works on."""
        self.message, self.transaction, self.failure_status = message, transaction, None
        self.dropped = False
        return message

    def script(self, name: str, outcome: object) -> None:
        """Say what a function returns; a callable gets the arguments.  Overrides the state's own behaviour."""
        if name not in API:
            raise AttributeError(f"Kamailio has no KSR.{name}")
        self._scripted[name] = outcome if callable(outcome) else lambda *_: outcome

    def called(self, name: str) -> list[tuple[object, ...]]:
        """Return the arguments of every call of this function."""
        if name not in API:
            raise AttributeError(f"Kamailio has no KSR.{name}")
        return [arguments for function, arguments in self.calls if function == name]

    @property
    def locked(self) -> set[tuple[str, str]]:
        """Hash table slots still locked."""
        return {slot for slot, depth in self._locks.items() if depth}

    # -- for the code under test

    def call(self, signature: Signature, arguments: tuple[Any, ...]) -> object:
        """Run one KSR function."""
        signature.check(arguments)
        self.calls.append((signature.name, arguments))
        handler = self._scripted.get(signature.name) or getattr(
            self, "_ksr_" + signature.name.replace(".", "_"), None
        )
        if handler is None:
            raise UnscriptedCall(f"KSR.{signature.name}{arguments}")
        result = handler(*arguments)
        return {"int": 1, "bool": True}.get(signature.returns) if result is None else result

    @property
    def _current(self) -> FakeMessage:
        if self.message is None:
            raise UnscriptedCall("there is no message in this context")
        return self.message

    # -- pseudo-variables

    def _ksr_pv_get(self, name: str) -> int | str | None:
        if match := re.fullmatch(r"\$\((.+)\{s\.encode\.hexa\}\)", name):
            inner = match.group(1)
            raw = self._read(f"$({inner})" if "[" in inner else f"${inner}")
            digits = "" if raw is None else str(raw).encode("utf-8", "surrogateescape").hex()
            return digits if raw is not None and len(digits) < _ROOM_FOR_DIGITS else None
        value = self._read(name)
        if isinstance(value, str):
            value.encode("utf-8", "surrogateescape").decode("utf-8")  # strict, as the real one
        return value

    def _read(self, name: str) -> int | str | None:
        if match := re.fullmatch(r"\$stat\((\w+)\)", name):
            return self.statistics.get(match.group(1))
        if match := re.fullmatch(r"\$hdrc\(([\w-]+)\)", name):
            return len(self._current.values(match.group(1)))
        if match := re.fullmatch(r"\$\(hdr\(([\w-]+)\)\[(\d+)\]\)", name):
            values = self._current.values(match.group(1))
            return values[int(match.group(2))] if int(match.group(2)) < len(values) else None
        if match := re.fullmatch(r"\$hdr\((From|To)\)", name):
            return self._current.value(match.group(1))
        if match := re.fullmatch(r"\$shtit(key|val)\((\w+)\)", name):
            return self._iterators[match.group(2)][0][match.group(1) == "val"]
        reader = _VARIABLES.get(name)
        if reader is None:
            raise UnscriptedCall(f"KSR.pv.get({name!r})")
        return reader(self)

    def _ksr_pv_sets(self, name: str, value: str) -> bool:
        if name not in ("$ru", "$du"):
            raise UnscriptedCall(f"KSR.pv.sets({name!r})")
        self._current.variables[name] = value
        return True

    # -- the current message

    def _ksr_hdr_remove(self, name: str) -> int:
        self._current.removed.add(long_name(name))
        return 1

    def _ksr_hdr_append(self, lines: str) -> int:
        self._current.appended += _lines(lines)
        return 1

    def _ksr_hdr_insert(self, lines: str) -> int:
        if self._current.inserted:
            raise UnscriptedCall(
                "insert header lines in one call: the order of several calls is nobody's promise"
            )
        self._current.inserted = _lines(lines)
        return 1

    def _ksr_hdr_append_after(self, lines: str, name: str) -> int:
        self._current.append_after(name, _lines(lines))
        return 1

    def _ksr_hdr_append_to_reply(self, lines: str) -> int:
        self._reply_headers += lines
        return 1

    def _ksr_textops_has_body(self) -> int:
        return 1 if self._current.body else -1

    def _ksr_textops_set_body(self, body: str, content_type: str) -> int:
        message = self._current
        message.new_body = body
        message.removed.add("content-type")
        message.appended.append(f"Content-Type: {content_type}")
        return 1

    def _ksr_textops_set_reply_body(self, body: str, _content_type: str) -> int:
        self._reply_body = body
        return 1

    def _ksr_textopsx_remove_body(self) -> int:
        self._current.new_body = ""
        return 1

    def _ksr_textops_subst_hf(self, name: str, expression: str, _mode: str) -> int:
        return 1 if self._current.substitute(name, expression) else -1

    def _ksr_textopsx_msg_apply_changes(self) -> int:
        self._current.apply()
        return 1

    def _ksr_textopsx_msg_set_buffer(self, text: str) -> int:
        self._current.rewrite(text)
        return 1

    def _ksr_corex_set_send_socket(self, socket: str) -> int:
        self._current.send_socket = socket
        return 1

    def _ksr_set_drop(self) -> None:
        self.dropped = True

    def _ksr_force_rport(self) -> bool:
        return True

    def _ksr_maxfwd_process_maxfwd(self, _limit: int) -> int:
        value = self._current.value("Max-Forwards")
        return -1 if value == "0" else 1

    # -- what leaves

    def _answer(self, status: int, reason_phrase: str, *, stateful: bool) -> int:
        lines = tuple(self._reply_headers.split("\r\n")[:-1])
        self.replies.append(SentReply(status, reason_phrase, lines, self._reply_body, stateful))
        self._reply_headers = self._reply_body = ""
        return 1

    def _ksr_tm_t_reply(self, status: int, reason_phrase: str) -> int:
        if self.transaction is None:
            raise UnscriptedCall("KSR.tm.t_reply without a transaction")
        return self._answer(status, reason_phrase, stateful=True)

    def _ksr_sl_send_reply(self, status: int, reason_phrase: str) -> int:
        return self._answer(status, reason_phrase, stateful=False)

    def _ksr_tm_t_newtran(self) -> int:
        self.transaction = (11, 22)
        return 1

    def _ksr_tm_t_relay(self) -> int:
        self.relayed.append(self._current)
        return 1

    def _ksr_tm_t_uac_send(
        self, method: str, uri: str, next_hop: str, socket: str, headers: str, body: str
    ) -> int:
        lines = tuple(headers.split("\r\n")[:-1])
        self.requests.append(SentRequest(method, uri, next_hop, socket, lines, body))
        return 1

    def _ksr_tm_t_set_fr(self, _answer_ms: int, _response_ms: int) -> int:
        return 1

    def _ksr_tm_t_on_failure(self, _callback: str) -> int:
        return 1

    def _ksr_tm_t_on_reply(self, _callback: str) -> int:
        return 1

    def _ksr_tm_t_drop_replies_all(self) -> int:
        return 1

    def _ksr_tm_t_use_uac_headers(self) -> int:
        return 1

    def _ksr_xhttp_xhttp_reply(self, status: int, reason_phrase: str, _type: str, body: str) -> int:
        self.http_replies.append((status, reason_phrase, body))
        return 1

    # -- hash tables

    def _ksr_htable_sht_lock(self, table: str, key: str) -> int:
        self._locks[table, key] += 1
        return 1

    def _ksr_htable_sht_unlock(self, table: str, key: str) -> int:
        if not self._locks[table, key]:
            raise UnscriptedCall(f"unlock of {table}/{key}, which nobody locked")
        self._locks[table, key] -= 1
        return 1

    def _ksr_htable_sht_get(self, table: str, key: str) -> str | None:
        if not self._locks[table, key]:
            raise UnscriptedCall(
                f"sht_get of {table}/{key} without its lock reads memory another process may free"
            )
        return self.tables.setdefault(table, {}).get(key)

    def _ksr_htable_sht_is_null(self, table: str, key: str) -> int:
        return -1 if key in self.tables.setdefault(table, {}) else 1

    def _ksr_htable_sht_sets(self, table: str, key: str, value: str) -> int:
        self.tables.setdefault(table, {})[key] = value
        return 1

    def _ksr_htable_sht_setex(self, table: str, key: str, seconds: int) -> int:
        if seconds <= 0:
            raise UnscriptedCall(f"{table}/{key} for {seconds} s: that would be the table's own time")
        return 1 if key in self.tables.setdefault(table, {}) else -1

    def _ksr_htable_sht_rm(self, table: str, key: str) -> int:
        self.tables.setdefault(table, {}).pop(key, None)
        return 1

    def _ksr_htable_sht_iterator_start(self, iterator: str, table: str) -> int:
        if iterator in self._iterators:
            raise UnscriptedCall(f"iterator {iterator} was not ended")
        self._iterators[iterator] = [("", ""), *self.tables.setdefault(table, {}).items()]
        return 1

    def _ksr_htable_sht_iterator_next(self, iterator: str) -> int:
        self._iterators[iterator].pop(0)
        return 1 if self._iterators[iterator] else -1

    def _ksr_htable_sht_iterator_end(self, iterator: str) -> int:
        del self._iterators[iterator]
        return 1


def _log_handler(level: str) -> Callable[[FakeKamailio, str], None]:
    def write(kamailio: FakeKamailio, line: str) -> None:
        kamailio.log.append((level, line))

    return write


for _level in LOG_LEVELS:
    setattr(FakeKamailio, f"_ksr_{_level}", _log_handler(_level))


def _lines(text: str) -> list[str]:
    lines = text.split("\r\n")
    if lines.pop() or not lines or not all(lines) or any("\r" in line or "\n" in line for line in lines):
        raise UnscriptedCall(f"header lines end in CRLF, each of them: {text!r}")
    return lines


def _status(kamailio: FakeKamailio) -> int | None:
    message = kamailio.message
    return int(message.first_line.split(" ")[1]) if message is not None and message.is_reply else None


_VARIABLES: Final[dict[str, Callable[[FakeKamailio], int | str | None]]] = {
    "$pr": lambda k: k._current.protocol,
    "$rm": lambda k: k._current.method,
    "$ci": lambda k: k._current.value("Call-ID"),
    "$si": lambda k: k._current.source[0],
    "$rcv(buf)": lambda k: f"{k._current.head}\r\n{k._current.body}",
    "$Rp": lambda k: k._current.received_port,
    "$bs": lambda k: len(k._current.body.encode("utf-8", "surrogateescape")),
    "$sp": lambda k: k._current.source[1],
    "$ct": lambda k: k._current.value("Contact"),
    "$cT": lambda k: k._current.value("Content-Type"),
    "$rb": lambda k: k._current.body or None,
    "$ft": lambda k: k._current.parameter("From", "tag"),
    "$tt": lambda k: k._current.parameter("To", "tag"),
    "$fu": lambda k: k._current.uri("From"),
    "$tu": lambda k: k._current.uri("To"),
    "$cs": lambda k: (k._current.value("CSeq") or "").partition(" ")[0] or None,
    "$ru": lambda k: k._current.request_uri,
    "$rs": _status,
    "$rr": lambda k: k._current.first_line.split(" ", 2)[2],
    "$hu": lambda k: k._current.first_line.split(" ")[1],
    "$sel(via[1].branch)": lambda k: _branch(k._current.value("Via")),
    "$mb": lambda k: f"{k._current.head}\r\n{k._current.body}",
    "$ws_conid": lambda k: k._current.connection_id,
    "$T_inv($tt)": lambda k: k.cancelled_tag,
    "$T_inv($si)": lambda k: (k.cancelled_source or k._current.source)[0],
    "$T_inv($sp)": lambda k: (k.cancelled_source or k._current.source)[1],
    "$T(id_index)": lambda k: k.transaction[0] if k.transaction else None,
    "$T(id_label)": lambda k: k.transaction[1] if k.transaction else None,
    "$T_reply_code": lambda k: k.failure_status,
}


class FakeKsr(ModuleType):
    """What ``import KSR`` gives.  It belongs to the process; ``kamailio`` behind it is new for each test."""

    def __init__(self) -> None:
        super().__init__("KSR")
        self.kamailio = FakeKamailio()
        modules = {name: SimpleNamespace() for name in _MODULES}
        for signature in API.values():
            module, _, function = signature.name.rpartition(".")
            setattr(modules[module] if module else self, function, self._function(signature))
        for name, module_ in modules.items():
            setattr(self, name, module_)

    def _function(self, signature: Signature) -> Callable[..., object]:
        def ksr_function(*arguments: object) -> object:
            return self.kamailio.call(signature, arguments)

        return ksr_function


def _branch(via: str | None) -> str | None:
    """Tests that are about something else leave the Via out."""
    if via is None:
        return "z9hG4bKfake"
    match = re.search(r";\s*branch=([^;,\s]+)", via)
    return match.group(1) if match else None
