"""Writes what a throw-away Kamailio says it exports to scripts, as make_ksr.py reads it: ``make ksr-api``."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.contract.kamailio.running import PROBE, running

API_LIST: Final = "app_python.api_list"
"""The RPC that lists all functions with their parameters."""


def main() -> None:
    """Start Kamailio, without the gateway's own code; ask it; stop it."""
    with tempfile.TemporaryDirectory(prefix="ksr-") as folder, running(Path(folder), PROBE) as kamailio:
        json.dump({"result": kamailio.rpc(API_LIST)}, sys.stdout)


if __name__ == "__main__":
    main()
