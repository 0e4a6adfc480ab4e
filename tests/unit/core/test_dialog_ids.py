"""Dialogs by name: what names one, and which tags it has on the other side."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kemi.core.call.record import CallRecord, Leg
from kemi.core.call.states import Dialog
from kemi.core.call.towards_page.incoming_record import Incoming
from kemi.core.dialog_ids import (
    DialogName,
    dialog_name,
    facing_far_end,
    far_end,
    mentions_dialog,
    record_keys,
    tags_for,
    translated,
    with_far_end,
)
from kemi.core.messages import Side

CALLED_TAG = "gw-in-1"


def record(incoming: Incoming | None = None, **changes: object) -> CallRecord:
    found = CallRecord(
        call_id="c1", wic_tag="page", gateway_tag="gw" if incoming is None else CALLED_TAG, wic_contact="",
        wic_uri="", target_uri="", request_uri="", invite_cseq=1, wic_cseq=1, ims_cseq=1, connection_id="7", source="",
        owner="sip:alice@ims.test", legs={"fork": Leg("sip:f"), "core": Leg("sip:c")}, incoming=incoming,
        confirmed_tag="core",
    )  # fmt: skip
    for name, value in changes.items():
        setattr(found, name, value)
    return found


MADE, CALLED = record(), record(Incoming())


class TestTags:
    @pytest.mark.parametrize(
        ("to", "of", "tags", "wanted"),
        [
            pytest.param(Side.IMS, MADE, ("gw", "page"), ("core", "page"), id="page's call, named by it"),
            pytest.param(Side.IMS, MADE, ("page", "gw"), ("page", "core"), id="the other way round"),
            pytest.param(
                Side.WIC, MADE, ("page", "core"), ("page", "gw"), id="page's call, named by the core"
            ),
            pytest.param(Side.WIC, MADE, ("page", "fork"), ("page", "gw"), id="by a fork"),
            pytest.param(Side.IMS, CALLED, (CALLED_TAG, "page"), ("core", CALLED_TAG), id="page was called"),
            pytest.param(
                Side.WIC, CALLED, (CALLED_TAG, "core"), ("page", CALLED_TAG), id="and the core names it"
            ),
        ],
    )
    def test_each_side_has_its_own(
        self, to: Side, of: CallRecord, tags: tuple[str, str], wanted: tuple[str, str]
    ) -> None:
        found = tags_for(to, of, DialogName("c1", tags))
        assert found is not None
        assert (found[tags[0]], found[tags[1]]) == wanted

    @pytest.mark.parametrize(
        ("to", "of", "tags"),
        [
            pytest.param(Side.IMS, MADE, ("gw", "x"), id="a stranger"),
            pytest.param(Side.IMS, MADE, ("page", "page"), id="one end twice"),
            pytest.param(Side.IMS, MADE, ("core", "page"), id="the core's name from the page"),
            pytest.param(Side.WIC, MADE, ("gw", "page"), id="the page's name from the core"),
            pytest.param(Side.WIC, record(dialog=Dialog.TERMINATED), ("page", "core"), id="over"),
            pytest.param(
                Side.WIC, record(Incoming(), wic_tag=""), (CALLED_TAG, "core"), id="page has said nothing"
            ),
            pytest.param(
                Side.IMS, record(legs={}, confirmed_tag=""), ("gw", "page"), id="core has said nothing"
            ),
        ],
    )
    def test_what_does_not_fit_is_not_ours(self, to: Side, of: CallRecord, tags: tuple[str, str]) -> None:
        assert tags_for(to, of, DialogName("c1", tags)) is None

    def test_a_call_from_page_to_page_has_two_records(self) -> None:
        assert list(record_keys(DialogName("c1", (CALLED_TAG, "a")))) == [f"c1;{CALLED_TAG}", "c1"]
        assert list(record_keys(DialogName("c1", ("a", "b")))) == ["c1"]


def of_c1(name: DialogName) -> Mapping[str, str] | None:
    return tags_for(Side.IMS, MADE, name) if name.call_id == "c1" else None


class TestFacing:
    """JsSIP names its dialog the wrong way round where it was called."""

    CALL = record(Incoming(), wic_uri="sip:+15550100@ims.test", wic_contact="sip:x@page.invalid;transport=ws")
    OWN_FIRST = "Replaces=c1%3Bto-tag%3Dpage%3Bfrom-tag%3Dgw-in-1"
    FAR_END_FIRST = "Replaces=c1%3Bto-tag%3Dgw-in-1%3Bfrom-tag%3Dpage"

    @pytest.mark.parametrize(
        ("uri", "fields", "wanted"),
        [
            pytest.param("sip:bob@ims.test", OWN_FIRST, FAR_END_FIRST, id="JsSIP"),
            pytest.param("sip:bob@ims.test", f"a=b&{OWN_FIRST}", f"a=b&{FAR_END_FIRST}", id="beside others"),
            pytest.param("sip:bob@ims.test", FAR_END_FIRST, FAR_END_FIRST, id="as it should be"),
            pytest.param("sip:alice@ims.test", OWN_FIRST, OWN_FIRST, id="to the page itself"),
            pytest.param("sip:+15550100@ims.test;gr=1", OWN_FIRST, OWN_FIRST, id="to its number"),
            pytest.param("sip:x@page.invalid", OWN_FIRST, OWN_FIRST, id="to its Contact"),
            pytest.param("sip:bob@ims.test", OWN_FIRST.replace("c1", "c2"), "", id="another call"),
            pytest.param("sip:bob@ims.test", OWN_FIRST.replace("gw-in-1", "x"), "", id="no dialog of it"),
            pytest.param("sip:bob@ims.test", OWN_FIRST.replace("Replaces", "Join"), "", id="Join"),
        ],
    )
    def test_the_far_end_is_named_first(self, uri: str, fields: str, wanted: str) -> None:
        seen = facing_far_end(
            f'"B" <{uri}?{fields}>;x=y', lambda name: self.CALL if name.call_id == "c1" else None
        )
        assert seen == f'"B" <{uri}?{wanted or fields}>;x=y'

    @pytest.mark.parametrize("value", ["<sip:bob@ims.test>", f"<sip:b@x?{OWN_FIRST}>, <sip:c@x>"])
    def test_what_is_no_name_stays(self, value: str) -> None:
        assert facing_far_end(value, lambda _: self.CALL) == value


OURS = "sip:gateway@ims.test;transport=ws"


def bob_of_c1(name: DialogName) -> str:
    return "sip:bob@ims.test" if of_c1(name) else ""


class TestFarEnd:
    """A page names our Contact for whoever is behind it."""

    @pytest.mark.parametrize(
        ("value", "wanted"),
        [
            pytest.param(f'"B <x>, C" <{OURS}?Replaces=c1%3Bto-tag%3Dgw%3Bfrom-tag%3Dpage>',
                         '"B <x>, C" <sip:bob@ims.test?Replaces=c1%3Bto-tag%3Dgw%3Bfrom-tag%3Dpage>', id="Replaces"),
            pytest.param("<SIP:gateway@IMS.test;Transport=WS?%4Aoin=c1%3bto-tag%3dgw%3bfrom-tag%3dpage&Require=join>;x",
                         "<sip:bob@ims.test?%4Aoin=c1%3bto-tag%3dgw%3bfrom-tag%3dpage&Require=join>;x",
                         id="Join, otherwise written"),
        ],
    )  # fmt: skip
    def test_its_own_address_takes_the_place(self, value: str, wanted: str) -> None:
        assert with_far_end(value, OURS, bob_of_c1) == wanted

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param("<sip:bob@ims.test?Replaces=c1%3Bto-tag%3Dgw%3Bfrom-tag%3Dpage>", id="not ours"),
            pytest.param(f"<{OURS}?Replaces=c2%3Bto-tag%3Dgw%3Bfrom-tag%3Dpage>", id="no call of this page"),
            pytest.param(f"<{OURS}?Replaces=c1>", id="no dialog"),
            pytest.param(f"<{OURS}?Replaces=c1%3Bto-tag%3Dgw%3Bfrom-tag%3Dpage&Join=c1>", id="two dialogs"),
            pytest.param(f"<{OURS}>", id="nothing named"),
            pytest.param(
                f"<{OURS}?Replaces=c1%3Bto-tag%3Dgw%3Bfrom-tag%3Dpage>, <sip:c@ims.test>", id="two targets"
            ),
        ],
    )
    def test_the_rest_stays_as_it_is(self, value: str) -> None:
        assert with_far_end(value, OURS, bob_of_c1) == value

    @pytest.mark.parametrize(
        ("target_uri", "wanted"),
        [
            ("sip:bob@ims.test", "sip:bob@ims.test"),
            ("tel:+15550100", "sip:+15550100@ims.test;user=phone"),
            ("sip:+15550100;npdi;rn=+15550199@ims.test?x=y", "sip:+15550100@ims.test"),
        ],
    )
    def test_it_can_have_header_fields(self, target_uri: str, wanted: str) -> None:
        assert far_end(record(target_uri=target_uri), "ims.test") == wanted


class TestValues:
    @pytest.mark.parametrize(
        ("field", "value", "wanted"),
        [
            pytest.param("Replaces", "c1;to-tag=gw;from-tag=page", "c1;to-tag=core;from-tag=page", id="Replaces"),
            pytest.param("replaces", "c1 ; From-Tag = page;early-only;TO-TAG=gw",
                         "c1 ; From-Tag = page;early-only;TO-TAG=core", id="as the sender writes it"),
            pytest.param("Join", "c1;from-tag=gw;to-tag=page", "c1;from-tag=core;to-tag=page", id="Join"),
            pytest.param("Target-Dialog", "c1;local-tag=page;remote-tag=gw",
                         "c1;local-tag=page;remote-tag=core", id="Target-Dialog"),
            pytest.param("Refer-To", "<sip:b@x?Replaces=c1%3Bto-tag%3Dgw%3Bfrom-tag%3Dpage&Require=replaces>;x=y",
                         "<sip:b@x?Replaces=c1%3Bto-tag%3Dcore%3Bfrom-tag%3Dpage&Require=replaces>;x=y", id="in a URI"),
            pytest.param("Refer-To", 'sip:b@x?%52eplaces=c1;to-tag=gw;from-tag=page',
                         'sip:b@x?%52eplaces=c1;to-tag=gw;from-tag=page', id="semicolons end a bare URI"),
            pytest.param("Refer-To", '"B, C" <sip:b@x?a=b&%72eplaces=c1%3bto-tag%3dgw%3bfrom-tag%3dpage>',
                         '"B, C" <sip:b@x?a=b&%72eplaces=c1%3Bto-tag%3Dcore%3Bfrom-tag%3Dpage>', id="escaped name"),
        ],
    )  # fmt: skip
    def test_tags_are_exchanged(self, field: str, value: str, wanted: str) -> None:
        assert translated(field, value, of_c1) == wanted

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            pytest.param("Replaces", "c2;to-tag=gw;from-tag=page", id="another call"),
            pytest.param("Replaces", "c1;to-tag=gw", id="one tag"),
            pytest.param("Replaces", "c1;to-tag=gw;to-tag=gw;from-tag=page", id="a tag twice"),
            pytest.param("Replaces", "c1;local-tag=gw;remote-tag=page", id="tags of another field"),
            pytest.param("Replaces", ";to-tag=gw;from-tag=page", id="no Call-ID"),
            pytest.param("Replaces", "", id="nothing"),
            pytest.param("Refer-To", "<sip:b@x>", id="no fields"),
            pytest.param(
                "Refer-To", "<sip:b@x?Subject=c1%3Bto-tag%3Dgw%3Bfrom-tag%3Dpage>", id="another field"
            ),
            pytest.param(
                "Refer-To", "<sip:b@x?Replaces=c2%3bto-tag%3dgw%3bfrom-tag%3dpage>", id="written otherwise"
            ),
            pytest.param("Refer-To", "<sip:b@x?Replaces=c1>, <sip:c@x>", id="two targets"),
        ],
    )
    def test_the_rest_stays_as_it_is(self, field: str, value: str) -> None:
        assert translated(field, value, of_c1) == value

    def test_names(self) -> None:
        assert dialog_name("Replaces", "a@b;from-tag=f;to-tag=t") == DialogName("a@b", ("t", "f"))

    @pytest.mark.parametrize(
        ("head", "found"),
        [
            ("REFER sip:a SIP/2.0\r\nRefer-To: <sip:b>", True),
            ("REFER sip:a SIP/2.0\r\nr : <sip:b>", True),
            ("INVITE sip:a SIP/2.0\r\nTARGET-DIALOG:x", True),
            ("INVITE sip:a SIP/2.0\r\nSupported: replaces", False),
        ],
    )
    def test_most_messages_name_none(self, head: str, found: bool) -> None:
        assert mentions_dialog(head) is found
