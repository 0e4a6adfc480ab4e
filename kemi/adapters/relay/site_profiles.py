"""The site's media profiles for the relay: the default one and those with a name (kemi/settings.py)."""

from __future__ import annotations

from collections.abc import Mapping

from kemi.adapters.relay.repertoires import far_speech
from kemi.core.call.actions import MediaTerms
from kemi.core.sdp.interwork import first_codec, protocol_of
from kemi.settings import MediaSettings, NamedProfile
from rtpengine.capabilities import OLDEST, Version
from rtpengine.legs import LEGS, LegKind
from rtpengine.packet_times import PLACEHOLDER
from rtpengine.profiles import PASSING_ONLY, WIC_AUDIO_CODECS, MediaProfile, MediaProfiles
from rtpengine.sources import MediaSource


class SiteProfiles:
    """Finds the profile of a medium by its node, the terms of its call and what both sides speak."""

    def __init__(self, settings: MediaSettings, versions: Mapping[str, Version]) -> None:
        """``versions``: of the nodes' daemons, by node. Raise ValueError for a codec nobody knows."""
        named = [settings.default_profile, *settings.profiles]
        self._rules = {one.name: one for one in named}
        self._versions = versions
        self._made = {
            (one.name, version): MediaProfiles(
                one.audio_codecs,
                far_leg=LegKind(one.core_leg),
                transcoding=one.transcoding,
                ims_source=MediaSource(one.core_source),
                daemon_version=version,
            )
            for one in named
            for version in {OLDEST, *versions.values()}
        }

    def of(self, node: str, terms: MediaTerms, kind: str, wic_line: str, ims_line: str = "") -> MediaProfile:
        """Return the profile for what both sides speak."""
        made = self._of(node, self._known(terms))
        far = far_speech(ims_line)
        return made.of(kind, first_codec(wic_line), protocol_of(ims_line), far, digits=terms.digits)

    def reserving(self, node: str, terms: MediaTerms, kind: str, wic_line: str) -> MediaProfile:
        """Return the profile for a page whose far end is a placeholder so far; ``terms`` say whether it has keys."""
        made = self._of(node, self._known(terms))
        protocol = LEGS[LegKind.TRUNK_SRTP].transport_protocol if terms.keyed else ""
        return made.of(kind, first_codec(wic_line), protocol, PLACEHOLDER, digits=terms.digits)

    def terminating(self, node: str, terms: MediaTerms, kind: str, ims_offer: str) -> MediaProfile:
        """Return the profile for a page that has not spoken yet: it is to speak Opus, or what the operator wants first
        if the core offers that; without transcoding, and of what nobody transcodes (EVS), what the core offers."""
        rules = self._known(terms)
        wanted = first_codec(ims_offer)
        takes = wanted in PASSING_ONLY or (wanted in WIC_AUDIO_CODECS and not rules.transcoding)
        speaks = wanted if takes or wanted == rules.audio_codecs[0].lower() else "opus"
        made, far = self._of(node, rules), far_speech(ims_offer)
        return made.of(kind, speaks, protocol_of(ims_offer), far, digits=terms.digits, asking=True)

    def pinned(self, terms: MediaTerms) -> bool:
        """Whether the far end's packets come from where its SDP says, and only from there."""
        return MediaSource(self._known(terms).core_source) is MediaSource.SIGNALLED

    def _of(self, node: str, rules: NamedProfile) -> MediaProfiles:
        return self._made[rules.name, self._versions.get(node, OLDEST)]

    def _known(self, terms: MediaTerms) -> NamedProfile:
        """A profile that was taken out of the settings is the default one for calls that still have it."""
        return self._rules.get(terms.profile, self._rules[""])
