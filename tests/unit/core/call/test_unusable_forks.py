"""Forks whose description before the 2xx cannot be used: a CANCEL of the one INVITE would end them all."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call
from tests.unit.core.call.test_forks import OTHER, audio_port, offers_anew, progress

UNUSABLE = (
    pytest.param("rubbish", id="no SDP"),
    pytest.param(sdp.core_answer("audio", refuse=("audio",)), id="port 0"),
    pytest.param(sdp.core_answer("video"), id="another kind"),
)


@pytest.mark.parametrize("rseq", [None, 500])
@pytest.mark.parametrize("body", UNUSABLE)
def test_of_one_fork_leaves_the_others_alone(body: str, rseq: int | None) -> None:
    call = Call.ringing("core2")
    gates = call.record.early_gates
    assert call.on(call.ims_reply(183, "core1", body=body, rseq=rseq)).names == ["ForwardReply"]
    assert call.actions.only(act.Note).event == "early_answer_unusable"
    assert call.record.early_gates == gates
    assert call.answer("core2", OTHER).names == ["ForwardReply"]
    assert (call.record.doomed, call.record.confirmed_tag) == ("", "core2")


def test_of_one_fork_leaves_the_one_that_is_heard() -> None:
    call = Call.forwarded()
    progress(call, "core1", OTHER)
    applied, gates = call.record.applied_answer, call.record.early_gates
    assert progress(call, "core2", "rubbish") == ["ForwardReply"]
    assert (call.record.applied_answer, call.record.early_gates) == (applied, gates)
    assert call.on(call.ims_reply(200, "core2")).names == ["ForwardReply"]
    assert call.record.doomed  # what it has described counts, not what another fork has


@pytest.mark.parametrize("rseq", [None, 500])
def test_of_the_only_one_ends_the_call_before_it_is_answered(rseq: int | None) -> None:
    call = Call.forwarded()
    names = call.on(call.ims_reply(183, body="rubbish", rseq=rseq)).names
    assert names == ["DropReply", "CancelForwardedInvite"]


def test_of_one_fork_is_no_last_word_because_another_one_gives_up_reliably() -> None:
    call = Call.forwarded()
    progress(call, "core2", OTHER, "sendrecv")
    progress(call, "core1", "rubbish", "inactive")
    call.on(call.ims_reply(199, "core2", rseq=500))
    assert (call.actions.names[-1], call.record.cancelled) == ("DropReply", False)
    assert call.actions.only(act.Note).event == "early_answer_unusable"
    assert call.answer("core1", OTHER).names == ["ForwardReply"]
    assert call.record.doomed == ""


@pytest.mark.parametrize(
    "heard", [pytest.param("", id="nobody heard"), pytest.param(OTHER, id="another heard")]
)
@pytest.mark.parametrize("body", UNUSABLE)
def test_of_one_fork_is_put_right_by_update(body: str, heard: str) -> None:
    call = Call.ringing("core2")
    progress(call, "core2", heard)
    call.on(call.ims_reply(183, "core1", body=body, rseq=500))
    offers_anew(call, "core1")
    assert call.actions.reply == (200, "OK")
    call.on(call.ims_reply(200, "core1"))
    assert (audio_port(call), call.record.doomed) == ("43000", "")


def test_of_one_fork_that_is_not_reliable_leaves_our_offer_open() -> None:
    call = Call.ringing("core2")
    call.on(call.ims_reply(183, "core1", body="rubbish"))
    offers_anew(call, "core1")
    assert call.actions.reply == (491, "Request Pending")
