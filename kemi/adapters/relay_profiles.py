"""Which media profile a medium has: by what both sides speak, and by what the daemon of its node does."""

from __future__ import annotations

from collections.abc import Mapping

from kemi.adapters.repertoires import far_speech
from kemi.core.sdp.interwork import first_codec, protocol_of
from kemi.settings import MediaSettings
from rtpengine.capabilities import OLDEST, Version
from rtpengine.legs import LegKind
from rtpengine.profiles import PLACEHOLDER, MediaProfile, MediaProfiles, MediaSource


class RelayProfiles:
    """The profiles of a site."""

    def __init__(self, settings: MediaSettings, versions: Mapping[str, Version]) -> None:
        """`versions`: of the nodes' daemons, by the nodes' names."""
        self._versions = versions
        self._preferred = settings.audio_codecs[0].lower()
        self._by_version = {
            version: MediaProfiles(
                settings.audio_codecs,
                far_leg=LegKind(settings.core_leg),
                digits=settings.digits_by_info,
                ims_source=MediaSource(settings.core_source),
                daemon_version=version,
            )
            for version in {OLDEST, *versions.values()}
        }

    def version(self, node: str) -> Version:
        """Return the version of a node's daemon; of a node that is no longer configured, the oldest."""
        return self._versions.get(node, OLDEST)

    def of_page(self, node: str, kind: str, wic_line: str = "", ims_line: str = "") -> MediaProfile:
        """Return the profile for what both sides speak."""
        return self._of(node).of(kind, first_codec(wic_line), protocol_of(ims_line), far_speech(ims_line))

    def of_placeholder(self, node: str, kind: str, wic_line: str) -> MediaProfile:
        """Return the profile for a far end that has not answered yet."""
        return self._of(node).of(kind, first_codec(wic_line), far=PLACEHOLDER)

    def of_core(self, node: str, kind: str, ims_offer: str) -> MediaProfile:
        """Return the profile for a page that has not spoken yet: it is to speak Opus, or what the operator wants first
        if the core offers that."""
        wanted = first_codec(ims_offer)
        speaks = wanted if wanted == self._preferred else "opus"
        return self._of(node).of(kind, speaks, protocol_of(ims_offer))

    def _of(self, node: str) -> MediaProfiles:
        return self._by_version[self.version(node)]
