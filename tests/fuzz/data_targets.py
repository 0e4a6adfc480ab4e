"""Session descriptions, the relay's protocol, JSON and XML."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable

import msgspec

from kemi.adapters.pages.reginfo import reginfo_from_text
from kemi.adapters.pages.tokens import KeySets, TokenVerifier
from kemi.core.errors import SipReject
from kemi.core.registration.reginfo import judge
from kemi.core.registration.token import TokenIssuer, VerifiedToken, grant_from_token
from kemi.core.routing.table import TableError
from kemi.core.sdp.interwork import (
    check_reverse_answer,
    ims_answer_media,
    ims_offer,
    placeholder_answer,
    relay_offer,
    reverse_offer,
    wic_answer,
)
from kemi.core.sdp.interwork.incoming import client_answer_media, core_offer_media
from kemi.core.sdp.judge import ClientCapabilities, choose_transport, judge_offer
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from kemi.state.routing_document import check_document, document_from_json
from rtpengine.agent.dtmf import key_press_from_bytes
from rtpengine.ng.bencode import Decoded, Encodable, decode, encode
from rtpengine.ng.errors import NgError
from rtpengine.ng.replies import (
    DaemonStatistics,
    ListReply,
    SdpReply,
    SubscribeRequestReply,
    raise_if_refused,
)
from rtpengine.ng.statistics import CallStatistics, RawStatistics, reply_from_payload
from tests.fakes.table import MemoryTable
from tests.fuzz.target import Target, refused, text_of
from tests.unit.core.registration.bindings import binding
from tests.unit.core.sdp.samples import (
    ORIGIN,
    OUR_SDK,
    RELAY_IMS_OFFERS,
    RELAY_WIC_ANSWERS,
    golden,
    goldens,
)
from webapp_api.blueprints.dials import DialReport, DialWish
from webapp_api.blueprints.operator_calls import EndOrder
from webapp_api.blueprints.operator_nodes import DrainOrder
from webapp_api.blueprints.operator_users import NewUser, UserChange
from webapp_api.blueprints.session import Credentials

_OFFER = sdp_from_text(golden("chromium-156-audio-sendonly"))
_JUDGED = judge_offer(_OFFER, OUR_SDK)
_REVERSE = reverse_offer(
    wic_answer(
        _OFFER,
        _JUDGED,
        goldens(RELAY_WIC_ANSWERS, ("audio",)),
        choose_transport(_OFFER, _JUDGED)[0],
        ORIGIN,
    ),
    _JUDGED,
    {},
    ORIGIN.next(),
)
_ISSUER = TokenIssuer("https://issuer.test", "sip", "https://issuer.test/authorize")


def offers(data: bytes) -> None:
    """A page's offer, as far as the relay and back."""
    text = text_of(data)
    if not refused(lambda: sdp_from_text(text)):
        assert sdp_to_text(sdp_from_text(text)) == _tidied(text)
    refused(lambda: _all_of_an_offer(text, OUR_SDK))
    refused(lambda: core_offer_media(sdp_from_text(text), ("H264", "VP8"), ("opus", "PCMA")))


def _tidied(text: str) -> str:
    """Return a description with one kind of line end, and no empty lines behind it (kemi/core/sdp/text.py)."""
    plain = text.replace("\r\n", "\n")
    kept = plain.rstrip("\n")
    return f"{kept}\n"[: len(plain)].replace("\n", "\r\n" if "\r" in text else "\n")


def _all_of_an_offer(text: str, client: ClientCapabilities) -> None:
    offer = sdp_from_text(text)
    judgement = judge_offer(offer, client)
    for medium in judgement.media:
        sdp_from_text(relay_offer(offer, medium))
    transport, _ = choose_transport(offer, judgement)
    answer = wic_answer(offer, judgement, goldens(RELAY_WIC_ANSWERS, judgement.kinds), transport, ORIGIN)
    assert len(answer.media) == len(offer.media)
    ims_offer(judgement, goldens(RELAY_IMS_OFFERS, judgement.kinds), ORIGIN)


def answers(data: bytes) -> None:
    """Answers of pages and of the core."""
    text = text_of(data)
    refused(lambda: check_reverse_answer(_REVERSE, text))
    refused(lambda: ims_answer_media(text, ["audio"]))
    refused(lambda: placeholder_answer(text))
    refused(lambda: client_answer_media(_OFFER, text))


def relay_replies(data: bytes) -> None:
    """What comes to the port of the relay's client."""
    key_press_from_bytes(data)
    for command, kind in (("query", CallStatistics), ("query", RawStatistics)):
        with contextlib.suppress(NgError):
            reply_from_payload(command, kind, data)
    with contextlib.suppress(NgError):
        SdpReply.from_payload(data)
    try:
        value = decode(data)
    except NgError:
        return
    if not isinstance(value, dict):
        return
    for read in _REPLIES:
        try:
            read(value)
        except NgError:
            continue


_REPLIES: tuple[Callable[[dict[bytes, Decoded]], object], ...] = (
    lambda value: raise_if_refused("ping", value),
    SdpReply.from_ng,
    SubscribeRequestReply.from_ng,
    ListReply.from_ng,
    DaemonStatistics.from_ng,
)


def bencode(data: bytes) -> None:
    """Round trip: what is decoded is written the same way but for the order of keys."""
    try:
        value = decode(data)
    except NgError:
        return
    assert decode(encode(_with_text_keys(value))) == _as_written(value)


def _with_text_keys(value: Decoded) -> Encodable:
    if isinstance(value, dict):
        return {key.decode("latin-1"): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, list) else value


def _as_written(value: Decoded) -> Decoded:
    """Keys that are no ASCII are written as UTF-8."""
    if isinstance(value, dict):
        return {key.decode("latin-1").encode(): _as_written(item) for key, item in value.items()}
    return [_as_written(item) for item in value] if isinstance(value, list) else value


_SHAPES = (Credentials, DialWish, DialReport, NewUser, UserChange, DrainOrder, EndOrder)


def json_bodies(data: bytes) -> None:
    """What the web API reads, and the routing table."""
    for shape in _SHAPES:
        try:
            found = msgspec.json.decode(data, type=shape, strict=True)
        except (msgspec.DecodeError, UnicodeError, RecursionError):  # as webapp_api/bodies.py has it
            continue
        assert msgspec.json.decode(msgspec.json.encode(found), type=shape) == found
    with contextlib.suppress(TableError):
        check_document(document_from_json(data))


def tokens(data: bytes) -> None:
    """Access tokens: claims of which anything can be wrong, and texts that are none."""
    try:
        claims = json.loads(data)
    except (ValueError, RecursionError):
        claims = None
    if isinstance(claims, dict):
        header = {"typ": "at+jwt", "alg": "ES256", "kid": "1"}
        try:
            grant = grant_from_token(VerifiedToken(_ISSUER, header, claims), origin="https://o", now=1000.0)
        except SipReject:
            pass
        else:
            assert grant.impi and grant.impus and grant.expires_at > 1000
    table = MemoryTable()
    table.set(_ISSUER.issuer, text_of(data))
    verifier = TokenVerifier([_ISSUER], KeySets(table))
    payload = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    issued = base64.urlsafe_b64encode(b'{"iss":"https://issuer.test"}').rstrip(b"=").decode()
    for token in (
        text_of(data),
        f"{payload}.{payload}.{payload}",
        f"{payload}.{issued}.AA",
        f"{text_of(data)}.{issued}.",
    ):
        try:
            verifier.verified(token)
        except SipReject:
            continue
        raise AssertionError("nobody has signed this")


def reginfo(data: bytes) -> None:
    """What the core notifies of registrations."""
    text = text_of(data)
    if not refused(lambda: reginfo_from_text(text)):
        verdict = judge(reginfo_from_text(text), -1, {"key": binding()}, 1000.0)
        assert {key for key, _cause in verdict.endings} <= {"key"}


_SDP = tuple(
    f"{line}\r\n".encode()
    for line in (
        "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "t=0 0", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=video 9 RTP/AVP 96",
        "c=IN IP4 192.0.2.1", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 a=1;b=2", "a=mid:0", "a=sendonly", "a=sendrecv",
        "a=group:BUNDLE 0 1", "a=ice-ufrag:x", "a=ice-pwd:0123456789012345678901", "a=setup:actpass", "a=rtcp-mux",
        "a=fingerprint:sha-256 AA:BB", "a=candidate:1 1 udp 1 192.0.2.1 9 typ host", "b=AS:64", "a=ptime:20",
        "a=curr:qos local none", "a=des:qos mandatory local sendrecv", "a=rtcp-fb:* nack", "a=acfg:1 t=1",
    )
)  # fmt: skip
_XML = (
    b'<?xml version="1.0"?>', b'<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="1" state="full">',
    b'<registration aor="sip:alice@ims.example" id="a" state="active">', b"</registration>", b"</reginfo>",
    b'<contact id="1" state="terminated" event="deactivated">', b"<uri>sip:a@b</uri>", b"</contact>", b"<!DOCTYPE a [",
    b'<!ENTITY a "a">', b"&a;", b"<![CDATA[", b"]]>", b'expires="60"', b'cseq="1"', b"9" * 5000, b"\xd9\xa3",
)  # fmt: skip
_JSON = (
    b"{", b"}", b"[", b"]", b'"name":', b'"password":', b'"a"', b",", b"1e999", b"9" * 5000, b"null", b"true",
    b'"routes":[{"id":"a","pattern":"+49*","to":"core"}]', b'"plans":{"*":{"country":"DE"}}', b"\\ud800", b"\xff",
    b'"iss":"https://issuer.test"', b'"aud":"sip"', b'"exp":1500', b'"iat":990', b'"scope":"sip"', b'"impi":"a@b"',
    b'"impus":["sip:a@b"]', b'"jti":"1"', b'"keys":[{"kty":"EC"}]', b'"\\u0000"', b"NaN", b'"typ":"at+jwt"',
)  # fmt: skip
_BENCODE = (
    b"d",
    b"l",
    b"i1e",
    b"i-1e",
    b"e",
    b"3:sdp",
    b"6:result2:ok",
    b"0:",
    b"4:pong",
    b"5:calls",
    b"99999:",
)

TARGETS = (
    Target("offers", offers, _SDP),
    Target("answers", answers, _SDP),
    Target("bencode", bencode, _BENCODE),
    Target("relay_replies", relay_replies, (*_BENCODE, b"4:tags", b"6:totals", b'{"callid":"a"')),
    Target("json_bodies", json_bodies, _JSON),
    Target("tokens", tokens, _JSON),
    Target("reginfo", reginfo, _XML),
)
