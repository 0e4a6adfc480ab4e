"""Which node gets a call: by load and weight, and none where an operator says so; on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.nodes.world import Nodes, NodeStage
from tests.lab.roles import REPOSITORY

pytestmark = pytest.mark.lab


def operator(nodes: Nodes, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    config = str(Path(nodes.lab.info.run_dir) / "media_agent.toml")
    return subprocess.run(
        [sys.executable, "-m", "rtpengine", *arguments, "--config", config],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


async def test_calls_go_where_there_are_fewest(stage: NodeStage, nodes: Nodes) -> None:
    spread = Counter([(await stage.call())[1] for _ in range(6)])
    assert spread == {nodes.a: 3, nodes.b: 3}
    await stage.hang_up()


async def test_a_drained_node_keeps_its_calls_and_gets_no_new_ones(stage: NodeStage, nodes: Nodes) -> None:
    kept = await stage.call_on(nodes.a)
    assert operator(nodes, "drain", nodes.a).returncode == 0
    assert {(await stage.call())[1] for _ in range(4)} == {nodes.b}
    assert kept.call_id in nodes.calls(nodes.a)
    assert f"{nodes.a}  up, draining" in operator(nodes, "nodes").stdout
    nodes.lab.kill("media_agent")
    nodes.restart_agent()
    assert {(await stage.call())[1] for _ in range(4)} == {nodes.b}
    await stage.hang_up()
    shown = json.loads(operator(nodes, "nodes", "--json").stdout)
    assert [node["drained"] for node in shown["nodes"]] == [True, False]
    assert operator(nodes, "undrain", nodes.a).returncode == 0
    await stage.call_on(nodes.a)
    await stage.hang_up()


async def test_mistakes_are_said_in_a_line(nodes: Nodes) -> None:
    unknown = operator(nodes, "drain", "192.0.2.1:1")
    assert (unknown.returncode, unknown.stderr) == (1, "error: 404: no node 192.0.2.1:1\n")
    nowhere = subprocess.run(
        [sys.executable, "-m", "rtpengine", "nodes", "--config", "/nowhere"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert (nowhere.returncode, nowhere.stderr) == (2, "error: /nowhere: No such file or directory\n")
