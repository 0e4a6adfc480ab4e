"""A registration at a trunk, played by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.errors import LocalProtocolError
from kemi.core.trunk.registration import (
    MOST_RETRY_S,
    REFUSED_RETRY_S,
    RETRY_S,
    TRANSITIONS,
    Answer,
    Event,
    Register,
    Registration,
    State,
    answered,
    begin,
    come_back,
    due,
    granted,
    is_due,
    is_registered,
    leave,
    move,
    next_register,
)
from kemi.core.trunk.trunk import Trunk

NOW = 1_000.0
TRUNK = Trunk(
    "acme",
    ["sip:192.0.2.1:5070", "sip:192.0.2.2;transport=tcp"],
    domain="acme.example",
    user="gw",
    password="secret",
    register=True,
)
CONTACT = "sip:acme.0123@198.51.100.1:5060"
CHALLENGE = 'Digest realm="acme", nonce="n1", algorithm=SHA-256, qop="auth"'
GRANTED = Answer(200, contacts=[f"<{CONTACT}>;expires=600"])


def asking() -> Registration:
    found = begin(TRUNK, "call", "tag", NOW)
    due(found, NOW)
    return found


def register(registration: Registration) -> Register:
    return next_register(registration, TRUNK, CONTACT, "cnonce")


def hear(registration: Registration, answer: Answer, now: float = NOW) -> bool:
    return answered(registration, TRUNK, answer, CONTACT, now, 1.0)


def test_every_state_and_event_leads_somewhere_or_is_a_bug() -> None:
    for state in State:
        for event in Event:
            found = replace(begin(TRUNK, "call", "tag", NOW), state=state)
            if (state, event) in TRANSITIONS:
                move(found, event, NOW)
                assert found.state is TRANSITIONS[state, event]
            else:
                with pytest.raises(LocalProtocolError):
                    move(found, event, NOW)


@pytest.mark.parametrize(
    ("user", "part"),
    [("0049301234@acme.example", "0049301234"), ("our pbx", "our%20pbx"), ("+49-30.12_3", "+49-30.12_3")],
)
def test_the_address_of_record_is_a_uri_whatever_the_user_of_the_digest(user: str, part: str) -> None:
    found, at = asking(), replace(TRUNK, user=user)
    next_register(found, at, CONTACT, "cnonce")
    assert answered(found, at, Answer(401, [CHALLENGE]), CONTACT, NOW, 1.0)
    headers = next_register(found, at, CONTACT, "cnonce").headers
    assert f"From: <sip:{part}@acme.example>;tag=tag" in headers
    assert f"To: <sip:{part}@acme.example>" in headers
    assert any(f'username="{user}"' in line for line in headers)


def test_it_registers_answers_the_challenge_and_renews_in_time() -> None:
    found = begin(TRUNK, "call", "tag", NOW)
    assert is_due(found, NOW)
    due(found, NOW)
    first = register(found)
    assert first.uri == "sip:acme.example"
    assert first.next_hop == "sip:192.0.2.1:5070"
    assert "From: <sip:gw@acme.example>;tag=tag" in first.headers
    assert f"Contact: <{CONTACT}>;expires=600" in first.headers
    assert hear(found, Answer(401, [CHALLENGE]))
    second = register(found)
    assert any(line.startswith("Authorization: Digest ") and "nc=00000001" in line for line in second.headers)
    assert not hear(found, GRANTED)
    assert found.state is State.REGISTERED
    assert found.until == NOW + 600
    assert not is_due(found, NOW + 539)
    assert is_due(found, NOW + 540)
    due(found, NOW + 540)
    assert any("nc=00000002" in line for line in register(found).headers)  # the nonce still serves
    assert is_registered(found, NOW + 541)


@pytest.mark.parametrize("back_s", [10, 3600])
def test_a_clock_that_is_set_back_makes_it_due(back_s: int) -> None:
    """Until when it is known there nobody can say any more."""
    found = asking()
    hear(found, Answer(200, expires="600"))
    assert not is_due(found, NOW)
    assert is_due(found, NOW - back_s)


def test_a_short_registration_is_renewed_half_way() -> None:
    found = asking()
    hear(found, Answer(200, contacts=[f"<{CONTACT}>;expires=4"]))
    assert found.due_at == NOW + 2


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(200), 600),
        (Answer(200, expires="300"), 300),
        (Answer(200, contacts=[f"<{CONTACT};transport=udp>"], expires="200"), 200),
        (Answer(200, contacts=[f"<sip:acme.0123@198.51.100.2>;expires=9, <{CONTACT}>;expires=8"]), 8),
        (Answer(200, contacts=["<sip:acme.0123@198.51.100.2:5060>;expires=9"]), 0),
        (Answer(200, contacts=[f"<{CONTACT}>;expires=x"]), 600),
    ],
)
def test_how_long_it_was_granted(answer: Answer, seconds: int) -> None:
    assert granted(answer, CONTACT, 600) == seconds


def test_a_2xx_without_our_contact_is_a_refusal() -> None:
    found = asking()
    assert not hear(found, Answer(200, contacts=["<sip:other@192.0.2.9>"]))
    assert found.state is State.WAITING


def test_423_asks_for_longer_but_only_for_longer() -> None:
    found = asking()
    assert hear(found, Answer(423, min_expires="3600"))
    assert "Expires: 3600" in register(found).headers
    assert not hear(found, Answer(423, min_expires="1800"))
    assert found.state is State.WAITING


def test_a_wrong_password_is_tried_once_and_then_seldom() -> None:
    found = asking()
    assert hear(found, Answer(401, [CHALLENGE]))
    assert not hear(found, Answer(401, [CHALLENGE]))
    assert found.state is State.WAITING
    assert found.why == "it does not take user and password"
    assert found.due_at == NOW + REFUSED_RETRY_S
    due(found, NOW + 60)
    assert not hear(found, Answer(403), NOW + 60)
    assert found.due_at == NOW + 60 + 2 * REFUSED_RETRY_S


def test_a_stale_nonce_is_no_wrong_password_but_not_for_ever() -> None:
    found = asking()
    stale = Answer(401, [f"{CHALLENGE}, stale=true"])
    assert [hear(found, stale) for _ in range(5)] == [True] * 4 + [False]


def test_a_challenge_that_cannot_be_answered_is_a_refusal() -> None:
    found = asking()
    assert not hear(found, Answer(401, ['Digest realm="r", nonce="n", algorithm=AKAv1-MD5']))
    assert found.state is State.WAITING


def test_407_is_answered_in_its_own_field() -> None:
    found = asking()
    assert hear(found, Answer(407, [CHALLENGE]))
    assert any(line.startswith("Proxy-Authorization: ") for line in register(found).headers)


@pytest.mark.parametrize("status", [0, 408, 500, 503])
def test_the_next_next_hop_is_asked_and_then_we_wait_ever_longer(status: int) -> None:
    found = asking()
    assert hear(found, Answer(status))
    assert register(found).next_hop == "sip:192.0.2.2;transport=tcp"
    assert not hear(found, Answer(status))
    assert (found.state, found.due_at) == (State.WAITING, NOW + RETRY_S)
    for _ in range(20):
        due(found, found.due_at)
        hear(found, Answer(status), found.due_at)
        hear(found, Answer(status), found.due_at)
    assert found.due_at - found.since == MOST_RETRY_S


def test_retry_after_is_waited_for() -> None:
    found = asking()
    hear(found, Answer(503, retry_after="300"))
    hear(found, Answer(503, retry_after="120 (repairs)"))
    assert found.due_at == NOW + 120
    due(found, found.due_at)
    assert register(found).next_hop == "sip:192.0.2.2;transport=tcp"
    assert not hear(found, Answer(503, retry_after="600"), found.due_at)
    assert found.due_at == NOW + 300
    due(found, found.due_at)
    assert register(found).next_hop == "sip:192.0.2.1:5070"
    assert not hear(found, Answer(0), found.due_at)


@pytest.mark.parametrize("answers", [(0, 503), (503, 0)])
def test_who_has_said_when_is_left_alone_while_others_are_silent(answers: tuple[int, int]) -> None:
    found = asking()
    assert [hear(found, Answer(status, retry_after="900" if status else "")) for status in answers] == [
        True,
        False,
    ]
    for _ in range(3):
        due(found, found.due_at)
        assert register(found).next_hop == TRUNK.uris[answers.index(0)]
        assert not hear(found, Answer(0), found.due_at)
    due(found, NOW + 900)
    assert hear(found, Answer(0), NOW + 900)
    assert register(found).next_hop == TRUNK.uris[answers.index(503)]


def test_who_has_said_when_by_a_clock_that_was_ahead_is_asked_again() -> None:
    ahead = NOW + 7200
    found = asking()
    assert hear(found, Answer(503, retry_after="30"), ahead)
    assert not hear(found, GRANTED, ahead)
    due(found, NOW)  # the clock is right again
    assert register(found).next_hop == TRUNK.uris[1]
    assert hear(found, Answer(0), NOW)
    assert register(found).next_hop == TRUNK.uris[0]
    found = asking()
    assert hear(found, Answer(503, retry_after="30"), ahead)
    assert not hear(found, Answer(0), NOW)  # within a round
    assert (register(found).next_hop, found.due_at) == (TRUNK.uris[0], NOW + RETRY_S)


def test_what_was_granted_stands_while_nobody_answers_the_renewal() -> None:
    found = asking()
    hear(found, GRANTED)
    due(found, NOW + 540)
    hear(found, Answer(0), NOW + 545)
    hear(found, Answer(0), NOW + 550)
    assert is_registered(found, NOW + 551)
    assert not is_registered(found, NOW + 600)


def test_it_leaves_and_comes_back() -> None:
    found = asking()
    hear(found, GRANTED)
    assert leave(found, NOW + 1)
    assert not leave(found, NOW + 1)
    assert "Expires: 0" in register(found).headers
    assert hear(found, Answer(401, [CHALLENGE]), NOW + 1)
    assert not hear(found, Answer(200), NOW + 2)
    assert found.state is State.GONE
    assert not is_registered(found, NOW + 2)
    come_back(found, NOW + 3)
    assert is_due(found, NOW + 3)


def test_who_was_never_registered_need_not_leave() -> None:
    found = begin(TRUNK, "call", "tag", NOW)
    assert not leave(found, NOW)
    assert found.state is State.GONE
