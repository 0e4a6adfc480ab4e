"""rtpengine.profiles: what is asked of rtpengine for audio and video."""

from dataclasses import replace

import pytest

from rtpengine.capabilities import Version
from rtpengine.packet_times import PLACEHOLDER, FarSpeech
from rtpengine.profiles import (
    DEFAULT_IMS_AUDIO_CODECS,
    IMS_AUDIO_CODECS,
    MediaProfile,
    MediaProfiles,
    audio_profile,
    video_profile,
)
from rtpengine.sources import MediaSource


class TestAudio:
    def test_ims_is_offered_the_codecs_in_the_given_order(self) -> None:
        rules = audio_profile(["PCMU", "AMR-WB", "opus"]).offer().codec
        assert [codec.split("/")[0] for codec in rules.transcode] == ["PCMU", "AMR-WB", "opus"]

    @pytest.mark.parametrize("codecs", [["opus", "PCMA"], ["PCMA"]], ids=["opus to IMS", "no opus to IMS"])
    def test_the_wic_keeps_opus_and_telephone_event_whatever_ims_chooses(self, codecs: list[str]) -> None:
        rules = audio_profile(codecs).offer().codec
        assert (rules.mask, rules.accept) == (("opus",), ("telephone-event",))

    def test_amr_wb_is_bandwidth_efficient_at_its_full_bitrate(self) -> None:
        (codec,) = audio_profile(["AMR-WB"]).offer().codec.transcode
        assert codec.startswith("AMR-WB/16000/1/23850/")
        assert "octet-align=0" in codec

    @pytest.mark.parametrize("codecs", [[], ["opus", "G729"]], ids=["none", "unknown"])
    def test_an_unusable_codec_list_is_refused(self, codecs: list[str]) -> None:
        with pytest.raises(ValueError, match="codecs"):
            audio_profile(codecs)

    def test_every_command_lets_dtmf_in(self) -> None:
        profile = audio_profile()
        for options in (profile.offer(), profile.answer(), profile.subscribe_request()):
            assert "inject-DTMF" in options.flags

    def test_the_reverse_offer_has_opus_alone(self) -> None:
        rules = audio_profile().subscribe_request().codec
        assert set(rules.mask) == {"opus", "AMR-WB", "AMR", "G722", "PCMA", "PCMU", "telephone-event"}
        assert {codec.split("/")[0] for codec in rules.transcode} == {"opus"}

    def test_payload_types_that_were_not_offered_are_taken_from_ims_and_from_the_wic(self) -> None:
        profile = audio_profile()
        for options in (profile.answer(), profile.subscribe_answer()):
            assert {"opus", "AMR-WB", "PCMA", "telephone-event/8000"} <= set(options.codec.offer)

    @pytest.mark.parametrize(
        ("answered", "expected"),
        [
            pytest.param({"pcma", "telephone-event"}, ["PCMA"], id="a fixed payload type stands alone"),
            pytest.param({"opus"}, ["opus"], id="the WIC's own"),
            pytest.param({"amr-wb"}, ["AMR-WB", "AMR-WB-OA"], id="numbered ones keep each other's place"),
            pytest.param({"amr-wb", "pcmu"}, ["AMR-WB", "AMR-WB-OA", "PCMU"], id="both"),
            pytest.param({"evs"}, list(DEFAULT_IMS_AUDIO_CODECS), id="not ours: all"),
        ],
    )
    def test_what_ims_took_is_made_ready_and_nothing_else(
        self, answered: set[str], expected: list[str]
    ) -> None:
        options = audio_profile().offer(frozenset(answered))
        assert options.codec.transcode == tuple(IMS_AUDIO_CODECS[name] for name in expected)
        assert options == replace(audio_profile().offer(), codec=options.codec)

    def test_an_offer_with_all_codecs_of_ims_transcodes_nothing(self) -> None:
        profile = audio_profile()
        options = profile.passing_offer()
        assert (options.codec.transcode, options.codec.mask, options.codec.accept) == (
            (),
            (),
            profile.codec.accept,
        )
        assert "inject-DTMF" not in {*options.flags, *profile.passing_answer().flags}


PCMA = FarSpeech(frozenset({"pcma", "telephone-event"}))
AMR = frozenset({"amr-wb", "amr", "telephone-event"})
RESAMPLES, TAKES_ALL_RATES = (11, 1), (11, 2)


class TestPacketTimes:
    @pytest.mark.parametrize(
        ("wic_codec", "far", "version", "expected"),
        [
            pytest.param("opus", PCMA, RESAMPLES, (20, 10), id="resampled: short frames"),
            pytest.param("opus", PLACEHOLDER, RESAMPLES, (20, 10), id="nobody has answered"),
            pytest.param("opus", FarSpeech(PCMA.codecs, 40), RESAMPLES, (40, 10), id="the far end's ptime"),
            pytest.param("opus", FarSpeech(PCMA.codecs, 7), RESAMPLES, (20, 10), id="one that nobody has"),
            pytest.param("opus", FarSpeech(frozenset({"opus"})), RESAMPLES, (20, 20), id="Opus as it is"),
            pytest.param("opus", PCMA, TAKES_ALL_RATES, (None, None), id="a daemon that need not resample"),
            pytest.param("pcma", PCMA, RESAMPLES, (None, None), id="a WIC without Opus"),
            pytest.param("opus", None, RESAMPLES, (None, None), id="as they say themselves"),
            pytest.param("opus", FarSpeech(AMR, 40), RESAMPLES, (20, 10), id="AMR has frames of 20 ms"),
            pytest.param("opus", FarSpeech(AMR, 40), TAKES_ALL_RATES, (20, 20), id="AMR, no resampling"),
            pytest.param("opus", FarSpeech(AMR), TAKES_ALL_RATES, (20, 20), id="AMR after another codec"),
            pytest.param("pcma", FarSpeech(AMR, 10), RESAMPLES, (20, 20), id="AMR, PCMA at the WIC"),
            pytest.param("opus", FarSpeech(AMR | {"opus"}, 40), RESAMPLES, (20, 20), id="Opus beside AMR"),
            pytest.param("opus", FarSpeech(frozenset({"g722"}), 30), TAKES_ALL_RATES, (20, 20), id="G.722"),
            pytest.param("g722", FarSpeech(PCMA.codecs, 40), RESAMPLES, (20, 20), id="G.722 at the WIC"),
        ],
    )
    def test_each_side_is_sent_packets_of(
        self,
        wic_codec: str,
        far: FarSpeech | None,
        version: tuple[int, int],
        expected: tuple[int | None, int | None],
    ) -> None:
        profile = MediaProfiles(daemon_version=version).of("audio", wic_codec, far=far)
        offer, of_ims = profile.offer(), profile.terminating_offer()
        assert (offer.ptime, offer.ptime_reverse) == expected
        assert (of_ims.ptime_reverse, of_ims.ptime) == expected

    @pytest.mark.parametrize("version", [RESAMPLES, TAKES_ALL_RATES], ids=str)
    @pytest.mark.parametrize(
        ("far", "expected"),
        [
            pytest.param(FarSpeech(AMR | {"pcma"}, 10), (20, 20), id="AMR"),
            pytest.param(FarSpeech(PCMA.codecs, 40), (None, None), id="G.711"),
            pytest.param(FarSpeech(frozenset({"opus"}), 40), (None, None), id="Opus"),
        ],
    )
    def test_a_page_that_is_asked_gets_packets_of(
        self, version: Version, far: FarSpeech, expected: tuple[int | None, int | None]
    ) -> None:
        """The offer to it settles them, before it has said anything."""
        offer = MediaProfiles(daemon_version=version).of("audio", "opus", far=far, asking=True)
        options = offer.terminating_offer(), offer.plain_terminating_offer()
        assert {(one.ptime_reverse, one.ptime) for one in options} == {expected}

    def test_video_has_none(self) -> None:
        offer = MediaProfiles().of("video", far=FarSpeech(frozenset({"vp8"}))).offer()
        assert (offer.ptime, offer.ptime_reverse) == (None, None)

    def test_an_offer_that_transcodes_nothing_says_nothing_of_them(self) -> None:
        offer = MediaProfiles().of("audio", far=PLACEHOLDER).passing_offer()
        assert (offer.ptime, offer.ptime_reverse) == (None, None)


class TestVideo:
    def test_video_is_never_transcoded_and_carries_no_dtmf(self) -> None:
        profile = video_profile()
        assert profile.codec == profile.reverse_codec == audio_free()
        assert "inject-DTMF" not in profile.offer().flags


def audio_free() -> object:
    """The codec rules of a profile that has none."""
    return MediaProfile().codec


@pytest.mark.parametrize("profile", [audio_profile(), video_profile()], ids=["audio", "video"])
class TestBoth:
    def test_ims_is_offered_plain_rtp_without_feedback_profile(self, profile: MediaProfile) -> None:
        assert profile.offer().transport_protocol == "RTP/AVP"

    def test_the_wic_is_ice_controlling_and_dtls_client(self, profile: MediaProfile) -> None:
        offer, reverse = profile.offer(), profile.subscribe_request()
        assert (offer.ice_lite, offer.dtls_reverse) == ("backward", "passive")
        assert (reverse.ice, reverse.ice_lite, reverse.dtls) == ("force", "forward", "passive")

    def test_nobody_is_believed_without_srtp_but_whom_sdp_names(self, profile: MediaProfile) -> None:
        source = {"strict-source", "endpoint-learning-off", "unidirectional", "asymmetric"}
        for options in (
            profile.answer(),
            profile.passing_answer(),
            profile.terminating_offer(),
            profile.plain_terminating_offer(),
            profile.stand_in_answer(),
        ):
            assert source <= set(options.flags)
        for options in (profile.offer(), profile.wic_answer(), profile.subscribe_answer()):
            # ICE says where the WIC is, and may say it again; it is heard from everywhere.
            assert source & set(options.flags) == {"endpoint-learning-off", "asymmetric"}

    def test_the_sides_are_the_daemon_s_interfaces(self, profile: MediaProfile) -> None:
        assert profile.offer().direction == ("wic", "ims")
        assert profile.subscribe_request().interface == "wic"


@pytest.mark.parametrize(("version", "pinned"), [((10, 5), True), ((12, 5), False)], ids=str)
def test_asymmetric_is_for_daemons_that_do_not_learn_by_it(version: tuple[int, int], pinned: bool) -> None:
    profile = audio_profile(daemon_version=version)
    for options in (profile.answer(), profile.stand_in_answer()):
        assert ("asymmetric" in options.flags) is pinned


def test_a_far_end_may_send_from_elsewhere() -> None:
    profile = audio_profile(ims_source=MediaSource.ANYWHERE)
    assert "asymmetric" in profile.answer().flags
    assert "strict-source" not in profile.answer().flags


class TestWithoutTranscoding:
    """Each side is offered what the other one speaks, and nothing else."""

    def test_ims_is_offered_the_wics_codec_alone(self) -> None:
        made = MediaProfiles(("PCMA", "AMR-WB", "opus"), transcoding=False)
        assert made.of("audio", "pcma").codec.transcode == ("PCMA",)
        assert made.of("audio", "opus").codec.transcode == ("opus",)

    def test_the_wic_is_offered_what_ims_speaks_of_the_list(self) -> None:
        rules = (
            MediaProfiles(("PCMA", "AMR-WB", "opus"), transcoding=False).of("audio", "pcma").terminating_codec
        )
        assert rules.transcode == ()
        assert set(rules.mask) == {"AMR-WB", "AMR", "G722", "PCMU"}

    def test_digits_are_another_profile(self) -> None:
        made = MediaProfiles()
        plain, armed = made.of("audio", "opus"), made.of("audio", "opus", digits=True)
        assert "inject-DTMF" in armed.offer().flags
        assert "inject-DTMF" not in (
            *plain.offer().flags,
            *plain.answer().flags,
            *plain.terminating_offer().flags,
        )
        assert made.of("audio", "opus", digits=True) is armed

    def test_g722_is_passed_on_all_the_same(self) -> None:
        """A WIC would hear nothing more in packets of another length."""
        far = FarSpeech(frozenset({"g722"}))
        armed = MediaProfiles(daemon_version=(12, 5)).of("audio", "g722", far=far, digits=True).offer()
        assert (armed.ptime, armed.ptime_reverse) == (20, 20)

    @pytest.mark.parametrize(
        ("version", "far", "to_ims_and_wic"),
        [
            pytest.param((12, 5), FarSpeech(frozenset({"opus"})), (20, 10), id="what it would pass on"),
            pytest.param((12, 5), FarSpeech(frozenset({"opus"}), 10), (10, 20), id="of 10 ms"),
            pytest.param((12, 5), PCMA, (None, None), id="what it transcodes"),
            pytest.param((10, 5), FarSpeech(frozenset({"opus"})), (20, 20), id="one that never passes armed"),
        ],
    )
    def test_what_is_armed_is_not_passed_on(
        self, version: Version, far: FarSpeech, to_ims_and_wic: tuple[int | None, int | None]
    ) -> None:
        """Packets of different lengths have to be transcoded."""
        armed = MediaProfiles(daemon_version=version).of("audio", "opus", far=far, digits=True).offer()
        assert (armed.ptime, armed.ptime_reverse) == to_ims_and_wic
