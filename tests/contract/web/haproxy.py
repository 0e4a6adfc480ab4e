"""HAProxy by the role's template, alone, before whatever a test has put behind it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.lab.certificate import make_certificate
from tests.lab.ports import LOOPBACK
from tests.lab.roles import render_role
from tests.lab.waiting import wait_until


@contextmanager
def haproxy(
    folder: Path, variables: Mapping[str, object], instead: tuple[str, str] = ("", "")
) -> Iterator[None]:
    """Run it in a folder with these variables of the role; ``instead``: a text of its file, and what stands there."""
    admin = folder / "admin.sock"
    own = {
        "haproxy_certificate": str(make_certificate(folder)),
        "haproxy_admin_socket": str(admin),
        "haproxy_address": LOOPBACK,
        "haproxy_user": "",
        "haproxy_log_target": "stderr",
    }
    text = render_role("haproxy", "haproxy.cfg.j2", {**own, **variables})
    config = folder / "haproxy.cfg"
    config.write_text(text.replace(*instead) if instead[0] else text)
    with (folder / "haproxy.log").open("w") as log:
        process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(config)], stderr=log)
    try:
        wait_until(admin.exists, "HAProxy", 10)
        yield
    finally:
        process.terminate()
        process.wait(10)
