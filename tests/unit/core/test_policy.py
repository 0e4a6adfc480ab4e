"""Whom a page may call: one number in every spelling, the longest prefix, domains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core.errors import SipReject
from kemi.core.messages import Request, Side
from kemi.core.policy import CallPolicy, TargetRules, UnreadableTarget, target_from_uri

REALM = "ims.example"
PREMIUM = CallPolicy(denied_numbers=["+1900", "0900", "+1 (900) 555"])


def request(
    uri: str, method: str = "INVITE", *, refer_to: list[str] | None = None, to_tag: str = ""
) -> Request:
    return Request(
        side=Side.WIC,
        method=method,
        call_id="c",
        from_tag="f",
        to_tag=to_tag,
        cseq=1,
        request_uri=uri,
        headers=lambda name: (refer_to or []) if name == "Refer-To" else [],
    )


def is_allowed(uri: str, policy: CallPolicy = PREMIUM) -> bool:
    try:
        TargetRules(policy, REALM).check(request(uri))
    except SipReject as refused:
        assert (refused.status, refused.reason_phrase) == (403, "Forbidden")
        return False
    return True


@pytest.mark.conformance("X-11")
class TestSpellings:
    """However it is written, a premium number is one."""

    @pytest.mark.parametrize(
        "uri",
        [
            "tel:+19005551234",
            "TEL:+19005551234",
            "Tel:+1-900-555-1234",
            "tel:+1(900)555.1234",
            "tel:%2B19005551234",
            "tel:+1%39005551234",
            "tel:+19005551234;ext=7",
            "tel:+19005551234;phone-context=ims.example",
            "tel:9005551234;phone-context=+1",
            "tel:900-5551234;isub=1;Phone-Context=+1",
            "tel:9005551234;x-phone-context=+44;phone-context=+1",
            "tel:9005551234;x=phone-context=a;phone-context = +1",
            "tel:0900123;phone-context=ims.example",
            "tel:0900123",
            "tel:0-900-123",
            f"sip:+19005551234@{REALM};user=phone",
            f"sip:+19005551234@{REALM}",
            f"SIP:+1-900-5551234@{REALM}",
            f"sips:%2b1%39%30%305551234@{REALM};user=phone",
            f"sip:+1900 5551234@{REALM}",
            f"sip:+1%20900%205551234@{REALM}",
            f"sip:+19005551234;npdi;rn=+1@{REALM};user=phone",
            f"sip:9005551234;phone-context=+1@{REALM};user=phone",
            f"sip:9005551234%3Bphone-context=%2B1@{REALM};user=phone",
            f"sip:9005551234;xphone-context=a;phone-context=+1@{REALM};user=phone",
            f"sip:9005551234,1;phone-context=+1@{REALM};user=phone",
            f"sip:+19005551234:secret@{REALM}",
            f"sip:+19005551234,1@{REALM}",
            f"sip:+19005551234x@{REALM}",
            f"sip:0900123,1@{REALM}",
            f"sip:0900123@{REALM}?Subject=hello",
            f"sip:+19005551234@gw.{REALM}:5070;user=phone",
            "tel:*31%230900123456",
            f"sip:*31%230900123456@{REALM}",
            f"sip:%2331%23+19005551234@{REALM};user=phone",
            f"sip:*21*0900123456%23@{REALM}",
            f"sip:**21*%2b1-900-5551234*11%23@{REALM};user=phone",
            f"sip:*21*+19005551234,1@{REALM}",
            "tel:**61*0900123456*11*20%23;phone-context=ims.example",
        ],
    )
    def test_it_is_refused(self, uri: str) -> None:
        assert not is_allowed(uri)

    @pytest.mark.parametrize(
        "uri",
        [
            "tel:+18005551234",
            "tel:+1-8-900-5551234",
            "tel:9005551234;phone-context=+44",
            "tel:9005551234;x-phone-context=+1",
            f"sip:9005551234,1;phone-context=+44@{REALM}",
            f"sip:+18005551234@{REALM};user=phone",
            f"sip:alice@{REALM}",
            f"sip:0900bob@{REALM}",
            f"sip:1001@{REALM}",
            f"sip:*100%23@{REALM}",
            f"sip:*21%23@{REALM};user=phone",
            f"sip:*21*+493012345%23@{REALM}",
            "tel:**61*0301234*11*20%23",
            f"sip:{REALM}",
            "urn:service:sos",
            "urn:service:sos.police",
        ],
    )
    def test_others_are_not(self, uri: str) -> None:
        assert is_allowed(uri)

    @pytest.mark.parametrize(
        "uri",
        [
            "tel:",
            "tel:+",
            "tel:++1900",
            "tel:call-me",
            "tel:1900@ims.example",
            "tel:1900;phone-context=a;phone-context=+881",
            "tel:1900;phone-context=+44;isub=1;PHONE-CONTEXT=+44",
            f"sip:1900;phone-context=a%3Bphone-context=+881@{REALM};user=phone",
            f"sip:alice@{REALM};maddr=192.0.2.7",
            f"sip:alice@{REALM};transport=udp;MADDR = evil.example;user=phone",
            f"sip:alice@{REALM};%6daddr=evil.example",
            f"sip:{REALM};maddr",
            "cid:list@ims.example",
            "http://ims.example",
            f"sip:+1900@evil.example@{REALM}",
            f"sip:+1900%40x@{REALM}",
            f"urn:+1900@{REALM}",
            "sip:alice@",
            "sip:alice@ims example",
            "sip:alice@*",
            "",
        ],
    )
    def test_what_cannot_be_read_is_refused(self, uri: str) -> None:
        with pytest.raises(UnreadableTarget):
            target_from_uri(uri)
        assert not is_allowed(uri, CallPolicy(denied_numbers=[], domains=["*"]))

    @given(number=st.from_regex(r"[0-9]{1,12}", fullmatch=True), data=st.data())
    def test_separators_and_escapes_do_not_matter(self, number: str, data: st.DataObject) -> None:
        def spelt(text: str) -> str:
            return "".join(
                data.draw(st.sampled_from(["", "-", ".", "(", ")"]))
                + data.draw(st.sampled_from([digit, f"%{ord(digit):02x}", f"%{ord(digit):02X}"]))
                for digit in text
            )

        written = spelt(f"+1900{number}")
        scheme = data.draw(st.sampled_from(["tel", "TEL", "tEl"]))
        assert target_from_uri(f"{scheme}:{written}").numbers == (f"+1900{number}",)
        assert target_from_uri(f"sip:{written}@{REALM};user=phone").numbers == (f"+1900{number}",)

    @given(st.text(max_size=60))
    def test_no_text_does_harm(self, text: str) -> None:
        for uri in (text, f"tel:{text}", f"sip:{text}", f"sip:{text}@{REALM}"):
            is_allowed(uri)


@pytest.mark.conformance("X-11")
class TestNumbers:
    """The longest prefix decides."""

    @pytest.mark.parametrize(
        "uri",
        [
            "tel:+49180123456",
            "tel:+49(0)180123456",
            "tel:+49(00)180123456",
            "tel:0180123456;phone-context=+49",
            f"sip:0180123456;phone-context=+49@{REALM};user=phone",
            f"sip:+490180123456@{REALM}",
            f"sip:+490180123456,1@{REALM}",
        ],
    )
    def test_a_trunk_prefix_after_the_code_of_a_country_hides_none(self, uri: str) -> None:
        assert not is_allowed(uri, CallPolicy(denied_numbers=["+49180"]))
        assert is_allowed(uri, CallPolicy(allowed_numbers=["+49180"]))

    def test_a_number_of_no_country_is_compared_as_it_is(self) -> None:
        assert not is_allowed("tel:+999123", CallPolicy(denied_numbers=["+9991"]))
        assert is_allowed("tel:+49", CallPolicy(denied_numbers=["+491"]))

    def test_an_exception_from_a_denied_prefix(self) -> None:
        policy = CallPolicy(allowed_numbers=["+1900777", "+"], denied_numbers=["+1900"])
        assert is_allowed("tel:+19007771", policy)
        assert not is_allowed("tel:+19008881", policy)
        assert is_allowed("tel:+44123", policy)

    def test_with_allowed_ones_the_others_are_not(self) -> None:
        policy = CallPolicy(allowed_numbers=["+44", "0"], denied_numbers=[])
        assert is_allowed("tel:+4412345", policy)
        assert is_allowed("tel:0123", policy)
        assert not is_allowed("tel:+1555", policy)
        assert not is_allowed(f"sip:1001@{REALM}", policy)
        assert is_allowed(f"sip:alice@{REALM}", policy)
        assert is_allowed("tel:12345;phone-context=+44", policy)

    def test_the_same_prefix_in_both_lists_is_denied(self) -> None:
        assert not is_allowed("tel:+15", CallPolicy(allowed_numbers=["+1"], denied_numbers=["+1"]))

    def test_by_default_satellites_and_premium_rate_are_denied(self) -> None:
        default = CallPolicy()
        assert not is_allowed("tel:+881612345", default)
        assert not is_allowed("tel:+979123", default)
        assert is_allowed("tel:+15550100", default)
        assert is_allowed("tel:100", default)

    def test_what_a_dial_plan_makes_of_a_number_may_be_denied_only(self) -> None:
        rules = TargetRules(CallPolicy(allowed_numbers=["+1", "0"], denied_numbers=["+1900", "09"]), REALM)
        for allowed in ("+15550100", "+44123", "0900", ""):
            rules.check_meaning(allowed)
        with pytest.raises(SipReject, match=r"begin with \+1900 ") as refused:
            rules.check_meaning("+19001234567")
        assert "1234567" not in refused.value.detail

    def test_the_page_is_told_which_prefix_and_not_the_number(self) -> None:
        with pytest.raises(SipReject, match=r"begin with \+1900 ") as refused:
            TargetRules(PREMIUM, REALM).check(request("tel:+19001234567"))
        assert "1234567" not in refused.value.detail


@pytest.mark.conformance("X-11")
class TestDomains:
    """A page makes the core speak with nobody the site does not name."""

    @pytest.mark.parametrize(
        ("uri", "allowed"),
        [
            (f"sip:bob@{REALM}", True),
            ("sip:bob@IMS.Example.", True),
            (f"sip:mmtel@conf-factory.{REALM}", True),
            ("sip:bob@partner.example:5070;transport=tcp", True),
            (f"sip:maddr@{REALM};x=maddr;xmaddr=1?maddr=1", True),
            ("sip:bob@other.example", False),
            ("sip:bob@notims.example", False),
            (f"sip:bob@{REALM}.evil.example", False),
            ("sip:bob@sub.partner.example", False),
            ("sip:bob@192.0.2.7", False),
            ("sip:bob@[2001:db8::1]:5060", False),
        ],
    )
    def test_own_ones_and_named_ones(self, uri: str, allowed: bool) -> None:
        assert is_allowed(uri, CallPolicy(domains=["Partner.example"])) is allowed

    def test_any(self) -> None:
        assert is_allowed("sip:bob@other.example", CallPolicy(domains=["*"]))


@pytest.mark.conformance("X-11")
class TestTransfers:
    """REFER makes somebody else call."""

    @pytest.mark.parametrize(
        ("refer_to", "status"),
        [
            ([f"<sip:bob@{REALM}>"], 0),
            ([f'"Bob, the <builder>" <sip:bob@{REALM};method=INVITE?Replaces=x>;q=1'], 0),
            ([f"sip:bob@{REALM}"], 0),
            (["<tel:+1-900-5551234>"], 403),
            ([f'"<sip:bob@{REALM}>" <TEL:+19005551234>'], 403),
            ([f"sip:%2B19005551234@{REALM}"], 403),
            ([f"<sip:bob@{REALM}>", "<tel:+19005551234>"], 400),
            ([f"<sip:bob@{REALM}>, <tel:+19005551234>"], 400),
            ([], 400),
            (["<cid:list@page>"], 403),
        ],
    )
    def test_the_target_is_looked_at(self, refer_to: list[str], status: int) -> None:
        rules = TargetRules(PREMIUM, REALM)
        refer = request("sip:gateway@ims.example", "REFER", refer_to=refer_to, to_tag="t")
        if not status:
            rules.check(refer)
            return
        with pytest.raises(SipReject) as refused:
            rules.check(refer)
        assert refused.value.status == status

    @pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "PUBLISH", "REFER", "NOTIFY"])
    @pytest.mark.parametrize("uri", ["TEL:+1-900-555", "sip:bob@192.0.2.7"])
    def test_other_requests_outside_a_dialog_go_to_nobody_else_either(self, method: str, uri: str) -> None:
        with pytest.raises(SipReject) as refused:
            TargetRules(PREMIUM, REALM).check(request(uri, method, refer_to=[f"<sip:bob@{REALM}>"]))
        assert refused.value.status == 403

    def test_requests_inside_a_call_have_no_target(self) -> None:
        for method in ("INVITE", "INFO", "UPDATE", "BYE"):
            TargetRules(PREMIUM, REALM).check(request("tel:+1900", method, to_tag="t"))
