"""How the machine's packet filter is loaded."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.lab.roles import ROLES


@pytest.mark.parametrize("order", ["ExecStart", "ExecReload"])
def test_rules_that_are_refused_keep_no_others_out(tmp_path: Path, order: str) -> None:
    unit = (ROLES / "firewall/templates/webrtc-ims-firewall.service.j2").read_text()
    ((option, script),) = re.findall(rf"^{order}=/bin/sh (-\w+) '(.*)'$", unit, re.MULTILINE)
    rules = tmp_path / "nft.d"
    rules.mkdir()
    for name in ("a-bad.nft", "b.nft"):
        (rules / name).touch()
    nft = tmp_path / "nft"
    nft.write_text(f'#!/bin/sh\necho "$2" >>{tmp_path}/asked\ncase "$2" in *a-bad.nft) exit 1; esac\n')
    nft.chmod(0o755)
    script = script.replace("{{ firewall_config_dir }}", str(tmp_path)).replace("/usr/sbin/nft", str(nft))
    assert subprocess.run(["/bin/sh", option, script], check=False).returncode == 1
    assert (tmp_path / "asked").read_text().split() == [f"{rules}/a-bad.nft", f"{rules}/b.nft"]
    (rules / "a-bad.nft").unlink()
    assert subprocess.run(["/bin/sh", option, script], check=False).returncode == 0
