"""The carrier wants a password for the call (407): the gateway gives the trunk's, and the page knows nothing of it."""

from __future__ import annotations

from tests.peers.digest import Credentials, challenge_from_text, is_authorized
from tests.sipp.scenario import Scenario, TrunkPlan
from tests.sipp.stage import Stage

USER, PASSWORD = "gateway", "trunk-secret"
SCENARIO = Scenario(
    "the carrier challenges the INVITE (407): the gateway answers with the trunk's user and password",
    trunks=(TrunkPlan(settings={"user": USER, "password": PASSWORD}),),
)


async def play(stage: Stage) -> None:
    """The carrier takes the second INVITE."""
    carrier = await stage.carrier()
    call = await stage.dial(await stage.page())
    await stage.answered(call)
    first, second = carrier.requests("INVITE")
    (refusal,) = [one for one in carrier.responses("INVITE", sent=True) if one.status == 407]
    with stage.expects("the digest is right, and the second INVITE is a new request"):
        challenge = challenge_from_text(refusal.headers.get("Proxy-Authenticate") or "")
        assert is_authorized(second, challenge, Credentials(USER, PASSWORD)), carrier.ladder()
        assert second.cseq.number == first.cseq.number + 1, (first.cseq, second.cseq)
    with stage.expects("the page has heard nothing of the challenge"):
        assert not [one for one in call.ladder() if " 407 " in one], call.ladder()
    await stage.hang_up(call)
