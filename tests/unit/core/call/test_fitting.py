"""Requests inside a dialog: their numbers rise in each direction, and what they require is known."""

from __future__ import annotations

import pytest

from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.extensions import END_TO_END, OURS, check_proxy_require, refuse, unknown_extensions
from kemi.core.messages import Request, Side
from kemi.state.calls import record_to_text
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.ladder import Call
from tests.unit.core.call.test_core_offer import MOVED


def request(method: str, side: Side = Side.WIC, **fields: str) -> Request:
    found = {name.replace("_", "-"): [value] for name, value in fields.items()}
    return Request(side, method, "c", "f", "t", 1, headers=lambda name: found.get(name, []))


class TestNumbers:
    @pytest.mark.parametrize("method", ["INFO", "BYE", "UPDATE", "REFER", "PRACK"])
    @pytest.mark.parametrize("by", [Side.WIC, Side.IMS])
    def test_an_old_one_changes_nothing(self, by: Side, method: str) -> None:
        call = Call.confirmed()
        send = call.wic_request if by is Side.WIC else call.ims_request
        call.on(send("INFO", cseq=20))
        for cseq in (20, 19, 1):
            before = record_to_text(call.record)
            assert call.on(send(method, cseq=cseq)).reply[0] == 500
            assert record_to_text(call.record) == before
        assert call.on(send("INFO", cseq=21)).names == ["ForwardRequest"]

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    def test_an_offer_that_comes_again_while_the_relay_is_asked_is_answered_once(self, method: str) -> None:
        call = Call.confirmed()
        asked = call.on(call.ims_request(method, cseq=20, body=MOVED))
        before = record_to_text(call.record)
        assert call.on(call.ims_request(method, cseq=20, body=MOVED)).names == []
        assert record_to_text(call.record) == before
        other = "UPDATE" if method == "INVITE" else "INVITE"
        for used in (call.ims_request(other, cseq=20), call.ims_request(method, cseq=19, body=MOVED)):
            assert call.on(used).reply[0] == 500
        assert asked.names == ["ReofferFromIms"]

    def test_each_direction_and_each_fork_counts_for_itself(self) -> None:
        call = Call.confirmed()
        call.on(call.ims_request("INFO", cseq=100))
        assert call.on(call.wic_request("INFO", cseq=5)).names == ["ForwardRequest"]

    def test_a_page_that_is_called_may_begin_at_zero(self) -> None:
        call = Incoming.confirmed()
        assert call.on(call.wic_request("INFO", cseq=0)).names == ["ForwardRequest"]
        assert call.on(call.wic_request("INFO", cseq=0)).reply[0] == 500


class TestExtensions:
    @pytest.mark.parametrize("tag", sorted(OURS | END_TO_END))
    def test_known(self, tag: str) -> None:
        assert unknown_extensions(request("INVITE", Require=tag.upper())) == set()

    def test_unknown_ones_are_named(self) -> None:
        assert unknown_extensions(request("INFO", Require="foo, replaces, early-session")) == {
            "foo",
            "early-session",
        }
        assert unknown_extensions(request("REFER", Side.IMS, Require="multiple-refer")) == {"multiple-refer"}
        with pytest.raises(SipReject) as refused:
            refuse({"foo", "bar"})
        assert (refused.value.status, refused.value.lines) == (420, ("Unsupported: bar, foo",))

    @pytest.mark.parametrize("method", ["ACK", "CANCEL"])
    def test_these_are_never_refused(self, method: str) -> None:
        assert unknown_extensions(request(method, Require="foo")) == set()
        check_proxy_require(request(method, Proxy_Require="foo"))

    def test_proxies(self) -> None:
        check_proxy_require(request("INVITE", Side.IMS, Proxy_Require="privacy"))
        for side in Side:
            with pytest.raises(SipReject):
                check_proxy_require(request("INVITE", side, Proxy_Require="foo"))
        with pytest.raises(SipReject):
            check_proxy_require(request("INVITE", Side.WIC, Proxy_Require="privacy"))

    def test_a_tag_is_a_token(self) -> None:
        with pytest.raises(RemoteProtocolError):
            refuse({"a b"})
