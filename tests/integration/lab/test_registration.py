"""REGISTER at the real core: every authentication scheme, and who is refused."""

import base64

import pytest

from tests.integration.lab.endpoint import Endpoint
from tests.lab.ims import milenage
from tests.lab.lab import Lab
from tests.lab.subscribers import BY_NAME
from tests.peers.digest import challenge_from_text
from tests.peers.udp import Address

# Outside the network that the I-CSCF trusts.
UNTRUSTED_ADDRESS = "127.0.1.7"


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        pytest.param("alice", "MD5", id="digest-md5"),
        pytest.param("bob", "MD5", id="sip-digest"),
        pytest.param("carol", "AKAv1-MD5", id="aka"),
        pytest.param("web8", "MD5", id="web-user"),
    ],
)
async def test_a_subscriber_registers_through_the_access_p_cscf(
    pcscf: Address, ims_side: Lab, name: str, algorithm: str
) -> None:
    subscriber = BY_NAME[name]
    endpoint = Endpoint(subscriber)
    await endpoint.open()
    try:
        *challenges, answer = await endpoint.register(pcscf)
        assert answer.status == 200
        challenge = challenge_from_text(challenges[0].headers.fields("WWW-Authenticate")[0])
        assert challenge.algorithm == algorithm
        assert answer.headers.fields("Service-Route") == [
            f"<{ims_side.info.ims.scscf.replace('sip:', 'sip:orig@')};lr>"
        ]
        associated = ",".join(answer.headers.fields("P-Associated-URI"))
        assert subscriber.impu in associated
        assert subscriber.tel in associated
        assert answer.headers.fields("Path")
        state = ims_side.hss.ask("subscriptions")[subscriber.impi]
        assert state["registered"] == dict.fromkeys(subscriber.impus, "registered")
        assert (await endpoint.register(pcscf, expires_s=0))[-1].status == 200
        assert ims_side.hss.ask("subscriptions")[subscriber.impi]["registered"] == {}
    finally:
        await endpoint.close()


async def test_a_wrong_password_is_refused(bob: Endpoint, pcscf: Address) -> None:
    assert (await bob.register(pcscf, password=b"wrong"))[-1].status == 403


@pytest.mark.conformance("R-17")
async def test_the_core_believes_a_trusted_node_without_a_challenge(bob: Endpoint, icscf: Address) -> None:
    answer = await bob.register_once(icscf, bob.trusted_credentials())
    assert answer.status == 200
    await bob.register_once(icscf, bob.trusted_credentials(), expires_s=0)


@pytest.mark.conformance("R-17")
async def test_the_core_does_not_believe_a_node_elsewhere(icscf: Address, ims_side: Lab) -> None:
    stranger = Endpoint(BY_NAME["dave"])
    await stranger.open(UNTRUSTED_ADDRESS)
    try:
        answer = await stranger.register_once(icscf, stranger.trusted_credentials())
    finally:
        await stranger.close()
    assert answer.status == 403
    assert ims_side.hss.ask("subscriptions")[BY_NAME["dave"].impi]["registered"] == {}


async def test_an_isim_that_is_ahead_makes_the_hss_resynchronise(pcscf: Address) -> None:
    ahead = 1 << 20
    carol = Endpoint(BY_NAME["carol"])
    await carol.open()
    try:
        first = await carol.register_once(pcscf, carol.empty_credentials())
        challenge = challenge_from_text(first.headers.fields("WWW-Authenticate")[0])
        keys, rand, _ = carol.isim(challenge)
        auts = base64.b64encode(milenage.auts(keys, rand, ahead)).decode()
        credentials = carol.credentials(challenge, b"", f',auts="{auts}"')
        again = await carol.register_once(pcscf, credentials)
        assert again.status == 401
        _, new_rand, token = carol.isim(challenge_from_text(again.headers.fields("WWW-Authenticate")[0]))
        sqn = milenage.sqn_from_autn(keys, new_rand, token)
        assert sqn is not None
        assert sqn > ahead
    finally:
        await carol.close()


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        pytest.param({"UAR": {"experimental_result": 5004}}, 403, id="uar-identity-already-registered"),
        pytest.param({"UAR": {"experimental_result": 5001}}, 403, id="uar-user-unknown"),
        pytest.param({"UAR": {"result": 5012}}, 500, id="uar-unable-to-comply"),
        pytest.param({"MAR": {"result": 5012}}, 403, id="mar-unable-to-comply"),
        pytest.param({"SAR": {"result": 5012}}, 500, id="sar-unable-to-comply"),
        pytest.param({"UAR": {"drop": True}}, 504, id="uar-not-answered"),
    ],
)
async def test_a_fault_of_the_hss_becomes_a_final_response(
    bob: Endpoint, pcscf: Address, ims_side: Lab, fault: dict[str, dict[str, object]], status: int
) -> None:
    ims_side.hss.ask("fault", faults=fault)
    assert (await bob.register(pcscf))[-1].status == status
    (command,) = fault
    records = [r for r in ims_side.hss.ask("records") if r["impi"] == bob.subscriber.impi]
    assert [r for r in records if r["command"] == command][-1]["result"] != "ok"


async def test_the_hss_ends_a_registration(bob: Endpoint, pcscf: Address, ims_side: Lab) -> None:
    assert (await bob.register(pcscf))[-1].status == 200
    diameter_success = 2001
    result = ims_side.hss.ask("terminate", impi=bob.subscriber.impi, reason_code=0)
    assert result == diameter_success
    assert ims_side.hss.ask("subscriptions")[bob.subscriber.impi]["server"] is None


async def test_a_fault_of_a_command_that_does_not_exist_is_refused(ims_side: Lab) -> None:
    with pytest.raises(Exception, match="no such command: XYZ"):
        ims_side.hss.ask("fault", faults={"XYZ": {"drop": True}})
