"""A page that does not answer a request of the core inside a call (RFC 3261 §12.2.1.2)."""

from __future__ import annotations

import pytest

from kemi.adapters.gateway import Gateway
from kemi.adapters.kamailio.htable import HtableTable
from kemi.core.call.in_dialog.to_page import SILENT
from kemi.core.call.record import CallRecord
from kemi.state.calls import CallStore
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.unit.adapters.messages import from_core
from tests.unit.adapters.played import MESSAGE
from tests.unit.core.call.incoming_ladder import Incoming, offer

HOLD = offer().replace("a=sendrecv", "a=sendonly")
CHANGE = "ksr_failure_change_to_page"
NO_CHANGE = "ksr_failure_to_page"


@pytest.fixture
def calls(kamailio: FakeKamailio) -> CallStore:
    kamailio.script("tcpops.tcp_conid_alive", 1)
    kamailio.script("tm.t_check_trans", -1)
    return CallStore(HtableTable("call"), HtableTable("call_of"))


@pytest.fixture
def record(calls: CallStore) -> CallRecord:
    """A call that the page has answered."""
    record = Incoming.confirmed().record
    record.connection_id, record.wic_takes_update = "7", True
    calls.create(record)
    return record


def asked(record: CallRecord, method: str, body: str = "") -> FakeMessage:
    """Return a request of the core in this call; an UPDATE names somebody else."""
    content = "Content-Type: application/sdp\n" if body else ""
    return from_core(
        f"""{method} sip:{record.ims_tag}@192.0.2.1:5060 SIP/2.0
Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKchange
From: <sip:carol@ims.example>;tag={record.confirmed_tag}
To: <sip:alice@ims.example>;tag={record.ims_tag}
Call-ID: {record.call_id}
CSeq: 20 {method}
Contact: <sip:bob@198.51.100.7:5080>
{content}
{body}"""
    )


@pytest.mark.parametrize(
    ("method", "body", "callback", "status"),
    [
        pytest.param("INVITE", HOLD, CHANGE, 491, id="hold"),
        pytest.param("UPDATE", HOLD, CHANGE, 500, id="hold by UPDATE"),
        pytest.param("UPDATE", "", NO_CHANGE, 500, id="another far end"),
        pytest.param("INFO", "", NO_CHANGE, 480, id="INFO"),
        pytest.param("NOTIFY", "", NO_CHANGE, 480, id="NOTIFY"),
    ],
)
class TestTheCallGoesOn:
    """The core hears nothing that ends a dialog, as 408 would."""

    def test_when_it_is_silent(
        self,
        kamailio: FakeKamailio,
        page: Gateway,
        calls: CallStore,
        record: CallRecord,
        method: str,
        body: str,
        callback: str,
        status: int,
    ) -> None:
        self.ask(kamailio, page, record, method, body)
        assert kamailio.called("tm.t_on_failure")[-1] == (callback,)
        assert self.told(kamailio, page, callback) == [status]
        (reply,) = kamailio.replies[-1:]
        assert SILENT in str(reply.headers)
        assert ("Retry-After: 5" in str(reply.headers)) is (status == 500)
        after = calls.get(record.key)
        assert after is not None
        assert (after.exchange, after.ended) == (None, False)

    @pytest.mark.parametrize(
        ("silent", "cancelled"), [pytest.param(-1, -1, id="refused"), pytest.param(1, 1, id="cancelled")]
    )
    def test_what_else_goes_wrong_is_told_as_it_is(
        self,
        kamailio: FakeKamailio,
        page: Gateway,
        record: CallRecord,
        method: str,
        body: str,
        callback: str,
        status: int,
        silent: int,
        cancelled: int,
    ) -> None:
        del status
        self.ask(kamailio, page, record, method, body)
        assert self.told(kamailio, page, callback, silent, cancelled) == []

    @staticmethod
    def ask(kamailio: FakeKamailio, page: Gateway, record: CallRecord, method: str, body: str) -> None:
        kamailio.receive(asked(record, method, body))
        page.ksr_request_route(MESSAGE)
        assert kamailio.relayed[-1].method == method

    @staticmethod
    def told(
        kamailio: FakeKamailio, page: Gateway, callback: str, silent: int = 1, cancelled: int = -1
    ) -> list[int]:
        """Return what the core hears from us when the request has failed."""
        before = len(kamailio.replies)
        kamailio.script("tm.t_branch_timeout", silent)
        kamailio.script("tm.t_is_canceled", cancelled)
        getattr(page, callback)(MESSAGE)
        return [reply.status for reply in kamailio.replies[before:]]


def test_a_bye_that_nobody_answers_is_answered_by_tm(
    kamailio: FakeKamailio, page: Gateway, record: CallRecord
) -> None:
    before = len(kamailio.called("tm.t_on_failure"))
    kamailio.receive(asked(record, "BYE"))
    page.ksr_request_route(MESSAGE)
    assert kamailio.relayed[-1].method == "BYE"
    assert len(kamailio.called("tm.t_on_failure")) == before
