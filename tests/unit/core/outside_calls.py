"""Messages outside calls, and a dialog that they make."""

from __future__ import annotations

from kemi.core.call.settings import CallSettings
from kemi.core.messages import Reply, Request, Side
from kemi.core.page_dialogs import UNANSWERED_S, FarEnd, PageDialog, begin_by_page
from kemi.core.registration import Registration

NOW = 1000.0
SETTINGS = CallSettings("ims.example", "192.0.2.1:5060", "192.0.2.1", ("opus",), ("H264",))
HEADERS = {
    "Contact": ["<sip:there@core>"],
    "Record-Route": ["<sip:one;lr>, <sip:two;lr>"],
    "Expires": ["600"],
    "Subscription-State": ["active;expires=60"],
}


def request(side: Side, method: str, from_tag: str, to_tag: str = "", **headers: list[str]) -> Request:
    found = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Request(
        side, method, "call-1", from_tag, to_tag, 1,
        contact=found["Contact"][0] if found["Contact"] else "",
        headers=lambda name: found.get(name, []),
        request_uri="sip:bob@ims.example", from_uri="sip:alice@ims.example", connection_id="7",
    )  # fmt: skip


def reply(side: Side, method: str, from_tag: str, to_tag: str, status: int = 200) -> Reply:
    contact = HEADERS["Contact"][0]
    return Reply(
        side, method, "call-1", from_tag, to_tag, 1, contact=contact,
        headers=lambda name: HEADERS.get(name, []), status=status,
    )  # fmt: skip


def dialog(**far_ends: FarEnd) -> PageDialog:
    return PageDialog("sip:alice@ims.example", "sip:a@x", "7", "user", True, NOW + UNANSWERED_S, far_ends)


def begun_with(expires: str) -> PageDialog:
    registration = Registration("sip:alice@ims.example", "sip:a@x", NOW + 60)
    asked = request(Side.WIC, "SUBSCRIBE", "a", Expires=[expires] if expires else [])
    return begin_by_page(asked, registration, "user", NOW)
