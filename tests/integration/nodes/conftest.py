"""One lab with two relay nodes for the whole folder; for each test a stage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.nodes.world import Nodes, NodeStage, lab_with_nodes


@pytest.fixture(scope="package")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Gateway, agent and nodes."""
    with lab_with_nodes(tmp_path_factory.mktemp("nodes")) as nodes:
        yield nodes


@pytest.fixture
async def stage(nodes: Nodes) -> AsyncIterator[NodeStage]:
    """A core, pages on demand, all nodes up; afterwards the check that nothing is left behind."""
    nodes.mend()
    stage = NodeStage(nodes)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()
