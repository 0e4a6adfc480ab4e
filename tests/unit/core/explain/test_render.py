"""A trace as text is a ladder whose arrows point where the messages went."""

from __future__ import annotations

from kemi.core.explain.judge import explain
from kemi.core.explain.render import ladder_of, verdicts_as_text
from kemi.core.trace.entries import What
from tests.unit.core.explain.built import CORE_SDP, Built, heard, ims, wic
from tests.unit.core.explain.cases import CASES


def ladder(built: Built, **how: bool) -> list[str]:
    return ladder_of(built.trace, **how).splitlines()


def halves(line: str) -> tuple[str, str]:
    """Return what is between page and gateway, and between gateway and core."""
    _, left, right, _ = line.split("│")
    return left, right


def line_with(lines: list[str], words: str) -> str:
    return next(line for line in lines if words in line)


def test_arrows_show_who_sent_what_to_whom() -> None:
    lines = ladder(Built().begun().answered().talked())
    messages = [line for line in lines if "│" in line]
    first, to_core = [halves(line) for line in messages if " INVITE [SDP] " in line]
    assert "▶" in first[0]
    assert "▶" in to_core[1]
    assert "▶" not in to_core[0]
    assert "◀" in halves(line_with(lines, "183 Session Progress"))[0]
    assert "◀" in halves(line_with(messages[messages.index(line_with(messages, "180")) :], "200 OK [SDP]"))[1]
    assert len({len(line) for line in messages}) == 1


def test_the_head_says_who_called_whom_and_how_it_ended() -> None:
    text = ladder_of(CASES["busy"])
    assert "sip:alice@ims.test → sip:bob@ims.test\n" in text
    assert "ended by core: refused (486)\n" in text
    running = Built(to_page=True).begun().answered().trace
    assert "sip:bob@ims.test → sip:alice@ims.test\n" in ladder_of(running)
    assert "lasted 0.0 s, running\n" in ladder_of(running)


def test_decisions_states_and_commands_stand_between_the_messages() -> None:
    built = Built(leg_of_core="trunk:alpha").sip("page>", "INVITE")
    built.decided("call_routed", "the longest prefix", route="r7").relay(
        "offer", "refused", node="n1", ms=3.21
    )
    built.add(What.STATE, "ImsFailed", status=503, dialog="early").add(
        What.QUALITY, "audio", leg="wic", **wic(7)
    )
    built.sip(">core", "INVITE")
    text = "\n".join(ladder(built))
    for words in (
        "◆ call_routed route=r7: the longest prefix",
        "⇄ offer n1 3.2 ms: refused",
        "· ImsFailed status=503 → dialog=early",
        "≈ audio wic: opus/48000/2, 7 packets",
        "INVITE trunk:alpha",
    ):
        assert words in text


def test_quality_on_the_way_is_what_was_heard_since_the_entry_before() -> None:
    recent = {"packets": 3000, "loss_percent": 30.0, "jitter_ms": 80.0, "round_trip_ms": None, "mos": 2.2}
    built = Built().begun().answered()
    built.add(What.QUALITY, "audio", leg="wic", **wic(90_000, heard=heard(), recent=recent))
    built.add(What.QUALITY, "audio", leg="ims", **ims(90_000, heard=heard(), recent=None))
    text = "\n".join(ladder(built))
    assert "audio wic: opus/48000/2, 90000 packets, hears 30 % loss, 80 ms jitter, MOS 2.2\n" in text
    assert "audio ims: PCMA/8000, 90000 packets" in text.splitlines()[-1]
    assert "hears" not in text.splitlines()[-1]


def test_an_estimate_is_said_to_be_one() -> None:
    guess = heard(samples=0, loss_percent=0.0, jitter_ms=0.0, mos=4.39, mos_source="estimated")
    lines = ladder(
        Built().begun().answered().talked(audio_wic=wic(heard=guess), audio_ims=ims(heard=heard()))
    )
    assert lines[-2].endswith("100 packets, tells nothing of what it hears, MOS 4.39 (estimated)")
    assert lines[-1].endswith("100 packets, hears 0 % loss, 1 ms jitter, MOS 4.2")


def test_bodies_are_shown_when_asked_for() -> None:
    built = Built().begun()
    built.relay("offer", node="n")
    built.trace.entries[-1].text, built.trace.entries[-1].result = CORE_SDP, "v=0\r\ns=after\r\n"
    assert "s=after" not in ladder_of(built.trace)
    shown = ladder_of(built.trace, bodies=True)
    assert shown.index("a=rtpmap:8 PCMA/8000") < shown.index("what came of it:") < shown.index("s=after")


def test_what_was_left_out_and_the_media_end_the_ladder() -> None:
    built = Built().begun().answered().talked(audio_wic=wic(), audio_ims=ims(errors=3))
    built.trace.left_out = 12
    built.trace.media["video"] = {"why": "the media relay said nothing"}
    lines = ladder(built)
    assert lines[-5].strip() == "… 12 entries were not kept"
    assert lines[-3:] == [
        "audio from the page: opus/48000/2, 100 packets",
        "audio from the far end: PCMA/8000, 100 packets, 3 refused",
        "video: the media relay said nothing",
    ]


def test_verdicts_have_their_evidence_and_advice() -> None:
    text = verdicts_as_text(explain(CASES["busy"]))
    assert text.startswith("CAUSE busy\n  The callee is busy.\n    +")
    assert "486 Busy Here to INVITE\n    → Nobody: call again later.\n" in text
    assert verdicts_as_text([]) == "Nothing wrong was found in this call.\n"


def test_every_case_can_be_shown() -> None:
    for trace in CASES.values():
        assert ladder_of(trace, bodies=True).count("\n") > len(trace.entries)
