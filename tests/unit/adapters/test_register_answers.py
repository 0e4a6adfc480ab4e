"""The core's answer to a REGISTER in a worker process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from kemi.adapters.gateway import Gateway
from kemi.adapters.kamailio.htable import HtableTable
from kemi.core.registration import PendingRegistration
from kemi.core.registration.records import Sent
from kemi.core.registration.states import Cause
from kemi.state.flows import Ended, FlowStore
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.messages import handshake, register, registered
from tests.unit.core.registration.bindings import ALICE, TOKEN

MESSAGE: Any = object()
CONTACT = "sip:x@page.invalid;transport=ws"


def registrations(kamailio: FakeKamailio) -> list[str]:
    return list(kamailio.tables.get("registration", {}).values())


def expect(kamailio: FakeKamailio, **changes: Any) -> None:
    """Let the REGISTER that is under way be one with a token."""
    pending = PendingRegistration("7", CONTACT, ALICE, TOKEN, Sent(f"<{CONTACT}>", "reg-1", 3, "r"))
    for name, value in changes.items():
        setattr(pending, name, value)
    kamailio.tables["registering"] = {"reg-1 3": msgspec.json.encode(pending).decode()}


@pytest.fixture
def connected(kamailio: FakeKamailio, gateway: Gateway) -> Gateway:
    for name in ("websocket.handle_handshake", "tcpops.tcp_enable_closed_event"):
        kamailio.script(name, 1)
    kamailio.receive(handshake())
    gateway.ksr_xhttp_event(MESSAGE, "xhttp:request")
    return gateway


@pytest.mark.conformance("R-67")
def test_a_page_that_logged_out_meanwhile_is_ended_at_once(
    kamailio: FakeKamailio, connected: Gateway
) -> None:
    kamailio.tables["revoked"] = {"sid-1": "1"}
    assert TOKEN.session == "sid-1"
    expect(kamailio)
    kamailio.receive(registered())
    connected.ksr_reply_route(MESSAGE)
    assert registrations(kamailio) == []
    (ended,) = kamailio.tables["ended"].values()
    assert msgspec.json.decode(ended, type=Ended).cause is Cause.LOGGED_OUT


@pytest.mark.conformance("R-67")
def test_a_late_answer_of_a_session_that_ended_leaves_the_page_that_is_logged_in_anew(
    kamailio: FakeKamailio, connected: Gateway
) -> None:
    expect(kamailio, grant=replace(TOKEN, session="sid-2"))
    kamailio.receive(registered())
    connected.ksr_reply_route(MESSAGE)
    kamailio.tables["revoked"] = {"sid-1": "1"}
    expect(kamailio, connection_id="6")
    kamailio.receive(registered())
    connected.ksr_reply_route(MESSAGE)
    (registration,) = registrations(kamailio)
    assert '"session":"sid-2"' in registration
    assert kamailio.tables.get("ended", {}) == {}
    assert kamailio.tables.get("closed", {}) == {}


@pytest.mark.conformance("R-67")
def test_a_new_login_that_the_provider_names_as_the_one_that_ended_registers(
    kamailio: FakeKamailio, connected: Gateway
) -> None:
    kamailio.tables["revoked"] = {"sid-1": "100.000"}
    expect(kamailio, grant=replace(TOKEN, issued_at=110.0))
    kamailio.receive(registered())
    connected.ksr_reply_route(MESSAGE)
    (registration,) = registrations(kamailio)
    assert '"session":"sid-1"' in registration
    assert kamailio.tables.get("ended", {}) == {}


@pytest.mark.conformance("R-45")
def test_the_page_is_shown_the_tokens_end(
    kamailio: FakeKamailio, connected: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 100.0)
    expect(kamailio)
    message = kamailio.receive(registered())
    connected.ksr_reply_route(MESSAGE)
    assert message.sent_values("Contact") == [f"<{CONTACT}>;expires=400"]


@pytest.mark.conformance("B-13")
def test_the_connection_that_was_replaced_is_closed_from_the_worker(
    kamailio: FakeKamailio, connected: Gateway
) -> None:
    for name in ("websocket.close_conid", "tcpops.tcp_close_connection_id"):
        kamailio.script(name, 1)
    expect(kamailio)
    kamailio.receive(registered())
    connected.ksr_reply_route(MESSAGE)
    kamailio.tables["flow"]["8"] = (
        kamailio.tables["flow"]["7"].replace('"7"', '"8"').replace(":40000", ":40001")
    )
    kamailio.tables["port"]["127.0.0.1:40001"] = "8"
    expect(kamailio, connection_id="8")
    kamailio.receive(registered())
    connected.ksr_reply_route(MESSAGE)
    ((code, _, connection_id),) = kamailio.called("websocket.close_conid")
    assert (code, connection_id) == (4409, 7)
    assert kamailio.tables["closed"] == {"7": "1"}


def test_a_register_without_contact_is_a_question_and_changes_nothing(
    kamailio: FakeKamailio, connected: Gateway
) -> None:
    expect(kamailio)
    kamailio.receive(registered())
    connected.ksr_reply_route(MESSAGE)
    before = registrations(kamailio)
    expect(kamailio, contact="", sent=Sent())
    kamailio.receive(registered())
    connected.ksr_reply_route(MESSAGE)
    assert registrations(kamailio) == before


def test_a_register_is_under_way_until_its_answer_is_worked_in(
    kamailio: FakeKamailio, connected: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notification of the same may be in another worker's hands."""
    under_way: list[str] = []
    register_in = FlowStore.register

    def noted(*arguments: Any) -> Any:
        under_way.extend(kamailio.tables["registering"])
        return register_in(*arguments)

    monkeypatch.setattr(FlowStore, "register", noted)
    expect(kamailio)
    kamailio.receive(registered())
    connected.ksr_reply_route(MESSAGE)
    assert under_way == ["reg-1 3"]
    assert kamailio.tables["registering"] == {}


def test_a_silent_core_leaves_nothing_under_way(kamailio: FakeKamailio, connected: Gateway) -> None:
    kamailio.receive(register())
    connected.ksr_request_route(MESSAGE)
    assert kamailio.tables["registering"]
    kamailio.script("tm.t_branch_timeout", 1)
    kamailio.receive(register(), transaction=(1, 2))
    connected.ksr_failure_register(MESSAGE)
    assert kamailio.tables["registering"] == {}
    assert kamailio.replies[-1].status == 504
    # Its connection is not closed for good, which is how pages take 1008.
    ((_, waiting),) = FlowStore(HtableTable).unregistered()
    assert waiting.core_failed


def test_a_challenge_of_a_page_that_is_registered_goes_on_and_leaves_nothing_under_way(
    kamailio: FakeKamailio, connected: Gateway
) -> None:
    expect(kamailio)
    kamailio.receive(registered())
    connected.ksr_reply_route(MESSAGE)
    kamailio.receive(register())
    connected.ksr_request_route(MESSAGE)
    assert kamailio.tables["registering"]
    for name, outcome in {"tm.t_branch_timeout": -1, "tm.t_is_canceled": -1}.items():
        kamailio.script(name, outcome)
    kamailio.receive(register(), transaction=(1, 2))
    kamailio.failure_status = 401
    answers = len(kamailio.replies)
    connected.ksr_failure_register(MESSAGE)
    assert kamailio.tables["registering"] == {}
    assert len(kamailio.replies) == answers
