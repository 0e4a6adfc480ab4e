"""The agent as a whole: it ends when it is told to."""

from __future__ import annotations

import asyncio

from rtpengine.agent.app import Agent
from rtpengine.agent.settings import settings_from_text
from tests.lab.roles import render_role


async def test_one_that_is_ended_at_the_moment_of_a_change_ends() -> None:
    """Or systemd would wait for it, and then kill it."""
    variables = {
        "media_agent_control_secret": "0" * 32,
        "media_agent_nodes": [{"address": "127.0.0.1", "port": 9, "version": "10.5"}],
    }
    agent = Agent(settings_from_text(render_role("media_agent", "media_agent.toml.j2", variables)))
    for work in (agent._report_for_ever, agent._reconciler.run):
        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
        agent._changed.set()
        agent._reconciler.want()
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()
