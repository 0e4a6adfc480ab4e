"""Who is banned, for what, and who is not."""

from __future__ import annotations

import random

import pytest

from kemi.core.bans import (
    JUST_S,
    KNOWN_S,
    POINTS,
    BanSettings,
    Offence,
    Offender,
    Trusted,
    banned_network,
    check_bans,
    has_just_logged_in,
    logged_in,
    offence_of,
    offend,
)
from kemi.core.errors import GatewayError, OverLimit, RemoteProtocolError, SipReject
from kemi.core.registration.likeness import likeness

NOW = 1_000_000.0
SETTINGS = BanSettings()


def until_banned(offence: Offence, offender: Offender, every_s: float = 0.0) -> int:
    """Return the number of the offence that bans; 0: none of a thousand."""
    for number in range(1, 1001):
        if offend(offender, offence, SETTINGS, NOW + number * every_s):
            return number
    return 0


@pytest.mark.parametrize("offence", list(Offence))
def test_each_offence_costs_its_points(offence: Offence) -> None:
    assert until_banned(offence, Offender()) == SETTINGS.points / POINTS[offence]


def test_where_somebody_has_logged_in_there_may_be_many() -> None:
    offender = Offender()
    logged_in(offender, NOW)
    assert until_banned(Offence.LOGIN, offender) == SETTINGS.points * SETTINGS.known_factor


def test_and_an_hour_later_there_is_nobody() -> None:
    offender = Offender(known_until=NOW)
    assert until_banned(Offence.LOGIN, offender) == SETTINGS.points
    logged_in(offender, NOW)
    assert offender.known_until == NOW + KNOWN_S


def test_a_login_forgives_what_went_before() -> None:
    offender = Offender()
    for _ in range(7):
        assert not offend(offender, Offence.LOGIN, SETTINGS, NOW)
    logged_in(offender, NOW)
    offender.known_until = 0.0
    assert until_banned(Offence.LOGIN, offender) == SETTINGS.points


def test_points_are_forgotten() -> None:
    a_point_s = SETTINGS.window_s / SETTINGS.points
    assert until_banned(Offence.LOGIN, Offender(), every_s=a_point_s) == 0
    assert until_banned(Offence.LOGIN, Offender(), every_s=a_point_s / 2) > SETTINGS.points


def test_a_clock_that_was_set_back_bans_for_no_longer_than_the_window() -> None:
    offender = Offender(until=NOW + 1e6)
    offend(offender, Offence.LOGIN, SETTINGS, NOW)
    assert not offend(offender, Offence.LOGIN, SETTINGS, NOW + 2 * SETTINGS.window_s)


def test_nobody_is_banned_where_that_is_off() -> None:
    assert not any(offend(Offender(), Offence.SCAN, BanSettings(points=0), NOW) for _ in range(100))


@pytest.mark.parametrize(
    ("error", "method", "registered", "offence"),
    [
        (OverLimit(), "INVITE", True, Offence.FLOOD),
        (OverLimit(), "REGISTER", False, Offence.FLOOD),
        (OverLimit(), "INVITE", False, Offence.UNREGISTERED),
        (RemoteProtocolError(), "INVITE", True, Offence.MALFORMED),
        (SipReject("no"), "INVITE", False, Offence.UNREGISTERED),
        (SipReject("no premium numbers"), "INVITE", True, Offence.FORBIDDEN),
        (SipReject("no such call", status=481), "BYE", False, None),
    ],
)
def test_what_a_refusal_says_of_a_page(
    error: GatewayError, method: str, registered: bool, offence: Offence | None
) -> None:
    assert offence_of(error, method, registered=registered) is offence


def test_a_limit_that_many_share_says_nothing_of_any() -> None:
    error = OverLimit()
    error.shared = True
    assert offence_of(error, "REGISTER", registered=False) is None


@pytest.mark.parametrize(
    ("address", "holds"),
    [
        ("192.0.2.7", True),
        ("192.0.3.7", False),
        ("::ffff:192.0.2.7", True),
        ("2001:db8:0:1::5", True),
        ("2001:db8:0:2::5", False),
        ("no address", True),
    ],
)
def test_who_is_never_banned(address: str, holds: bool) -> None:
    assert Trusted(["192.0.2.0/24", "2001:db8:0:1::/64"]).holds(address) is holds


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0::/64", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_how_an_operator_names_an_address(text: str, kept: str) -> None:
    assert banned_network(text) == kept


@pytest.mark.parametrize("text", ["", "192.0.2.0/24", "2001:db8::/32", "example.com", "0.0.0.0/0"])
def test_no_more_than_one_site_is_banned_at_once(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        banned_network(text)


@pytest.mark.parametrize(
    "settings",
    [
        BanSettings(points=-1),
        BanSettings(known_factor=0.5),
        BanSettings(window_s=0),
        BanSettings(ban_s=0),
        BanSettings(trusted=["192.0.2.1/24"]),
    ],
)
def test_settings_that_make_no_sense(settings: BanSettings) -> None:
    with pytest.raises(ValueError, match=r"bans\."):
        check_bans(settings)


class TestLikeness:
    """A challenge for somebody whom the core does not know."""

    CORE = 'Digest realm="ims.test", nonce="0f3c", opaque="Zm9vYg==", algorithm=MD5, qop="auth,auth-int"'

    def test_it_differs_in_what_is_new_each_time(self) -> None:
        made = [likeness(self.CORE, "x", random.Random(seed).choice) for seed in (1, 2)]
        assert made[0] != made[1]
        for one in made:
            nonce, opaque = one.split('"')[3], one.split('"')[5]
            assert one == self.CORE.replace("0f3c", nonce).replace("Zm9vYg==", opaque)
            assert len(nonce) == 4
            assert int(nonce, 16) >= 0
            assert opaque.endswith("==")

    def test_nobody_is_told_that_a_password_was_right(self) -> None:
        assert "stale" not in likeness(self.CORE + ", stale=true", "x", random.choice)

    def test_a_core_that_has_not_spoken_yet(self) -> None:
        assert likeness("", "ims.test", random.choice).startswith('Digest realm="ims.test", nonce="')


def test_who_has_just_logged_in_is_not_written_down_again() -> None:
    offender = Offender()
    assert not has_just_logged_in(offender, NOW)
    logged_in(offender, NOW)
    assert has_just_logged_in(offender, NOW + 1)
    assert not has_just_logged_in(offender, NOW + JUST_S)
    assert not has_just_logged_in(offender, NOW - 1)  # a clock that was set back
    offender.until = NOW + 5
    assert not has_just_logged_in(offender, NOW + 1)
