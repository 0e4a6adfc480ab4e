"""What is asked of a user's pages, and what their refusals come to."""

from __future__ import annotations

import pytest

from kemi.core.errors import SipReject
from kemi.core.home.reaching import FLOW_FAILED, PAGE_IS_GONE, check_request, has_passed, outcome
from kemi.core.messages import Request, Side

HOST = "127.0.0.1:5070"


def request(method: str = "INVITE", to_tag: str = "", **fields: str) -> Request:
    return Request(
        Side.IMS, method, "call-1", "tag", to_tag, 1, headers=lambda name: [fields[name]] if name in fields else []
    )  # fmt: skip


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "REFER", "NOTIFY"])
def test_what_goes_to_the_pages(method: str) -> None:
    check_request(request(method, Via="SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1"), HOST)


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        pytest.param(request("BYE", "tag"), 481, id="inside a dialog"),
        pytest.param(
            request(Via=f"SIP/2.0/UDP x;branch=1, SIP/2.0/UDP {HOST};branch=z9hG4bK2"), 482, id="loop"
        ),
        pytest.param(request("SUBSCRIBE", Event="reg;id=1"), 489, id="the registration's state"),
        pytest.param(request("PUBLISH", Event="presence"), 489, id="nobody keeps what is published"),
    ],
)
def test_what_goes_nowhere(refused: Request, status: int) -> None:
    with pytest.raises(SipReject) as error:
        check_request(refused, HOST)
    assert error.value.status == status


def test_a_via_of_another_port_is_not_ours() -> None:
    assert not has_passed(["SIP/2.0/UDP 127.0.0.1:50700;branch=z9hG4bK1"], HOST)
    assert has_passed([f"SIP/2.0/UDP {HOST}"], HOST)


def test_how_a_fork_ends() -> None:
    assert outcome(FLOW_FAILED) == outcome(PAGE_IS_GONE) == (480, "Temporarily Unavailable")
    assert outcome(503) == (500, "Server Internal Error")
    assert outcome(486) is None
