"""The domain of the far end says which media profile a call gets; everything the relay is asked then names it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call.media.session import with_terms
from kemi.core.media_profile import profile_towards_core, profile_towards_page
from tests.unit.core.call.ladder import Call, header_reader, invite

DOMAINS = {"pstn.example": "pstn"}


@pytest.mark.parametrize(
    ("uri", "profile"),
    [
        pytest.param("sip:+15550199@pstn.example;user=phone", "pstn", id="a number there"),
        pytest.param("sip:bob@PSTN.example:5080;transport=tcp", "pstn", id="another spelling"),
        pytest.param("sip:bob@other.example", "", id="another domain"),
        pytest.param("sip:bob@sub.pstn.example", "", id="a domain below"),
        pytest.param("tel:+15550199", "", id="no domain"),
        pytest.param("mailto:x", "", id="no such scheme"),
    ],
)
def test_the_far_end_of_a_call(uri: str, profile: str) -> None:
    assert profile_towards_core(replace(invite(), request_uri=uri), DOMAINS) == profile
    asserted = header_reader({"P-Asserted-Identity": [f"<{uri}>"]})
    called = replace(invite(), from_uri="sip:liar@other.example", headers=asserted)
    assert profile_towards_page(called, DOMAINS) == profile
    assert profile_towards_page(replace(invite(), from_uri=uri), DOMAINS) == profile
    assert profile_towards_core(replace(invite(), request_uri=uri), {}) == ""


def test_what_the_relay_is_asked_names_the_profile() -> None:
    record = Call.forwarded().record
    actions: list[act.Action] = [
        act.RenewMedia("c", "n", "split", ()),
        act.ReserveMedia("c", "n", "split", ()),
        act.GateMedia("c", "n", ()),
    ]
    assert with_terms(record, actions) == actions
    record.profile = "pstn"
    renew, reserve, gate = with_terms(record, actions)
    assert isinstance(renew, act.RenewMedia) and isinstance(reserve, act.ReserveMedia)
    assert renew.terms == reserve.terms == act.MediaTerms("pstn")
    assert gate == actions[2]
