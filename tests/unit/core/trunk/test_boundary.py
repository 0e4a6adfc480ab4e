"""What passes between a trunk and the home network, field by field."""

from __future__ import annotations

import pytest

from kemi.core.trunk.incoming import (
    NOT_BELIEVED,
    NOT_FOR_TRUNKS,
    Caller,
    invite_edits,
    names_not_believed,
    names_withheld,
)
from kemi.core.trust import CHARGING
from tests.unit.core.call.ladder import header_reader
from tests.unit.core.trunk.test_incoming import TRUNK, invite


@pytest.mark.parametrize(
    "name",
    [
        "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "P-Called-Party-ID", "P-Associated-URI",
        "P-Served-User", "P-Profile-Key", "P-User-Database", "Additional-Identity", "Attestation-Info",
        "Origination-Id", "P-Asserted-Service", "P-Preferred-Service", "Resource-Priority", "Priority-Share",
        "Priority-Verstat", "P-Charging-Vector", "P-Charging-Function-Addresses", "P-Access-Network-Info",
        "P-Visited-Network-ID", "P-Private-Network-Indication", "Cellular-Network-Info", "Relayed-Charge",
        "Restoration-Info", "Service-Interact-Info", "Response-Source", "P-Media-Authorization", "Alert-Info",
        "P-Charge-Info", "Path", "Service-Route", "Feature-Caps", "Security-Client", "Security-Server",
        "Security-Verify", "Authorization", "Proxy-Authorization", "Route", "Diversion", "Priority",
    ],
)  # fmt: skip
def test_what_a_trunk_may_not_say(name: str) -> None:
    caller = Caller("+4989555", False)
    edits = invite_edits(invite(), TRUNK, caller, "sip:a@h", head="", record_route=(), charging="x")
    assert name in edits.remove
    assert name in ("Route", "Diversion", "Priority") or name in names_not_believed("BYE sip:a SIP/2.0")


@pytest.mark.parametrize(
    "name",
    [
        "P-Charging-Vector", "P-Charging-Function-Addresses", "P-Access-Network-Info", "P-Visited-Network-ID",
        "P-Served-User", "P-Profile-Key", "P-User-Database", "P-Associated-URI", "P-Called-Party-ID",
        "P-Asserted-Service", "P-Preferred-Service", "Service-Route", "Path", "Cellular-Network-Info",
        "Relayed-Charge", "Response-Source", "Server", "Feature-Caps", "Accept-Contact", "Reject-Contact",
        "Request-Disposition", "P-Charge-Info",
    ],
)  # fmt: skip
def test_what_the_home_network_keeps_from_a_trunk(name: str) -> None:
    assert name in names_withheld(header_reader({}), "SIP/2.0 200 OK")


@pytest.mark.parametrize("withheld", [False, True])
def test_what_the_home_network_is_told_of_a_trunks_call(withheld: bool) -> None:
    edits = invite_edits(
        invite({"Privacy": ["none"]}),
        TRUNK,
        Caller("+4989555", withheld),
        "sip:a@h",
        head="",
        record_route=["<sip:trunk@198.51.100.1:5061;lr>", "<sip:trunk@198.51.100.1:5060;lr>"],
        charging="icid-value=1",
    )
    assert ("Privacy" in edits.remove) is withheld
    assert edits.insert == (
        "P-Asserted-Identity: <sip:+4989555@acme.example;user=phone>",
        *(["Privacy: id"] if withheld else []),
        "P-Charging-Vector: icid-value=1",
        "Record-Route: <sip:trunk@198.51.100.1:5061;lr>",
        "Record-Route: <sip:trunk@198.51.100.1:5060;lr>",
    )


def test_who_pays_is_between_networks() -> None:
    assert set(CHARGING) <= set(NOT_BELIEVED) & set(NOT_FOR_TRUNKS)
