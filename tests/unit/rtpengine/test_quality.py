"""Figures of a medium out of rtpengine's statistics; the E-model against values of the ITU and the literature."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from rtpengine.ng.bencode import Encodable
from rtpengine.ng.statistics import CallStatistics, RawStatistics
from rtpengine.quality import Leg, MediumQuality, MosSource, e_model_mos, latest_reports, medium_quality

PAGE, FAR, PAGE_LISTENS = 4021324182, 1303202792, 1


def report(*, round_trip_us: int = 4986, **other: int) -> dict[str, Encodable]:
    """Write the quality a reporter tells of."""
    average: dict[str, Any] = {
        "MOS": 43,
        "round-trip time": round_trip_us,
        "round-trip time leg": 626,
        "jitter": 1,
    }
    average |= {"packet loss": 0, "samples": 2} | {
        key.replace("_", " "): value for key, value in other.items()
    }
    lowest = {key: value for key, value in average.items() if key != "samples"} | {"reported at": 7}
    return {"cumulative loss": 3, "average MOS": average, "lowest MOS": lowest, "highest MOS": lowest}


def participant(tag: str, kind: str, codec: str, ssrc: int | None, packets: int) -> dict[str, Encodable]:
    """Write a participant with one line: RTP, and RTCP beside it."""
    streams: list[Encodable] = []
    for flags, count in ((["RTP", "filled"], packets), (["RTCP", "filled"], 9)):
        stream: dict[str, Encodable] = {"last packet": 5, "flags": list(flags)}
        stream |= {"stats": {"packets": count, "bytes": 100 * count, "errors": 0}}
        streams.append(stream if ssrc is None else stream | {"SSRC": ssrc})
    media: dict[str, Any] = {
        "index": 1,
        "type": kind,
        "protocol": "RTP/AVP",
        "codec": codec,
        "streams": streams,
        "flags": [],
    }
    return {"tag": tag, "created": 1, "medias": [media]}


def quality(
    reports: dict[int, dict[str, Encodable]],
    *,
    kind: str = "audio",
    far: int | None = FAR,
    reverse: bool = False,
) -> MediumQuality:
    """Read the figures of a call."""
    return medium_quality(kind, statistics_of(reports, kind=kind, far=far, reverse=reverse))


def statistics_of(
    reports: dict[int, dict[str, Encodable]],
    *,
    kind: str = "audio",
    far: int | None = FAR,
    reverse: bool = False,
) -> CallStatistics:
    """Read a call's statistics."""
    tags: dict[str, Encodable] = {
        "wic": participant("wic", kind, "opus/48000/2", PAGE, 684),
        "ims": participant("ims", kind, "PCMA/8000", far, 0 if far is None else 611),
    }
    if reverse:
        tags["wic-in"] = participant("wic-in", kind, "opus/48000/2", None, 0)
    return all_of(tags, reports)


def read(
    tags: dict[str, Any], reports: dict[int, dict[str, Encodable]] | None = None, kind: str = "audio"
) -> MediumQuality:
    """Read the figures of a call with these participants."""
    return medium_quality(kind, all_of(tags, reports))


def all_of(
    tags: dict[str, Encodable], reports: dict[int, dict[str, Encodable]] | None = None
) -> CallStatistics:
    """Read the statistics of a call with these participants."""
    counters: dict[str, Encodable] = {"packets": 1, "bytes": 1, "errors": 0}
    statistics: dict[str, Encodable] = {
        "created": 1,
        "last signal": 2,
        "tags": tags,
        "SSRC": {str(ssrc): entry for ssrc, entry in (reports or {}).items()},
        "totals": {"RTP": counters, "RTCP": counters},
    }
    return RawStatistics(json.dumps(statistics).encode()).read()


def heard(leg: Leg | None) -> Any:
    """Return what a party heard."""
    assert leg is not None
    return leg.heard


def test_packets_count_where_they_come_in_and_rtcp_does_not() -> None:
    found = quality({}, kind="video", reverse=True)
    assert (found.wic, found.ims) == (
        Leg("opus/48000/2", 684, 68400, 0, None),
        Leg("PCMA/8000", 611, 61100, 0, None),
    )


def test_who_reports_nothing_is_taken_to_hear_as_well_as_the_other() -> None:
    found = quality({PAGE: report(packet_loss=5, jitter=9, round_trip_us=80_000)})
    told = heard(found.ims)
    assert (told.mos_source, told.samples, told.loss_percent) == (MosSource.ESTIMATED, 0, 5)
    assert told.mos == pytest.approx(
        e_model_mos("PCMA", loss_percent=5, jitter_ms=9, round_trip_ms=80), abs=0.01
    )
    assert heard(found.wic).mos_source == MosSource.RTCP


def test_where_nobody_reports_the_codec_alone_counts() -> None:
    found = quality({})
    for leg in (found.wic, found.ims):
        assert heard(leg).mos_source == MosSource.ESTIMATED
        assert heard(leg).mos == pytest.approx(4.39, abs=0.05)


def test_who_was_sent_nothing_has_no_score() -> None:
    assert heard(quality({}, far=None).wic) is None


def test_each_party_tells_what_it_heard() -> None:
    found = quality({PAGE: report(packet_loss=2), FAR: report(jitter=7)})
    assert (heard(found.wic).loss_percent, heard(found.wic).jitter_ms) == (2, 1)
    assert (heard(found.ims).loss_percent, heard(found.ims).jitter_ms) == (0, 7)
    assert (heard(found.wic).round_trip_ms, heard(found.wic).end_to_end_ms) == (0.626, 4.986)
    assert (heard(found.wic).mos, heard(found.wic).mos_source) == (4.3, MosSource.RTCP)


@pytest.mark.parametrize(
    ("average", "percent"),
    [
        pytest.param(0, 0.49, id="a fraction of a percent, which the reports cut off"),
        pytest.param(2, 0.49, id="reports of a few packets"),
    ],
)
def test_loss_of_the_call_is_that_of_its_packets(average: int, percent: float) -> None:
    found = quality({PAGE_LISTENS: report(packet_loss=average)}, reverse=True)
    assert (heard(found.wic).loss_percent, heard(found.wic).lost_packets) == (percent, 3)


def test_what_the_relay_itself_missed_of_a_party_is_not_that_partys_loss() -> None:
    """Of who sends what is decoded, rtpengine tells as `cumulative loss` what has not come from it."""
    found = quality({FAR: report(packet_loss=30) | {"cumulative loss": 0}})
    assert (heard(found.ims).loss_percent, heard(found.ims).lost_packets) == (30, 205)


def test_the_latest_report_is_of_who_reports_most() -> None:
    last: dict[str, Encodable] = {"MOS": 43, "jitter": 5, "packet loss": 7, "reported at": 90}
    told: dict[str, Encodable] = report() | {
        "MOS progression": {"interval": 8, "entries": [{**last, "reported at": 80}, last]}
    }
    found = statistics_of({PAGE: told, PAGE_LISTENS: report(samples=1), FAR: report()})
    page, far = latest_reports(found)
    assert page is not None
    assert (page.reported_at_s, page.packet_loss_percent, page.jitter_ms, far) == (90, 7, 5, None)


def test_a_line_that_only_receives_reports_under_a_name_of_its_own() -> None:
    found = quality({PAGE_LISTENS: report(jitter=5), FAR: report()}, reverse=True)
    assert heard(found.wic).jitter_ms == 5


def test_so_does_a_far_end_that_is_silent() -> None:
    found = quality({PAGE: report(jitter=5), 77: report(jitter=6)}, far=None)
    assert (heard(found.wic).jitter_ms, heard(found.ims).jitter_ms) == (5, 6)


def test_without_the_round_trip_of_both_legs_the_score_is_ours_and_says_so() -> None:
    told = heard(quality({PAGE: report(round_trip_us=0, MOS=44, packet_loss=5)}).wic)
    assert (told.mos_source, told.end_to_end_ms, told.mos_lowest) == (MosSource.E_MODEL, None, None)
    assert told.mos == pytest.approx(
        e_model_mos("opus", loss_percent=5, jitter_ms=1, round_trip_ms=0.626), abs=0.01
    )


def test_pictures_have_no_score_for_speech() -> None:
    told = heard(quality({PAGE: report(packet_loss=1)}, kind="video").wic)
    assert (told.loss_percent, told.mos, told.mos_source) == (1, None, None)


@pytest.mark.parametrize(
    ("codec", "loss", "jitter", "round_trip", "expected"),
    [
        pytest.param("PCMA/8000", 0, 0, 0, 4.39, id="R about 93: the most of narrow-band"),
        pytest.param("PCMA/8000", 0, 0, 300, 4.30, id="ITU-T G.114: 150 ms are no trouble"),
        pytest.param("PCMA/8000", 0, 0, 800, 3.0, id="400 ms are"),
        pytest.param("PCMA/8000", 5, 0, 40, 3.98, id="G.113: 5 percent, concealed"),
        pytest.param("AMR/8000", 0, 0, 40, 4.27, id="AMR 12.2 has Ie 5"),
        pytest.param("PCMA/8000", 100, 0, 40, 1.2, id="nothing comes"),
        pytest.param("PCMA/8000", 100, 1000, 2000, 1.0, id="never below 1"),
    ],
)
def test_the_e_model(codec: str, loss: float, jitter: float, round_trip: float, expected: float) -> None:
    found = e_model_mos(codec, loss_percent=loss, jitter_ms=jitter, round_trip_ms=round_trip)
    assert found == pytest.approx(expected, abs=0.12)


@pytest.mark.parametrize(
    ("protocol", "newer", "counted", "own"),
    [
        pytest.param("RTP/AVP", False, 1100, 500, id="10.5 counts as packet what is another's"),
        pytest.param("RTP/AVP", True, 500, 500, id="12.5 does not"),
        pytest.param("RTP/SAVP", False, 500, 500, id="nor 10.5 what it cannot decrypt"),
        pytest.param("RTP/AVP", False, 0, 0, id="what else was wrong"),
    ],
)
def test_packets_are_the_party_s_own(protocol: str, newer: bool, counted: int, own: int) -> None:
    page, phone = participant("wic", "audio", "opus", PAGE, 9), participant("ims", "audio", "PCMA", FAR, 0)
    (media,) = cast("list[dict[str, Any]]", phone["medias"])
    media["protocol"] = protocol
    stream = media["streams"][0]
    stream["stats"] = {"packets": counted, "bytes": 1, "errors": 600}
    if newer:
        stream["ingress SSRCs"] = [{"SSRC": stream.pop("SSRC")}]
    found = read({"wic": page, "ims": phone})
    assert found.ims is not None
    assert (found.ims.packets, found.ims.errors) == (own, 600)


def test_reports_of_a_party_s_former_stream_are_its_own() -> None:
    """After hold or a transfer a far end has another SSRC; here the page itself reports less."""
    page, phone = participant("wic", "audio", "opus", PAGE, 9), participant("ims", "audio", "PCMA", FAR, 9)
    (media,) = cast("list[dict[str, Any]]", phone["medias"])
    del media["streams"][0]["SSRC"]
    media["streams"][0]["ingress SSRCs"] = [{"SSRC": FAR}, {"SSRC": 4711}]
    reports = {PAGE: report(samples=2), 4711: report(samples=50, packet_loss=9), FAR: report(samples=3)}
    found = read({"wic": page, "ims": phone}, reports)
    assert (heard(found.wic).samples, heard(found.ims).samples) == (2, 50)


def test_a_far_end_s_former_stream_that_rtpengine_names_no_more_is_not_the_latest_of_the_page() -> None:
    def at(at_s: int, samples: int, loss: int) -> dict[str, Encodable]:
        entry: dict[str, Encodable] = {"MOS": 43, "jitter": 1, "packet loss": loss, "reported at": at_s}
        told: dict[str, Encodable] = {"MOS progression": {"interval": 10, "entries": [entry]}}
        return report(samples=samples) | told

    page, _ = latest_reports(statistics_of({4711: at(100, 20, 9), PAGE: at(120, 12, 1), FAR: at(120, 2, 0)}))
    assert page is not None
    assert page.packet_loss_percent == 9  # it may be the page's line that only receives
    page, _ = latest_reports(statistics_of({4711: at(100, 20, 9), PAGE: at(125, 13, 1), FAR: at(125, 3, 0)}))
    assert page is not None
    assert page.packet_loss_percent == 1


@pytest.mark.parametrize(
    ("address", "flags", "reached", "secured"),
    [
        pytest.param("0.0.0.0", [], False, False, id="no check"),
        pytest.param("192.0.2.2", [], True, False, id="ICE only"),
        pytest.param("192.0.2.2", ["DTLS fingerprint verified"], True, True, id="both"),
    ],
)
def test_a_leg_tells_whether_its_party_is_reached_and_secured(
    address: str, flags: list[str], reached: bool, secured: bool
) -> None:
    page, phone = participant("wic", "audio", "opus", PAGE, 0), participant("ims", "audio", "PCMA", FAR, 0)
    (media,) = cast("list[dict[str, Any]]", page["medias"])
    media["flags"] = ["ICE", "DTLS-SRTP"]
    media["streams"][0] |= {"endpoint": {"address": address, "port": 9}, "flags": ["RTP", *flags]}
    found = read({"wic": page, "ims": phone})
    assert found.wic is not None
    assert (found.wic.reached, found.wic.secured) == (reached, secured)
    assert found.ims is not None
    assert (found.ims.reached, found.ims.secured) == (None, None)
