"""What leaves by a trunk: cheap numbers unless somebody allowed more, and calls for help whatever the limits."""

from __future__ import annotations

import pytest

from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.outbound_site import Carriers, answered, nothing_of_ims
from tests.integration.calls.stage import Stage, warning_of
from tests.integration.calls.test_trunks import SPAIN
from tests.lab.lab import Lab
from tests.lab.subscribers import REALM
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def gateway_lab(outbound_lab: Lab) -> Lab:
    """The one with trunks."""
    return outbound_lab


@pytest.mark.parametrize(
    ("target", "rates"),
    [
        ("tel:+12125550123", "international"),
        ("tel:+33899123456", "premium"),  # of a country that is allowed
        (f"tel:0900-1234567;phone-context={REALM}", "premium"),
        ("tel:+88213912345", "satellite"),
    ],
)
async def test_dear_numbers_do_not_leave(
    stage: Stage,
    carriers: Carriers,
    target: str,
    rates: str,
) -> None:
    wic = await (await stage.page()).invite(target, AUDIO_BOTH_WAYS)
    refused = await wic.wait_status(403)
    assert rates in warning_of(refused) or "numbers that begin with +882" in warning_of(refused)
    assert not carriers.first.calls
    assert not carriers.second.calls


@pytest.mark.conformance("S-61")
@pytest.mark.parametrize(
    ("target", "number"),
    [("urn:service:sos", "112"), (f"tel:110;phone-context={REALM}", "110"), ("tel:+49112", "112")],
)
async def test_a_call_for_help_leaves_by_the_trunk_of_its_row_though_that_is_full(
    stage: Stage,
    carriers: Carriers,
    target: str,
    number: str,
) -> None:
    carriers.do(answers(DeviceMedia()))
    other = await answered(stage, carriers.first, f"tel:{SPAIN}")
    call = await answered(stage, carriers.first, target)
    invite = call.ims.invite
    assert invite.request_uri == f"sip:{number}@narrow.example;user=phone"
    assert (invite.headers.get("Priority"), invite.headers.get("Resource-Priority")) == (
        "emergency",
        "esnet.0",
    )
    nothing_of_ims(invite)
    await call.hang_up()
    await other.hang_up()
