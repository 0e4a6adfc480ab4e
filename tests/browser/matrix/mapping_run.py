"""Carries the mapped calls out, those of one browser after the other, both browsers at once.

Knows the page, the far end and the relay. Must not know pytest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from tests.browser.matrix.cells import Engine, Way
from tests.browser.matrix.clients import PageClient, directions, wait
from tests.browser.matrix.engines import TONE_HZ, Browsers
from tests.browser.matrix.far_end import QUARTER_TURN, Device, FarEnd
from tests.browser.matrix.mapping import Mapped, Step, Transport
from tests.lab.lab import Lab
from tests.lab.proof import TOLERANCE_HZ
from tests.lab.subscribers import REALM
from tests.lab.waiting import wait_until
from tests.lab.world import UserInfo

FRAMES: Final = 5
PATIENCE_S: Final = 30.0
KBPS: Final = 500
_LOWEST_HZ: Final = 380.0
_APART_HZ: Final = 35.0
"""Tones of calls that run at once differ by more than the ear's tolerance."""

Outcome = Mapping[Step, str]
"""Step -> "" when all was as it should be, or what was not; steps that were not reached are missing."""


class MappingRun:
    """Makes calls and says how each step of them went."""

    def __init__(self, lab: Lab, far_end: FarEnd, browsers: Browsers) -> None:
        self._lab = lab
        self._far_end = far_end
        self._browsers = browsers
        self._numbers = count()
        self._known: dict[Mapped, Outcome] = {}

    def carry_out(self, calls: Iterable[Mapped]) -> None:
        """Make these calls; Chromium's driver belongs to this thread, Firefox's to whoever uses it."""
        wanted = list(calls)
        lanes = {engine: [call for call in wanted if call.engine is engine] for engine in Engine}
        for engine, lane in lanes.items():
            if lane:
                self._browsers.new_tab(
                    engine
                ).close()  # started here: a process ends with the thread that began it
        with ThreadPoolExecutor(1) as beside:
            firefox = beside.submit(self._lane, lanes[Engine.FIREFOX])
            self._lane(lanes[Engine.CHROMIUM])
            firefox.result()

    def outcome(self, call: Mapped) -> Outcome:
        """Return how a call went, once; asked again, it is made again."""
        if call not in self._known:
            self._lane([call])
        return self._known.pop(call)

    def without_pictures(self, engine: Engine) -> list[str]:
        """Call, with a camera, a device that takes audio alone; return the page's lines when both hear each other."""
        call = Mapped(engine, Way.OUTGOING, True, Transport.SPLIT)
        number = next(self._numbers)
        with self._page(call) as page, self._device(number, call) as device:
            device.video = None
            talk = Talk(self._lab, self._far_end, page, device, call, f"page{number}")
            talk.speak_alone()
            lines = page.lines()
            talk.end()
        return lines

    def _lane(self, calls: Iterable[Mapped]) -> None:
        for call in calls:
            outcome: dict[Step, str] = {}
            self._known[call] = outcome
            try:
                self._take_steps(call, outcome)
            except Exception as error:  # a browser that crashed neither opens nor closes a page
                last = next(reversed(outcome), call.steps[0])
                outcome[last] = outcome.get(last) or repr(error)

    def _take_steps(self, call: Mapped, outcome: dict[Step, str]) -> None:
        number = next(self._numbers)
        with self._page(call) as page, self._device(number, call) as device:
            talk = Talk(self._lab, self._far_end, page, device, call, f"page{number}")
            for step in call.steps:
                outcome[step] = _failure(partial(talk.take, step), talk)
                if outcome[step]:
                    break
            ended = _failure(talk.end, talk)
            outcome[step] = outcome[step] or ended

    @contextmanager
    def _page(self, call: Mapped) -> Iterator[PageClient]:
        page = PageClient(call.cell, self._browsers.new_tab(call.engine))
        try:
            yield page
        finally:
            page.close()

    @contextmanager
    def _device(self, number: int, call: Mapped) -> Iterator[Device]:
        asks_by = "FIR" if call.transport is Transport.SHARED else "PLI"
        device = Device(f"device{number}", _LOWEST_HZ + number % 16 * _APART_HZ, asks_by)
        try:
            yield device
        finally:
            device.close()


class Talk:
    """One call, from its first step to its end."""

    def __init__(
        self, lab: Lab, far_end: FarEnd, page: PageClient, device: Device, call: Mapped, user: str
    ) -> None:
        self._lab = lab
        self._far_end = far_end
        self._page = page
        self._device = device
        self._call = call
        self._user = user
        self._sees = self._had_video = call.video

    def take(self, step: Step) -> None:
        """Do the next step and see what came of it; raise AssertionError, or what the page said."""
        steps: Mapping[Step, Callable[[], None]] = {
            Step.TALK: self._begin,
            Step.HOLD: self._hold,
            Step.RESUME: self._resume,
            Step.REOFFER: self._reoffer,
            Step.VIDEO_ADDED: self._add_video,
            Step.VIDEO_REMOVED: self._remove_video,
        }
        steps[step]()

    def end(self) -> None:
        """Hang up; nothing of the call may stay."""
        if self._device.call is None:
            return
        self._page.hangup()
        wait_until(lambda: not self._relayed(), "an end at the relay", PATIENCE_S)

    def describe(self) -> str:
        """Say what both ends know."""
        if self._device.call is None:
            return "no call"
        lines = self._device.told.media if self._device.descriptions else []
        told = [(line.kind, line.port, line.direction) for line in lines]
        camera = self._device.camera
        pictures = f"sent {camera.packets_sent}, got {camera.packets_received} packets of video"
        ladder = self._device.call.ladder()[-6:]
        return f"{self._page.describe()}; core: {ladder}, told {told}, {pictures}"

    # ------------------------------------------------------------------ steps

    def _begin(self) -> None:
        self._begin_call()
        self._device.speak()
        if self._sees:
            self._device.show()
        self._both_ways()
        self._lie_as_they_should()
        if self._sees:
            self._ask()

    def _begin_call(self) -> None:
        name = self._user
        user = UserInfo(name, f"{name}@{REALM}", f"sip:{name}@{REALM}", "", "digest", "nobody asks")
        self._page.register(self._lab.info.web, user, **self._call.wishes)
        if self._call.way is Way.OUTGOING:
            self._far_end.expect(self._device)
            self._page.call(f"sip:{self._device.user}@{REALM}")
            self._far_end.called(self._device)
        else:
            self._far_end.dial(self._device, user.impu, video=self._call.video)
            wait(self._page, lambda: self._page.state() == "ringing", "call", PATIENCE_S)
            self._page.answer()
            self._far_end.answered(self._device)
        wait(self._page, lambda: self._page.state() == "established", "answer", PATIENCE_S)

    def _ask(self) -> None:
        """Nobody but the page can ask for the key frame that it lacks; how depends on what it has been promised.

        The device asks for less, and browsers obey though they have not said so in their description.
        """
        self._device.camera.request_bitrate(KBPS)
        self._device.show_what_has_begun()
        seen = self._page.frames() + FRAMES
        wait(self._page, lambda: self._page.frames() >= seen, "pictures that were asked for", PATIENCE_S)
        # Chromium asks by PLI whatever it is promised.
        asks_by = self._device.asks_by if self._call.engine is Engine.FIREFOX else "PLI"
        assert set(self._device.camera.key_frame_requests) == {asks_by}
        assert self._device.camera.bitrate_confirmed.wait(PATIENCE_S)

    def speak_alone(self) -> None:
        """Call with a camera and get along without."""
        self._sees = self._had_video = False
        self._begin_call()
        self._device.speak()
        wait(
            self._page, lambda: bool(self._page.tell("cameraRefused")), "a refusal of its camera", PATIENCE_S
        )
        self._both_ways()

    def _hold(self) -> None:
        self._page.change("hold")
        assert not any("recv" in direction for direction in directions(self._page)), self._page.lines()
        assert self._device.direction("audio") == "sendonly"
        assert self._device.direction("video") in ("off", "sendonly")
        if self._sees:  # what was agreed is offered from then on
            assert self._device.protocol == self._device.wanted_protocol
        wait(self._page, lambda: self._page.heard_hz() == 0, "silence", PATIENCE_S)
        self._device.hears_silence()
        if self._sees:
            seen = self._page.frames()
            time.sleep(0.3)
            assert self._page.frames() == seen

    def _resume(self) -> None:
        self._page.change("resume")
        self._both_ways()

    def _reoffer(self) -> None:
        before = self._page.tell("transports")
        self._page.change("restartIce")
        self._both_ways()
        assert self._page.tell("transports") == before

    def _add_video(self) -> None:
        self._page.change("showCamera")
        self._sees = self._had_video = True
        self._device.show()
        self._both_ways()

    def _remove_video(self) -> None:
        self._page.change("stopCamera")
        self._sees = False
        assert self._device.direction("video") in ("off", "inactive")
        self._device.camera.stop_sending()
        self._both_ways()

    # ------------------------------------------------------------------ what has to be true

    def _both_ways(self) -> None:
        """Each hears the other's tone, sees the other's pictures, and each medium is one call of the relay's."""
        if self._sees:
            seen = self._page.frames() + FRAMES
            wait(self._page, lambda: self._page.frames() >= seen, "pictures of the device", PATIENCE_S)
            self._come_out_upright()
        wait(
            self._page,
            lambda: abs(self._page.heard_hz() - self._device.tone_hz) <= TOLERANCE_HZ,
            "tone of the device",
            PATIENCE_S,
        )
        self._device.hears(TONE_HZ)
        self._one_relay_call_per_medium()

    def _come_out_upright(self) -> None:
        """Both cameras are held upright and send as if they were not, but to a far side that would not know; it takes
        a moment until the page has heard that the device does."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self._pictures()) != self._upright():
            assert time.monotonic() < deadline, (found, self._upright())

    def _pictures(self) -> tuple[bool, bool, set[int]]:
        """Return whether each side's picture is wider than high: at the page as shown, at the device as decoded; and
        how the device is to turn it."""
        width, height = self._page.tell("pictureSize")
        width_sent, height_sent = self._device.sees(FRAMES)
        return width > height, width_sent > height_sent, self._device.turns()

    def _upright(self) -> tuple[bool, bool, set[int]]:
        if not self._call.knows_turns:
            assert (
                not self._device.turned_numbers
            )  # the page does not know it, so the device turns its picture itself
            return True, True, set()
        return False, True, {QUARTER_TURN}

    def _one_relay_call_per_medium(self) -> None:
        """Video that is not sent any more keeps its relay call while the page keeps its lines, inactive."""
        media = [name.endswith("-v") for name in sorted(self._relayed())]
        assert media in ([[False, True]] if self._sees or self._had_video else [[False]]), self._relayed()

    def _lie_as_they_should(self) -> None:
        """The page's lines are on the transports they were meant for, and the log says so."""
        groups = self._page.tell("groups")
        assert bool(groups) is (self._call.transport is Transport.SHARED), groups
        assert self._page.tell("transports") == self._call.transports, self._page.lines()
        (line,) = [
            line
            for line in Path(self._lab.info.log_dir, "gateway.log").read_text(errors="replace").splitlines()
            if "event=call_" in line and " transport=" in line and self._call_id in line
        ]
        assert f" transport={self._call.transport} " in line, line
        assert " why=" in line, line

    @property
    def _call_id(self) -> str:
        assert self._device.call is not None
        return self._device.call.call_id

    def _relayed(self) -> list[str]:
        return [name for name in self._lab.relay_calls() if name.startswith(self._call_id)]


def _failure(work: Callable[[], None], talk: Talk) -> str:
    """Say what went wrong, whatever it is: the other calls go on."""
    try:
        work()
    except Exception as error:
        try:
            return f"{error!r}; {talk.describe()}"
        except Exception as silent:  # a page that crashed says nothing
            return f"{error!r}; no more is known: {silent!r}"
    return ""
