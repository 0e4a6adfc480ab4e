"""The strict Kamailio is strict, and does to a message what the real one does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.ksr import API, FakeKamailio, FakeKsr, SentReply, UnscriptedCall
from tests.fakes.ksr_api import api_from_stub
from tests.fakes.sip import FakeMessage

INVITE = b"""INVITE sip:bob@ims.example SIP/2.0
Via: SIP/2.0/WS x
From: "Alice" <sip:alice@ims.example>;tag=page
To: <sip:bob@ims.example>
Call-ID: call-1
CSeq: 1 INVITE
X-Two: one
X-Two: two
Subject: folded
  line
Content-Type: application/sdp

v=0
"""


@pytest.fixture
def ksr() -> Any:
    return FakeKsr()


@pytest.fixture
def kamailio(ksr: Any) -> FakeKamailio:
    found: FakeKamailio = ksr.kamailio
    found.receive(FakeMessage.from_bytes(INVITE, protocol="ws", source=("127.0.0.1", 40000), connection_id=7))
    return found


class TestStrictness:
    """What the real one refuses is refused; what nobody expected is an error."""

    def test_a_function_kamailio_does_not_have_is_missing(self, ksr: Any) -> None:
        with pytest.raises(AttributeError):
            ksr.tm.t_rely()
        with pytest.raises(AttributeError):
            ksr.is_CANCLE()

    @pytest.mark.parametrize(
        ("arguments", "keywords"),
        [
            pytest.param((488,), {}, id="too few"),
            pytest.param((488, "No", "x"), {}, id="too many"),
            pytest.param(("488", "No"), {}, id="text for a number"),
            pytest.param((488, None), {}, id="None"),
            pytest.param((True, "No"), {}, id="bool is no int in C"),
            pytest.param((488,), {"p2": "No"}, id="keyword"),
        ],
    )
    def test_wrong_arguments_are_a_type_error(
        self, ksr: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> None:
        with pytest.raises(TypeError):
            ksr.sl.send_reply(*arguments, **keywords)

    def test_a_call_nobody_scripted_passes_every_guard(self, ksr: Any, kamailio: FakeKamailio) -> None:
        with pytest.raises(UnscriptedCall):
            ksr.tmx.t_suspend()
        assert not issubclass(UnscriptedCall, Exception)
        kamailio.script("tmx.t_suspend", -1)
        assert ksr.tmx.t_suspend() == -1

    def test_a_script_may_be_a_function_of_the_arguments(self, ksr: Any, kamailio: FakeKamailio) -> None:
        kamailio.script("tmx.t_continue", lambda index, label, _route: index + label)
        assert ksr.tmx.t_continue(1, 2, "x") == 3
        assert kamailio.called("tmx.t_continue") == [(1, 2, "x")]

    def test_only_real_functions_can_be_scripted_or_asked_for(self, kamailio: FakeKamailio) -> None:
        with pytest.raises(AttributeError):
            kamailio.script("tm.t_rely", 1)
        with pytest.raises(AttributeError):
            kamailio.called("tm.t_rely")

    @pytest.mark.parametrize("variable", ["$nosuchpv", "$hdr(X)", "rm"])
    def test_an_unknown_variable_is_not_silently_empty(
        self, ksr: Any, kamailio: FakeKamailio, variable: str
    ) -> None:
        assert kamailio.message is not None
        with pytest.raises(UnscriptedCall):
            ksr.pv.get(variable)

    def test_reading_a_table_without_its_lock_is_an_error(self, ksr: Any) -> None:
        with pytest.raises(UnscriptedCall, match="without its lock"):
            ksr.htable.sht_get("call", "x")
        with pytest.raises(UnscriptedCall, match="nobody locked"):
            ksr.htable.sht_unlock("call", "x")

    def test_a_header_line_without_its_end_is_an_error(self, ksr: Any, kamailio: FakeKamailio) -> None:
        assert kamailio.message is not None
        for line in ("", "X: y", "X: y\n", "X: y\r\n\r\n", "X: y\nZ: z\r\n"):
            with pytest.raises(UnscriptedCall):
                ksr.hdr.append(line)

    def test_the_table_of_functions_holds_core_and_modules(self) -> None:
        assert API["sl.send_reply"].parameters == (int, str)
        assert API["set_drop"].returns == "None"
        assert len(API) > 300

    def test_a_stub_is_read_with_all_its_types(self) -> None:
        text = """
def a(p1: str, /) -> None: ...
class _m:
    @staticmethod
    def b() -> int | str | None: ...
m: _m
"""
        assert {name: (s.parameters, s.returns) for name, s in api_from_stub(text).items()} == {
            "a": ((str,), "None"),
            "m.b": ((), "int | str | None"),
        }


class TestMessage:
    """Reading gives the message as it came; changes show in what leaves."""

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("$rm", "INVITE"), ("$ci", "call-1"), ("$ft", "page"), ("$tt", None), ("$cs", "1"),
            ("$fu", "sip:alice@ims.example"), ("$tu", "sip:bob@ims.example"), ("$ru", "sip:bob@ims.example"),
            ("$pr", "ws"), ("$si", "127.0.0.1"), ("$sp", 40000), ("$ws_conid", 7), ("$rs", None),
            ("$rb", "v=0\r\n"), ("$cT", "application/sdp"), ("$ct", None), ("$T(id_index)", None),
            ("$hdrc(X-Two)", 2), ("$(hdr(X-Two)[1])", "two"), ("$(hdr(X-Two)[2])", None),
            ("$(hdr(Subject)[0])", "folded\r\n  line"),
        ],
    )  # fmt: skip
    def test_variables(self, ksr: Any, kamailio: FakeKamailio, variable: str, value: object) -> None:
        assert kamailio.message is not None
        assert ksr.pv.get(variable) == value

    def test_a_reply_has_status_reason_and_the_method_of_its_cseq(
        self, ksr: Any, kamailio: FakeKamailio
    ) -> None:
        kamailio.receive(FakeMessage.from_bytes(b"SIP/2.0 480 Not Here Now\nCSeq: 5 BYE\n\n"))
        assert [ksr.pv.get(name) for name in ("$rs", "$rr", "$rm", "$cs")] == [
            480,
            "Not Here Now",
            "BYE",
            "5",
        ]

    def test_bytes_that_are_not_utf8_raise_as_in_the_real_one_and_can_be_read_as_hex(
        self, ksr: Any, kamailio: FakeKamailio
    ) -> None:
        kamailio.receive(FakeMessage.from_bytes(b"OPTIONS sip:x SIP/2.0\nCall-ID: a\xffb\nX: \xfe\n\n"))
        for variable in ("$ci", "$(hdr(X)[0])"):
            with pytest.raises(UnicodeDecodeError):
                ksr.pv.get(variable)
        assert ksr.pv.get("$(ci{s.encode.hexa})") == "61ff62"
        assert ksr.pv.get("$(hdr(X)[0]{s.encode.hexa})") == "fe"
        kamailio.receive(FakeMessage.from_bytes(b"OPTIONS sip:x SIP/2.0\nX: " + b"x" * 32_767 + b"\nY: x"))
        assert len(ksr.pv.get("$(hdr(X)[0]{s.encode.hexa})")) == 65_534
        assert ksr.pv.get("$(mb{s.encode.hexa})") is None

    def test_changes_show_only_in_what_leaves(self, ksr: Any, kamailio: FakeKamailio) -> None:
        message = kamailio.message
        assert message is not None
        ksr.hdr.remove("X-Two")
        ksr.hdr.append("X-End: 1\r\n")
        ksr.hdr.insert("X-Start: 1\r\nX-Start: 2\r\n")
        with pytest.raises(UnscriptedCall, match="in one call"):
            ksr.hdr.insert("X-Start: 0\r\n")
        ksr.pv.sets("$ru", "sip:new@x")
        ksr.textops.subst_hf("From", "/;tag=[^;> ]+/;tag=ours/i", "a")
        assert ksr.pv.get("$hdrc(X-Two)") == 2
        assert ksr.pv.get("$ft") == "page"
        lines = message.sent().splitlines()
        assert lines[:3] == ["INVITE sip:new@x SIP/2.0", "X-Start: 1", "X-Start: 2"]
        assert 'From: "Alice" <sip:alice@ims.example>;tag=ours' in lines
        assert message.sent_values("X-Two") == []
        assert message.sent_values("X-End") == ["1"]

    def test_applied_changes_can_be_read(self, ksr: Any, kamailio: FakeKamailio) -> None:
        assert kamailio.message is not None
        ksr.textops.subst_hf("To", "/^(.+)$/\\1;tag=ours/", "a")
        assert ksr.pv.get("$tt") is None
        ksr.textopsx.msg_apply_changes()
        assert ksr.pv.get("$tt") == "ours"

    def test_a_substitution_that_matches_nothing_says_so(self, ksr: Any, kamailio: FakeKamailio) -> None:
        assert kamailio.message is not None
        assert ksr.textops.subst_hf("To", "/;tag=x//", "a") == -1
        assert ksr.textops.subst_hf("Nowhere", "/a/b/", "a") == -1
        with pytest.raises(ValueError, match="expression"):
            ksr.textops.subst_hf("To", "/a/b/c/", "a")

    def test_bodies_are_replaced_and_removed(self, ksr: Any, kamailio: FakeKamailio) -> None:
        message = kamailio.message
        assert message is not None
        assert ksr.textops.has_body() == 1
        ksr.textops.set_body("v=1\r\n", "application/sdp")
        assert message.sent().endswith("\n\nv=1\n")
        assert message.sent_values("Content-Type") == ["application/sdp"]
        ksr.textopsx.remove_body()
        assert message.sent().endswith("\n\n")


class TestWhatLeaves:
    """Replies, requests and logs are recorded."""

    def test_a_stateless_reply_with_headers_and_body(self, ksr: Any, kamailio: FakeKamailio) -> None:
        ksr.hdr.append_to_reply("A: 1\r\nB: 2\r\n")
        ksr.textops.set_reply_body("v=0", "application/sdp")
        ksr.sl.send_reply(183, "Progress")
        ksr.sl.send_reply(200, "OK")
        assert kamailio.replies == [
            SentReply(183, "Progress", ("A: 1", "B: 2"), "v=0", stateful=False),
            SentReply(200, "OK", (), "", stateful=False),
        ]

    def test_a_stateful_reply_needs_a_transaction(self, ksr: Any, kamailio: FakeKamailio) -> None:
        with pytest.raises(UnscriptedCall):
            ksr.tm.t_reply(200, "OK")
        assert ksr.tm.t_newtran() == 1
        ksr.tm.t_reply(200, "OK")
        assert kamailio.replies[-1].stateful

    def test_log_lines_keep_their_level(self, ksr: Any, kamailio: FakeKamailio) -> None:
        ksr.err("bad\n")
        ksr.info("good\n")
        assert kamailio.log == [("err", "bad\n"), ("info", "good\n")]


class TestTables:
    """Hash tables and their iterators."""

    def test_entries_are_kept_and_iterated(self, ksr: Any) -> None:
        ksr.htable.sht_sets("call", "a", "1")
        ksr.htable.sht_sets("call", "b", "2")
        ksr.htable.sht_rm("call", "b")
        assert ksr.htable.sht_iterator_start("it", "call") == 1
        seen = []
        while ksr.htable.sht_iterator_next("it") > 0:
            seen.append((ksr.pv.get("$shtitkey(it)"), ksr.pv.get("$shtitval(it)")))
        ksr.htable.sht_iterator_end("it")
        assert seen == [("a", "1")]

    def test_an_iterator_that_was_not_ended_is_an_error(self, ksr: Any) -> None:
        ksr.htable.sht_iterator_start("it", "call")
        with pytest.raises(UnscriptedCall, match="not ended"):
            ksr.htable.sht_iterator_start("it", "call")

    def test_locks_are_counted(self, ksr: Any, kamailio: FakeKamailio) -> None:
        ksr.htable.sht_lock("call", "a")
        ksr.htable.sht_lock("call", "a")
        ksr.htable.sht_unlock("call", "a")
        assert kamailio.locked == {("call", "a")}
        ksr.htable.sht_unlock("call", "a")
        assert kamailio.locked == set()
