"""What the core's notifications mean (RFC 3680), and documents that mean no good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.adapters.pages.reginfo import MAX_BYTES, reginfo_from_text
from kemi.core.errors import RemoteProtocolError
from kemi.core.registration import Registration
from kemi.core.registration.reginfo import (
    SETTLED_AFTER_S,
    Reginfo,
    ReportedContact,
    ReportedRegistration,
    Verdict,
    judge,
    without,
)
from kemi.core.registration.states import Cause
from tests.peers.core_reginfo import ContactReport, reginfo
from tests.unit.core.registration.bindings import ALICE, OURS, binding

LATER = SETTLED_AFTER_S + 1


def judged(
    *contacts: ReportedContact,
    state: str = "active",
    full: bool = True,
    aor: str = ALICE,
    version: int = 1,
    known: int = -1,
    now: float = LATER,
    one: Registration | None = None,
) -> Verdict:
    document = Reginfo(version, full, (ReportedRegistration(aor, state, contacts),))
    return judge(document, known, {"key": one or binding()}, now)


def contact(state: str, event: str, uri: str = OURS, **more: object) -> ReportedContact:
    return ReportedContact(uri, state, event, **more)  # type: ignore[arg-type]


class TestEnds:
    """Terminated, and why."""

    @pytest.mark.conformance("R-61")
    @pytest.mark.parametrize(
        ("event", "cause"),
        [
            ("rejected", Cause.REJECTED),
            ("deactivated", Cause.DEACTIVATED),
            ("probation", Cause.PROBATION),
            ("unregistered", Cause.UNREGISTERED),
            ("expired", Cause.CORE_EXPIRED),
            ("something-new", Cause.UNREGISTERED),
        ],
    )
    def test_our_contact(self, event: str, cause: Cause) -> None:
        assert judged(contact("terminated", event)).endings == (("key", cause),)

    @pytest.mark.conformance("R-61")
    def test_the_whole_registration_without_contacts(self) -> None:
        assert judged(state="terminated").endings == (("key", Cause.REJECTED),)

    def test_the_whole_registration_with_the_reason_at_another_contact(self) -> None:
        other = contact("terminated", "deactivated", "sip:other@x")
        assert judged(other, state="terminated").endings == (("key", Cause.DEACTIVATED),)

    def test_absence_from_a_full_list(self) -> None:
        assert judged(contact("active", "registered", "sip:other@x")).endings == (
            ("key", Cause.UNREGISTERED),
        )

    @pytest.mark.parametrize(
        "verdict",
        [
            pytest.param(judged(contact("active", "registered")), id="active"),
            pytest.param(judged(contact("active", "refreshed", OURS + ";ob")), id="URI parameters"),
            pytest.param(judged(full=False), id="absent from a partial list"),
            pytest.param(judged(state="init", full=False), id="not registered yet"),
            pytest.param(
                judged(state="terminated", aor="sip:bob@ims.example", full=False), id="somebody else"
            ),
            pytest.param(judged(contact("terminated", "rejected"), version=3, known=3), id="seen before"),
            pytest.param(judged(contact("terminated", "rejected"), version=2, known=3), id="older"),
            pytest.param(
                judged(contact("terminated", "expired", call_id="reg-1", cseq=2)), id="an earlier REGISTER"
            ),
        ],
    )
    def test_nothing(self, verdict: Verdict) -> None:
        assert verdict.endings == ()
        assert not verdict.doubtful

    @pytest.mark.parametrize(
        ("aor", "registered"),
        [
            pytest.param(
                "sip:+4930@ims.example", "sip:+4930@ims.example;user=phone", id="the page says more"
            ),
            pytest.param(
                "sip:+4930@ims.example;user=phone", "sip:+4930@ims.example", id="the core says more"
            ),
            pytest.param("sip:%2B4930@IMS.example", "sip:+4930@ims.example", id="escaped"),
        ],
    )
    def test_an_identity_however_it_is_spelled(self, aor: str, registered: str) -> None:
        one = binding(address_of_record=registered)
        assert judged(contact("terminated", "rejected"), aor=aor, one=one).endings

    @pytest.mark.parametrize("order", [1, -1])
    @pytest.mark.parametrize(
        ("ours", "theirs", "ends"),
        [
            pytest.param("reg-1", "reg-0", False, id="the other one is over"),
            pytest.param("reg-0", "reg-1", True, id="ours is"),
            pytest.param("", "", False, id="nobody says whose"),
        ],
    )
    def test_of_two_with_one_uri_its_own_counts(
        self, order: int, ours: str, theirs: str, *, ends: bool
    ) -> None:
        here = contact("active", "registered", call_id=ours)
        gone = contact("terminated", "unregistered", call_id=theirs)
        assert bool(judged(*[here, gone][::order]).endings) is ends

    @pytest.mark.parametrize(
        ("call_id", "event", "ends"),
        [
            pytest.param("reg-2", "unregistered", False, id="another flow's sign-off"),
            pytest.param("reg-2", "expired", False, id="another flow's time is over"),
            pytest.param("reg-2", "deactivated", True, id="the network's doing"),
            pytest.param("reg-1", "unregistered", True, id="its own"),
            pytest.param("", "unregistered", True, id="nobody says whose"),
        ],
    )
    def test_a_partial_list_may_be_about_the_other_flow_with_its_uri(
        self, call_id: str, event: str, *, ends: bool
    ) -> None:
        """RFC 5626 §4.2: the flow that stands is not named there, and the whole list tells."""
        gone = contact("terminated", event, call_id=call_id)
        verdict = judged(gone, full=False)
        assert (bool(verdict.endings), verdict.doubtful) == (ends, not ends)
        assert judged(gone).endings
        assert judged(gone, state="terminated", full=False).endings

    @pytest.mark.parametrize("event", ["unregistered", "expired"])
    def test_a_young_binding_is_not_ended_by_what_its_page_may_have_done(self, event: str) -> None:
        verdict = judged(contact("terminated", event), now=1.0)
        assert (verdict.endings, verdict.doubtful) == ((), True)

    def test_nor_by_its_absence(self) -> None:
        verdict = judged(contact("active", "registered", "sip:other@x"), now=1.0)
        assert (verdict.endings, verdict.doubtful) == ((), True)

    @pytest.mark.parametrize(
        ("event", "ends"),
        [("unregistered", False), ("expired", False), ("rejected", True), ("deactivated", True)],
    )
    def test_a_page_that_may_be_signing_off_hears_it_from_the_answer(self, event: str, *, ends: bool) -> None:
        """However long it was registered: a notification may overtake the 200 to its REGISTER."""
        reported = ReportedRegistration(ALICE, "terminated", (contact("terminated", event),))
        verdict = judge(Reginfo(1, True, (reported,)), -1, {"key": binding()}, LATER, lambda _: True)
        assert (bool(verdict.endings), verdict.doubtful) == (ends, not ends)

    def test_a_clock_that_was_set_back_makes_no_binding_young(self) -> None:
        one = binding(granted_at=LATER + 3600.0)
        assert judged(contact("terminated", "expired"), one=one).endings == (("key", Cause.CORE_EXPIRED),)

    @pytest.mark.parametrize("event", ["rejected", "deactivated", "probation"])
    def test_what_only_the_network_does_is_believed_at_once(self, event: str) -> None:
        assert judged(contact("terminated", event), now=0.1).endings

    @pytest.mark.conformance("R-61")
    def test_a_shortened_contact(self) -> None:
        verdict = judged(contact("active", "shortened", expires_s=60))
        assert (verdict.endings, verdict.shortened) == ((), (("key", 60),))


TEL = "tel:+15550100"
TEMPORARY = "sip:temporary@ims.example"
BARRED = binding(address_of_record=TEMPORARY, associated_uris=[f"<{ALICE}>", f"<{TEL}>"])
OTHER = "sip:other@x"


def told(*registrations: ReportedRegistration, one: Registration, full: bool = True) -> Verdict:
    return judge(Reginfo(1, full, registrations), -1, {"key": one}, LATER)


def registration(aor: str, state: str, *contacts: ReportedContact) -> ReportedRegistration:
    return ReportedRegistration(aor, state, contacts)


class TestNotNamed:
    """The registered identity is barred, which the S-CSCF never names (TS 24.229 §5.4.2.1.2), or no longer known."""

    @pytest.mark.conformance("R-61")
    @pytest.mark.parametrize("full", [True, False])
    @pytest.mark.parametrize(
        ("contacts", "cause"),
        [
            pytest.param((contact("terminated", "deactivated"),), Cause.DEACTIVATED, id="with the Contact"),
            pytest.param((), Cause.REJECTED, id="without"),
        ],
    )
    def test_the_default_identity_speaks_for_its_set(
        self, full: bool, contacts: tuple[ReportedContact, ...], cause: Cause
    ) -> None:
        verdict = told(registration(ALICE, "terminated", *contacts), one=BARRED, full=full)
        assert verdict.endings == (("key", cause),)

    @pytest.mark.parametrize("one", [BARRED, binding(associated_uris=[f"<{ALICE}>", f"<{TEL}>"])])
    def test_another_number_does_not(self, one: Registration) -> None:
        gone = registration(TEL, "terminated", contact("terminated", "deactivated"))
        assert told(gone, one=one, full=False).endings == ()

    def test_nor_the_default_identity_for_one_that_is_named_when_it_changes(self) -> None:
        one = binding(address_of_record=TEL, associated_uris=[f"<{ALICE}>", f"<{TEL}>"])
        assert told(registration(ALICE, "terminated"), one=one, full=False).endings == ()

    def test_where_its_contact_stands_it_lives(self) -> None:
        here = registration(TEL, "active", contact("active", "shortened", expires_s=60))
        verdict = told(registration(ALICE, "terminated"), here, one=BARRED)
        assert (verdict.endings, verdict.shortened) == ((), (("key", 60),))

    @pytest.mark.conformance("R-61")
    @pytest.mark.parametrize(
        "reported",
        [
            pytest.param(registration(ALICE, "init"), id="lost at the S-CSCF"),
            pytest.param(
                registration(ALICE, "active", contact("active", "registered", OTHER)), id="another page"
            ),
            pytest.param(
                registration(OTHER, "active", contact("active", "registered", OTHER)), id="nobody of the set"
            ),
        ],
    )
    @pytest.mark.parametrize("one", [BARRED, binding()])
    def test_where_it_stands_nowhere_it_is_over(
        self, reported: ReportedRegistration, one: Registration
    ) -> None:
        assert told(reported, one=one).endings == (("key", Cause.UNREGISTERED),)
        young = judge(Reginfo(1, True, (reported,)), -1, {"key": one}, 1.0)
        assert (young.endings, young.doubtful) == ((), True)

    def test_a_document_that_names_nobody_says_nothing(self) -> None:
        assert told(one=binding()).endings == ()


BOTH = binding(associated_uris=[f'"Alice" <{ALICE}>', f"<{TEL}>"])


class TestWithdrawn:
    """An identity of the implicit set is registered no more, and the page is (TS 24.229 §5.2.3)."""

    @pytest.mark.conformance("R-61")
    @pytest.mark.parametrize(
        "contacts",
        [
            pytest.param((), id="without contacts"),
            pytest.param((contact("terminated", "unregistered"),), id="with the page's Contact"),
            pytest.param((contact("terminated", "expired", OTHER),), id="with another one"),
        ],
    )
    @pytest.mark.parametrize("full", [True, False])
    def test_it_is_the_pages_no_more(self, contacts: tuple[ReportedContact, ...], full: bool) -> None:
        verdict = told(
            registration(ALICE, "active", contact("active", "registered")),
            registration("TEL:+1-555-0100", "terminated", *contacts),
            one=BOTH,
            full=full,
        )
        assert (verdict.endings, verdict.withdrawn) == ((), (("key", (f"<{TEL}>",)),))

    @pytest.mark.parametrize(
        "reported",
        [
            pytest.param(registration(TEL, "active", contact("active", "registered")), id="registered"),
            pytest.param(
                registration(TEL, "terminated", contact("active", "registered")), id="our Contact is"
            ),
            pytest.param(
                registration(TEL, "terminated", contact("terminated", "expired", call_id="reg-1", cseq=2)),
                id="an earlier REGISTER",
            ),
            pytest.param(registration("tel:+15550999", "terminated"), id="another number"),
        ],
    )
    def test_it_stays(self, reported: ReportedRegistration) -> None:
        assert told(reported, one=BOTH, full=False).withdrawn == ()

    def test_it_goes_with_the_registration(self) -> None:
        verdict = told(registration(ALICE, "terminated"), registration(TEL, "terminated"), one=BOTH)
        assert (verdict.endings, verdict.withdrawn) == ((("key", Cause.REJECTED),), ())

    @pytest.mark.parametrize(("event", "is_believed"), [("unregistered", False), ("deactivated", True)])
    def test_a_young_one_is_doubtful_where_its_page_may_have_done_it(
        self, event: str, is_believed: bool
    ) -> None:
        reported = registration(TEL, "terminated", contact("terminated", event))
        verdict = judge(Reginfo(1, False, (reported,)), -1, {"key": BOTH}, 1.0)
        assert (bool(verdict.withdrawn), verdict.doubtful) == (is_believed, not is_believed)

    def test_the_last_one_is_left(self) -> None:
        both = replace(BOTH)
        assert without(both, (f"<{TEL}>",)) is both
        assert both.associated_uris == [f'"Alice" <{ALICE}>']
        assert without(both, (f'"Alice" <{ALICE}>',)) is None
        assert without(both, (f"<{TEL}>",)) is None


class TestVersions:
    """RFC 3680 §5.1."""

    @pytest.mark.parametrize(
        ("known", "version", "full", "missed"),
        [
            pytest.param(-1, 17, False, False, id="the first one may have any number"),
            pytest.param(4, 5, False, False, id="the next one"),
            pytest.param(4, 6, False, True, id="a gap"),
            pytest.param(4, 9, True, False, id="a full one closes every gap"),
            pytest.param(4, 4, False, False, id="a repetition"),
        ],
    )
    @pytest.mark.conformance("R-61")
    def test_gap(self, known: int, version: int, full: bool, missed: bool) -> None:
        verdict = judged(contact("active", "registered"), full=full, version=version, known=known)
        assert verdict.resubscribe is missed
        assert verdict.version == max(known, version)


class TestDocuments:
    """XML from the network."""

    def test_what_is_read(self) -> None:
        text = reginfo(
            ALICE,
            (ContactReport(OURS, "active", "shortened", 60, more=' callid="reg-1" cseq="7"'),),
            version=3,
            kind="partial",
        )
        reported = ReportedContact(OURS, "active", "shortened", 60, "reg-1", 7)
        assert reginfo_from_text(text) == Reginfo(
            3, False, (ReportedRegistration(ALICE, "active", (reported,)),)
        )

    @pytest.mark.conformance("R-62")
    def test_other_namespaces_are_passed_over(self) -> None:
        inside = '<x:contact xmlns:x="urn:3gpp:ns:extRegInfo:1.0" state="terminated"/>'
        (found,) = reginfo_from_text(reginfo(ALICE, (), version=0, inside=inside)).registrations
        assert found.contacts == ()

    @pytest.mark.conformance("R-62")
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="nothing"),
            pytest.param("<reginfo", id="not XML"),
            pytest.param('<reginfo version="1" state="full"/>', id="no namespace"),
            pytest.param('<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" state="full"/>', id="no version"),
            pytest.param(
                '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="-1" state="full"/>',
                id="bad version",
            ),
            pytest.param('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', id="an entity"),
            pytest.param('<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><a/>', id="an external subset"),
            pytest.param('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', id="a file"),
            pytest.param("<a>" * 5000, id="deep"),
            pytest.param(reginfo(ALICE, (), version=1, inside=" " * MAX_BYTES), id="too large"),
        ],
    )
    def test_what_is_refused(self, text: str) -> None:
        with pytest.raises(RemoteProtocolError):
            reginfo_from_text(text)
