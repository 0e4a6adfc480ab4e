"""How a request reaches a user of our own: what is asked of its pages, and what their refusals come to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kemi.core.errors import SipReject
from kemi.core.messages import Request

FLOW_FAILED: Final = 430
PAGE_IS_GONE: Final = 599
"""Stands for 430 inside the fork: of several refusals the lowest class and number counts (RFC 3261 §16.7 step 6), and
what a page said comes before one that was not there to say anything."""


def check_request(request: Request, own_host: str) -> None:
    """Raise SipReject for what goes to no page: 481, 482 or 489.

    ``own_host``: ``address:port`` of the home part's socket, as its Via says.
    """
    if request.to_tag:
        raise SipReject("no such dialog", status=481, reason_phrase="Call/Transaction Does Not Exist")
    if has_passed(request.headers("Via"), own_host):
        raise SipReject("this request has been here", status=482, reason_phrase="Loop Detected")
    event = "".join(request.headers("Event")).partition(";")[0].strip().lower()
    if request.method == "PUBLISH" or (request.method == "SUBSCRIBE" and event == "reg"):
        raise SipReject("this network knows no such event", status=489, reason_phrase="Bad Event")


def has_passed(vias: Iterable[str], own_host: str) -> bool:
    """Whether one of the Via fields is ours."""
    return any(
        part.strip().partition(" ")[2].partition(";")[0].strip() == own_host
        for value in vias
        for part in value.split(",")
    )


def not_here() -> SipReject:
    """Return the refusal for a user who is not registered."""
    return SipReject("the user is not here now", status=480, reason_phrase="Temporarily Unavailable")


def unknown() -> SipReject:
    """Return the refusal for an address of nobody."""
    return SipReject("there is no such user or number", status=404, reason_phrase="Not Found")


def outcome(status: int) -> tuple[int, str] | None:
    """Return what a fork that failed with this status is answered with instead; None: with what it is."""
    if status in (FLOW_FAILED, PAGE_IS_GONE):
        return 480, "Temporarily Unavailable"
    if status == 503:
        return (
            500,
            "Server Internal Error",
        )  # 503 would say that the whole home network is overloaded (step 6)
    return None
