"""Typed, safe access to Kamailio."""

from __future__ import annotations

import time

import pytest

from kemi.adapters.kamailio import ksr, transactions
from kemi.adapters.kamailio.facts import FACTS
from kemi.adapters.kamailio.htable import HtableTable
from kemi.core.errors import RemoteProtocolError
from kemi.core.messages import Reply, Side
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.unit.adapters.messages import core_reply, from_core, invite


class TestReading:
    """Whatever bytes come from the network, text comes out."""

    @pytest.mark.parametrize(
        ("raw", "text"),
        [
            pytest.param(b"plain", "plain", id="ASCII"),
            pytest.param("ünï".encode(), "ünï", id="UTF-8"),
            pytest.param(b"a\xffb\xc3", "a�b�", id="not UTF-8"),
        ],
    )
    def test_any_bytes_come_through(self, kamailio: FakeKamailio, raw: bytes, text: str) -> None:
        kamailio.receive(
            FakeMessage.from_bytes(b"OPTIONS sip:x SIP/2.0\nCall-ID: " + raw + b"\nX: " + raw + b"\n\n")
        )
        assert ksr.text("$ci") == text
        assert ksr.headers("X") == [text]

    def test_a_body_that_cannot_be_read_is_not_an_empty_one(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(FakeMessage.from_bytes(b"MESSAGE sip:x SIP/2.0\n\n\xff" + b"x" * 33_000))
        with pytest.raises(RemoteProtocolError):
            ksr.body()

    def test_an_unset_variable_is_empty(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(invite())
        assert ksr.text("$tt") == ""

    @pytest.mark.parametrize(
        ("cseq", "number"),
        [
            (b"1", 1),
            (b"0042", 42),
            (b"x", 0),
            (b"", 0),
            (b"-1", 0),
            (b"1.5", 0),
            ("²".encode(), 0),
            (b"1\xff", 0),
        ],
    )
    def test_a_number_is_a_number_or_zero(self, kamailio: FakeKamailio, cseq: bytes, number: int) -> None:
        kamailio.receive(FakeMessage.from_bytes(b"OPTIONS sip:x SIP/2.0\nCSeq: " + cseq + b" OPTIONS\n\n"))
        assert ksr.number("$cs") == number

    def test_header_fields_are_unfolded_and_in_order(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(FakeMessage.from_bytes(b"OPTIONS sip:x SIP/2.0\nX: a\n  b\n\tc\nX: d \n\n"))
        assert ksr.headers("X") == ["a b c", "d"]
        assert ksr.headers("Y") == []

    @pytest.mark.parametrize(
        ("protocol", "side"),
        [("ws", Side.WIC), ("wss", Side.WIC), ("udp", Side.IMS), ("tcp", Side.IMS), ("tls", Side.IMS)],
    )
    def test_pages_speak_websocket_and_the_core_never_does(
        self, kamailio: FakeKamailio, protocol: str, side: Side
    ) -> None:
        kamailio.receive(FakeMessage.from_bytes(b"OPTIONS sip:x SIP/2.0\n\n", protocol=protocol))
        assert ksr.side() is side

    def test_a_source_with_an_ipv6_address_is_bracketed(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(FakeMessage.from_bytes(b"OPTIONS sip:x SIP/2.0\n\n", source=("::1", 5060)))
        assert ksr.source() == "[::1]:5060"

    def test_a_request_has_all_its_facts(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(invite())
        request = ksr.request()
        assert (request.side, request.method, request.call_id, request.cseq) == (
            Side.WIC,
            "INVITE",
            "call-1",
            1,
        )
        assert (request.from_tag, request.to_tag) == ("page", "")
        assert (request.from_uri, request.to_uri) == ("sip:alice@ims.example", "sip:bob@ims.example")
        assert (request.connection_id, request.source) == ("7", "127.0.0.1:40000")
        assert request.contact == "<sip:x@page.invalid;transport=ws>"
        assert request.has_sdp
        assert request.tokens("Supported") == {"100rel"}

    def test_the_core_has_no_connection_id(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(from_core("OPTIONS sip:x SIP/2.0\n"))
        assert ksr.request().connection_id == ""

    def test_a_reply_has_all_its_facts(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(core_reply(183, body="v=0\n"))
        reply = ksr.reply()
        assert isinstance(reply, Reply)
        assert (reply.status, reply.reason_phrase, reply.method) == (183, "Whatever", "INVITE")
        assert (reply.to_tag, reply.has_sdp) == ("core1", True)


class TestTags:
    """A tag becomes part of a header line, or of a substitution expression."""

    @pytest.mark.parametrize("tag", ["abc", "a.b-c", "x%!*_+`'~"])
    def test_a_token_replaces_the_old_tag(self, kamailio: FakeKamailio, tag: str) -> None:
        message = kamailio.receive(core_reply(200))
        ksr.set_tag("To", tag)
        assert message.sent_values("To") == [f"<sip:bob@ims.example>;tag={tag}"]

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            pytest.param("<sip:b>", "<sip:b>;tag=ours", id="none before"),
            pytest.param("<sip:b> ; TAG = x ;y=z", "<sip:b>  ;y=z;tag=ours", id="spaces and capitals"),
            pytest.param("sip:b;tag=x", "sip:b;tag=ours", id="without brackets"),
            pytest.param("<sip:b;tag=uri>;tag=x", "<sip:b;tag=uri>;tag=ours", id="a URI parameter stays"),
            pytest.param('"a;tag=name" <sip:b>;tag=x', '"a;tag=name" <sip:b>;tag=ours', id="a name stays"),
            pytest.param(
                '"say \\";tag=no\\"" <sip:b>;tag=x',
                '"say \\";tag=no\\"" <sip:b>;tag=ours',
                id="escaped quotes",
            ),
            pytest.param(
                '<sip:b>;tag=x;y=">;tag=z"', '<sip:b>;y=">;tag=z";tag=ours', id="a quoted parameter stays"
            ),
            pytest.param("<sip:b>;tag=x;tag=y", "<sip:b>;tag=ours", id="two"),
            pytest.param("<sip:b>\n ;tag=x", "<sip:b>\r\n ;tag=ours", id="folded"),
        ],
    )
    @pytest.mark.parametrize("name", ["To", "t"])
    def test_only_the_tag_changes(self, kamailio: FakeKamailio, name: str, before: str, after: str) -> None:
        message = kamailio.receive(from_core(f"BYE sip:x SIP/2.0\n{name}: {before}\n"))
        ksr.set_tag("To", "ours")
        assert message.sent_values("To") == [after]

    def test_bytes_that_are_not_utf8_come_through_as_they_are(self, kamailio: FakeKamailio) -> None:
        message = kamailio.receive(
            FakeMessage.from_bytes(b'BYE sip:x SIP/2.0\nTo: "a\xff" <sip:b>;tag=x\n\n')
        )
        ksr.set_tag("To", "ours")
        assert b'"a\xff" <sip:b>;tag=ours' in message.sent().encode("utf-8", "surrogateescape")

    @pytest.mark.parametrize("piece", ['"\\', "<", ";", "; ", ' "'])
    def test_the_time_grows_with_the_length_of_the_header_field_only(
        self, kamailio: FakeKamailio, piece: str
    ) -> None:
        value = (piece * 40_000).strip()
        message = kamailio.receive(from_core(f"BYE sip:x SIP/2.0\nTo: {value}\n"))
        started = time.process_time()
        ksr.set_tag("To", "ours")
        assert time.process_time() - started < 1
        assert message.sent_values("To") == [f"{value};tag=ours"]

    def test_an_empty_tag_takes_it_away(self, kamailio: FakeKamailio) -> None:
        message = kamailio.receive(core_reply(200))
        ksr.set_tag("To", "")
        assert message.sent_values("To") == ["<sip:bob@ims.example>"]

    @pytest.mark.parametrize("tag", ["a/b", "a b", "a\r\nX: y", "\\1", "a;b", "ä", '"', "a>"])
    def test_anything_but_a_token_is_refused(self, kamailio: FakeKamailio, tag: str) -> None:
        message = kamailio.receive(core_reply(200))
        with pytest.raises(RemoteProtocolError):
            ksr.set_tag("To", tag)
        assert message.sent_values("To") == ["<sip:bob@ims.example>;tag=core1"]

    def test_our_tag_in_the_request_is_there_at_once(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(invite())
        assert ksr.add_to_tag("ours")
        assert ksr.text("$tt") == "ours"

    def test_the_number_in_cseq_is_replaced_and_the_method_stays(self, kamailio: FakeKamailio) -> None:
        message = kamailio.receive(from_core("INFO sip:x SIP/2.0\nCSeq: 77 INFO\n"))
        ksr.set_cseq(5)
        assert message.sent_values("CSeq") == ["5 INFO"]


class TestHeaders:
    """Several header fields in one call of Kamailio."""

    def test_all_of_these_names_go_in_any_case_and_compact_too(self, kamailio: FakeKamailio) -> None:
        message = kamailio.receive(
            from_core("INFO sip:x SIP/2.0\nm: <sip:a>\nROUTE: <sip:r>\nX-Spaced : 1\nX: y\nRoute: <sip:s>\n")
        )
        ksr.remove_headers(("Contact", "Route", "X-Spaced"))
        assert message.sent() == "INFO sip:x SIP/2.0\nX: y\n\n"

    def test_kamailio_is_asked_only_for_those_that_are_there(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(from_core("INFO sip:x SIP/2.0\nX: y\n\nContact: in the body\n"))
        ksr.remove_headers(("Contact", "Route", "x"))
        assert kamailio.called("hdr.remove") == [("x",)]

    def test_they_are_found_beside_bytes_that_are_not_utf8(self, kamailio: FakeKamailio) -> None:
        message = kamailio.receive(
            FakeMessage.from_bytes(b"INFO sip:x SIP/2.0\nX: \xff\nContact: <sip:a>\n\n")
        )
        ksr.remove_headers(("Contact",))
        assert message.sent_values("Contact") == []

    def test_lines_come_out_in_their_order_before_or_after_the_others(self, kamailio: FakeKamailio) -> None:
        message = kamailio.receive(from_core("INFO sip:x SIP/2.0\nX: y\n"))
        ksr.append_headers(["A: 1", "A: 2"])
        ksr.insert_headers(["B: 1", "B: 2"])
        assert message.sent() == "INFO sip:x SIP/2.0\nB: 1\nB: 2\nX: y\nA: 1\nA: 2\n\n"


class TestTransactions:
    """tm's answers as Python values."""

    def test_a_new_transaction_has_a_name(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(invite())
        assert not transactions.has_transaction()
        assert transactions.new_transaction() == (11, 22)
        assert transactions.has_transaction()

    def test_one_that_cannot_be_made_is_none(self, kamailio: FakeKamailio) -> None:
        kamailio.script("tm.t_newtran", -1)
        assert transactions.new_transaction() is None

    def test_a_request_whose_branch_has_a_transaction_already_is_not_answered(
        self, kamailio: FakeKamailio
    ) -> None:
        """tm takes the other message's transaction for its own: an answer would be the other one's."""

        def found() -> int:
            kamailio.transaction = (11, 22)
            return 0

        kamailio.receive(invite())
        kamailio.script("tm.t_newtran", found)
        FACTS.enter()
        try:
            assert transactions.new_transaction() is None
            FACTS.forget()  # its text was changed
            assert transactions.reply_statelessly(481, "No", (), "")
            assert transactions.reply_in_transaction(481, "No", (), "")
        finally:
            FACTS.leave()
        assert not kamailio.replies

    @pytest.mark.parametrize(("returned", "suspended"), [(1, True), (0, True), (-1, False)])
    def test_suspending_sets_the_guard_first(
        self, kamailio: FakeKamailio, returned: int, suspended: bool
    ) -> None:
        kamailio.script("tmx.t_suspend", returned)
        assert transactions.suspend(77.5, "ksr_failure") is suspended
        assert [name for name, _ in kamailio.calls] == ["tm.t_set_fr", "tm.t_on_failure", "tmx.t_suspend"]
        assert kamailio.called("tm.t_set_fr") == [(0, 77500)]

    def test_the_forwarded_invite_has_both_timers_and_hides_our_tag(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(invite())
        assert transactions.relay_invite("ksr_failure", 5.0, 180.0)
        assert kamailio.called("tm.t_set_fr") == [(180000, 5000)]
        assert [name for name, _ in kamailio.calls][-2:] == ["tm.t_use_uac_headers", "tm.t_relay"]

    def test_a_request_of_ours_carries_its_lines(self, kamailio: FakeKamailio) -> None:
        assert transactions.send_request("UPDATE", "sip:a", "sip:b", "udp:x:1", ("A: 1", "B: 2"), "v=0")
        (sent,) = kamailio.requests
        assert (sent.method, sent.headers, sent.body) == ("UPDATE", ("A: 1", "B: 2"), "v=0")


class TestHtable:
    """Kamailio's shared tables behind the Table protocol."""

    def test_entries_are_written_read_and_removed(self, kamailio: FakeKamailio) -> None:
        table = HtableTable("call")
        assert table.get("a") is None
        table.set("a", "1")
        assert table.get("a") == "1"
        assert kamailio.tables == {"call": {"a": "1"}}
        table.remove("a")
        table.remove("a")
        assert table.get("a") is None

    def test_whether_there_is_one_is_asked_without_reading_it(self, kamailio: FakeKamailio) -> None:
        table = HtableTable("call")
        table.set("a", "1")
        assert (table.has("a"), table.has("b")) == (True, False)
        assert not kamailio.called("htable.sht_get")

    def test_reading_is_done_under_the_lock(self, kamailio: FakeKamailio) -> None:
        HtableTable("call").get("a")
        assert [name for name, _ in kamailio.calls] == [
            "htable.sht_lock",
            "htable.sht_get",
            "htable.sht_unlock",
        ]

    def test_the_lock_is_given_back_when_reading_fails(self, kamailio: FakeKamailio) -> None:
        def torn(*_: str) -> str:
            raise UnicodeDecodeError("utf-8", b"\xc0", 0, 1, "torn")

        kamailio.script("htable.sht_get", torn)
        with pytest.raises(UnicodeDecodeError):
            HtableTable("call").get("a")
        assert kamailio.locked == set()

    def test_a_lock_is_given_back_when_what_it_guards_fails(self, kamailio: FakeKamailio) -> None:
        with pytest.raises(RuntimeError), HtableTable("call").locked("a"):
            assert kamailio.locked == {("call", "a")}
            raise RuntimeError
        assert kamailio.locked == set()

    def test_locks_nest(self, kamailio: FakeKamailio) -> None:
        table = HtableTable("call")
        with table.locked("a"):
            table.set("a", "1")
            assert table.get("a") == "1"
            assert kamailio.locked == {("call", "a")}
        assert kamailio.locked == set()

    def test_items_is_a_snapshot_and_ends_its_iterator(self, kamailio: FakeKamailio) -> None:
        table = HtableTable("call")
        table.set("a", "1")
        table.set("b", "2")
        for key, _ in table.items():
            table.remove(key)
        assert list(table.items()) == []
        assert kamailio.called("htable.sht_iterator_end") == [("it_call",), ("it_call",)]

    def test_an_iteration_that_cannot_start_is_empty(self, kamailio: FakeKamailio) -> None:
        kamailio.script("htable.sht_iterator_start", -1)
        assert list(HtableTable("call").items()) == []


class TestFacts:
    """What is asked once within a callback."""

    def test_a_header_is_asked_for_once_and_again_after_a_change(self, kamailio: FakeKamailio) -> None:
        kamailio.receive(FakeMessage.from_bytes(b"OPTIONS sip:x SIP/2.0\nX: 1\n\n"))
        FACTS.enter()
        try:
            assert (ksr.headers("X"), ksr.headers("X")) == (["1"], ["1"])
            assert len(kamailio.called("pv.get")) == 1
            ksr.add_at_once(["X: 2"])
            assert ksr.headers("X") == ["1", "2"]
        finally:
            FACTS.leave()

    def test_a_callback_inside_of_another_one_is_about_its_own_message(self, kamailio: FakeKamailio) -> None:
        outer = FakeMessage.from_bytes(b"OPTIONS sip:x SIP/2.0\nX: outer\n\n")
        kamailio.receive(outer)
        FACTS.enter()
        assert (ksr.method(), ksr.headers("X")) == ("OPTIONS", ["outer"])
        kamailio.receive(FakeMessage.from_bytes(b"BYE sip:x SIP/2.0\nX: inner\n\n"))
        FACTS.enter()
        assert (ksr.method(), ksr.headers("X")) == ("BYE", ["inner"])
        FACTS.leave()
        kamailio.receive(outer)
        assert (ksr.method(), ksr.headers("X")) == ("OPTIONS", ["outer"])
        FACTS.leave()

    def test_outside_callbacks_nothing_is_kept(self, kamailio: FakeKamailio) -> None:
        for method in ("OPTIONS", "BYE"):
            kamailio.receive(FakeMessage.from_bytes(f"{method} sip:x SIP/2.0\n\n".encode()))
            assert ksr.method() == method


class TestHeldLocks:
    """A table that is asked under its own lock."""

    def test_a_key_that_is_held_is_not_locked_once_more(self, kamailio: FakeKamailio) -> None:
        table = HtableTable("call")
        table.set("a", "1")
        with table.locked("a"):
            before = len(kamailio.called("htable.sht_lock"))
            assert table.get("a") == "1"
            assert len(kamailio.called("htable.sht_lock")) == before
            table.get("b")
            assert kamailio.called("htable.sht_lock")[before:] == [("call", "b")]

    def test_it_is_held_until_the_outermost_lock_is_given_back(self, kamailio: FakeKamailio) -> None:
        table = HtableTable("call")
        with table.locked("a"):
            with table.locked("a"):
                pass
            before = len(kamailio.called("htable.sht_lock"))
            table.get("a")
            assert len(kamailio.called("htable.sht_lock")) == before
        table.get("a")
        assert len(kamailio.called("htable.sht_lock")) == before + 1
