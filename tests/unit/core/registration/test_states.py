"""The life of a binding: its table, its key, its times."""

from __future__ import annotations

from itertools import product

import pytest

from kemi.core.call.states import advance
from kemi.core.errors import LocalProtocolError
from kemi.core.registration.records import MOST_PATIENCE, Unregistered, binding_key
from kemi.core.registration.states import BINDING, ENDINGS, BindingEvent, BindingState, Cause
from tests.unit.core.registration.bindings import ALICE, CONTACT, OURS, binding

ALIVE = [BindingState.REGISTERED, BindingState.AWAY, BindingState.ABANDONED]
ENDS = [
    BindingEvent.DEREGISTERED,
    BindingEvent.EXPIRED,
    BindingEvent.NETWORK_ENDED,
    BindingEvent.LOGGED_OUT,
]


class TestTable:
    """What leads where."""

    @pytest.mark.parametrize(("state", "event"), list(product(ALIVE, ENDS)))
    def test_every_end_ends_every_binding(self, state: BindingState, event: BindingEvent) -> None:
        assert advance(BINDING, state, event) is BindingState.TERMINATED

    @pytest.mark.parametrize("state", ALIVE)
    def test_the_core_can_always_grant_it_again(self, state: BindingState) -> None:
        assert advance(BINDING, state, BindingEvent.GRANTED) is BindingState.REGISTERED

    @pytest.mark.parametrize("event", list(BindingEvent))
    def test_nothing_comes_after_the_end(self, event: BindingEvent) -> None:
        with pytest.raises(LocalProtocolError):
            advance(BINDING, BindingState.TERMINATED, event)

    def test_only_a_page_that_is_away_is_given_up(self) -> None:
        assert advance(BINDING, BindingState.AWAY, BindingEvent.GRACE_OVER) is BindingState.ABANDONED
        for state in (BindingState.REGISTERED, BindingState.ABANDONED):
            with pytest.raises(LocalProtocolError):
                advance(BINDING, state, BindingEvent.GRACE_OVER)


class TestEndings:
    """What each cause means."""

    def test_every_cause_has_one(self) -> None:
        assert set(ENDINGS) == set(Cause)

    @pytest.mark.parametrize("cause", list(Cause))
    def test_close_frames_are_what_websocket_allows(self, cause: Cause) -> None:
        close = ENDINGS[cause].close
        if close is not None:
            code, reason = close
            assert 1000 <= code <= 1014 or 4000 <= code <= 4999  # RFC 6455 §7.4.2
            assert 0 < len(reason.encode()) <= 123  # §5.5: control frames

    @pytest.mark.parametrize(
        "cause", [Cause.REJECTED, Cause.DEACTIVATED, Cause.PROBATION, Cause.UNREGISTERED, Cause.CORE_EXPIRED]
    )
    def test_what_the_network_ended_is_not_signed_off_and_the_page_is_told(self, cause: Cause) -> None:
        assert not ENDINGS[cause].on_behalf
        assert ENDINGS[cause].close is not None

    def test_who_lacks_a_new_token_is_not_logged_out(self) -> None:
        assert ENDINGS[Cause.GRANT_ENDED].close[0] == 1012  # type: ignore[index]
        assert ENDINGS[Cause.LOGGED_OUT].close[0] == 4401  # type: ignore[index]


class TestKey:
    """One page, one key; two pages, two."""

    def test_instance_and_reg_id_decide_whatever_the_contact(self) -> None:
        one = binding_key(ALICE, CONTACT, OURS)
        other = CONTACT.replace("sip:x@page.invalid", "sip:y@anew.invalid")
        assert binding_key(ALICE, other, "sip:y@anew.invalid") == one

    @pytest.mark.parametrize(
        ("aor", "value"),
        [
            pytest.param("sip:bob@ims.example", CONTACT, id="another user"),
            pytest.param("sip:Alice@ims.example", CONTACT, id="user parts differ by case"),
            pytest.param(ALICE, CONTACT.replace("uuid:1", "uuid:2"), id="another instance"),
            pytest.param(ALICE, CONTACT.replace("reg-id=1", "reg-id=2"), id="another reg-id"),
            pytest.param(ALICE, f"<{OURS}>", id="no instance"),
        ],
    )
    def test_different_ones(self, aor: str, value: str) -> None:
        assert binding_key(aor, value, OURS) != binding_key(ALICE, CONTACT, OURS)

    @pytest.mark.parametrize(
        "aor",
        [
            "sip:alice@IMS.example",
            "SIP:alice@ims.example",
            "sip:alice@ims.example;user=phone",
            "sip:%61lice@ims.example",
        ],
    )
    def test_spellings_of_one_identity(self, aor: str) -> None:
        assert binding_key(aor, CONTACT, OURS) == binding_key(ALICE, CONTACT, OURS)

    def test_without_instance_the_contact_decides_and_its_parameters_do_not(self) -> None:
        assert binding_key(ALICE, "", "sip:x@p.invalid;transport=ws;ob") == binding_key(
            ALICE, "", "sip:x@p.invalid"
        )

    def test_a_user_cannot_build_another_users_key(self) -> None:
        forged = '<sip:x@p>;+sip.instance="<urn:uuid:1> 1";reg-id="1 1"'
        assert len(binding_key(ALICE, forged, OURS).split(" ")) == 3
        assert len(binding_key("sip:al%20ice@ims.example", CONTACT, OURS).split(" ")) == 3


class TestTimes:
    """When something must be done."""

    @pytest.mark.parametrize(
        ("changes", "due"),
        [
            pytest.param({}, 600.0, id="registered: its end"),
            pytest.param({"renew_at": 50.0}, 50.0, id="cut short: when the page must renew"),
            pytest.param({"state": BindingState.AWAY, "away_until": 30.0}, 30.0, id="away: the patience"),
            pytest.param({"state": BindingState.AWAY, "away_until": 900.0}, 600.0, id="away: its end first"),
            pytest.param(
                {"state": BindingState.AWAY, "away_until": 30.0, "renew_at": 5.0},
                30.0,
                id="away: cannot renew",
            ),
            pytest.param({"state": BindingState.ABANDONED, "renew_at": 5.0}, 600.0, id="abandoned: its end"),
        ],
    )
    def test_due(self, changes: dict[str, object], due: float) -> None:
        assert binding(**changes).due_at == due


class TestUnregistered:
    """How long a connection may be without a registration."""

    @pytest.mark.parametrize(
        ("since", "waited_from", "is_overdue"),
        [
            pytest.param(91.0, 91.0, False, id="just in time"),
            pytest.param(90.0, 90.0, True, id="never tried"),
            pytest.param(80.0, 91.0, False, id="tried a moment ago"),
            pytest.param(80.0, 90.0, True, id="gave up trying"),
            pytest.param(80.0, 112.0, False, id="told to come back later"),
            pytest.param(100.0 - MOST_PATIENCE * 10, 99.0, True, id="goes on and on"),
        ],
    )
    def test_rule(self, since: float, waited_from: float, is_overdue: bool) -> None:
        assert Unregistered(since, waited_from).is_overdue(10.0, 100.0) is is_overdue
