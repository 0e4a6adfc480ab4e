"""The agent's settings: as the role renders them, and a wrong value names its key."""

from __future__ import annotations

import pytest

from rtpengine.agent.settings import SettingsError, settings_from_text
from tests.lab.roles import render_role

SECRET = "fedcba9876543210fedcba9876543210"
GOOD = render_role("media_agent", "media_agent.toml.j2", {"media_agent_control_secret": SECRET})


def test_what_the_role_renders_is_taken() -> None:
    settings = settings_from_text(GOOD)
    assert [node.name for node in settings.nodes] == ["127.0.0.1:2223"]
    assert (settings.health.patience.silent_s, settings.health.patience.unanswered) == (0.6, 4)
    assert not settings.reconcile.exclusive
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("good", "bad", "key"),
    [
        (SECRET, "", "control.secret"),
        ('address = "127.0.0.1"', 'address = "192.0.2.1"', "control.address"),
        ("[[nodes]]", "[[nodez]]", "nodes"),
        ("port = 2223", 'port = "2223"', "nodes"),
        ("ping_s = 0.1", "ping_s = 0.5", "health"),
        ("silent_s = 0.6", "silent_s = 0.1", "health"),
        ("interval_s = 5.0", "interval_s = 0", "reconcile"),
        ("[health]", "[health", "not TOML"),
        ("peers = []", 'peers = ["127.0.0.2"]', "dtmf.peers"),
        ("peers = []", 'peers = ["127.0.0.2:0"]', "dtmf.peers"),
        ("peers = []", 'peers = ["gateway.example:2225"]', "dtmf.peers"),
        ("peers = []", 'peers = ["::1:2225"]', "dtmf.peers"),
        ("peers = []", 'peers = ["[::1]:2225"]', "dtmf.peers"),
        ("peers = []", 'peers = ["192.0.2.1:2225"]', "dtmf.address"),
    ],
)
def test_a_wrong_value_names_its_key(good: str, bad: str, key: str) -> None:
    assert good in GOOD
    with pytest.raises(SettingsError, match=key):
        settings_from_text(GOOD.replace(good, bad, 1))


def test_a_node_is_known_by_its_address_however_that_is_spelt() -> None:
    spelt = GOOD.replace('[[nodes]]\naddress = "127.0.0.1"', '[[nodes]]\naddress = "2001:DB8:0:0::9"')
    (node,) = settings_from_text(spelt).nodes
    assert (node.source, node.name) == ("2001:db8::9", "[2001:DB8:0:0::9]:2223")
