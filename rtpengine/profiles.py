"""Media profiles: all that ng commands say about transport, ICE, DTLS, codecs and flags is written here.

A profile describes one medium between a WIC and a far end of some kind (`rtpengine.legs`). It makes the
`MediaOptions` of every command of a session; it knows neither the SDP nor the order of the commands.

The codec rules for audio rest on a WIC offer that has one codec and telephone-event left, its own codec:
- it is masked, so the WIC is answered with it whichever codec IMS chooses;
- when it is an IMS codec, too, naming it in `transcode` puts it back in its place of the IMS offer, and it passes
  through when IMS chooses it;
- telephone-event is accepted, so the WIC's answer keeps it even when IMS drops it or chooses another rate.
What rtpengine cannot transcode (EVS) is offered alone: it takes that out of every offer for which it transcodes.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rtpengine.capabilities import OLDEST, Version
from rtpengine.legs import LEGS, LegKind, far_leg_of
from rtpengine.ng.commands import NO_CODEC_RULES, CodecRules, MediaOptions
from rtpengine.packet_times import FarSpeech, packet_ms_of
from rtpengine.sources import MediaSource, source_flags

# "-OA" is the octet-aligned payload format beside the bandwidth-efficient one: some devices know only one of them.
# Codec towards IMS → name/rate/channels/bitrate//fmtp for rtpengine. Without a bitrate rtpengine
# sends AMR-WB in mode 3 (14.25 kbit/s); without fmtp it offers octet-align=1 (RFC 4867 §8.1).
IMS_AUDIO_CODECS: Final[Mapping[str, str]] = {
    "opus": "opus",
    "AMR-WB": "AMR-WB/16000/1/23850//octet-align=0;mode-change-capability=2;max-red=0",
    "AMR-WB-OA": "AMR-WB/16000/1/23850//octet-align=1;mode-change-capability=2;max-red=0",
    "AMR": "AMR/8000/1/12200//octet-align=0;mode-change-capability=2;max-red=0",
    "AMR-OA": "AMR/8000/1/12200//octet-align=1;mode-change-capability=2;max-red=0",
    "G722": "G722",
    "PCMA": "PCMA",
    "PCMU": "PCMU",
}
# The same for codecs of an offer of IMS: without, it would get AMR-WB at 14.25 and AMR at 6.7 kbit/s.
_BITRATES: Final = ("AMR-WB/16000/1/23850", "AMR/8000/1/12200")
# Payload types that are the same whatever else is offered (RFC 3551 §6); Opus keeps the WIC's own.
_FIXED_PAYLOAD_TYPE: Final = frozenset({"opus", "g722", "pcma", "pcmu"})
_ENCODING_NAMES: Final = tuple(dict.fromkeys(codec.partition("/")[0] for codec in IMS_AUDIO_CODECS.values()))
_EVENTS: Final = tuple(f"telephone-event/{rate}" for rate in (8000, 16000, 48000))
# Codec of a WIC → what it is offered for a codec of IMS that it does not speak.
WIC_AUDIO_CODECS: Final[Mapping[str, tuple[str, ...]]] = {
    "opus": ("opus/48000/2", "telephone-event/48000"),
    "g722": ("G722", "telephone-event/8000"),
    "pcma": ("PCMA", "telephone-event/8000"),
    "pcmu": ("PCMU", "telephone-event/8000"),
}
_IMS_NAME: Final = {name.lower(): name for name in IMS_AUDIO_CODECS if name.lower() in WIC_AUDIO_CODECS}
PASSING_ONLY: Final = frozenset({"evs"})
"""Codecs that rtpengine knows no encoder for."""
DEFAULT_IMS_AUDIO_CODECS: Final = ("opus", "AMR-WB", "AMR-WB-OA", "PCMA", "PCMU")

_INJECT_DTMF: Final = "inject-DTMF"
_ICE_ONLY: Final = ("endpoint-learning-off", "asymmetric")
"""Media goes where ICE says: by default rtpengine follows packets, too, and was seen to go on to a socket that the WIC
had left.  It is heard from everywhere; SRTP says that it is the WIC.  The first is not heeded where ICE was ready
before the WIC's first description; the second is, with every command."""
# Written out with rate, channels and bitrate this is never "already present", so rtpengine adds it under the
# first free dynamic payload type even when IMS speaks Opus itself.
_REVERSE_OPUS: Final = "opus/48000/2/32000"
_REVERSE: Final[Mapping[str, str]] = {"opus": _REVERSE_OPUS, "g722": "G722", "pcma": "PCMA", "pcmu": "PCMU"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MediaProfile:
    """How one medium crosses from a WIC to IMS. Interface names are those of the daemon's configuration.

    A site has few profiles and makes them once, so each keeps its options.
    """

    codec: CodecRules = NO_CODEC_RULES
    """From the WIC's offer to the offer to IMS."""
    reverse_codec: CodecRules = NO_CODEC_RULES
    """From what IMS answered to the offer of the WIC's reverse port."""
    terminating_codec: CodecRules = NO_CODEC_RULES
    """From IMS's offer to the offer to the WIC."""
    answered_codecs: tuple[str, ...] = ()
    """Codecs that may be answered under other payload types than were offered (RFC 3264 §6.1): by IMS, which may number
    them as it likes; by the WIC, which need not hear of an offer of IMS in a running call."""
    packet_ms: tuple[int, int] | None = None
    """Milliseconds of audio in a packet to IMS and to the WIC; None: as they say themselves. Said once it holds for the
    call: rtpengine no longer heeds a=ptime then."""
    dtmf: bool = False
    """Whether the medium carries DTMF, so that `play DTMF` works."""
    header_extensions: bool = False
    """Whether each side is told which header extensions of RTP the other has; they pass as they are, told or not."""
    far_leg: LegKind = LegKind.IMS
    """What kind of party the far end is."""
    ims_address_family: str | None = None
    """IP4 or IP6; None takes the family of the WIC's offer."""
    ims_source: MediaSource = MediaSource.SIGNALLED
    """IMS is not behind a NAT, and its SDP is binding."""
    daemon_version: Version = OLDEST
    wic_interface: str = "wic"
    ims_interface: str = "ims"

    @functools.lru_cache(maxsize=1024)  # noqa: B019 - profiles live as long as the process
    def offer(self, answered: frozenset[str] | None = None) -> MediaOptions:
        """Return the options of an `offer` of the WIC; `answered` names the codecs of IMS, once they are known.
        For each other codec that IMS may send, rtpengine would make an encoder and a decoder, which costs more than
        all the rest of an `offer`. Names are in lower case.
        """
        return self._offer(self.codec.transcode if answered is None else self._needed(answered))

    @functools.cache  # noqa: B019 - profiles live as long as the process
    def _offer(self, transcode: tuple[str, ...]) -> MediaOptions:
        far = LEGS[self.far_leg]
        return MediaOptions(
            transport_protocol=far.transport_protocol,
            ice=far.ice,
            dtls=far.dtls,
            sdes=far.sdes,
            # Towards the offerer: ICE-lite, so the WIC is controlling (RFC 8445 §6.1.1), and DTLS passive, so
            # the WIC is the DTLS client (RFC 8842 §5.3).
            ice_lite="backward",
            dtls_reverse="passive",
            rtcp_mux=far.rtcp_mux,
            direction=(self.wic_interface, self.ims_interface),
            address_family=self.ims_address_family,
            replace=("origin", "session-connection"),
            codec=replace(self.codec, transcode=transcode),
            ptime=self.packet_ms and self.packet_ms[0],
            ptime_reverse=self.packet_ms and self.packet_ms[1],
            flags=(*self._sdp_flags(), "generate-mid", *self._dtmf_flags(), *_ICE_ONLY),
        )

    @functools.cache  # noqa: B019
    def forgetting_offer(self) -> MediaOptions:
        """Return the options of an `offer` in which a WIC's line is told without its transport. IMS keeps its port."""
        options = self.offer()
        return replace(options, flags=(*options.flags, "port-latching"))

    def _needed(self, answered: frozenset[str]) -> tuple[str, ...]:
        """Return what to transcode to; all where nothing is recognised.

        rtpengine numbers dynamic payload types in the order of the list, so these codecs stay together.
        """
        names = {codec: codec.partition("/")[0].lower() for codec in self.codec.transcode}
        numbered = not answered.isdisjoint(set(names.values()) - _FIXED_PAYLOAD_TYPE)
        needed = tuple(
            codec
            for codec, name in names.items()
            if name in answered or (numbered and name not in _FIXED_PAYLOAD_TYPE)
        )
        return needed or self.codec.transcode

    @functools.cache  # noqa: B019
    def passing_offer(self) -> MediaOptions:
        """Return the options of an `offer` that names all codecs of IMS itself, so that nothing is transcoded.

        DTMF is left out, because `inject-DTMF` alone makes rtpengine transcode; so are packet times.
        """
        options = self.offer()
        return replace(
            options,
            codec=CodecRules(accept=self.codec.accept),
            ptime=None,
            ptime_reverse=None,
            flags=_without_dtmf(options.flags),
        )

    @functools.cache  # noqa: B019
    def answer(self) -> MediaOptions:
        """Return the options of an `answer` of IMS."""
        return replace(self._answer(), flags=(*self._answer().flags, *self._ims_flags()))

    @functools.cache  # noqa: B019
    def wic_answer(self) -> MediaOptions:
        """Return the options of an `answer` of a WIC.

        Its source is not bound: ICE says where it is, and it may nominate one pair of candidates after the other, of
        which rtpengine holds on to that with the highest priority. SRTP says that it is the WIC.
        """
        return replace(self._answer(), flags=(*self._answer().flags, *_ICE_ONLY))

    @functools.cache  # noqa: B019
    def _answer(self) -> MediaOptions:
        return MediaOptions(
            codec=CodecRules(offer=self.answered_codecs), flags=(*self._sdp_flags(), *self._dtmf_flags())
        )

    @functools.cache  # noqa: B019
    def stand_in_answer(self) -> MediaOptions:
        """Return the options of a placeholder's `answer` for the WIC: nobody is heard at its port."""
        flags = source_flags(MediaSource.SIGNALLED, self.daemon_version)
        return replace(self._answer(), flags=(*self._answer().flags, *flags))

    @functools.cache  # noqa: B019
    def passing_answer(self) -> MediaOptions:
        """Return the options of the placeholder's `answer` to a `passing_offer`."""
        return replace(self.answer(), flags=_without_dtmf(self.answer().flags))

    def terminating_offer(self) -> MediaOptions:
        """Return the options of an `offer` of IMS."""
        wic = LEGS[LegKind.WIC]
        return MediaOptions(
            transport_protocol=wic.transport_protocol,
            ice=wic.ice,
            ice_lite=wic.ice_lite,
            dtls=wic.dtls,
            sdes=wic.sdes,
            rtcp_mux=wic.rtcp_mux,
            direction=(self.ims_interface, self.wic_interface),
            replace=("origin", "session-connection"),
            codec=self.terminating_codec,
            ptime=self.packet_ms and self.packet_ms[1],
            ptime_reverse=self.packet_ms and self.packet_ms[0],
            flags=(*self._sdp_flags(), *self._dtmf_flags(), *self._ims_flags()),
        )

    def plain_terminating_offer(self) -> MediaOptions:
        """Return the options of an `offer` of IMS that a placeholder answers: the same without ICE, DTLS and SDES.

        That we are ICE-lite stays: it counts only where it was said of a medium first. Without, ICE is never complete,
        which rtpengine 10.5 gets along with, and no later one does.
        """
        return replace(
            self.terminating_offer(),
            transport_protocol="RTP/AVP",
            ice="remove",
            rtcp_mux=(),
            dtls=None,
        )

    def subscribe_request(self) -> MediaOptions:
        """Return the options of a `subscribe request` for the WIC's reverse port of the split transport."""
        return self._subscribe_request()

    @functools.cache  # noqa: B019
    def _subscribe_request(self) -> MediaOptions:
        wic = LEGS[LegKind.WIC]
        return MediaOptions(
            transport_protocol=wic.transport_protocol,
            ice=wic.ice,
            ice_lite=wic.ice_lite,
            dtls=wic.dtls,
            sdes=wic.sdes,
            rtcp_mux=wic.rtcp_mux,
            interface=self.wic_interface,
            codec=self.reverse_codec,
            # RTCP-mirror carries the WIC's PLI and receiver reports back to IMS.
            flags=("generate-mid", "RTCP-mirror", *self._dtmf_flags()),
        )

    @functools.cache  # noqa: B019
    def subscribe_answer(self) -> MediaOptions:
        """Return the options of a `subscribe answer` of the WIC."""
        return MediaOptions(
            codec=CodecRules(offer=self.answered_codecs), flags=("allow transcoding", *_ICE_ONLY)
        )

    def _ims_flags(self) -> tuple[str, ...]:
        return source_flags(self.ims_source, self.daemon_version)

    @functools.cache  # noqa: B019
    def feedback_request(self) -> MediaOptions:
        """Return the options of a `subscribe request` of our own participant, which has nothing to say but RTCP."""
        return MediaOptions(
            transport_protocol="RTP/AVPF",
            ice="remove",
            rtcp_mux=(),
            sdes=("off",),
            interface=self.ims_interface,
            flags=("RTCP-mirror",),
        )

    @functools.cache  # noqa: B019
    def feedback_answer(self) -> MediaOptions:
        """Return the options of its `subscribe answer`: the port it names is the only one it is heard from."""
        return MediaOptions(flags=("strict-source", "endpoint-learning-off"))

    def _sdp_flags(self) -> tuple[str, ...]:
        return () if self.header_extensions else ("strip-extmap",)

    def _dtmf_flags(self) -> tuple[str, ...]:
        return (_INJECT_DTMF,) if self.dtmf else ()


def _without_dtmf(flags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(flag for flag in flags if flag != _INJECT_DTMF)


def audio_profile(
    ims_codecs: Iterable[str] = DEFAULT_IMS_AUDIO_CODECS,
    *,
    wic_codec: str = "opus",
    far_leg: LegKind = LegKind.IMS,
    ims_address_family: str | None = None,
    digits: bool = True,
    ims_source: MediaSource = MediaSource.SIGNALLED,
    daemon_version: Version = OLDEST,
    packet_ms: tuple[int, int] | None = None,
) -> MediaProfile:
    """Make the profile of audio; `ims_codecs` are offered to IMS in this order.

    `wic_codec` is what the WIC speaks, lower case. Without `digits` nothing can be played for the WIC, but Opus passes
    as it is: `inject-DTMF` alone makes rtpengine decode and encode it.
    Raises ValueError for a codec that is not in `IMS_AUDIO_CODECS`, and for none at all.
    """
    names = tuple(ims_codecs)
    unknown = [name for name in names if name not in IMS_AUDIO_CODECS and name.lower() not in PASSING_ONLY]
    if unknown or not names:
        raise ValueError(f"unknown IMS audio codecs: {', '.join(unknown) or 'none given'}")
    if wic_codec in PASSING_ONLY:
        return MediaProfile(
            codec=CodecRules(accept=("telephone-event",)),
            answered_codecs=(wic_codec.upper(), *_EVENTS),
            far_leg=far_leg,
            ims_address_family=ims_address_family,
            ims_source=ims_source,
            daemon_version=daemon_version,
        )
    return MediaProfile(
        codec=CodecRules(
            mask=(next(name for name in _ENCODING_NAMES if name.lower() == wic_codec),),
            accept=("telephone-event",),
            transcode=tuple(IMS_AUDIO_CODECS[name] for name in names if name in IMS_AUDIO_CODECS),
        ),
        reverse_codec=CodecRules(
            mask=(*_ENCODING_NAMES, "telephone-event"),
            transcode=(_REVERSE[wic_codec],),
        ),
        # All else is hidden from the WIC; its own codec passes through when IMS has it, else it is transcoded.
        terminating_codec=CodecRules(
            mask=tuple(name for name in _ENCODING_NAMES if name.lower() not in (wic_codec, "opus")),
            set_=_BITRATES,
            transcode=tuple(dict.fromkeys((*WIC_AUDIO_CODECS[wic_codec], *WIC_AUDIO_CODECS["opus"]))),
        ),
        answered_codecs=(*_ENCODING_NAMES, *_EVENTS),
        packet_ms=packet_ms,
        dtmf=digits,
        far_leg=far_leg,
        ims_address_family=ims_address_family,
        ims_source=ims_source,
        daemon_version=daemon_version,
    )


def video_profile(
    *,
    far_leg: LegKind = LegKind.IMS,
    ims_address_family: str | None = None,
    ims_source: MediaSource = MediaSource.SIGNALLED,
    daemon_version: Version = OLDEST,
) -> MediaProfile:
    """Make the profile of video, which rtpengine never transcodes: the SDP alone says which codecs there are, and which
    header extensions."""
    return MediaProfile(
        header_extensions=True,
        far_leg=far_leg,
        ims_address_family=ims_address_family,
        ims_source=ims_source,
        daemon_version=daemon_version,
    )


class MediaProfiles:
    """The profiles of a site, or of one of its routes: for each kind of page and far end."""

    def __init__(
        self,
        ims_codecs: Iterable[str] = DEFAULT_IMS_AUDIO_CODECS,
        *,
        far_leg: LegKind = LegKind.IMS,
        transcoding: bool = True,
        ims_source: MediaSource = MediaSource.SIGNALLED,
        daemon_version: Version = OLDEST,
    ) -> None:
        """`ims_codecs` as for `audio_profile`; `far_leg`: what the far end is offered. Without `transcoding` IMS is
        offered what the WIC speaks, and the WIC what IMS speaks, of `ims_codecs`, and nothing else.
        """
        self.far_leg = far_leg
        self._codecs, self._transcoding = tuple(ims_codecs), transcoding
        self._source, self._version = ims_source, daemon_version
        self._made: dict[tuple[str, str, LegKind, tuple[int, int] | None, bool], MediaProfile] = {}
        self.of("audio")  # refuses unknown codecs now

    def of(
        self,
        medium: str,
        wic_codec: str = "",
        far_protocol: str = "",
        far: FarSpeech | None = None,
        *,
        digits: bool = False,
        asking: bool = False,
    ) -> MediaProfile:
        """Return the profile of a medium; `wic_codec` is the page's first codec, lower case, where it has one already,
        `far_protocol` that of the far end's m-line and `far` what it speaks, where it has said so; `digits` as for
        `audio_profile`. `asking`: the page has not spoken yet, it is only to be asked for `wic_codec`.
        """
        far_leg = far_leg_of(far_protocol, self.far_leg) if far_protocol else self.far_leg
        speaks = wic_codec if wic_codec in WIC_AUDIO_CODECS or wic_codec in PASSING_ONLY else "opus"
        is_audio = medium == "audio"
        packet_ms = None
        if is_audio and far is not None:
            spoken = "" if asking else speaks
            packet_ms = packet_ms_of(spoken, far, self._version, digits=digits and speaks not in PASSING_ONLY)
        key = (medium, speaks if is_audio else "", far_leg, packet_ms, digits)
        if key not in self._made:
            source, version = self._source, self._version
            self._made[key] = (
                self._audio(
                    wic_codec=speaks,
                    far_leg=far_leg,
                    digits=digits,
                    ims_source=source,
                    daemon_version=version,
                    packet_ms=packet_ms,
                )
                if is_audio
                else video_profile(far_leg=far_leg, ims_source=source, daemon_version=version)
            )
        return self._made[key]

    def _audio(self, *, wic_codec: str, **how: Any) -> MediaProfile:
        if self._transcoding or wic_codec in PASSING_ONLY:
            return audio_profile(self._codecs, wic_codec=wic_codec, **how)
        profile = audio_profile((_IMS_NAME[wic_codec],), wic_codec=wic_codec, **how)
        allowed = {name.lower() for name in self._codecs} & WIC_AUDIO_CODECS.keys()
        others = tuple(name for name in _ENCODING_NAMES if name.lower() not in allowed)
        return replace(profile, terminating_codec=CodecRules(mask=others))
