"""What a page may not say never reaches the core, however it is spelled (TS 24.229 §4.4; RFC 3261 §7.3)."""

from __future__ import annotations

import asyncio

import pytest

from kemi.core.trust import FROM_PAGE
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB, Stage
from tests.integration.trust.issuers import register, token_for
from tests.integration.trust.raw import register_text, send_register
from tests.peers.core_script import rings_for_ever
from tests.peers.sip import SipRequest, message_to_text
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

MARK = "smuggled"
COMPACT = {"Identity": "y", "Identity-Info": "n"}
SPELLINGS = {
    "as it is": lambda name: [f"{name}: {MARK}"],
    "small": lambda name: [f"{name.lower()}: {MARK}"],
    "capitals": lambda name: [f"{name.upper()}:{MARK}"],
    "repeated": lambda name: [f"{name}: {MARK}", "X-Between: 1", f"{name}: {MARK}"],
    "folded value": lambda name: [f"{name}:", f" {MARK}", f"\t{MARK}"],
    "space before the colon": lambda name: [f"{name} : {MARK}"],
    "tab before the colon": lambda name: [f"{name}\t:\t{MARK}"],
}
NOT_A_HEADER = {
    "folded before the colon": lambda name: [f"{name}", f" : {MARK}"],
    "bare LF": lambda name: [f"X-Innocent: 1\n{name}: {MARK}"],
    "bare CR": lambda name: [f"X-Innocent: 1\r{name}: {MARK}"],
    "NUL in the name": lambda name: [f"X-\0\r\n{name}: {MARK}"],
    "CR CR LF": lambda name: [f"X-Innocent: 1\r\r\n{name}: {MARK}"],
}
NAMES = [name for name in FROM_PAGE if name not in ("Authorization", "Proxy-Authorization")]


def holds(request: SipRequest, text: str) -> bool:
    """Whether a request the core got holds a text anywhere."""
    return text in message_to_text(request)


@pytest.mark.conformance("R-20", "S-04", "X-08", "X-09")
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_every_spelling_of_every_name_is_taken_away(stage: Stage, spelling: str) -> None:
    page = await stage.page(registered=False)
    lines = [line for name in NAMES for line in SPELLINGS[spelling](name)]
    assert (await send_register(page, lines)).status == 200
    requests = stage.core.trace.requests("REGISTER")  # a page of an earlier test may be signed off meanwhile
    assert requests
    assert not any(holds(request, MARK) for request in requests)


@pytest.mark.conformance("X-08", "X-07")
@pytest.mark.parametrize("spelling", NOT_A_HEADER)
async def test_what_parsers_read_in_two_ways_goes_nowhere(stage: Stage, spelling: str) -> None:
    """Kamailio cannot even answer some of these; then the page's connection ends, and others work on."""
    page = await stage.page(registered=False)
    text = register_text(page, NOT_A_HEADER[spelling]("P-Asserted-Identity"), call_id="bad")
    await goes_nowhere(stage, page, text)


async def test_nothing_hides_behind_empty_lines(stage: Stage) -> None:
    """Kamailio reads the message behind them."""
    page = await stage.page(registered=False)
    text = register_text(page, [f"P-Asserted-Identity: {MARK}"], call_id="bad")
    await goes_nowhere(stage, page, f"\r\n\r\n{text}")


async def goes_nowhere(stage: Stage, page: ScriptedWic, text: str) -> None:
    """A page's REGISTER, of the Call-ID "bad", gets 400, or ends its connection; nobody else hears of it."""
    await page.send_raw(text)
    assert (await send_register(await stage.page(registered=False), [])).status == 200
    requests = stage.core.trace.requests("REGISTER")
    assert requests
    assert not any(request.call_id == "bad" or holds(request, MARK) for request in requests)
    answers = [answer.status for answer in page.trace.responses("REGISTER")]
    if not answers:
        await asyncio.wait_for(page.lost.wait(), 15)
    assert answers in ([], [400])


@pytest.mark.conformance("X-08")
@pytest.mark.parametrize("name", COMPACT)
async def test_compact_forms_are_the_same_header(stage: Stage, name: str) -> None:
    page = await stage.page(registered=False)
    assert (await send_register(page, [f"{COMPACT[name]}: {MARK}"])).status == 200
    (request,) = stage.core.trace.requests("REGISTER")
    assert not holds(request, MARK)


@pytest.mark.conformance("X-08")
async def test_a_register_in_compact_forms_is_a_register(stage: Stage) -> None:
    page = await stage.page(registered=False)
    lines = ["k: gruu", "r: <sip:x@y>", f"b: <sip:{MARK}@x>"]
    assert (await send_register(page, lines)).status == 200
    (request,) = stage.core.trace.requests("REGISTER")
    assert {"gruu", "path"} <= request.option_tags("Supported")


@pytest.mark.conformance("R-03", "X-09")
@pytest.mark.parametrize(
    "line",
    [
        pytest.param('Authorization: Digest username="a", Integrity-Protected="auth-done"', id="mixed case"),
        pytest.param(
            'authorization: Digest username="a", integrity-protected = auth-done', id="spaces, unquoted"
        ),
        pytest.param(
            'Authorization:\r\n Digest username="a",\r\n integrity-protected\r\n ="auth-done"', id="folded"
        ),
        pytest.param('Authorization : Digest integrity-protected="auth-done", username="a"', id="first"),
        pytest.param(
            'Authorization: Digest username="a"\r\nAUTHORIZATION: Digest integrity-protected="yes"',
            id="second field",
        ),
        pytest.param('Proxy-Authorization: Digest integrity-protected="auth-done"', id="other header"),
        pytest.param('Authorization: Basic integrity-protected="auth-done"', id="other scheme"),
        pytest.param('Authorization: integrity-protected="auth-done"', id="no scheme"),
    ],
)
async def test_no_page_vouches_for_itself(stage: Stage, line: str) -> None:
    page = await stage.page(registered=False)
    assert (await send_register(page, [line])).status == 200
    (request,) = stage.core.trace.requests("REGISTER")
    assert not holds(request, "integrity-protected")
    assert request.headers.fields("Authorization")


@pytest.mark.conformance("R-03")
@pytest.mark.parametrize(
    "value",
    [
        'Digest username="a" integrity-protected="auth-done"',
        'Digest username="a, integrity-protected="auth-done"',
        'Digest opaque="x, integrity-protected=auth-done"',
        'Digest username="a"; integrity-protected="auth-done"',
        'Digest username="a"\x00, integrity-protected="auth-done"',
    ],
)
async def test_credentials_that_could_be_read_in_two_ways_go_nowhere(stage: Stage, value: str) -> None:
    page = await stage.page(registered=False)
    await page.send_raw(register_text(page, [f"Authorization: {value}"], call_id="bad"))
    assert (await send_register(await stage.page(registered=False), [])).status == 200
    # The good one may have come twice, where the core was slow.
    assert {request.call_id == "bad" for request in stage.core.trace.requests("REGISTER")} == {False}
    assert all(answer.status == 400 for answer in page.trace.responses("REGISTER") if answer.call_id == "bad")


FORGED_IN_CALL = [
    ("p-asserted-identity", f"<sip:{MARK}@ims.test>"),
    ("P-Charging-Vector", f"icid-value={MARK}"),
    ("P-ACCESS-NETWORK-INFO", f"IEEE-802.11;network-provided;{MARK}"),
    ("Diversion", f"<sip:{MARK}@x>"),
    ("Remote-Party-ID", f"<sip:{MARK}@x>"),
    ("P-Early-Media", MARK),
    ("P-Asserted-Service", MARK),
    ("Path", f"<sip:{MARK};lr>"),
    ("Route", f"<sip:{MARK}.evil.test;lr>"),
    ("Record-Route", f"<sip:{MARK}.evil.test;lr>"),
    ("Authorization", f'Digest username="{MARK}", integrity-protected="auth-done"'),
    ("Attestation-Info", MARK),
    ("P-Charge-Info", f"<sip:{MARK}@x>;npi=ISDN;noa=2"),
    ("P-DCS-Billing-Info", f"{MARK}/x"),
]


@pytest.mark.conformance("S-04", "S-02", "S-08", "X-09")
async def test_every_request_of_a_call_is_cleaned(stage: Stage) -> None:
    page = await stage.page(registered=False)
    await register(page, token_for())
    invite_only = [(name, value) for name, value in FORGED_IN_CALL if name != "Authorization"]
    wic = await page.invite(BOB, AUDIO, headers=invite_only)
    await wic.wait_answer()
    ims = await stage.core.wait_call()
    await ims.wait_ack()
    info = wic.request("INFO", headers=invite_only)
    assert (await wic.ask(info)).status == 200
    assert (await wic.ask(wic.request("BYE", headers=invite_only))).status == 200
    methods = ("INVITE", "PRACK", "ACK", "INFO", "BYE")
    seen = [request for method in methods for request in stage.core.trace.requests(method)]
    assert {request.method for request in seen} >= {"INVITE", "ACK", "INFO", "BYE"}
    assert not [request.start_line for request in seen if holds(request, MARK)]
    vectors = {value for request in seen for value in request.headers.fields("P-Charging-Vector")}
    assert len(vectors) == 1
    assert all(request.headers.fields("P-Charging-Vector") for request in seen)
    assert 'orig-ioi="Type 1ims.test"' in vectors.pop()


@pytest.mark.conformance("S-04", "X-09")
async def test_a_cancel_carries_nothing_of_the_pages_either(stage: Stage) -> None:
    stage.core.script = rings_for_ever()
    page = await stage.page()
    call = await stage.ringing(page)
    cancel = SipRequest(
        "CANCEL",
        call.wic.invite.request_uri,
        headers=call.wic.invite.headers.copy(),
    )
    for name in ("Contact", "Supported", "Allow", "Content-Type", "Content-Length"):
        cancel.headers.remove(name)
    cancel.headers.replace("CSeq", "1 CANCEL")
    for name, value in FORGED_IN_CALL:
        cancel.headers.add(name, value)
    await page.send(cancel)
    await call.ims.wait_request("CANCEL")
    (passed,) = stage.core.trace.requests("CANCEL")
    assert not holds(passed, MARK)
    await call.wic.wait_status(487)


@pytest.mark.conformance("R-03", "X-09")
@pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization"])
async def test_no_page_vouches_for_itself_in_a_call_either(stage: Stage, name: str) -> None:
    page = await stage.page()
    claim = (name, 'Digest username="alice", response="0a", Integrity-Protected = "auth-done"')
    wic = await page.invite(BOB, AUDIO, headers=[claim])
    await wic.wait_answer()
    ims = await stage.core.wait_call()
    await ims.wait_ack()
    assert (await wic.ask(wic.request("BYE", headers=[claim]))).status == 200
    for request in (ims.invite, *stage.core.trace.requests("BYE")):
        assert request.headers.fields(name) == ['Digest username="alice", response="0a"']
