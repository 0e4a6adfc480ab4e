"""Verdicts on how a call was set up, changed and ended: who answered what, and who was silent."""

from __future__ import annotations

from typing import Final

from kemi.core.entry_points import UNAVAILABLE
from kemi.core.explain.reading import CORE, PAGE, Reading, Sip
from kemi.core.explain.rules import Found, Rule, found
from kemi.core.explain.verdict import Gravity
from kemi.core.trace.entries import Entry

_BUSY: Final = frozenset({486, 600})
_NOBODY: Final = frozenset({18, 19})
_LARGEST_DATAGRAM: Final = 1300
"""RFC 3261 §18.1.1: beyond it a request has to go over TCP."""
_LONGEST_WAIT_S: Final = 3600
"""What a site may let a call wait for its page at most (timers.flow_recovery_s)."""
_NAMES: Final = {PAGE: "the page", CORE: "the far end"}
_OUT_OF_ACKS: Final = {"page_answer_unusable": _NAMES[PAGE], "late_answer_refused": _NAMES[CORE]}
"""Decisions on an answer in an ACK inside a call, which goes on as it was unless it ends for it -> whose ACK."""


def _busy(call: Reading) -> Found | None:
    return (
        found(call.quoted(call.heard))
        if call.heard and (call.heard.status in _BUSY or call.heard.q850 == 17)
        else None
    )


def _declined(call: Reading) -> Found | None:
    heard = call.heard
    if heard is None or not (heard.status == 603 or heard.q850 == 21):
        return None
    return found(call.quoted(heard), who=_NAMES[call.callee])


def _nobody_answered(call: Reading) -> Found | None:
    if call.answered or call.status not in (408, 480, 504):
        return None
    last = call.heard or call.told
    if last is not None and last is call.told and last.warning not in ("", "nobody answered"):
        return None  # we ended it for another reason while it rang
    if call.rang or (last is not None and last.q850 in _NOBODY):
        rang = next(call.messages(call.callee, "INVITE", incoming=True, status=range(180, 181)), None)
        return found(call.quoted(rang), call.quoted(last))
    return None


def _not_reachable(call: Reading) -> Found | None:
    heard = call.heard
    if heard is None or heard.status not in (404, 408, 410, 480, 604) or call.rang or heard.q850 in _NOBODY:
        return None
    return found(call.quoted(heard), status=str(heard.status))


def _cancelled(call: Reading) -> Found | None:
    # A 487 of the callee may be heard before it is known why.
    given_up = call.trace.why == "CANCEL" or (call.status == 487 and not call.by_gateway)
    if call.answered or not given_up or _elsewhere(call) is not None:
        return None
    cancel = next(call.messages(call.caller, "CANCEL", incoming=True), None)
    return found(call.quoted(cancel) or f"ended by {call.trace.by}: CANCEL", who=_NAMES[call.caller])


def _elsewhere(call: Reading) -> Found | None:
    if call.trace.why == "answered elsewhere":
        return found(f"ended by {call.trace.by}: answered elsewhere")
    for cancel in call.messages(CORE, "CANCEL", incoming=True):
        if any("cause=200" in reason.replace(" ", "") for reason in cancel.headers.get("reason", ())):
            return found(call.quoted(cancel))
    return None


def _core_silent(call: Reading) -> Found | None:
    if (
        call.answered
        or call.from_page is False
        or "does not answer" not in call.detail
        or "core" not in call.detail
    ):
        return None
    failed = [call.shown(one) for one in call.decisions("core_failed", "entry_point_failed")]
    return found(*failed, *[call.quoted(one) for one in call.sent], call.quoted(call.told))


def _core_unavailable(call: Reading) -> Found | None:
    heard = call.heard
    if heard is None or call.callee != CORE or heard.status != UNAVAILABLE or call.rang:
        return None
    if (
        heard.entry.leg.startswith("trunk:") or heard.q850
    ):  # the cause is of a telephone network behind the core
        return None
    return found(call.quoted(heard), call.quoted(call.told))


def _fragments_lost(call: Reading) -> Found | None:
    for invite in call.sent:
        size = len(invite.entry.text.encode())
        via = next(iter(invite.headers.get("via", ())), "").upper()
        if size > _LARGEST_DATAGRAM and "/UDP" in via and not call.answers_to(invite) and call.failed:
            return found(
                f"{call.quoted(invite)} of {size} bytes over UDP", "no response came", size=str(size)
            )
    return None


def _page_takes_no_answer(call: Reading) -> Found | None:
    """Our answer or request to a page that was called got no response at all."""
    if call.callee != PAGE or call.answered or call.status != 408 or not call.sent:
        return None
    if any(call.answers_to(one) for one in call.sent):
        return None
    return found(*[call.quoted(one) for one in call.sent], "no response came", call.quoted(call.told))


def _no_prack(call: Reading) -> Found | None:
    if call.answered or ("no PRACK" not in call.detail and call.decision("no_prack") is None):
        return None
    for one in call.messages(call.caller, "INVITE", incoming=False, status=range(101, 200)):
        if "100rel" in one.tokens("require"):
            return found(call.quoted(one) + " with Require: 100rel", "no PRACK came", who=_NAMES[call.caller])
    return found(call.detail or "no PRACK came", who=_NAMES[call.caller])


def _no_100rel(call: Reading) -> Found | None:
    invite = call.invite
    if invite is None or not call.from_page or not call.sent:
        return None
    if "100rel" in invite.tokens("supported") | invite.tokens("require"):
        return None
    return found(call.quoted(invite) + " without 100rel in Supported")


def _updates(call: Reading) -> list[tuple[Sip, list[Sip]]]:
    return [(one, call.answers_to(one)) for one in call.requests(PAGE, "UPDATE", incoming=False)]


def _update_refused(call: Reading) -> Found | None:
    if not call.detail.startswith("our UPDATE to the page ended with") or call.detail.endswith(
        (" 408", " 491")
    ):
        return None
    answers = [answer for _, told in _updates(call) for answer in told if answer.status >= 300]
    return found(
        *[call.quoted(one) for one in answers], call.quoted(call.told), status=call.detail.rpartition(" ")[2]
    )


def _update_unanswered(call: Reading) -> Found | None:
    if call.detail != "our UPDATE to the page ended with 408":
        return None
    silent = [call.quoted(one) + ": no final response" for one, told in _updates(call) if not told]
    return found(*silent, call.quoted(call.told))


def _glare_unsolved(call: Reading) -> Found | None:
    if call.detail != "our UPDATE to the page ended with 491":
        return None
    answers = [answer for _, told in _updates(call) for answer in told]
    return found(*[call.quoted(one) for one in answers], call.quoted(call.told))


def _glare(call: Reading) -> Found | None:
    crossed = [one for one in call.messages(status=range(491, 492)) if one.method in ("INVITE", "UPDATE")]
    crossed = [one for one in crossed if not one.warning]
    return found(*[call.quoted(one) for one in crossed]) if crossed else None


def _change_refused(call: Reading) -> Found | None:
    """An offer inside the running call was refused for good: hold, video or codecs stay as they were."""
    if not call.answered:
        return None
    for one in call.messages(status=range(300, 700)):
        if one.method not in ("INVITE", "UPDATE") or one.status in (401, 407, 422, 487):
            continue
        if one.status == 491 and not one.warning:  # ours for a silent page has a Warning: nothing crossed
            continue
        if one.entry.at < call.trace.answered_at or (
            call.invite and one.cseq == call.invite.cseq and one.side == call.caller
        ):
            continue
        if one.status in (481, 408) and call.trace.why not in ("BYE",):
            continue
        who = "the gateway" if one.is_ours or not one.incoming else _NAMES[one.side]
        return found(call.quoted(one), who=who, what=f"{one.status} to {one.method}")
    answer = call.decision(*_OUT_OF_ACKS)
    if answer is None or answer.why == call.trace.why:
        return None
    return found(call.shown(answer), who=_OUT_OF_ACKS[answer.name], what="its ACK had no answer of use")


def _precondition(call: Reading) -> Found | None:
    if call.answered:  # another device of the callee had its resources, or a later offer lacked them
        return None
    failed = next(call.messages(method="INVITE", status=range(580, 581)), None)
    if failed is None and call.status != 580:
        return None
    return found(call.shown(call.decision("caller_lacks_resources")), call.quoted(failed) or call.detail)


def _late_offer(call: Reading) -> Found | None:
    """The caller sent no description in its INVITE and none in its ACK either."""
    if "the ACK has no session description" not in call.trace.why:
        return None
    ack = next(call.messages(call.caller, "ACK", incoming=True), None)
    return found(call.trace.why, call.quoted(ack), who=_NAMES[call.caller])


def _session_timer(call: Reading) -> Found | None:
    expired = call.decision("session_expired")
    if expired is None and call.trace.why not in (
        "session_refresh",
        "session_expired",
        "page_session_expired",
    ):
        return None
    who = (
        "the page"
        if "page" in call.trace.why or (expired is not None and "the page" in expired.why)
        else "the far end"
    )
    return found(call.shown(expired) or f"ended by {call.trace.by}: {call.trace.why}", who=who)


def _page_lost(call: Reading) -> Found | None:
    lost = call.decision("flow_lost")
    if not call.from_page and lost is None and not call.sent:
        return None  # the page had gone before
    gone = call.detail in ("the WebSocket closed", "the page's connection is gone") or call.trace.why in (
        "connection lost", "flow_recovery",
    )  # fmt: skip
    if not gone and (lost is None or not call.ended or (call.answered and _was_back(call, lost))):
        return None
    when = "before it was answered"
    if call.answered:
        when = "during the call" if lost is None else f"after {call.talked_until(lost):.0f} s of the call"
    return found(call.shown(lost), call.quoted(call.told), call.trace.why, when=when)


def _was_back(call: Reading, lost: Entry) -> bool:
    """Whether the page said anything after its connection was lost, or the call outlived every wait for it."""
    if call.trace.by == PAGE or call.trace.ended_at - lost.at > _LONGEST_WAIT_S:
        return True
    return any(one.entry.at > lost.at for one in call.messages(PAGE, incoming=True))


def _page_came_back(call: Reading) -> Found | None:
    lost = call.decision("flow_lost")
    if lost is None or not call.answered or _page_lost(call) is not None or not _was_back(call, lost):
        return None
    return found(call.shown(lost), "the call went on")


def _ice_restart_refused(call: Reading) -> Found | None:
    refused = call.decision("ice_restart_refused")
    if refused is None:
        return None
    return found(call.shown(refused), status=str(refused.values.get("status", "")))


def _forked(call: Reading) -> Found | None:
    tags: dict[str, Sip] = {}
    for one in call.messages(call.callee, "INVITE", incoming=True, status=range(101, 300)):
        if one.to_tag and one.has_sdp:
            tags.setdefault(one.to_tag, one)
    if len(tags) < 2:
        return None
    return found(*[f"{call.quoted(one)}, To-tag {tag}" for tag, one in tags.items()], number=str(len(tags)))


def _malformed(call: Reading) -> Found | None:
    told = call.told
    if told is None or told.status != 400 or call.heard is not None:
        return None
    return found(call.quoted(told), detail=call.detail or told.reason_phrase, who=_NAMES[call.caller])


def _extension(call: Reading) -> Found | None:
    told = next(call.messages(method="INVITE", status=range(420, 422)), None)
    if told is None or call.answered:
        return None
    names = told.tokens("unsupported") | told.tokens("require")
    return found(call.quoted(told), names=", ".join(sorted(names)) or "an extension")


def _refused(call: Reading) -> Found | None:
    if not call.failed or call.status < 300 or call.trace.why == "CANCEL" or call.status == 487:
        return None
    who = {PAGE: "the page", CORE: "the far end"}.get(call.trace.by, "the gateway")
    last = call.heard or call.told
    said = f"{last.status} {last.reason_phrase}".strip() if last is not None else str(call.status)
    return found(call.quoted(call.heard), call.quoted(call.told), call.detail, who=who, said=said)


def _not_whole(call: Reading) -> Found | None:
    left_out = call.trace.left_out
    return found(f"{left_out} entries were not kept", number=str(left_out)) if left_out else None


_CAUSE, _TROUBLE, _NOTE = Gravity.CAUSE, Gravity.TROUBLE, Gravity.NOTE
_PAGE_DEV: Final = "The page's developer: "

RULES: Final = (
    Rule(
        code="page-connection-lost", gravity=_CAUSE, check=_page_lost, unless=("ice-restart-refused",),
        says="The page's WebSocket closed {when}, and the page did not come back in time.",
        do="The page's user: look at the network; the page's developer: reconnect and register again (the SDK does).",
    ),
    Rule(
        code="no-prack", gravity=_CAUSE, check=_no_prack,
        says="{who} did not acknowledge the reliable provisional response: no PRACK came.",
        do="Page or core: whoever says 100rel has to send PRACK (RFC 3262 §4).",
    ),
    Rule(
        code="update-refused", gravity=_CAUSE, check=_update_refused,
        says="The page refused with {status} the UPDATE that offers it the other direction.",
        do=_PAGE_DEV + "answer an UPDATE with an offer inside the early dialog; see docs/flow.md.",
    ),
    Rule(
        code="update-unanswered", gravity=_CAUSE, check=_update_unanswered,
        says="The page never answered the UPDATE that offers it the other direction.",
        do=_PAGE_DEV + "answer UPDATE inside an early dialog (RFC 3311 §5.2), or leave it out of Allow.",
    ),
    Rule(
        code="glare-unsolved", gravity=_CAUSE, check=_glare_unsolved,
        says="The page stayed busy with another offer (491) each time it was asked for the other direction.",
        do=_PAGE_DEV + "do not change the session before the first answer, and end each exchange.",
    ),
    Rule(
        code="precondition-failed", gravity=_CAUSE, check=_precondition,
        says="Resources that one side requires before anybody rings did not come (580).",
        do="Core: the bearer of the phone's access was not set up in time; look at P-CSCF and policy control.",
    ),
    Rule(
        code="late-offer-unanswered", gravity=_CAUSE, check=_late_offer,
        says="{who} called without a session description and did not answer ours in its ACK.",
        do="Core or page: an INVITE without SDP is answered in the ACK (RFC 3261 §13.2.1).",
    ),
    Rule(
        code="session-timer-unanswered", gravity=_CAUSE, check=_session_timer,
        says="{who} did not refresh or confirm the session in time (RFC 4028), so the gateway hung up.",
        do="Whoever was silent had lost the call; the operator: look whether it crashed or its network was cut.",
    ),
    Rule(
        code="request-too-large", gravity=_TROUBLE, check=_fragments_lost, needs_all=True,
        says="Our INVITE of {size} bytes went over UDP in fragments, and no response came: some may have been dropped.",
        do="Operator: let large requests go over TCP (kamailio_udp_mtu), or let fragments pass the network.",
    ),
    Rule(
        code="core-does-not-answer", gravity=_CAUSE, check=_core_silent,
        says="The IMS core did not answer the INVITE, and no other entry point was left.",
        do="Operator: is the core up and reachable from here (gwctl doctor)? Are icscf_uris right?",
    ),
    Rule(
        code="core-unavailable", gravity=_CAUSE, check=_core_unavailable, unless=("trunks-exhausted",),
        says="The IMS core answered 503: it cannot take calls now, and no other entry point was left.",
        do="Core: see the log of the entry point; operator: add a second entry point.",
    ),
    Rule(
        code="page-does-not-answer", gravity=_CAUSE, check=_page_takes_no_answer, needs_all=True,
        says="The page that was called did not respond to the INVITE at all.",
        do="The page's developer: the page is connected, but its SIP stack handles no INVITE.",
    ),
    Rule(
        code="malformed-request", gravity=_CAUSE, check=_malformed,
        says="{who} sent what the gateway cannot take: {detail}.",
        do="The developer of that side; the line that is wrong is named above.",
    ),
    Rule(
        code="extension-required", gravity=_CAUSE, check=_extension,
        says="An extension was required that the other side does not have: {names}.",
        do="Whoever called: do not require it (RFC 3261 §8.2.2.3).",
    ),
    Rule(
        code="busy", gravity=_CAUSE, check=_busy,
        says="The callee is busy.",
        do="Nobody: call again later.",
    ),
    Rule(
        code="declined", gravity=_CAUSE, check=_declined,
        says="The call was declined by {who}.",
        do="Nobody, if a person did it; a network that declines for the callee says more in its Reason.",
    ),
    Rule(
        code="nobody-answered", gravity=_CAUSE, check=_nobody_answered,
        says="The callee rang and nobody answered.",
        do="Nobody: call again later.",
    ),
    Rule(
        code="callee-not-reachable", gravity=_CAUSE, check=_not_reachable, unless=("trunks-exhausted",),
        says="The callee is not known, not registered anywhere or does not answer there ({status}).",
        do="Caller: check the number; operator: has the callee registered (gwctl registrations)?",
    ),
    Rule(
        code="refused", gravity=_CAUSE, check=_refused, only_alone=True,
        says="The call was refused by {who}: {said}.",
        do="See the evidence: Warning and Reason say more where the other side wrote them.",
    ),
    Rule(
        code="ice-restart-refused", gravity=_CAUSE, check=_ice_restart_refused,
        says="The page came back over another connection and refused ({status}) to restart ICE, without which it has "
        "no media: the gateway ended the call.",
        do=_PAGE_DEV + "take offers that restart ICE (RFC 8445 §9), or restart it after a change of network.",
    ),
    Rule(
        code="change-refused", gravity=_TROUBLE, check=_change_refused, unless=("ice-restart-refused",),
        says="A change inside the call (hold, video, codec) was refused by {who}: {what}.",
        do="The developer of the side that refused; the call went on as it was before.",
    ),
    Rule(
        code="page-came-back", gravity=_TROUBLE, check=_page_came_back, unless=("ice-restart-refused",),
        says="The page's connection was lost during the call; the page came back.",
        do="The page's user: the network was away for a moment; sound may have paused.",
    ),
    Rule(
        code="answered-elsewhere", gravity=_NOTE, check=_elsewhere,
        says="Another device of the callee answered.",
        do="Nobody.",
    ),
    Rule(
        code="cancelled", gravity=_NOTE, check=_cancelled,
        says="The call was given up by {who} before anybody answered.",
        do="Nobody, unless it took long until it rang.",
    ),
    Rule(
        code="change-collided", gravity=_NOTE, check=_glare, unless=("glare-unsolved",),
        says="Both sides changed the call at once (491), and tried again.",
        do="Nobody: that is how glare is solved (RFC 3261 §14.1).",
    ),
    Rule(
        code="page-without-100rel", gravity=_NOTE, check=_no_100rel,
        says="The page does not support 100rel: it gets the other direction only after the answer.",
        do=_PAGE_DEV + "switch 100rel on, or the first words of the far end may be cut.",
    ),
    Rule(
        code="forked-early-media", gravity=_NOTE, check=_forked,
        says="Several devices sent media before one of them had the call: {number} in all.",
        do="Nobody: the page hears the one that answered last.",
    ),
    Rule(
        code="trace-not-whole", gravity=_NOTE, check=_not_whole,
        says="This trace is not whole: {number} entries were not kept, and nothing is said here of what came last.",
        do="Nobody; of a long call the beginning and the end are kept, the end once it is over.",
    ),
)  # fmt: skip
