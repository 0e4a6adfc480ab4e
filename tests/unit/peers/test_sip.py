"""The message model of the scripted peers."""

from __future__ import annotations

from string import ascii_letters

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.addresses import (
    NameAddr,
    SipSyntaxError,
    name_addr_from_text,
    name_addr_to_text,
    sip_uri_from_text,
)
from tests.peers.sip import (
    Headers,
    SipRequest,
    SipResponse,
    message_from_bytes,
    message_from_text,
    message_to_bytes,
    message_to_text,
    response_to,
    split_list,
)

INVITE = (
    "INVITE sip:bob@ims.example SIP/2.0\r\n"
    "v: SIP/2.0/WSS a.invalid;branch=z9hG4bKone, SIP/2.0/UDP b.example;branch=z9hG4bKtwo\r\n"
    'f: "Alice, A." <sip:alice@ims.example>;tag=w\r\n'
    "t: <sip:bob@ims.example>\r\n"
    "i: c1\r\n"
    "CSeq: 1 INVITE\r\n"
    "m: <sip:alice@a.invalid;transport=ws>;expires=5\r\n"
    "Allow: INVITE, ACK\r\n"
    "Allow: PRACK,UPDATE\r\n"
    "k: 100rel\r\n"
    "Subject: folded\r\n"
    "  line\r\n"
    "c: application/sdp\r\n"
    "l: 5\r\n"
    "\r\n"
    "v=0\r\n"
)


def invite() -> SipRequest:
    message = message_from_text(INVITE)
    assert isinstance(message, SipRequest)
    return message


class TestReading:
    def test_compact_names_are_found_by_their_long_form(self) -> None:
        message = invite()
        assert message.call_id == "c1"
        assert message.from_tag == "w"
        assert message.to_tag is None
        assert message.contact_uri == "sip:alice@a.invalid;transport=ws"
        assert message.has_sdp

    def test_list_fields_are_joined_over_lines_and_split_at_commas(self) -> None:
        message = invite()
        assert message.option_tags("Allow") == {"INVITE", "ACK", "PRACK", "UPDATE"}
        assert [via.split()[1].split(";")[0] for via in message.headers.all("Via")] == [
            "a.invalid",
            "b.example",
        ]
        assert message.via_branch == "z9hG4bKone"

    def test_a_folded_line_becomes_one_value(self) -> None:
        assert invite().headers.get("Subject") == "folded line"

    def test_a_datagram_is_cut_at_content_length(self) -> None:
        assert message_from_text(INVITE + "garbage").body == "v=0\r\n"

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("INVITE\r\n\r\n", id="one word"),
            pytest.param("INVITE sip:a@b HTTP/1.1\r\n\r\n", id="another protocol"),
            pytest.param("INVITE sip:a@b SIP/2.0\r\nno colon\r\n\r\n", id="header without colon"),
        ],
    )
    def test_what_is_not_sip_is_refused(self, text: str) -> None:
        with pytest.raises(SipSyntaxError):
            message_from_text(text)

    @pytest.mark.parametrize(
        ("require", "rseq", "status", "reliable"),
        [
            pytest.param("100rel", "1", 183, True, id="183 with both"),
            pytest.param("", "1", 183, False, id="no Require"),
            pytest.param("100rel", "", 183, False, id="no RSeq"),
            pytest.param("100rel", "1", 200, False, id="final"),
        ],
    )
    def test_a_reliable_provisional_has_require_and_rseq(
        self, require: str, rseq: str, status: int, reliable: bool
    ) -> None:
        pairs = [("Require", require), ("RSeq", rseq)]
        response = response_to(invite(), status, headers=[pair for pair in pairs if pair[1]])
        assert response.is_reliable is reliable


class TestWriting:
    def test_content_length_counts_bytes_not_characters(self) -> None:
        message = SipRequest("MESSAGE", "sip:a@b").set_body("ä", "text/plain")
        assert message_to_text(message).split("\r\n")[-3] == "Content-Length: 2"

    def test_bytes_that_are_not_utf8_survive(self) -> None:
        data = b"OPTIONS sip:a@b SIP/2.0\r\nX: \xff\xfe\r\nContent-Length: 1\r\n\r\n\x80"
        assert message_to_bytes(message_from_bytes(data)) == data

    def test_a_response_copies_what_rfc_3261_says_and_adds_the_tag_once(self) -> None:
        response = response_to(invite(), 183, to_tag="g")
        assert response.headers.all("Via") == invite().headers.all("Via")
        assert response.to_tag == "g"
        again = response_to(SipRequest("BYE", "sip:a@b", headers=response.headers), 200, to_tag="other")
        assert again.to_tag == "g"

    @given(
        st.lists(
            st.tuples(
                st.text(ascii_letters, min_size=1, max_size=8).map("X-{}".format),
                st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20)
                .map(str.strip)
                .filter(bool),
            ),
            max_size=8,
        ),
        st.text(alphabet=st.characters(codec="utf-8"), max_size=40),
    )
    def test_reading_what_was_written_gives_the_same_message(
        self, pairs: list[tuple[str, str]], body: str
    ) -> None:
        message = SipResponse(200, "OK", headers=Headers(pairs), body=body)
        back = message_from_text(message_to_text(message))
        assert isinstance(back, SipResponse)
        assert back.body == body
        assert list(back.headers)[:-1] == pairs


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            pytest.param("<sip:a@b;lr>;x=1", NameAddr("sip:a@b;lr", "", (("x", "1"),)), id="brackets"),
            pytest.param("sip:a@b;tag=t", NameAddr("sip:a@b", "", (("tag", "t"),)), id="no brackets"),
            pytest.param('"A <x>" <sip:a@b>', NameAddr("sip:a@b", "A <x>"), id="quoted name"),
            pytest.param(
                '<sip:a@b>;+sip.instance="<urn:uuid:1>";ob',
                NameAddr("sip:a@b", "", (("+sip.instance", '"<urn:uuid:1>"'), ("ob", ""))),
                id="quoted parameter and flag",
            ),
        ],
    )
    def test_name_addr_reads_and_prints(self, text: str, expected: NameAddr) -> None:
        assert name_addr_from_text(text) == expected
        assert name_addr_from_text(name_addr_to_text(expected)) == expected

    def test_commas_inside_quotes_and_brackets_do_not_split(self) -> None:
        assert split_list('"A, B" <sip:a@b?x=1,2>, <sip:c@d>') == ['"A, B" <sip:a@b?x=1,2>', "<sip:c@d>"]

    def test_a_uri_gives_its_parts(self) -> None:
        uri = sip_uri_from_text("sip:orig@[::1]:5060;transport=ws;lr")
        assert (uri.user, uri.host, uri.port, uri.param("transport"), uri.param("lr")) == (
            "orig",
            "[::1]",
            5060,
            "ws",
            "",
        )
        with pytest.raises(SipSyntaxError):
            sip_uri_from_text("tel:+1")
