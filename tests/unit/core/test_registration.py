"""REGISTER through us (TS 24.229 §5.2.2): what goes to the core, what is kept of its answer."""

from __future__ import annotations

from typing import Any

import pytest

from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.messages import Reply, Request, Side
from kemi.core.registration import (
    BEARER,
    DIGEST,
    Flow,
    Grant,
    PendingRegistration,
    Registration,
    RegistrationSettings,
    check_register,
    digest_grant,
    is_cut_short,
    register_for_core,
    registration_from_reply,
)
from kemi.core.registration.authorization import credentials_from_headers
from kemi.core.registration.contact import page_of
from kemi.core.registration.records import Sent
from kemi.core.registration.request import Register
from kemi.core.trust import FROM_PAGE
from tests.unit.core.call.ladder import header_reader

ALICE = "sip:alice@ims.example"
TAGS = ('+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"', "audio", "video")
SETTINGS = RegistrationSettings(
    realm="ims.example",
    visited_network="visited.example",
    ims_host="192.0.2.1:5060",
    contact_tags=TAGS,
)
FLOW = Flow("7", "n0nce", "198.51.100.9", "127.0.0.1:40000", token="signed.name")
OURS = "sip:x@page.invalid;transport=ws"
TOKEN = Grant(BEARER, impi="alice@ims.example", impus=[ALICE], expires_at=1300.0, session="s", token_id="t")
PENDING = PendingRegistration("7", OURS, ALICE, Grant(DIGEST, impi="alice@ims.example"))
NOW = 1000.0


def register(
    headers: dict[str, list[str]] | None = None,
    *,
    from_uri: str = ALICE,
    to_uri: str = ALICE,
    request_uri: str = "sip:ims.example",
) -> Request:
    return Request(
        side=Side.WIC,
        method="REGISTER",
        call_id="reg-1",
        from_tag="a",
        to_tag="",
        cseq=3,
        headers=header_reader(headers or {}),
        request_uri=request_uri,
        from_uri=from_uri,
        to_uri=to_uri,
        connection_id="7",
    )


def forwarded(
    headers: dict[str, list[str]] | None = None,
    *,
    grant: Grant | None = None,
    current: Registration | None = None,
    to_uri: str = ALICE,
) -> Register:
    request = register(headers, to_uri=to_uri)
    credentials = credentials_from_headers(request.headers("Authorization"))
    return register_for_core(
        request,
        FLOW,
        grant or digest_grant(request, credentials),
        credentials,
        current,
        SETTINGS,
        icid="1c1d",
        now=NOW,
    )


def lines(register_: Register, name: str) -> list[str]:
    """Return the values of the lines of this name that are inserted."""
    return [line.removeprefix(f"{name}: ") for line in register_.edits.insert if line.startswith(f"{name}: ")]


def ok(headers: dict[str, list[str]]) -> Reply:
    return Reply(
        side=Side.IMS,
        method="REGISTER",
        call_id="reg-1",
        from_tag="a",
        to_tag="b",
        cseq=3,
        headers=header_reader(headers),
        status=200,
    )


class TestTowardsTheCore:
    """RFC 3327 (Path), RFC 5626 §5.1, TS 24.229 §5.2.2.1."""

    @pytest.mark.conformance("R-21")
    @pytest.mark.conformance("B-10")
    @pytest.mark.parametrize(
        ("contact", "ob"),
        [
            pytest.param(f'<{OURS}>;+sip.instance="<urn:uuid:1>";reg-id=2', ";ob", id="outbound"),
            pytest.param(f"<{OURS}>;reg-id=1", "", id="no instance"),
            pytest.param(f"<{OURS}>", "", id="no reg-id"),
            pytest.param(f'<{OURS}>;x="a;reg-id=1"', "", id="inside quotes"),
        ],
    )
    def test_the_path_leads_back_to_the_very_connection(self, contact: str, ob: str) -> None:
        (path,) = lines(forwarded({"Contact": [contact]}), "Path")
        token = path.removeprefix("<sip:").partition("@")[0]
        assert token == FLOW.token
        assert path.endswith(f"@192.0.2.1:5060;lr{ob}>")

    @pytest.mark.conformance("R-20", "R-22", "R-23", "R-24")
    def test_it_goes_to_the_entry_point_of_the_core_and_the_pages_own_claims_are_removed(self) -> None:
        found = forwarded()
        assert (found.edits.next_hop, found.edits.request_uri) == (None, "sip:ims.example")
        assert {"Route", *FROM_PAGE} <= set(found.edits.remove)
        assert "Require" not in found.edits.remove
        assert lines(found, "Require") == ["path"]
        assert lines(found, "P-Visited-Network-ID") == ['"visited.example"']
        assert lines(found, "P-Charging-Vector") == [
            'icid-value="1c1d";icid-generated-at=192.0.2.1;orig-ioi="Type 1visited.example"'
        ]

    @pytest.mark.parametrize(
        ("supported", "inserted"),
        [
            pytest.param([], True, id="nothing said"),
            pytest.param(["outbound"], True, id="something else"),
            pytest.param(["outbound, Path"], False, id="path said already"),
        ],
    )
    def test_support_for_path_is_said_once(self, supported: list[str], inserted: bool) -> None:
        assert bool(lines(forwarded({"Supported": supported}), "Supported")) is inserted

    @pytest.mark.conformance("R-03")
    def test_credentials_are_cleaned_in_every_header_field(self) -> None:
        claim = 'Digest username="a", integrity-protected="yes"'
        found = forwarded({"Authorization": [claim, claim.upper()]})
        assert lines(found, "Authorization") == ['Digest username="a"', 'Digest USERNAME="A"']

    @pytest.mark.conformance("R-02")
    def test_missing_credentials_are_replaced_by_empty_ones(self) -> None:
        (value,) = lines(forwarded(), "Authorization")
        assert value.startswith('Digest username="alice@ims.example"')

    def test_unreadable_credentials_are_refused(self) -> None:
        with pytest.raises(RemoteProtocolError):
            forwarded({"Authorization": ['Digest username="']})

    @pytest.mark.conformance("R-04", "R-05")
    @pytest.mark.parametrize(
        ("current", "vouched"),
        [
            pytest.param(None, "tls-pending", id="first"),
            pytest.param(
                Registration(ALICE, OURS, 2000.0, grant=Grant(DIGEST, impi="alice")), "tls-yes", id="again"
            ),
            pytest.param(
                Registration(ALICE, OURS, 2000.0, grant=Grant(DIGEST, impi="bob")),
                "tls-pending",
                id="other impi",
            ),
            pytest.param(
                Registration(ALICE, OURS, 2000.0, grant=Grant(BEARER, impi="alice")),
                "tls-pending",
                id="by token",
            ),
        ],
    )
    def test_an_answer_to_a_challenge_is_vouched_for(
        self, current: Registration | None, vouched: str
    ) -> None:
        digest = 'Digest username="alice", uri="sip:other", response="0a", algorithm=SHA-256'
        found = forwarded({"Authorization": [digest]}, current=current)
        assert lines(found, "Authorization") == [f'{digest}, integrity-protected="{vouched}"']


class TestTrustedNode:
    """TS 33.203 annex U: with a token we have authenticated the page."""

    @pytest.mark.conformance("R-08", "R-03")
    def test_the_core_is_told_so_and_nothing_of_the_pages_credentials_is_left(self) -> None:
        headers = {"Authorization": ["Bearer abc", 'Digest username="bob", response="0a"']}
        assert lines(forwarded(headers, grant=TOKEN), "Authorization") == [
            'Digest username="alice@ims.example", realm="ims.example", nonce="", uri="sip:ims.example", '
            'response="", integrity-protected="auth-done"'
        ]

    @pytest.mark.conformance("R-14")
    def test_an_identity_the_token_does_not_name_gets_403(self) -> None:
        with pytest.raises(SipReject) as caught:
            forwarded(grant=TOKEN, to_uri="sip:bob@ims.example")
        assert caught.value.status == 403

    @pytest.mark.conformance("R-45")
    @pytest.mark.parametrize(
        ("contact", "expires", "expected_contact", "expected_expires"),
        [
            pytest.param(";expires=3600", [], ";expires=300", "300", id="in Contact"),
            pytest.param(";expires=60", ["3600"], ";expires=60", "300", id="only the other"),
            pytest.param("", ["3600"], "", "300", id="in Expires"),
            pytest.param("", [], "", "300", id="nowhere"),
            pytest.param("", ["60"], "", "60", id="shorter"),
            pytest.param(";expires=0", ["0"], ";expires=0", "0", id="signing off"),
            pytest.param(';EXPIRES="9999"', [], ";expires=300", "300", id="quoted"),
            pytest.param(";expires=never", ["²"], ";expires=300", "300", id="no number"),
            pytest.param(
                ';expires=900;+sip.instance="<urn:x;expires=900>"',
                [],
                ';expires=300;+sip.instance="<urn:x;expires=900>"',
                "300",
                id="before an instance",
            ),
        ],
    )
    def test_the_registration_ends_with_the_token(
        self, contact: str, expires: list[str], expected_contact: str, expected_expires: str
    ) -> None:
        tags = "".join(f";{tag}" for tag in TAGS)
        found = forwarded({"Contact": [f"<{OURS}>{contact}{tags}"], "Expires": expires}, grant=TOKEN)
        passed = lines(found, "Contact") or [f"<{OURS}>{contact}{tags}"]
        assert passed == [f"<{OURS}>{expected_contact}{tags}"]
        assert lines(found, "Expires") == [expected_expires]

    @pytest.mark.parametrize(
        ("contact", "expires", "cut"),
        [
            pytest.param(";expires=3600", [], True, id="in Contact"),
            pytest.param("", ["3600"], True, id="in Expires"),
            pytest.param("", [], True, id="as long as the core likes"),
            pytest.param(";expires=300", ["3600"], False, id="as long as the token"),
            pytest.param(";expires=0", [], False, id="signing off"),
        ],
    )
    def test_it_is_known_when_the_token_is_why_the_core_was_asked_for_less(
        self, contact: str, expires: list[str], cut: bool
    ) -> None:
        headers = {"Contact": [f"<{OURS}>{contact}"], "Expires": expires}
        assert is_cut_short(register(headers), forwarded(headers, grant=TOKEN).pending) is cut
        assert not is_cut_short(register(headers), forwarded(headers).pending)

    INSTANCE = f'<{OURS}>;+sip.instance="<urn:uuid:1>"'

    @pytest.mark.parametrize(
        ("contact", "registered", "page"),
        [
            pytest.param(INSTANCE, "", "<urn:uuid:1>", id="its instance"),
            pytest.param(f"<{OURS}>", INSTANCE, "sip:x", id="its Contact"),
            pytest.param("*", INSTANCE, "<urn:uuid:1>", id="all: who has registered"),
            pytest.param("*", f"<{OURS}>", "sip:x", id="all, without an instance"),
            pytest.param("", INSTANCE, "<urn:uuid:1>", id="a query: who has registered"),
            pytest.param("", "", "", id="a query of nobody"),
        ],
    )
    def test_whose_the_token_is(self, contact: str, registered: str, page: str) -> None:
        current = Registration(ALICE, OURS, 2000.0, sent=Sent(registered)) if registered else None
        assert page_of(register({"Contact": [contact]} if contact else {}), current) == page

    def test_nobody_removes_all_who_has_registered_nothing(self) -> None:
        with pytest.raises(SipReject) as caught:
            page_of(register({"Contact": ["*"]}), None)
        assert caught.value.status == 403


class TestContact:
    """RFC 7118 §B.1: as the page wrote it, but for feature tags."""

    @pytest.mark.conformance("R-28")
    def test_a_complete_one_passes_untouched(self) -> None:
        contact = f'<{OURS};ob>;reg-id=1;+sip.instance="<urn:uuid:1>";+g.3gpp.smsip;' + ";".join(TAGS)
        found = forwarded({"Contact": [contact]})
        assert lines(found, "Contact") == []
        assert "Contact" not in found.edits.remove
        assert found.pending.contact == f"{OURS};ob"

    @pytest.mark.conformance("R-29")
    def test_missing_feature_tags_are_added(self) -> None:
        found = forwarded({"Contact": [f"<{OURS}>;audio;expires=60"]})
        assert lines(found, "Contact") == [f"<{OURS}>;audio;expires=60;{TAGS[0]};video"]

    @pytest.mark.conformance("S-07")
    def test_feature_tags_of_services_we_have_not_are_taken_away(self) -> None:
        tags = ";".join(TAGS)
        found = forwarded({"Contact": [f"<{OURS}>;+g.3gpp.mid-call;+G.3GPP.accesstype;{tags}"]})
        assert lines(found, "Contact") == [f"<{OURS}>;{tags}"]

    @pytest.mark.parametrize("contact", ["*", ""])
    def test_all_of_them_and_a_query_pass(self, contact: str) -> None:
        found = forwarded({"Contact": [contact]} if contact else {})
        assert lines(found, "Contact") == []
        assert (found.pending.contact, found.pending.sent.contact_value) == ("", contact)

    @pytest.mark.conformance("X-09")
    @pytest.mark.parametrize(
        "contacts",
        [
            [f"<{OURS}>, <sip:bob@ims.example>"],
            [f"<{OURS}>", "<sip:bob@ims.example>"],
            ["<tel:+1>"],
            ["<sip:>"],
            ["<javascript:alert(1)>"],
        ],
    )
    def test_others_are_refused(self, contacts: list[str]) -> None:
        with pytest.raises(RemoteProtocolError):
            forwarded({"Contact": contacts})

    @pytest.mark.conformance("X-09")
    def test_what_is_no_text_could_not_be_written_anew_and_is_refused(self) -> None:
        """It would keep its time, and feature tags that only the network may set."""
        with pytest.raises(RemoteProtocolError, match="UTF-8"):
            forwarded({"Contact": [f"<{OURS}>;+x=\ufffd;expires=999999;+g.3gpp.mid-call"]})


class TestWhatIsRefused:
    """Whatever the credentials say."""

    @pytest.mark.conformance("R-14", "R-20")
    @pytest.mark.parametrize(
        ("changes", "current"),
        [
            pytest.param({"from_uri": "sip:mallory@ims.example"}, None, id="third party"),
            pytest.param(
                {"from_uri": "sip:a%00b@x", "to_uri": "sip:a%00b@x"}, None, id="NUL in the identity"
            ),
            pytest.param({"request_uri": "sip:elsewhere.test"}, None, id="another domain"),
            pytest.param({"request_uri": "sip:alice@ims.example"}, None, id="a user"),
            pytest.param({"request_uri": "sip:ims.example:5080"}, None, id="a port"),
            pytest.param({"request_uri": "tel:+1"}, None, id="a number"),
            pytest.param({}, Registration("sip:bob@ims.example", OURS, 2000.0), id="another identity here"),
        ],
    )
    def test_with_403(self, changes: dict[str, Any], current: Registration | None) -> None:
        with pytest.raises(SipReject) as caught:
            check_register(register(**changes), current, SETTINGS)
        assert caught.value.status == 403

    @pytest.mark.parametrize(
        ("changes", "current"),
        [
            pytest.param({}, None, id="plain"),
            pytest.param({"request_uri": "sip:IMS.example;transport=ws"}, None, id="spelled otherwise"),
            pytest.param({"from_uri": "sip:alice@IMS.EXAMPLE"}, None, id="host in capitals"),
            pytest.param({}, Registration("sip:alice@IMS.example", OURS, 2000.0), id="a refresh"),
        ],
    )
    def test_what_may_go_on(self, changes: dict[str, Any], current: Registration | None) -> None:
        check_register(register(**changes), current, SETTINGS)


class TestGranted:
    """RFC 3261 §10.3 step 8: the 200 lists all bindings; ours decides."""

    @pytest.mark.conformance("R-43")
    def test_our_own_bindings_lifetime_counts_among_several(self) -> None:
        reply = ok(
            {"Contact": [f"<sip:other@x>;expires=3600, <{OURS}>;expires=60", "<sip:third@x>;expires=9"]}
        )
        found = registration_from_reply(PENDING, reply, now=1000.0)
        assert found is not None
        assert found.expires_at == 1060.0

    @pytest.mark.parametrize(
        ("headers", "expires"),
        [
            pytest.param({"Contact": [f"<{OURS}>"], "Expires": ["120"]}, 120, id="common Expires"),
            pytest.param({"Contact": [f"<{OURS}>;EXPIRES=30"], "Expires": ["120"]}, 30, id="own one first"),
            pytest.param({"Contact": [f'<{OURS}>;expires="45"']}, 45, id="quoted"),
            pytest.param({"Contact": [f'"A, B" <{OURS}>;q=0.5;expires=50']}, 50, id="comma in the name"),
        ],
    )
    def test_the_lifetime_is_found_wherever_it_stands(
        self, headers: dict[str, list[str]], expires: int
    ) -> None:
        found = registration_from_reply(PENDING, ok(headers), now=0.0)
        assert found is not None
        assert found.expires_at == expires

    @pytest.mark.conformance("R-43")
    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param({}, id="no binding at all"),
            pytest.param({"Contact": [f"<{OURS}>;expires=0"]}, id="zero"),
            pytest.param({"Contact": [f"<{OURS}>;expires=soon"]}, id="no number"),
            pytest.param({"Contact": [f"<{OURS}>;expires=²"]}, id="a digit that is no decimal"),
            pytest.param({"Contact": [f"<{OURS}>"]}, id="no lifetime"),
            pytest.param({"Contact": ["<sip:other@x>;expires=3600"], "Expires": ["9"]}, id="only others"),
        ],
    )
    def test_otherwise_the_page_is_not_registered(self, headers: dict[str, list[str]]) -> None:
        assert registration_from_reply(PENDING, ok(headers), now=0.0) is None

    def test_service_route_and_identities_are_kept_in_order(self) -> None:
        found = registration_from_reply(
            PENDING,
            ok(
                {
                    "Contact": [f"<{OURS}>;expires=60"],
                    "Service-Route": ["<sip:one;lr>, <sip:two;lr>", "<sip:three;lr>"],
                    "P-Associated-URI": ["<sip:a@x>, <tel:+1>"],
                }
            ),
            now=0.0,
        )
        assert found is not None
        assert found.service_route == ["<sip:one;lr>", "<sip:two;lr>", "<sip:three;lr>"]
        assert found.associated_uris == ["<sip:a@x>", "<tel:+1>"]
        assert found.identities == ["<sip:a@x>", "<tel:+1>"]
        assert found.owner == ALICE

    def test_without_associated_identities_the_registered_one_is_asserted(self) -> None:
        assert Registration(ALICE, OURS, 1.0).identities == [f"<{ALICE}>"]

    @pytest.mark.conformance("R-42")
    def test_of_the_cores_identities_only_those_the_token_names_count(self) -> None:
        uris = ["<sip:other@x>", f'"A" <{ALICE}>', "<tel:+1>"]
        assert Registration(ALICE, OURS, 1.0, associated_uris=uris, grant=TOKEN).identities == [
            f'"A" <{ALICE}>'
        ]


@pytest.mark.parametrize(
    ("contact", "wanted"),
    [
        pytest.param("<sip:x@page.invalid>;+g.one-way-streams;expires=60", True, id="asked for"),
        pytest.param("<sip:x@page.invalid>;+G.One-Way-Streams", True, id="in any case"),
        pytest.param("<sip:x@page.invalid;+g.one-way-streams>;expires=60", False, id="in the URI"),
        pytest.param("<sip:x@page.invalid>;expires=60", False, id="not asked for"),
        pytest.param("*", False, id="wildcard"),
    ],
)
def test_one_way_streams_are_a_feature_of_the_contact(contact: str, wanted: bool) -> None:
    assert Registration(ALICE, OURS, 1.0, sent=Sent(contact)).one_way_streams is wanted
