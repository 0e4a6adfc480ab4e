"""REGISTER through us (TS 24.229 §5.2.2): what goes to the core, what is kept of its answer."""

from __future__ import annotations

import pytest

from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.flow_token import flow_from_token
from kemi.core.headers import UNTRUSTED_FROM_WIC
from kemi.core.messages import Reply, Request, Side
from kemi.core.registration import (
    Flow,
    PendingRegistration,
    Registration,
    RegistrationSettings,
    pending_from_request,
    register_edits,
    registration_from_reply,
)
from tests.unit.core.call.ladder import header_reader

ALICE = "sip:alice@ims.example"
SETTINGS = RegistrationSettings(
    realm="ims.example",
    visited_network="visited.example",
    icscf_uri="sip:icscf.ims.example",
    flow_secret="0123456789abcdef0123456789abcdef",
    ims_host="192.0.2.1:5060",
)
FLOW = Flow("7", "n0nce", "198.51.100.9", "127.0.0.1:40000")
OURS = "sip:x@page.invalid;transport=ws"
PENDING = PendingRegistration("7", OURS, ALICE)


def register(headers: dict[str, list[str]] | None = None, *, from_uri: str = ALICE) -> Request:
    return Request(
        side=Side.WIC,
        method="REGISTER",
        call_id="reg-1",
        from_tag="a",
        to_tag="",
        cseq=3,
        headers=header_reader(headers or {}),
        request_uri="sip:ims.example",
        from_uri=from_uri,
        to_uri=ALICE,
        connection_id="7",
    )


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

    def test_the_path_leads_back_to_the_very_connection(self) -> None:
        edits = register_edits(register(), FLOW, SETTINGS)
        (path,) = [line for line in edits.insert if line.startswith("Path: ")]
        token = path.removeprefix("Path: <sip:").partition("@")[0]
        assert flow_from_token(SETTINGS.flow_secret, token) == ("7", "n0nce")
        assert path.endswith("@192.0.2.1:5060;lr;ob>")
        assert "Require: path" in edits.insert

    def test_it_goes_to_the_entry_point_of_the_core_and_the_pages_own_claims_are_removed(self) -> None:
        edits = register_edits(register(), FLOW, SETTINGS)
        assert edits.next_hop == SETTINGS.icscf_uri
        assert {"Path", "Route", "Authorization", *UNTRUSTED_FROM_WIC} <= set(edits.remove)
        assert 'P-Visited-Network-ID: "visited.example"' in edits.insert

    @pytest.mark.parametrize(
        ("supported", "inserted"),
        [
            pytest.param([], True, id="nothing said"),
            pytest.param(["outbound"], True, id="something else"),
            pytest.param(["outbound, Path"], False, id="path said already"),
        ],
    )
    def test_support_for_path_is_said_once(self, supported: list[str], inserted: bool) -> None:
        edits = register_edits(register({"Supported": supported}), FLOW, SETTINGS)
        assert ("Supported: path" in edits.insert) is inserted

    @pytest.mark.conformance("R-03")
    def test_credentials_are_cleaned_in_every_header_field(self) -> None:
        claim = 'Digest username="a", integrity-protected="yes"'
        edits = register_edits(register({"Authorization": [claim, claim.upper()]}), FLOW, SETTINGS)
        lines = [line for line in edits.insert if line.startswith("Authorization: ")]
        assert lines == ['Authorization: Digest username="a"', 'Authorization: Digest USERNAME="A"']

    def test_missing_credentials_are_replaced_by_empty_ones(self) -> None:
        edits = register_edits(register(), FLOW, SETTINGS)
        assert any(
            line.startswith('Authorization: Digest username="alice@ims.example"') for line in edits.insert
        )

    def test_unreadable_credentials_are_refused(self) -> None:
        with pytest.raises(RemoteProtocolError):
            register_edits(register({"Authorization": ['Digest username="']}), FLOW, SETTINGS)

    def test_the_secret_is_in_no_line(self) -> None:
        edits = register_edits(register(), FLOW, SETTINGS)
        assert not any(SETTINGS.flow_secret in line for line in edits.insert)


class TestWhatIsExpected:
    """Who registers what."""

    def test_the_first_contact_and_the_public_identity_are_kept(self) -> None:
        pending = pending_from_request(register({"Contact": [f"<{OURS}>;reg-id=1;expires=600"]}))
        assert pending == PENDING

    def test_registering_somebody_else_gets_403(self) -> None:
        with pytest.raises(SipReject) as caught:
            pending_from_request(register(from_uri="sip:mallory@ims.example"))
        assert caught.value.status == 403

    def test_a_query_without_contact_is_no_binding_of_ours(self) -> None:
        assert pending_from_request(register()).contact == ""


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
        assert found.asserted_identity == ["<sip:a@x>"]
        assert found.owner == ALICE

    def test_without_associated_identities_the_registered_one_is_asserted(self) -> None:
        assert Registration(ALICE, OURS, 1.0).asserted_identity == [f"<{ALICE}>"]
