"""The PSTN gateway and the conference service, each a Python process."""

import sys
from collections.abc import Sequence

from tests.lab.control import Control
from tests.lab.parts import carrier
from tests.lab.ports import LOOPBACK
from tests.lab.roles import REPOSITORY
from tests.lab.site import Site
from tests.lab.subscribers import REALM


def start_pstn(site: Site) -> None:
    plan = site.plan
    standalone = site.options.standalone
    home = plan.gateway_sip if standalone else plan.icscf
    more = ("--realm", REALM, "--icscf-port", str(home), "--conference-port", str(plan.conference))
    address = carrier.ADDRESS if standalone else LOOPBACK
    _start(site, "pstn", plan.pstn, plan.pstn_control, plan.pstn_rtp, more, address)


def pstn_ready(site: Site) -> bool:
    return _answers(site.plan.pstn_control)


def start_conference(site: Site) -> None:
    plan = site.plan
    _start(site, "conference", plan.conference, plan.conference_control, plan.conference_rtp)


def conference_ready(site: Site) -> bool:
    return _answers(site.plan.conference_control)


def _start(
    site: Site,
    name: str,
    port: int,
    control_port: int,
    rtp: tuple[int, int],
    more: Sequence[str] = (),
    address: str = LOOPBACK,
) -> None:
    where = ("--address", address, "--port", str(port), "--control-port", str(control_port))
    media = ("--rtp", *(str(end) for end in rtp))
    argv = [sys.executable, "-m", f"tests.lab.services.{name}", *where, *media, *more]
    site.processes.spawn(name, argv, cwd=REPOSITORY)


def _answers(control_port: int) -> bool:
    return isinstance(Control(LOOPBACK, control_port, timeout_s=1).ask("calls"), list)
