"""What holds for all playbooks."""

from typing import Any

import pytest
import yaml

from tests.lab.roles import REPOSITORY

PLAYBOOKS = REPOSITORY / "ansible/playbooks"


def plays(name: str) -> list[dict[str, Any]]:
    """Return the plays of a playbook, without those that it imports."""
    read = yaml.safe_load((PLAYBOOKS / f"{name}.yml").read_text())
    return [play for play in read if "hosts" in play]


@pytest.mark.parametrize("name", ["site", "upgrade", "rollback"])
def test_restarts_that_are_due_outlast_a_failed_task(name: str) -> None:
    assert not [play["name"] for play in plays(name) if play.get("force_handlers") is not True]
