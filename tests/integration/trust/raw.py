"""Messages as bytes, for pages that do not keep to any grammar."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from tests.integration.calls.stage import ALICE
from tests.lab.subscribers import REALM
from tests.peers.sip import SipRequest, SipResponse, new_branch
from tests.peers.trace import DEFAULT_WAIT_S
from tests.peers.wic import ScriptedWic


def register_text(
    page: ScriptedWic,
    lines: Iterable[str] = (),
    *,
    call_id: str = "",
    content_length: str | None = "0",
    body: str = "",
) -> str:
    """Return a REGISTER of this page with any lines in it."""
    fields = [
        f"REGISTER sip:{REALM} SIP/2.0",
        f"Via: SIP/2.0/WSS raw.invalid;branch={new_branch()}",
        "Max-Forwards: 70",
        f"From: <{page.identity.aor}>;tag=raw",
        f"To: <{page.identity.aor}>",
        f"Call-ID: {call_id or secrets.token_hex(8)}",
        "CSeq: 1 REGISTER",
        f"Contact: {page.contact};expires=600",
        *lines,
        *([] if content_length is None else [f"Content-Length: {content_length}"]),
    ]
    return "\r\n".join([*fields, "", body])


def answer_text(request: SipRequest, page: ScriptedWic) -> str:
    """Return the 200 by which a page would register whom a REGISTER, as the core got it, is for."""
    fields = [
        "SIP/2.0 200 OK",
        f"Via: {request.headers.all('Via')[0]}",
        *(f"{name}: {request.headers.get(name)}" for name in ("From", "To", "Call-ID", "CSeq")),
        f"Contact: {page.contact};expires=3600",
        f"P-Associated-URI: <{page.identity.aor}>",
        "Service-Route: <sip:10.0.0.5;lr>",
        "Content-Length: 0",
    ]
    return "\r\n".join([*fields, "", ""])


async def send_register(
    page: ScriptedWic, lines: Iterable[str], *, timeout_s: float = DEFAULT_WAIT_S
) -> SipResponse:
    """Send a REGISTER with these lines and return the final response."""
    call_id = secrets.token_hex(8)
    await page.send_raw(register_text(page, lines, call_id=call_id))
    return await page.trace.wait_response(range(200, 700), "REGISTER", call_id=call_id, timeout_s=timeout_s)


def options_text(body: str = "", content_length: str | None = "0", lines: Iterable[str] = ()) -> str:
    """Return an OPTIONS, which the gateway answers by itself."""
    fields = [
        f"OPTIONS sip:{REALM} SIP/2.0",
        f"Via: SIP/2.0/WSS raw.invalid;branch={new_branch()}",
        "Max-Forwards: 70",
        f"From: <{ALICE}>;tag=raw",
        f"To: <sip:{REALM}>",
        f"Call-ID: {secrets.token_hex(8)}",
        "CSeq: 1 OPTIONS",
        *lines,
        *([] if content_length is None else [f"Content-Length: {content_length}"]),
    ]
    return "\r\n".join([*fields, "", body])
