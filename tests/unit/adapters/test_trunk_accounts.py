"""Several accounts at one carrier: whose a call is that comes to our Contact there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from kemi.adapters import gateway as gateway_module
from kemi.adapters.gateway import Gateway
from kemi.adapters.trunks.calls import TrunkCalls
from kemi.core.trunk.names import trunk_user
from kemi.core.trunk.trunk import Trunk
from kemi.settings import Settings, settings_from_text
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.conftest import AbsentRedis
from tests.unit.adapters.relay import ScriptedRelay
from tests.unit.adapters.test_trunk_calls import CARRIER, OTHER, WAY, World, message
from tests.unit.site import SETTINGS_TEXT

ACCOUNTS: Final = {"line1": CARRIER, "line2": CARRIER, "far": OTHER}


def settings_of(accounts: Mapping[str, Sequence[str]]) -> Settings:
    """Return a gateway's settings; ``accounts``: name → networks."""
    return settings_from_text(
        SETTINGS_TEXT
        + "".join(
            f"""
[[trunks]]
name = "{name}"
uris = ["sip:{ACCOUNTS[name][0]}"]
networks = {[*networks]}
user = "{name}"
password = "secret"
register = true
most_calls = 1
"""
            for name, networks in accounts.items()
        )
    )


SETTINGS: Final = settings_of(dict.fromkeys(ACCOUNTS, ()))


class Accounts(World):
    """A gateway that registers all of them."""

    @property
    def each_running(self) -> list[int]:
        """Calls of each account."""
        return [self._gateway._trunks.room.running(name) for name in ACCOUNTS]

    def calls(self, account: str, call_id: str, source: tuple[str, int]) -> int:
        """Somebody calls our Contact of an account; return the status of our response, or 0."""
        line = f"INVITE sip:{trunk_user(SETTINGS.flow_secret, account)}@192.0.2.1:5060 SIP/2.0"
        return self._came(message(line, call_id, "INVITE", source))


@pytest.fixture
def rows() -> list[str]:
    """Names of the trunks by whose rows calls went, in order."""
    return []


@pytest.fixture
def accounts(
    kamailio: FakeKamailio,
    relay: ScriptedRelay,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[str],
    request: pytest.FixtureRequest,
) -> Accounts:
    """A worker at this carrier; parameter: its settings, where they are others."""

    def way(_: TrunkCalls, trunk: Trunk, __: object) -> object:
        rows.append(trunk.name)
        return WAY

    monkeypatch.setattr(gateway_module, "MediaRelay", lambda *_: relay)
    monkeypatch.setattr(gateway_module, "RedisLink", lambda *_, **__: AbsentRedis())
    monkeypatch.setattr(TrunkCalls, "_way", way)
    return Accounts(kamailio, Gateway(getattr(request, "param", SETTINGS)))


@pytest.mark.parametrize(
    "accounts",
    [
        settings_of({"line1": networks, "line2": others, "far": ()})
        for networks, others in (
            ((), ()),
            (["203.0.113.4/31"], ()),
            (["203.0.113.4/31"], ["203.0.113.5"]),
            (["203.0.113.5"], ["203.0.113.5/32"]),
        )
    ],
    indirect=True,
)
def test_a_call_is_of_the_account_that_registers_the_contact(accounts: Accounts, rows: list[str]) -> None:
    assert [accounts.calls(name, name, CARRIER) for name in ("line1", "line2")] == [0, 0]
    assert (rows, accounts.each_running) == (["line1", "line2"], [1, 1, 0])
    assert accounts.calls("line2", "c3", CARRIER) == 503  # it may have one


def test_a_contact_at_another_carrier_counts_for_nothing(accounts: Accounts, rows: list[str]) -> None:
    assert accounts.calls("far", "c1", CARRIER) == 0
    assert (rows, accounts.each_running) == (["line1"], [1, 0, 0])
