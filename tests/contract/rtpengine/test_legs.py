"""Each kind of far end with a page, through the real daemon: the descriptions that come out, and SRTP by SDES.

`tests/golden/legs` has the descriptions; ports, keys and names that are new each time are written as words.
"""

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pylibsrtp
import pytest

from kemi.core.sdp.interwork import placeholder_answer
from kemi.core.sdp.interwork.incoming import core_offer_media
from kemi.core.sdp.text import sdp_from_text
from rtpengine.capabilities import OLDEST
from rtpengine.legs import LEGS, LegKind
from rtpengine.profiles import MediaProfile, MediaProfiles
from rtpengine.running import renew, reoffer_from_ims
from rtpengine.sessions import (
    MediaSession,
    WicTransport,
    answer_ahead,
    connect,
    connect_terminating,
    reserve,
    reserve_terminating,
    run,
)
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import WIC_ADDRESS
from tests.contract.rtpengine.rtp_peer import RtpPeer
from tests.contract.rtpengine.sdp import browser_offer, section
from tests.contract.rtpengine.test_codecs import FAR_END, WIC, Sides, Spoken, line, plain
from tests.contract.rtpengine.test_terminating import browser_answer
from tests.lab.relay_program import daemon_version

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "legs"
FAR_KINDS: Final = [kind for kind in LegKind if kind is not LegKind.WIC]
PCMA: Final = Spoken("PCMA", "PCMA/8000", 8)
SUITE: Final = "AES_CM_128_HMAC_SHA1_80"
KEY: Final = base64.b64encode(bytes(range(30))).decode()
OTHER_KEY: Final = base64.b64encode(bytes(range(1, 31))).decode()
SHORT_TAGS: Final = "AES_CM_128_HMAC_SHA1_32"
CRYPTO: Final = f"crypto:1 {SUITE} inline:{KEY}"
PROFILES: Final = {
    SUITE: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    SHORT_TAGS: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
}
_NEW_EACH_TIME: Final = (
    (r"(?<=inline:)\S+", "KEY"),
    (r"(?<=ufrag:)\S+", "UFRAG"),
    (r"(?<=ice-pwd:)\S+", "PWD"),
    (r"(?<=fingerprint:sha-256 )\S+", "FINGERPRINT"),
    (r"(?<=tls-id:)\S+", "TLSID"),
    (r"(?<=candidate:)\S+", "BASE"),
    (r"(?<=audio )\d+|(?<=a=rtcp:)\d+|\d+(?= typ host)", "PORT"),
)


def normal(sdp: str) -> str:
    """Write words for what is new each time."""
    text = sdp.replace("\r\n", "\n")
    for pattern, word in _NEW_EACH_TIME:
        text = re.sub(pattern, word, text)
    return text


def far_line(kind: LegKind, port: int, *, crypto: str = CRYPTO) -> str:
    """What a far end of this kind says, with PCMA."""
    extra = (crypto,) if kind is LegKind.TRUNK_SRTP else ()
    return line(FAR_END, port, PCMA, extra=extra).replace("RTP/AVP", LEGS[kind].transport_protocol)


def page_calls(client: UdpClient, kind: LegKind) -> dict[str, str]:
    profile = MediaProfiles(["opus", "AMR-WB", "PCMA"], far_leg=kind, daemon_version=daemon_version()).of(
        "audio", "opus"
    )
    page = browser_offer("chromium-156-av-sendonly.sdp", "audio", "opus", "telephone-event")
    session = MediaSession(f"out {kind}", "audio", page, WicTransport.SHARED)
    given = run(reserve(session, profile, placeholder_answer, reverse=False), client)
    run(connect(session, profile, far_line(kind, 5004), None, daemon_version=daemon_version()), client)
    return {"offer to the far end": given.relay_offer, "answer to the page": given.relay_answer}


def far_end_calls(client: UdpClient, kind: LegKind) -> dict[str, str]:
    profile = MediaProfiles(["opus", "PCMA"], far_leg=kind, daemon_version=daemon_version()).of(
        "audio", "opus"
    )
    session = MediaSession(f"in {kind}", "audio", "", WicTransport.SHARED)
    offer = run(reserve_terminating(session, profile, far_line(kind, 5004)), client)
    answer = run(connect_terminating(session, profile, browser_answer(offer)), client)
    return {"offer to the page": offer, "answer to the far end": answer}


@pytest.mark.parametrize("calls", [page_calls, far_end_calls], ids=["a page calls", "a far end calls"])
@pytest.mark.parametrize("kind", FAR_KINDS)
def test_descriptions(
    client: UdpClient, kind: LegKind, calls: Callable[[UdpClient, LegKind], dict[str, str]]
) -> None:
    if daemon_version() != OLDEST:
        pytest.skip("the golden texts are those of rtpengine 10.5")
    for title, sdp in calls(client, kind).items():
        name = f"{kind}, {title}.sdp".replace(", ", "-").replace(" ", "-")
        assert normal(sdp) == (GOLDEN / name).read_text()


class SrtpPeer(RtpPeer):
    """An RTP port with keys; what does not authenticate is not kept."""

    def __init__(self, host: str) -> None:
        self.key = KEY
        self.suites: tuple[str, ...] = (SUITE,)
        """What it speaks, best first."""
        self.crypto = ""
        """Its answer to the key it agreed to."""
        self._in: pylibsrtp.Session | None = None
        self._out: pylibsrtp.Session | None = None
        super().__init__(host)

    def agree(self, theirs: str) -> None:
        """Take the relay's description: its key for what comes, our own for what goes."""
        offered = {value.split()[1]: value for value in section(theirs).values("crypto")}
        suite = next(suite for suite in self.suites if suite in offered)
        self.crypto = f"crypto:{offered[suite].split()[0]} {suite} inline:{self.key}"
        key = base64.b64decode(offered[suite].partition("inline:")[2].split("|")[0])
        profile = PROFILES[suite]
        inbound = pylibsrtp.Policy(key, pylibsrtp.Policy.SSRC_ANY_INBOUND, srtp_profile=profile)
        outbound = pylibsrtp.Policy(
            base64.b64decode(self.key), pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile
        )
        self._in, self._out = pylibsrtp.Session(policy=inbound), pylibsrtp.Session(policy=outbound)

    def sealed(self, packet: bytes) -> bytes:
        """Encrypt and sign."""
        assert self._out is not None
        return bytes(self._out.protect(packet))

    def opened(self, packet: bytes) -> bytes:
        """Check and decrypt; an empty payload of payload type 127 stands for what was not for us."""
        try:
            assert self._in is not None
            return bytes(self._in.unprotect(packet))
        except pylibsrtp.Error:
            return bytes([0x80, 127, *bytes(10)])


class KeyedSides(Sides):
    """A page with plain RTP, and a trunk with SRTP."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(stack, WIC[0], PCMA)
        self.ims: SrtpPeer = stack.enter_context(SrtpPeer(FAR_END))


@pytest.fixture
def sides() -> Iterator[KeyedSides]:
    """Close the ports at the end."""
    with ExitStack() as stack:
        yield KeyedSides(stack)


LONG_KEY: Final = base64.b64encode(bytes(range(46))).decode()


@pytest.mark.parametrize(
    "crypto",
    [
        f"1  {SUITE}  inline:{KEY}",
        f"1\t{SUITE} inline:{KEY}",
        f" 1 {SUITE.lower()} INLINE:{KEY}",
        f"0 {SUITE} inline:{KEY}|2^48|1:4",
        f"1 {SUITE} inline:{KEY}|2^20|1:4;inline:{KEY}|2^20|2:4",
        f"999999999 {SUITE} inline:{KEY}|99999999999999 UNENCRYPTED_SRTCP",
        f"1 {SHORT_TAGS} inline:{KEY}",
        f"1 AES_192_CM_HMAC_SHA1_80 inline:{base64.b64encode(bytes(38)).decode()}|2^31",
        f"1 AES_192_CM_HMAC_SHA1_32 inline:{'A' * 51}",
        f"1 AES_256_CM_HMAC_SHA1_80 inline:{LONG_KEY}|2^31|1:1",
        f"1 AES_256_CM_HMAC_SHA1_32 inline:{LONG_KEY.rstrip('=')}",
        f"1 F8_128_HMAC_SHA1_80 inline:{KEY}",
        f"1 F8_128_HMAC_SHA1_32 inline:{KEY}",
        f"1 NULL_HMAC_SHA1_80 inline:{KEY}",
        f"1 NULL_HMAC_SHA1_32 inline:{KEY}",
    ],
)
def test_a_key_that_counts_is_answered_with_one(client: UdpClient, crypto: str) -> None:
    """Of one that it cannot read the daemon says nothing: it answers without any."""
    offer = sdp_from_text(far_line(LegKind.TRUNK_SRTP, 5004, crypto=f"crypto:{crypto}"))
    (core_line,) = core_offer_media(offer, ())
    profile = keyed_profile()
    session = MediaSession("key", "audio", "", WicTransport.SHARED)
    run(reserve_terminating(session, profile, core_line.sdp), client)
    answer = section(run(connect_terminating(session, profile, line(WIC_ADDRESS, 5006, WIC[0])), client))
    (answered,) = answer.values("crypto")
    asked = crypto.upper().split()
    assert (answer.protocol, answered.split()[:2]) == ("RTP/SAVP", asked[:2])


def keyed_profile() -> MediaProfile:
    return plain(
        MediaProfiles(["PCMA"], far_leg=LegKind.TRUNK_SRTP, daemon_version=daemon_version()).of(
            "audio", "opus"
        )
    )


def test_a_page_calls_a_trunk_with_keys(client: UdpClient, sides: KeyedSides) -> None:
    """Also after a second, equal answer: the keys of the INVITE stay."""
    profile = keyed_profile()
    page = line(WIC_ADDRESS, sides.wic.port, WIC[0])
    session = MediaSession("srtp out", "audio", page, WicTransport.SHARED)
    given = run(reserve(session, profile, placeholder_answer, reverse=False), client)
    sides.ims.agree(given.relay_offer)
    sides.wic_port, sides.ims_port = section(given.relay_answer).port, section(given.relay_offer).port
    for _ in ("183", "200"):
        answer = far_line(LegKind.TRUNK_SRTP, sides.ims.port)
        run(connect(session, profile, answer, None, daemon_version=daemon_version()), client)
        sides.talk()
        sides.heard(passing=False)
        sides.wic.packets.clear()
        sides.ims.packets.clear()


def test_another_party_answers_with_the_suite_it_likes_best(client: UdpClient, sides: KeyedSides) -> None:
    """An announcement was heard first; each takes its suite of those in the INVITE, under the tag it has there."""
    profile = keyed_profile()
    page = line(WIC_ADDRESS, sides.wic.port, WIC[0])
    session = MediaSession("srtp forks", "audio", page, WicTransport.SHARED)
    given = run(reserve(session, profile, placeholder_answer, reverse=False), client)
    sides.wic_port, sides.ims_port = section(given.relay_answer).port, section(given.relay_offer).port
    with SrtpPeer(FAR_END) as announcement:
        announcement.agree(given.relay_offer)
        answer = far_line(LegKind.TRUNK_SRTP, announcement.port, crypto=announcement.crypto)
        run(connect(session, profile, answer, None, daemon_version=daemon_version()), client)
    sides.ims.key, sides.ims.suites = OTHER_KEY, (SHORT_TAGS, SUITE)
    sides.ims.agree(given.relay_offer)
    answer = far_line(LegKind.TRUNK_SRTP, sides.ims.port, crypto=sides.ims.crypto)
    run(connect(session, profile, answer, None, daemon_version=daemon_version()), client)
    sides.talk()
    sides.heard(passing=False)


def test_a_trunk_s_own_offer_leaves_the_relay_its_key(client: UdpClient, sides: KeyedSides) -> None:
    """It numbers its keys itself.  With another key the relay would go on with its index, where the far end may begin
    anew."""
    profile = keyed_profile()
    page = line(WIC_ADDRESS, sides.wic.port, WIC[0])
    session = MediaSession("srtp refresh", "audio", page, WicTransport.SHARED)
    given = run(reserve(session, profile, placeholder_answer, reverse=False), client)
    sides.wic_port, sides.ims_port = section(given.relay_answer).port, section(given.relay_offer).port
    sides.ims.agree(given.relay_offer)
    answer = far_line(LegKind.TRUNK_SRTP, sides.ims.port, crypto=sides.ims.crypto)
    run(connect(session, profile, answer, None, daemon_version=daemon_version()), client)
    offer = far_line(LegKind.TRUNK_SRTP, sides.ims.port)
    ours = run(reoffer_from_ims(session, profile, offer, None, daemon_version=daemon_version()), client)
    (kept,) = section(ours).values("crypto")
    assert kept in section(given.relay_offer).values("crypto")
    sides.talk()
    sides.heard(passing=False)


@pytest.mark.parametrize("change", ["renew", "reoffer_from_ims"])
def test_a_trunk_answers_with_another_key(client: UdpClient, sides: KeyedSides, change: str) -> None:
    """Its own counts from then on; ours stays what it was offered, for it is not told of another (RFC 4568 §7.1.4)."""
    profile = keyed_profile()
    page = line(WIC_ADDRESS, sides.wic.port, WIC[0])
    session = MediaSession(f"srtp {change}", "audio", page, WicTransport.SHARED)
    given = run(reserve(session, profile, placeholder_answer, reverse=False), client)
    sides.wic_port, sides.ims_port = section(given.relay_answer).port, section(given.relay_offer).port
    version = daemon_version()
    for key in (KEY, OTHER_KEY):
        sides.ims.key = key
        sides.ims.agree(given.relay_offer)
        answer = far_line(LegKind.TRUNK_SRTP, sides.ims.port, crypto=CRYPTO.replace(KEY, key))
        if key == KEY:
            run(connect(session, profile, answer, None, daemon_version=version), client)
        elif change == "renew":
            run(renew(session, profile, answer, None, daemon_version=version), client)
        else:
            run(reoffer_from_ims(session, profile, answer, None, daemon_version=version), client)
        sides.talk()
        sides.heard(passing=False)
        sides.wic.packets.clear()
        sides.ims.packets.clear()


@pytest.mark.parametrize("suite", PROFILES)
@pytest.mark.parametrize("ahead", [False, True], ids=["answered by the page", "answered ahead"])
def test_a_trunk_with_keys_calls_a_page(
    client: UdpClient, sides: KeyedSides, ahead: bool, suite: str
) -> None:
    """Whatever is configured: it offers keys, so it gets keys, also of a suite that we do not offer ourselves. It may
    offer again in the call."""
    profile = plain(MediaProfiles(["PCMA"], daemon_version=daemon_version()).of("audio", "opus", "RTP/SAVP"))
    session = MediaSession("srtp in", "audio", "", WicTransport.SHARED)
    sides.ims.suites = (suite,)
    offer = far_line(LegKind.TRUNK_SRTP, sides.ims.port, crypto=CRYPTO.replace(SUITE, suite))
    if ahead:
        answer, offered = run(answer_ahead(session, profile, offer, placeholder_answer), client)
    else:
        offered = run(reserve_terminating(session, profile, offer), client)
    opus = WIC[0]._replace(payload_type=int(section(offered).formats[0]))
    sides.wic_codec = opus
    page = line(WIC_ADDRESS, sides.wic.port, opus)
    answer = run(connect_terminating(session, profile, page), client)
    for step in ("the first offer", "the same again"):
        assert section(answer).protocol == "RTP/SAVP", step
        sides.ims.agree(answer)
        sides.wic_port, sides.ims_port = section(offered).port, section(answer).port
        sides.talk()
        sides.heard(passing=False)
        sides.wic.packets.clear()
        sides.ims.packets.clear()
        again = MediaSession("srtp in", "audio", page, WicTransport.SHARED)
        answer = run(reoffer_from_ims(again, profile, offer, None, daemon_version=daemon_version()), client)
    renewed = run(renew(again, profile, offer, None, daemon_version=daemon_version()), client)
    ours, *_ = section(renewed.relay_offer).values("crypto")
    assert ours in section(answer).values("crypto"), "the key in use comes first"


def test_a_trunk_s_key_is_used(client: UdpClient, sides: KeyedSides) -> None:
    """Packets without it are not relayed."""
    profile = keyed_profile()
    page = line(WIC_ADDRESS, sides.wic.port, WIC[0])
    session = MediaSession("srtp wrong", "audio", page, WicTransport.SHARED)
    given = run(reserve(session, profile, placeholder_answer, reverse=False), client)
    sides.ims.agree(given.relay_offer)
    other = base64.b64encode(bytes(30)).decode()
    answer = far_line(LegKind.TRUNK_SRTP, sides.ims.port, crypto=CRYPTO.replace(KEY, other))
    run(connect(session, profile, answer, None, daemon_version=daemon_version()), client)
    sides.wic_port, sides.ims_port = section(given.relay_answer).port, section(given.relay_offer).port
    sides.talk()
    assert sides.wic.packets == []
    assert sides.ims.wait_for(8, 20)
