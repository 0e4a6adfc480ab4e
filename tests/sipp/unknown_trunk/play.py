"""A table that names a trunk nobody knows: refused when it is loaded, 500 for calls when the trunk has gone."""

from __future__ import annotations

import re
from pathlib import Path

from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from kemi.state.web.client import connect
from kemi.state.web.routes import RoutesStore
from tests.integration.calls.stage import warning_of
from tests.lab.parts import gateway
from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "a table with an unknown trunk is not taken, the old one counts; a call to a trunk that has gone gets 500",
    restarts=True,
)


async def play(stage: Stage) -> None:
    """A bad table, then a trunk that is taken out of the gateway's settings while the table has it."""
    store = RoutesStore(connect(stage.world.info.redis_url))
    _, good = store.get()
    bad = RoutingDocument(
        routes=[Route("all", "*", Target.TRUNK, name="carriers")], trunk_groups={"carriers": ["nobody"]}
    )
    version = store.put(bad)
    try:
        with stage.expects("the gateway refuses a table with the trunk 'nobody', and says so"):
            await stage.until(lambda: refused(stage).startswith(f"{version} "), lambda: refused(stage))
            assert "no trunk nobody" in refused(stage), refused(stage)
        await stage.carrier()
        page = await stage.page()
        call = await stage.dial(page)
        await stage.answered(call)
        await stage.hang_up(call)
    finally:
        version = store.put(good)
    await stage.until(lambda: current(stage) == str(version), lambda: f"the table {current(stage)}")

    settings = Path(stage.world.info.run_dir) / "gateway.toml"
    before = settings.read_text()
    stage.report.note("the trunk is taken out of the gateway's settings, and the gateway started again")
    settings.write_text(re.sub(rf'(name = ")({stage.trunk()}")', r"\1gone-\2", before))
    try:
        stage.restart(gateway.NAME)
        answer = await stage.refused(await stage.dial(await stage.page()), 500)
        with stage.expects("the reason is told"):
            assert "trunk" in warning_of(answer), warning_of(answer) or "no Warning"
    finally:
        settings.write_text(before)
        stage.restart(gateway.NAME)


def refused(stage: Stage) -> str:
    """Return which table the gateway has refused, and why."""
    return str(stage.world.gateway_rpc.htable("routing").get("refused", ""))


def current(stage: Stage) -> str:
    """Return which table counts."""
    return str(stage.world.gateway_rpc.htable("routing").get("current", ""))
