"""What the tests of this folder play on, and what they do again and again."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from tests.integration.calls import incoming
from tests.integration.calls.incoming import PageCall
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, Call, Stage, gateway_options
from tests.lab.options import LabOptions
from tests.lab.ports import LOOPBACK, own_port
from tests.peers.core_call import CoreCall
from tests.peers.dialog import Dialog, Pairs
from tests.peers.sip import SipRequest, SipResponse
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import WicCall

CORE_PORT: Final = own_port()
PREMIUM: Final = "tel:+1900555"
SIPFRAG: Final = "message/sipfrag;version=2.0"

TAKES_PARTS: Final = ("Accept", "application/sdp, multipart/mixed")
"""By which a caller says that it takes bodies of several parts."""

AnyCall = Call | PageCall


async def capable_page(stage: Stage, aor: str = ALICE) -> ScriptedWic:
    """Return a registered page that takes bodies of several parts."""
    identity = WicIdentity(aor, feature_tags=('type="application/sdp,multipart/mixed"',))
    return await stage.join(ScriptedWic(stage.handshake, identity))


def services_options() -> LabOptions:
    """Return the lab of this folder: a gateway and its relay, with a call policy."""
    return gateway_options(
        gateway_icscf_uris=[f"sip:{LOOPBACK}:{CORE_PORT}"], gateway_denied_numbers=["+1900", "0900"]
    )


async def established(stage: Stage, page: ScriptedWic, *, by_page: bool = True, aor: str = ALICE) -> AnyCall:
    """Return an answered call, made by the page or by the core."""
    return await (stage.answered(page, AUDIO) if by_page else incoming.answered(stage, page, aor))


def page_dialog(call: AnyCall) -> Dialog:
    """Return the dialog as the page knows it."""
    assert call.wic.dialog is not None
    return call.wic.dialog


def core_dialog(call: AnyCall, fork: str = "a") -> Dialog:
    """Return the dialog as the core knows it."""
    return call.ims.dialogs[fork]


def replaces(dialog: Dialog, *flags: str) -> str:
    """Return the Replaces by which a party of a dialog has somebody take its place (RFC 3891 §3): the other end is
    the one that gets it."""
    return ";".join([dialog.call_id, f"to-tag={dialog.remote_tag}", f"from-tag={dialog.local_tag}", *flags])


def seen_by_other_end(dialog: Dialog, *flags: str) -> str:
    """Return what `replaces` of this dialog must be once it is with the other end."""
    return ";".join([dialog.call_id, f"to-tag={dialog.local_tag}", f"from-tag={dialog.remote_tag}", *flags])


def refer_to(uri: str, **fields: str) -> str:
    """Return a Refer-To whose URI has header fields."""
    escaped = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
    return f"<{uri}?{escaped}>"


async def page_asks(
    call: AnyCall, method: str, *, headers: Pairs = (), body: tuple[str, str] | None = None
) -> SipResponse:
    """Send a request of the page inside a call and return the final response; `body` is (content type, text)."""
    return await ask_as_page(call.wic, method, headers=headers, body=body)


async def ask_as_page(
    call: WicCall, method: str, *, headers: Pairs = (), body: tuple[str, str] | None = None
) -> SipResponse:
    """The same of one end alone."""
    contact = [("Contact", call.line.contact)] if method in ("REFER", "SUBSCRIBE", "NOTIFY") else []
    request = call.request(method, headers=[*contact, *headers])
    if body is not None:
        request.set_body(body[1], body[0])
    return await call.ask(request)


async def core_asks(
    call: AnyCall, method: str, *, headers: Pairs = (), body: tuple[str, str] | None = None
) -> SipResponse:
    """Send a request of the core inside a call and return the final response."""
    return await ask_as_core(call.ims, method, headers=headers, body=body)


async def ask_as_core(
    call: CoreCall, method: str, *, headers: Pairs = (), body: tuple[str, str] | None = None
) -> SipResponse:
    """The same of one end alone."""
    contact = [("Contact", call.contact)] if method in ("REFER", "SUBSCRIBE", "NOTIFY") else []
    return await call.ask(method, headers=[*contact, *headers], body=body)


async def unharmed(call: AnyCall) -> None:
    """An INFO passes both ways."""
    heard = len([r for r in call.ims.trace.requests("INFO") if r.call_id == call.call_id])
    assert (await call.wic.info()).status == 200
    assert len([r for r in call.ims.trace.requests("INFO") if r.call_id == call.call_id]) == heard + 1
    assert (await core_asks(call, "INFO", body=("text/plain", "still here"))).status == 200


async def hang_up(*calls: AnyCall) -> None:
    """Let the page end calls, and see that the core hears of it."""
    for call in calls:
        assert (await call.wic.bye()).status == 200
        await call.ims.wait_request("BYE")


async def notified(call: AnyCall, fragment: str, state: str, *, by_page: bool) -> str:
    """Report on a REFER (RFC 3515 §2.4.4) from one end and return what the other one got."""
    assert await told(call, fragment, state, by_page=by_page) == "refer"
    return last(call, "NOTIFY", at_core=by_page).body


async def told(call: AnyCall, fragment: str, state: str, *, by_page: bool, event: str = "refer") -> str:
    """The same, which names a REFER; return how the other end knows it."""
    fields = [("Event", event), ("Subscription-State", state)]
    if by_page:
        assert (await page_asks(call, "NOTIFY", headers=fields, body=(SIPFRAG, fragment))).status == 200
    else:
        assert (await core_asks(call, "NOTIFY", headers=fields, body=(SIPFRAG, fragment))).status == 200
    got = last(call, "NOTIFY", at_core=by_page)
    assert got.headers.get("Subscription-State") == state
    assert got.headers.get("Content-Type") == SIPFRAG
    [named] = got.headers.all("Event")
    return named


async def transferred(call: AnyCall, *, by_page: bool) -> None:
    """Send the last report on a REFER, without which the call is remembered after its end."""
    await notified(call, "SIP/2.0 200 OK", "terminated;reason=noresource", by_page=by_page)


async def called(stage: Stage, page: ScriptedWic, target: str = BOB, **how: object) -> Call:
    """Call and wait for the answer."""
    wic = await page.invite(target, AUDIO, **how)  # type: ignore[arg-type]
    await wic.wait_answer()
    call = Call(wic, stage.core.calls[wic.call_id])  # type: ignore[arg-type]
    await call.ims.wait_ack()
    return call


def last(call: AnyCall, method: str, *, at_core: bool) -> SipRequest:
    """Return the last request of a method that arrived at one end."""
    trace = call.ims.trace if at_core else call.wic.trace
    return next(one for one in reversed(trace.requests(method)) if one.call_id == call.call_id)
