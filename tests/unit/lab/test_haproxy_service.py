"""What HAProxy may not do as a service, and would do in no lab."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
ROLE = REPOSITORY / "ansible" / "roles" / "haproxy"
HARDENING = REPOSITORY / "ansible" / "roles" / "common" / "files" / "hardening.conf"


def test_it_has_no_regular_expressions_which_it_would_compile_to_machine_code() -> None:
    assert "MemoryDenyWriteExecute=yes" in HARDENING.read_text()
    text = (ROLE / "templates" / "haproxy.cfg.j2").read_text()
    statements = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert not [line for line in statements if re.search(r"regsub|_reg\b|-m reg|\bregex|replace-", line)]
