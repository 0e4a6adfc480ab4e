"""Pages that are faster than what their gateways know of each other."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from kemi.adapters.gateway import Gateway
from kemi.adapters.pages.elsewhere import CLOCKS_APART_S
from kemi.adapters.pages.passing_on import FOLLOWS_WITHIN_S
from kemi.core.call.record import CallRecord
from kemi.core.registration import Flow
from kemi.core.registration.states import BindingState
from kemi.settings import settings_from_text
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.messages import handshake, page_request
from tests.unit.adapters.played import MESSAGE, connected_page
from tests.unit.adapters.test_other_gateways import SITE, Leaving
from tests.unit.site import SETTINGS_TEXT


class TestOnItsWay:
    """A page speaks in its call before the gateway of before has handed that over; 481 would end it at the page."""

    @pytest.mark.parametrize(
        ("method", "status"),
        [("INVITE", 491), ("UPDATE", 500), ("INFO", 500), ("BYE", 481), ("PRACK", 481), ("SUBSCRIBE", 481)],
    )
    def test_a_page_that_has_just_come_asks_again(
        self, kamailio: FakeKamailio, gateway: Gateway, method: str, status: int
    ) -> None:
        page = connected_page(kamailio, type(gateway)(settings_from_text(SITE)))
        assert self._answer(kamailio, page, method) == status

    def test_so_does_one_that_has_not_registered_yet(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        kamailio.script("websocket.handle_handshake", 1)
        kamailio.script("tcpops.tcp_enable_closed_event", 1)
        page = type(gateway)(settings_from_text(SITE))
        kamailio.receive(handshake())
        page.ksr_xhttp_event(MESSAGE, "xhttp:request")
        assert self._answer(kamailio, page, "INVITE") == 491

    @pytest.mark.parametrize(
        ("settings", "here_for_s"),
        [
            pytest.param(SETTINGS_TEXT, 0.0, id="there is no other gateway"),
            pytest.param(SITE, FOLLOWS_WITHIN_S, id="it has been here for long"),
        ],
    )
    def test_where_none_can_come_the_call_is_over(
        self, kamailio: FakeKamailio, gateway: Gateway, settings: str, here_for_s: float
    ) -> None:
        page = connected_page(kamailio, type(gateway)(settings_from_text(settings)))
        ((key, _),) = page._flows.bindings()
        page._flows.change(key, lambda found: replace(found, registered_at=found.registered_at - here_for_s))
        assert self._answer(kamailio, page, "INVITE") == 481

    @staticmethod
    def _answer(kamailio: FakeKamailio, page: Gateway, method: str) -> int:
        kamailio.receive(page_request(method, "before"))
        page.ksr_request_route(MESSAGE)
        return kamailio.replies[-1].status


class TestNeverEnded:
    """A page changes its network, and the connection of before never ends: nothing comes over it any more."""

    @pytest.fixture
    def silent(self, kamailio: FakeKamailio) -> Leaving:
        """A page with a call, registered over a connection here that stands, and later at the gateway b."""
        return self._silent(kamailio, SITE)

    @staticmethod
    def _silent(kamailio: FakeKamailio, settings: str) -> Leaving:
        for name in ("websocket.close_conid", "tcpops.tcp_close_connection_id"):
            kamailio.script(name, 1)
        leaving = Leaving(settings)
        flows = leaving.world.flows
        flows.open(Flow("8", "n", "192.0.2.1", "127.0.0.1:8"))
        back = replace(leaving.here, state=BindingState.REGISTERED)
        flows.register("8", back, 1e12)
        leaving.elsewhere.changed(leaving.key, flows.binding(leaving.key))

        def on_it(record: CallRecord) -> None:
            record.connection_id = "8"

        leaving.world.calls.change(leaving.call.key, on_it)
        return leaving

    def test_it_is_ended_and_the_call_is_handed_over(self, kamailio: FakeKamailio, silent: Leaving) -> None:
        assert silent.look(6.0) == []
        assert [arguments[0] for arguments in kamailio.called("websocket.close_conid")] == [4409]
        (lost,) = silent.world.flows.take_closed()
        silent.elsewhere.changed(silent.key, silent.world.flows.lose(lost, silent.here.granted_at + 32.0))
        assert silent.look(6.1) == [silent.key]
        assert [list(calls) for calls in silent.link.handed] == [[silent.call.key]]

    @pytest.mark.parametrize(
        "there",
        [
            pytest.param({"granted_at": CLOCKS_APART_S}, id="its clock may just be ahead"),
            pytest.param({"granted_at": 5.0, "connection_id": ""}, id="it has left there"),
            pytest.param({"granted_at": 3600.0}, id="its clock was ahead"),
        ],
    )
    def test_a_page_that_is_still_here_stays(
        self, kamailio: FakeKamailio, silent: Leaving, there: dict[str, float | str]
    ) -> None:
        granted_at = silent.here.granted_at + float(there["granted_at"])
        known = replace(
            silent.here, connection_id=str(there.get("connection_id", "3")), granted_at=granted_at
        )
        silent.link.there[silent.key] = msgspec.json.encode(known).decode()
        assert silent.look(6.0) == []
        assert (silent.link.most_asked, kamailio.called("websocket.close_conid")) == (1, [])

    def test_nobody_is_asked_about_pages_without_calls_nor_where_there_is_no_other_gateway(
        self, kamailio: FakeKamailio, silent: Leaving
    ) -> None:
        silent.world.calls.forget(silent.call.key)
        alone = self._silent(kamailio, SETTINGS_TEXT)
        for one in (silent, alone):
            assert one.look(6.0) == []
            assert one.link.most_asked == 0

    def test_all_have_their_turn(
        self, kamailio: FakeKamailio, silent: Leaving, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("kemi.adapters.pages.elsewhere.MOST", 1)
        for number in (1, 2):
            silent.world.register(100 + number)
            other = replace(silent.call, call_id=f"c{number}", connection_id=str(100 + number))
            assert silent.world.calls.create(other)
        for after_s in (6.0, 7.0, 8.0):
            silent.look(after_s)
        assert silent.link.most_asked == 1
        assert len(kamailio.called("websocket.close_conid")) == 1
