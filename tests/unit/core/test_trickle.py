"""Trickle ICE by SIP ends here (RFC 8840): header fields on their way, and who asks by INFO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from kemi.core.edits import MessageEdits
from kemi.core.trickle import without_ice
from tests.unit.core.call.ladder import Call

FRAGMENT = "application/trickle-ice-sdpfrag"


def edited(edits: MessageEdits, **own: list[str]) -> MessageEdits:
    """Edit a message that came with these header fields."""
    lines = (f"{name.replace('_', '-')}:{value}" for name, values in own.items() for value in values)
    head = "\r\n".join(("INVITE sip:alice@ims.example SIP/2.0", *lines))
    return without_ice(edits, lambda name: own.get(name.replace("-", "_"), []), head)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"Supported": ["replaces, 100rel", ""]}, id="other extensions"),
        pytest.param({"Recv_Info": ["ice, infoDtmf"]}, id="a package of that name"),
    ],
)
def test_what_says_nothing_of_it_is_left_alone(fields: Mapping[str, list[str]]) -> None:
    edits = MessageEdits(remove=("Route",), insert=("Supported: timer",))
    assert edited(edits, **fields) is edits


def test_what_a_message_came_with_and_what_is_added_become_one() -> None:
    edits = MessageEdits(insert=("Route: <sip:x>", "Supported: timer"))
    found = edited(edits, Supported=["Replaces,Trickle-ICE", "ice"], Require=["ice"])
    assert found.remove == ("Supported", "Require")
    assert found.insert == ("Route: <sip:x>", "Supported: Replaces, timer")


@pytest.mark.parametrize("value", ["ice", "Ice", "100rel,ice", "100rel,\r\n ICE", "x, trickle-ice"])
def test_it_is_found_wherever_it_stands(value: str) -> None:
    assert edited(MessageEdits(), Supported=[value]).remove == ("Supported",)


def test_what_is_written_anew_is_looked_at_alone() -> None:
    edits = MessageEdits(remove=("Recv-Info",), insert=("Recv-Info: infoDtmf, trickle-ice;x=1, g.3gpp.ussd",))
    assert edited(edits, Recv_Info=["trickle-ice", "more"]).insert == ("Recv-Info: infoDtmf, g.3gpp.ussd",)


@pytest.mark.parametrize(
    ("package", "content_type", "ours"),
    [
        pytest.param("Trickle-ICE;x=1", "multipart/mixed", True, id="the package"),
        pytest.param("", f"{FRAGMENT.upper()}; charset=utf-8", True, id="its type alone"),
        pytest.param("g.3gpp.ussd", "application/vnd.3gpp.ussd+xml", False, id="another"),
    ],
)
def test_an_info_with_candidates_is_answered_here(package: str, content_type: str, ours: bool) -> None:
    call = Call.confirmed()
    headers = {"Info-Package": [package] if package else []}
    by_page = call.wic_request("INFO", cseq=12, headers=headers, body="a=candidate:1")
    by_core = call.ims_request("INFO", cseq=2, headers=headers, body="a=candidate:1")
    for event in (by_page, by_core):
        told = replace(event, request=replace(event.request, content_type=content_type))
        assert call.on(told).names == (["SendReply"] if ours else ["ForwardRequest"])
