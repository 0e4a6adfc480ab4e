"""What the inventories say of where secrets may stand is true."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.provision.operator import ANSIBLE


@pytest.mark.parametrize(("inventory", "host"), [("lab", "gateway"), ("example", "sig1")])
def test_a_vault_that_the_inventory_names_is_read_beside_the_other_settings(
    tmp_path: Path, inventory: str, host: str
) -> None:
    copy = Path(shutil.copytree(ANSIBLE / "inventories" / inventory, tmp_path / "mine"))
    text = (copy / "group_vars/all/main.yml").read_text()
    (named,) = re.findall(r"\S*vault\.yml", text)
    (copy / named).write_text("gateway_flow_secret: of the vault\n")
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "inventory", "-i", str(copy), "--host", host],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["gateway_flow_secret"] == "of the vault"
    assert found["gateway_realm"].startswith("ims.")
