"""What the core's 200 grants (TS 24.229 §5.2.2.1), and what the page is shown of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.errors import SipReject
from kemi.core.flow_token import token_from_routes
from kemi.core.messages import Reply, Request, Side, parameters
from kemi.core.registration import (
    Flow,
    Grant,
    PendingRegistration,
    Registration,
    check_register,
    digest_grant,
    register_for_core,
    registration_from_reply,
)
from kemi.core.registration.authorization import credentials_from_headers
from kemi.core.registration.contact import with_flow_of
from kemi.core.registration.records import Sent
from kemi.core.registration.reply import comes_late, is_query, is_wildcard, shown_contacts
from kemi.core.registration.request import Register
from tests.unit.core.call.ladder import header_reader
from tests.unit.core.registration.bindings import ALICE, CONTACT, OURS, SETTINGS, TOKEN, binding

FLOW = Flow("7", "n0nce", "198.51.100.9", "127.0.0.1:40000", token="signed.name")
OTHER_LOAD = '<sip:old@earlier.invalid>;expires=3600;+sip.instance="<urn:uuid:1>";reg-id=1'
OTHER_FLOW = f'<{OURS}>;reg-id=2;+sip.instance="<urn:uuid:1>";expires=20'
OTHER_TAB = '<sip:tab@other.invalid>;+sip.instance="<urn:uuid:2>";reg-id=1;expires=9'


def pending(grant: Grant | None = None) -> PendingRegistration:
    return PendingRegistration("7", OURS, ALICE, grant or Grant(), Sent(CONTACT, "reg-1", 3, "tag"))


def ok(*contacts: str, **more: list[str]) -> Reply:
    fields = {"Contact": list(contacts), **{name.replace("_", "-"): values for name, values in more.items()}}
    return Reply(Side.IMS, "REGISTER", "reg-1", "a", "b", 3, headers=header_reader(fields), status=200)


def granted(reply: Reply, grant: Grant | None = None, now: float = 0.0) -> Registration:
    found = registration_from_reply(pending(grant), reply, now)
    assert found is not None
    return found


class TestOurs:
    """The 200 lists every binding of the user."""

    @pytest.mark.conformance("R-43")
    @pytest.mark.parametrize(
        ("contacts", "expires"),
        [
            pytest.param([OTHER_TAB, CONTACT, OTHER_LOAD], 600, id="by URI, before an earlier load"),
            pytest.param([OTHER_LOAD, CONTACT], 600, id="by URI although the instance comes first"),
            pytest.param([OTHER_TAB, OTHER_LOAD], 3600, id="by instance and reg-id"),
            pytest.param([f"{OTHER_TAB}, {CONTACT}"], 600, id="in one field"),
            pytest.param([f'<{OURS}>;expires=60;+sip.instance="<urn:uuid:1>"'], 60, id="expires first"),
            pytest.param([OTHER_FLOW, CONTACT], 600, id="after another flow"),
            pytest.param([OTHER_FLOW, f"<{OURS}>;expires=60"], 60, id="of a core that names no flow"),
            pytest.param([OTHER_LOAD.replace("urn:uuid", "URN:UUID")], 3600, id="in another spelling"),
        ],
    )
    def test_it_is_found(self, contacts: list[str], expires: int) -> None:
        assert granted(ok(*contacts)).expires_at == expires

    @pytest.mark.parametrize(
        "contacts",
        [
            pytest.param([OTHER_TAB], id="another instance"),
            pytest.param([OTHER_LOAD.replace("reg-id=1", "reg-id=2")], id="another reg-id"),
            pytest.param([OTHER_FLOW], id="another flow"),
            pytest.param(["<sip:other@x>;expires=60"], id="no instance at all"),
        ],
    )
    def test_it_is_not_there(self, contacts: list[str]) -> None:
        assert registration_from_reply(pending(), ok(*contacts), 0.0) is None

    @pytest.mark.conformance("R-40")
    def test_charging_is_kept(self) -> None:
        vector = 'icid-value="a;b";icid-generated-at=x;orig-ioi=y;term-ioi="home"'
        found = granted(
            ok(
                CONTACT,
                P_Charging_Vector=[vector],
                P_Charging_Function_Addresses=["ccf=a", "ecf=b"],
            )
        )
        assert (found.charging.icid, found.charging.term_ioi) == ("a;b", "home")
        assert found.charging.function_addresses == "ccf=a,ecf=b"


class TestTokenEnds:
    """RFC 8898 §2.1.1: no longer than the token."""

    @pytest.mark.conformance("R-45")
    def test_the_token_ends_first(self) -> None:
        reply = ok(OTHER_TAB, CONTACT)
        found = granted(reply, TOKEN, now=100.0)
        assert (found.expires_at, found.core_expires_at) == (500.0, 700.0)
        theirs, ours = shown_contacts(pending(TOKEN), reply, found, 100.0)
        assert theirs == OTHER_TAB
        assert parameters(ours)["expires"] == "400"
        assert parameters(ours)["+sip.instance"] == "<urn:uuid:1>"
        assert ours.count("expires") == 1

    @pytest.mark.conformance("R-45")
    def test_the_core_ends_first(self) -> None:
        found = granted(ok(CONTACT), TOKEN, now=-200.0)
        assert found.expires_at == 400.0
        assert shown_contacts(pending(TOKEN), ok(CONTACT), found, -200.0) == []

    def test_digest_has_no_end_of_its_own(self) -> None:
        assert granted(ok(CONTACT)).expires_at == 600.0


class TestLate:
    """The answer to a sign-off may come when the page has registered again (RFC 5626 §6)."""

    @pytest.mark.parametrize(
        ("connection_id", "former", "granted_at", "is_late"),
        [
            pytest.param("8", "7", 11.0, True, id="over another connection since"),
            pytest.param("", "8", 11.0, True, id="which is lost meanwhile"),
            pytest.param("7", "", 11.0, False, id="over the same connection"),
            pytest.param("", "7", 11.0, False, id="which is lost meanwhile, too"),
            pytest.param("8", "", 9.0, False, id="another page's, before"),
            pytest.param("8", "7", 99.0, False, id="by a clock that was set back"),
            pytest.param("", "", 11.0, False, id="before a restart"),
        ],
    )
    def test_a_newer_binding(self, connection_id: str, former: str, granted_at: float, is_late: bool) -> None:
        asked = replace(pending(), at=10.0)
        found = binding(connection_id=connection_id, former_connection_id=former, granted_at=granted_at)
        assert comes_late(asked, found, 12.0) is is_late


class TestRequest:
    """What is remembered of a REGISTER, and who may send it."""

    def request(self, **fields: list[str]) -> Request:
        return Request(
            Side.WIC,
            "REGISTER",
            "reg-1",
            "page-tag",
            "",
            3,
            headers=header_reader(fields),
            request_uri=f"sip:{SETTINGS.realm}",
            from_uri=ALICE,
            to_uri=ALICE,
        )

    def completed(self, **fields: list[str]) -> PendingRegistration:
        request = self.request(**fields)
        credentials = credentials_from_headers(fields.get("Authorization", []))
        grant = digest_grant(request, credentials)
        return register_for_core(
            request, FLOW, grant, credentials, None, SETTINGS, icid="icid", now=0.0
        ).pending

    def test_all_that_a_later_one_must_repeat(self) -> None:
        found = self.completed(Contact=[CONTACT], Authorization=['Digest username="alice@p", realm="x"'])
        assert found.sent.contact_value == CONTACT
        assert (found.sent.call_id, found.sent.cseq, found.sent.from_tag) == ("reg-1", 3, "page-tag")
        assert found.grant.impi == "alice@p"
        assert found.sent.flow_token == FLOW.token
        assert found.key == binding().key

    def test_what_people_want_to_know_of_the_page(self) -> None:
        asked = self.completed(Contact=[CONTACT], **{"User-Agent": ["SIP.js/0.21.2" + "x" * 500]})
        assert (asked.user_agent[:13], len(asked.user_agent)) == ("SIP.js/0.21.2", 200)
        found = registration_from_reply(asked, ok(f"{CONTACT};expires=60"), 7.0)
        assert found is not None
        assert (found.user_agent, found.registered_at) == (asked.user_agent, 7.0)

    def test_a_star_and_a_query_are_no_bindings(self) -> None:
        star = self.completed(Contact=["*"])
        assert (is_wildcard(star), is_query(star)) == (True, False)
        query = PendingRegistration("7", "", ALICE)
        assert (is_wildcard(query), is_query(query)) == (False, True)

    @pytest.mark.conformance("R-14")
    def test_a_connection_that_is_somebody_else_is_refused(self) -> None:
        check_register(self.request(), None, SETTINGS)
        check_register(self.request(), binding(), SETTINGS)
        with pytest.raises(SipReject) as caught:
            check_register(self.request(), binding(address_of_record="sip:bob@ims.example"), SETTINGS)
        assert caught.value.status == 403


class TestFlowOfEachIdentity:
    """The registrar gets another reg-id than the page has, so that it keeps a page's identities apart."""

    @pytest.fixture
    def asked(self) -> Register:
        fields = {"Contact": [CONTACT]}
        request = TestRequest().request(**fields)
        credentials = credentials_from_headers([])
        settings = replace(SETTINGS, flow_by_identity=True)
        return register_for_core(
            request,
            FLOW,
            digest_grant(request, credentials),
            credentials,
            None,
            settings,
            icid="icid",
            now=0.0,
        )

    def test_the_page_is_known_by_its_own(self, asked: Register) -> None:
        """A binding of a release that passed it on is the same one."""
        assert f"Contact: {with_flow_of(ALICE, CONTACT)}" in asked.edits.insert
        assert asked.pending.sent.contact_value == CONTACT
        assert asked.pending.key == binding().key

    def test_it_is_found_among_those_of_its_other_identities(self, asked: Register) -> None:
        other = with_flow_of("sip:+4930123@ims.example", CONTACT.replace("=600", "=20"))
        found = registration_from_reply(asked.pending, ok(other, with_flow_of(ALICE, CONTACT)), 0.0)
        assert found is not None
        assert found.expires_at == 600.0
        assert registration_from_reply(asked.pending, ok(other), 0.0) is None


class TestRoute:
    """The Path comes back as Route."""

    @pytest.mark.parametrize(
        ("routes", "token"),
        [
            pytest.param(["<sip:t0ken@192.0.2.1:5060;lr;ob>"], "t0ken", id="ours"),
            pytest.param(["<sip:t0ken@192.0.2.1;lr>, <sip:x@y>"], "t0ken", id="the topmost"),
            pytest.param(["<sip:192.0.2.1;lr>"], "", id="no user"),
            pytest.param([], "", id="none"),
        ],
    )
    def test_token(self, routes: list[str], token: str) -> None:
        assert token_from_routes(routes) == token
