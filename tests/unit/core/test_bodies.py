"""Bodies of several parts: what is read of them, what becomes of them, byte for byte."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core.bodies import MAX_PARTS, Body, Change, describe, exchanged, takes_parts, written_out
from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.messages import Reply, Request, Side

OLD, NEW = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n", "v=0\r\no=- 2 2 IN IP4 192.0.2.2\r\n"
TYPE = "multipart/mixed;boundary=b1"
SDP = ("application/sdp", OLD)
XML = ("application/vnd.3gpp.cw+xml", "<cw/>")
BINARY = ("application/vnd.3gpp.sms", "\0\x80\xff--b1x\r\n--b2\r\n")


def part(content_type: str, content: str = "", **fields: str) -> bytes:
    lines = [
        *([f"Content-Type: {content_type}"] if content_type else []),
        *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items()),
    ]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + content.encode("latin-1")


def multipart(*parts: bytes, boundary: str = "b1") -> bytes:
    mark = f"--{boundary}".encode()
    return b"".join(mark + b"\r\n" + one + b"\r\n" for one in parts) + mark + b"--\r\n"


def body(*parts: bytes, content_type: str = TYPE, **more: str) -> Body:
    return Body(multipart(*parts), content_type, **more)


def request(method: str = "INVITE") -> Request:
    return Request(Side.WIC, method, "c", "f", "t", 1)


def sdp_of(found: Body, method: str = "INVITE") -> str:
    message = request(method)
    describe(message, found)
    assert message.has_sdp is bool(message.body)
    return message.body


def applied(found: Body, change: Change) -> tuple[str, bytes]:
    """Do what the adapters do."""
    content, content_type = found.content, found.content_type
    if change.whole is not None:
        assert not change.exchanges
        return change.whole[0], change.whole[1].encode()
    for old, new in change.exchanges:
        assert found.content.count(old.encode()) >= 1
        content = content.replace(old.encode(), new.encode(), 1)
    return content_type, content


class TestReading:
    @pytest.mark.parametrize(
        ("found", "sdp"),
        [
            pytest.param(body(part(*SDP), part(*XML)), OLD, id="first"),
            pytest.param(body(part(*XML), part(*SDP)), OLD, id="last"),
            pytest.param(
                body(part(*BINARY), part(*SDP), part(*XML)), OLD, id="behind bytes that are no text"
            ),
            pytest.param(
                body(
                    part(
                        "Application/SDP;charset=utf-8", OLD, Content_Disposition="Session;handling=required"
                    )
                ),
                OLD,
                id="all written out",
            ),
            pytest.param(body(part(*XML)), "", id="none"),
            pytest.param(body(part("", "v=0")), "", id="part without type is text"),
            pytest.param(
                body(part("application/sdp", OLD, Content_Disposition="render")), "", id="another disposition"
            ),
            pytest.param(
                body(
                    part("application/sdp", OLD, Content_Disposition="early-session;handling=optional"),
                    part(*SDP),
                ),
                OLD,
                id="early session",
            ),
            pytest.param(
                Body(b"hello\r\n" + multipart(part(*SDP)) + b"bye", TYPE), OLD, id="preamble and epilogue"
            ),
            pytest.param(
                body(
                    part(
                        "multipart/mixed;boundary=b2",
                        multipart(part(*SDP), part(*XML), boundary="b2").decode(),
                    ),
                    part(*XML),
                ),
                OLD,
                id="inside another",
            ),
            pytest.param(
                body(
                    part("text/plain", "x"), part(*SDP), content_type='multipart/alternative; boundary="b1"'
                ),
                OLD,
                id="alternative",
            ),
            pytest.param(
                body(
                    part("application/sdp", "v=1"),
                    part(*SDP),
                    content_type="multipart/alternative;boundary=b1",
                ),
                OLD,
                id="the last alternative is the best",
            ),
            pytest.param(
                Body(OLD.encode(), "application/sdp", "session"), OLD, id="one part that says what it is"
            ),
            pytest.param(
                Body(OLD.encode(), "application/sdp", "early-session"), "", id="early session alone"
            ),
            pytest.param(Body(OLD.encode(), "application/sdp", "", "identity"), OLD, id="not encoded"),
        ],
    )
    def test_the_session_description_is_found(self, found: Body, sdp: str) -> None:
        assert sdp_of(found) == sdp

    def test_a_body_that_is_something_else_is_shown(self) -> None:
        message = request()
        describe(message, Body(b"hello", "text/plain"))
        assert (message.body, message.content_type, message.has_sdp) == ("hello", "text/plain", False)

    @pytest.mark.parametrize("handling", ["required", "optional", ""])
    def test_what_has_to_be_understood_is_said(self, handling: str) -> None:
        message = request()
        disposition = "render" + (f";handling={handling}" if handling else "")
        describe(message, body(part(*SDP), part(*XML, Content_Disposition=disposition)))
        assert message.required_parts is (handling == "required")

    @pytest.mark.parametrize(
        ("found", "word"),
        [
            pytest.param(body(part(*SDP), content_type="multipart/mixed"), "boundary", id="no boundary"),
            pytest.param(
                body(part(*SDP), content_type='multipart/mixed;boundary="a\\"b"'),
                "boundary",
                id="bad boundary",
            ),
            pytest.param(
                body(part(*SDP), content_type=f"multipart/mixed;boundary={'x' * 71}"),
                "boundary",
                id="long boundary",
            ),
            pytest.param(
                body(part(*SDP), content_type="multipart/mixed;boundary=other"), "end", id="another boundary"
            ),
            pytest.param(Body(multipart(part(*SDP))[:-4], TYPE), "end", id="cut off"),
            pytest.param(Body(b"--b1--\r\n", TYPE), "end", id="no part"),
            pytest.param(Body(b"", TYPE), "end", id="nothing"),
            pytest.param(
                Body(b"--b1\r\nContent-Type: application/sdp\r\n--b1--", TYPE),
                "empty line",
                id="no empty line",
            ),
            pytest.param(body(b"nonsense\r\n\r\nx"), "header field", id="no header field"),
            pytest.param(body(part(*SDP, Content_type="text/plain")), "twice", id="two types"),
            pytest.param(
                body(part("text/plain", "x", **{f"X{n}": "y" for n in range(20)})),
                "header fields",
                id="many fields",
            ),
            pytest.param(body(part(*SDP), part(*SDP)), "more than one", id="two descriptions"),
            pytest.param(body(*[part(*XML)] * (MAX_PARTS + 1)), "more than", id="many parts"),
            pytest.param(body(part("application/sdp", "v=0\0")), "no text|told", id="a zero byte"),
            pytest.param(
                body(part("application/sdp", "v=0\r\ns=\xff")), "no text", id="bytes that are no text"
            ),
            pytest.param(
                Body(
                    multipart(
                        *[
                            part(
                                "multipart/mixed;boundary=b2",
                                multipart(*[part(*XML)] * 9, boundary="b2").decode(),
                            )
                        ]
                        * 2
                    ),
                    TYPE,
                ),
                "more than",
                id="many in all",
            ),
        ],
    )
    def test_what_cannot_be_read_in_one_way_is_refused(self, found: Body, word: str) -> None:
        with pytest.raises(RemoteProtocolError, match=word):
            describe(request(), found)

    def test_parts_inside_each_other_have_an_end(self) -> None:
        inner = part(*SDP)
        for depth in range(9, 1, -1):
            inner = part(
                f"multipart/mixed;boundary=b{depth}", multipart(inner, boundary=f"b{depth}").decode()
            )
        with pytest.raises(RemoteProtocolError, match="inside each other"):
            describe(request(), body(inner))

    @pytest.mark.parametrize(
        "found",
        [
            pytest.param(Body(b"x", "application/sdp", "", "gzip"), id="alone"),
            pytest.param(Body(multipart(part(*SDP)), TYPE, "", "gzip"), id="all of it"),
            pytest.param(body(part(*SDP, Content_Encoding="gzip")), id="the part"),
            pytest.param(body(part(*SDP, Content_Transfer_Encoding="base64")), id="in base64"),
        ],
    )
    def test_what_is_encoded_is_refused(self, found: Body) -> None:
        with pytest.raises(SipReject) as refused:
            describe(request(), found)
        assert (refused.value.status, refused.value.lines) == (415, ("Accept-Encoding: identity",))

    def test_an_early_session_that_is_required_is_refused(self) -> None:
        with pytest.raises(SipReject, match="early"):
            describe(
                request(), body(part(*SDP), part(*SDP, Content_Disposition="early-session;handling=required"))
            )

    def test_a_response_and_an_ack_are_not_refused(self) -> None:
        broken = Body(b"x", TYPE)
        reply = Reply(Side.IMS, "INVITE", "c", "f", "t", 1, status=200)
        describe(reply, broken)
        assert not reply.has_sdp
        assert sdp_of(broken, "ACK") == ""


class TestExchange:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            pytest.param([part(*SDP), part(*XML)], [part("application/sdp", NEW), part(*XML)], id="first"),
            pytest.param(
                [part(*BINARY), part(*SDP), part(*BINARY)],
                [part(*BINARY), part("application/sdp", NEW), part(*BINARY)],
                id="between bytes that are no text",
            ),
            pytest.param(
                [part("application/sdp", OLD, Content_Length="31", X="y"), part(*XML)],
                [part("application/sdp", NEW, X="y"), part(*XML)],
                id="a length of the part",
            ),
            pytest.param([part(*SDP)], [part("application/sdp", NEW)], id="alone in it"),
            pytest.param(
                [part("application/sdp", OLD, Content_Disposition="early-session"), part(*SDP), part(*XML)],
                [part("application/sdp", NEW), part(*XML)],
                id="early session",
            ),
            pytest.param(
                [
                    part(*XML),
                    part(
                        "multipart/alternative;boundary=b2",
                        multipart(part("text/plain", "x"), part(*SDP), boundary="b2").decode(),
                    ),
                ],
                [
                    part(*XML),
                    part(
                        "multipart/alternative;boundary=b2",
                        multipart(part("application/sdp", NEW), boundary="b2").decode(),
                    ),
                ],
                id="other forms of it",
            ),
            pytest.param([part(*XML)], [part("application/sdp", NEW), part(*XML)], id="there was none"),
            pytest.param(
                [part("application/sdp", OLD, Content_Disposition="early-session"), part(*XML)],
                [part("application/sdp", NEW), part(*XML)],
                id="there was an early session",
            ),
        ],
    )
    def test_the_rest_stays_byte_for_byte(self, before: list[bytes], after: list[bytes]) -> None:
        found = body(*before)
        assert applied(found, exchanged(found, NEW, parts=True)) == (TYPE, multipart(*after))

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            pytest.param([part(*SDP), part(*XML)], [part(*XML)], id="two parts"),
            pytest.param(
                [
                    part(*XML),
                    part("multipart/mixed;boundary=b2", multipart(part(*SDP), boundary="b2").decode()),
                ],
                [part(*XML)],
                id="a container",
            ),
            pytest.param([part(*XML), part(*BINARY)], [part(*XML), part(*BINARY)], id="there was none"),
        ],
    )
    def test_it_can_be_taken_away(self, before: list[bytes], after: list[bytes]) -> None:
        found = body(*before)
        assert applied(found, exchanged(found, "", parts=True)) == (TYPE, multipart(*after))

    @pytest.mark.parametrize(
        "before", [[part(*SDP)], [part("application/sdp", OLD, Content_Disposition="early-session")]]
    )
    def test_nothing_is_left(self, before: list[bytes]) -> None:
        assert exchanged(body(*before), "", parts=True) == Change(("", ""))

    @pytest.mark.parametrize("sdp", [NEW, ""])
    @pytest.mark.parametrize(
        "found", [body(part(*SDP), part(*XML)), Body(b"x", "text/plain"), Body(b"broken", TYPE)]
    )
    def test_who_takes_no_parts_gets_it_alone(self, found: Body, sdp: str) -> None:
        assert exchanged(found, sdp, parts=False) == Change(("application/sdp", sdp) if sdp else ("", ""))

    def test_a_body_of_another_kind_stays_or_is_joined(self) -> None:
        found = Body(b"<aoc/>", "application/vnd.etsi.aoc+xml", "render;handling=optional")
        assert exchanged(found, "", parts=True) == Change()
        content_type, content = applied(found, exchanged(found, NEW, parts=True))
        joined = Body(content, content_type)
        assert sdp_of(joined) == NEW
        assert b"Content-Disposition: render;handling=optional\r\n\r\n<aoc/>\r\n" in content

    @pytest.mark.parametrize("sdp", [NEW, ""])
    def test_it_may_be_written_out(self, sdp: str) -> None:
        found = body(part(*XML), part(*SDP))
        change = exchanged(found, sdp, parts=True)
        whole = written_out(found, change)
        assert whole.whole is not None
        assert applied(found, whole) == applied(found, change)
        for other in (Change(), Change(("", ""))):
            assert written_out(found, other) is other
        with_bytes = body(part(*BINARY), part(*SDP))
        change = exchanged(with_bytes, sdp, parts=True)
        assert written_out(with_bytes, change) is change

    def test_a_body_of_bytes_cannot_be_joined(self) -> None:
        assert exchanged(Body(b"\xff", "a/b"), NEW, parts=True) == Change(("application/sdp", NEW))

    @given(st.lists(st.binary(max_size=40), max_size=4), st.integers(0, 4))
    def test_any_bytes_around_it_stay(self, others: list[bytes], place: int) -> None:
        parts = [part("a/b") + one for one in others if b"--b1" not in one]
        place = min(place, len(parts))
        found = body(*parts[:place], part(*SDP), *parts[place:])
        after = body(*parts[:place], part("application/sdp", NEW), *parts[place:])
        assert applied(found, exchanged(found, NEW, parts=True)) == (TYPE, after.content)

    @given(st.binary(max_size=120))
    def test_no_bytes_break_it(self, content: bytes) -> None:
        found = Body(content, TYPE)
        with contextlib.suppress(RemoteProtocolError, SipReject):
            describe(request(), found)
        exchanged(found, NEW, parts=True)


@pytest.mark.parametrize(
    ("accept", "contact", "takes"),
    [
        ([], "", False),
        (["application/sdp"], "<sip:a>", False),
        (["application/sdp, Multipart/Mixed;q=1"], "", True),
        (["multipart/*"], "", True),
        ([], '<sip:a>;type="application/sdp,multipart/mixed"', True),
        ([], '<sip:a>;type="application/sdp"', False),
    ],
)
def test_a_page_says_whether_it_takes_parts(accept: list[str], contact: str, takes: bool) -> None:
    assert takes_parts(accept, contact) is takes
