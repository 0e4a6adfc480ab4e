"""What is no number, or nobody's, is refused by the gateway itself, with a reason that a person understands."""

from __future__ import annotations

from tests.integration.calls.stage import warning_of
from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "pages and the carrier call what is no number: 403, 404 or 484 with a Warning that says why; no carrier hears it",
    calls_in=True,
)
FROM_PAGES = (
    ("tel:+49305550abc", 404, "after + come digits"),
    ("tel:+4930555012345678901", 404, "longer than 15 digits"),
    ("tel:+999123456789", 404, "no such country code"),
    ("tel:+4930", 484, "digits are missing"),
    ("tel:0305550100;phone-context=+()", 404, "phone-context"),
    ("tel:0305550100;phone-context=+49;phone-context=home.example", 403, "twice"),
    ("sip:+49305550100%0d%0a@{home}", 404, "no sip: address"),
    ("tel:+493099999999", 404, "no route"),
)
FROM_THE_CARRIER = (("+4930", 484), ("+49305550abc", 404), ("+493099999999", 404))


async def play(stage: Stage) -> None:
    """Many short calls."""
    carrier = await stage.carrier("unheard.xml")
    page = await stage.page()
    for uri, status, why in FROM_PAGES:
        target = uri.format(home=page.identity.aor.rpartition("@")[2])
        answer = await stage.refused(await stage.dial(page, target), status)
        with stage.expects(f"the reason is told: ... {why} ..."):
            assert why in warning_of(answer), warning_of(answer) or "no Warning"
    await stage.heard_nothing(carrier)
    for number, status in FROM_THE_CARRIER:
        stage.report.note(f"the carrier calls {number}")
        caller = await stage.caller(f"refused_{status}.xml", to=number)
        with stage.expects(f"the carrier hears {status}"):
            await caller.done()
