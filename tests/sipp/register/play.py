"""The gateway registers at the carrier, is called at the Contact it registered, and leaves when it is told to."""

from __future__ import annotations

from tests.lab.parts import gateway
from tests.sipp.scenario import Scenario, TrunkPlan
from tests.sipp.stage import Stage

USER, PASSWORD = "gateway", "registrar-secret"
SCENARIO = Scenario(
    "the gateway registers (401, digest, 200), is called at its Contact, and sends Expires: 0 when it leaves",
    trunks=(TrunkPlan(settings={"user": USER, "password": PASSWORD, "register": True}),),
    calls_in=True,
    restarts=True,
)


async def play(stage: Stage) -> None:
    """SIPp is the registrar, then a caller, then the registrar again."""
    registrar = await stage.carrier("registrar.xml", keys={"user": USER, "password": PASSWORD})
    stage.restart(gateway.NAME)
    with stage.expects("the gateway registers within 5 s, with the right password"):
        await registrar.done(5)
        contact = registrar.requests("REGISTER")[-1].contact_uri
    with stage.expects("the gateway says of the trunk that it is registered"):
        await stage.until(lambda: registration(stage) == "registered", lambda: registration(stage))

    page = await stage.page()
    caller = await stage.caller(keys={"contact": contact or ""})
    with stage.expects("a call to the registered Contact reaches the page"):
        call = await page.wait_incoming()
    await call.ring()
    await call.answer()
    await stage.hang_up(call)
    await caller.done()

    registrar = await stage.carrier("leaves.xml")
    stage.world.control("PUT", "/v1/trunks/leave", {"leave": True})
    with stage.expects("told to leave, the gateway sends REGISTER with Expires 0"):
        await registrar.done(5)
    stage.world.control("PUT", "/v1/trunks/leave", {"leave": False})


def registration(stage: Stage) -> str:
    """Return what the gateway says of its registration."""
    _, said = stage.world.control("GET", "/v1/trunks")
    return next(str(one["registration"]) for one in said["trunks"] if one["registration"])
