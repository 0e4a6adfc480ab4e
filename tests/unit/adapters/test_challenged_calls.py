"""A core that challenges the INVITE: what comes again with credentials is no further call to who counts calls."""

from __future__ import annotations

import json

import pytest

from kemi.adapters.gateway import Gateway
from kemi.adapters.network.routing import RouteReader
from kemi.core.routing.costs import CostClass
from kemi.core.routing.permissions import Permission
from kemi.core.routing.way import Way
from kemi.settings import settings_from_text
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.messages import invite
from tests.unit.adapters.played import MESSAGE, connected_page, forwarded
from tests.unit.site import SETTINGS_TEXT

BOB, OTHER = "sip:bob@ims.example", "sip:+49900123@ims.example"
CREDENTIALS = 'Proxy-Authorization: Digest username="a", realm="r", nonce="n", uri="sip:b", response="r"\n'
LIMITS = [
    Permission(),
    Permission(calls_per_minute=1),
    Permission(per_minute={CostClass.NATIONAL: 1}),
    Permission(alarms={"national": 2}),
]


def allow(monkeypatch: pytest.MonkeyPatch, permission: Permission) -> None:
    """Let the table send every call to the core, as a national one."""

    def way(_reader: RouteReader, _call_id: str, uri: str, *_: object) -> Way:
        return Way("r", uri, "", cost=CostClass.NATIONAL, permission=permission)

    monkeypatch.setattr(RouteReader, "way", way)


def asked_who_it_is(kamailio: FakeKamailio, page: Gateway, uri: str = BOB) -> None:
    """Bring a call to where the core has challenged its INVITE."""
    forwarded(kamailio, page, uri)
    kamailio.receive(invite(uri=uri), transaction=(11, 22))
    kamailio.failure_status = 407
    kamailio.script("tm.t_branch_timeout", -1)
    page.ksr_failure_ims(MESSAGE)
    kamailio.replies.clear()


def says_who(kamailio: FakeKamailio, page: Gateway, uri: str = BOB) -> list[int]:
    """Send the INVITE again with credentials; return what it is answered."""
    kamailio.receive(invite(cseq=2, uri=uri, extra=CREDENTIALS))
    page.ksr_request_route(MESSAGE)
    return [reply.status for reply in kamailio.replies]


def told(kamailio: FakeKamailio) -> list[str]:
    """Return the kinds of events that were told of."""
    return [json.loads(text)["type"] for text in kamailio.tables.get("notice", {}).values()]


@pytest.mark.parametrize("permission", LIMITS)
def test_it_is_counted_once(
    kamailio: FakeKamailio, page: Gateway, monkeypatch: pytest.MonkeyPatch, permission: Permission
) -> None:
    allow(monkeypatch, permission)
    asked_who_it_is(kamailio, page)
    assert says_who(kamailio, page) == [183]
    assert kamailio.tables["counter"]["calls.national"] == "1"
    assert "fraud_alarm" not in told(kamailio)


@pytest.mark.parametrize(("permission", "status"), list(zip(LIMITS, [183, 503, 503, 183], strict=True)))
def test_whoever_calls_somebody_else_then_calls_twice(
    kamailio: FakeKamailio,
    page: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    permission: Permission,
    status: int,
) -> None:
    allow(monkeypatch, permission)
    asked_who_it_is(kamailio, page)
    assert says_who(kamailio, page, OTHER)[-1] == status
    assert kamailio.tables["counter"]["calls.national"] == ("2" if status == 183 else "1")
    assert ("fraud_alarm" in told(kamailio)) == bool(permission.alarms)


@pytest.mark.parametrize(("second", "times"), [("urn:service:sos", 1), ("urn:service:sos.fire", 2)])
def test_an_emergency_is_told_of_once(
    kamailio: FakeKamailio, gateway: Gateway, second: str, times: int
) -> None:
    assert gateway  # its relay is played by hand, as is that of the one below
    site = settings_from_text(f'{SETTINGS_TEXT}\n[emergency]\naction = "core"\n')
    page = connected_page(kamailio, Gateway(site))
    asked_who_it_is(kamailio, page, "urn:service:sos")
    assert says_who(kamailio, page, second)[-1] == 183
    assert told(kamailio).count("emergency_call") == times
    assert kamailio.tables["counter"]["emergency.core"] == str(times)
