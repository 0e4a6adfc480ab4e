"""Chromium with a camera."""

from __future__ import annotations

from tests.bench.chromium_page import ChromiumPage
from tests.bench.first_frame.camera import PAGE, START, CameraMedia


class ChromiumCamera(ChromiumPage):
    """The browser with a camera."""

    def __init__(self) -> None:
        super().__init__(PAGE, START, permissions=["microphone", "camera"])

    def media(self) -> CameraMedia:
        """Return the media of one call."""
        return CameraMedia(self.page.evaluate, self.clock_s)
