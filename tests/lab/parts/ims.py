"""The IMS core: the HSS first, then I-CSCF, S-CSCF and access P-CSCF."""

import re
import sys
from pathlib import Path
from typing import Final

from tests.lab.control import Control
from tests.lab.kamailio import answers_options, command_line
from tests.lab.ports import LOOPBACK
from tests.lab.roles import REPOSITORY, template_environment
from tests.lab.services.pstn import PREFIX as PSTN_PREFIX
from tests.lab.site import Site
from tests.lab.subscribers import REALM, SUBSCRIBERS, subscribers_to_file

NODES: Final = ("scscf", "icscf", "pcscf")
SHM_MB: Final = 64
PKG_MB: Final = 4
_TEMPLATES: Final = Path(__file__).parent.parent / "ims" / "templates"


def start_hss(site: Site) -> None:
    subscribers = site.run_dir / "subscribers.json"
    subscribers_to_file(SUBSCRIBERS, subscribers)
    arguments = {
        "--address": site.options.ims_address,
        "--port": str(site.plan.hss),
        "--control-port": str(site.plan.hss_control),
        "--realm": REALM,
        "--scscf-uri": f"sip:{site.options.ims_address}:{site.plan.scscf}",
        "--subscribers": str(subscribers),
    }
    argv = [
        sys.executable,
        "-m",
        "tests.lab.ims.hss_server",
        *(x for pair in arguments.items() for x in pair),
    ]
    site.processes.spawn("hss", argv, cwd=REPOSITORY)


def hss_ready(site: Site) -> bool:
    """The HSS must listen before a CSCF starts: cdp tries once and then only after its Tc."""
    return _hss(site).ask("peers") is not None


def start_cscfs(site: Site) -> None:
    environment = template_environment(_TEMPLATES)
    plan = site.plan
    database = site.folder("icscf-db")
    for table, text in _icscf_tables(site).items():
        (database / table).write_text(text)
    cx_ports = {"icscf": plan.icscf_cx, "scscf": plan.scscf_cx}
    for node in NODES:
        values = {
            "node": node,
            "address": site.options.ims_address,
            "port": getattr(plan, node),
            "realm": REALM,
            "rpc_socket": str(rpc_socket(site.run_dir, node)),
            "cdp_config": str(site.run_dir / f"{node}.xml"),
            "cx_port": cx_ports.get(node),
            "hss_port": plan.hss,
            "db_dir": str(database),
            "icscf_port": plan.icscf,
            "scscf_port": plan.scscf,
            "pstn_port": plan.pstn,
            "pstn_prefix": PSTN_PREFIX,
            "conference_port": plan.conference,
            "trusted_sources": _trusted_sources(site.options.ims_address),
        }
        if node in cx_ports:
            site.write(f"{node}.xml", environment.get_template("cdp.xml.j2").render(values))
        config = site.write(f"{node}.cfg", environment.get_template(f"{node}.cfg.j2").render(values))
        argv = command_line(config, site.run_dir, SHM_MB, PKG_MB)
        site.processes.spawn(node, argv, cwd=site.run_dir)


def _trusted_sources(address: str) -> str:
    """Return who is believed when it says "auth-done": the core's own 256 addresses; a test sends from others."""
    return "^" + re.escape(address.rpartition(".")[0] + ".")


def _icscf_tables(site: Site) -> dict[str, str]:
    """Return the three tables ims_icscf insists on, in db_text's format (a colon in a value is escaped)."""
    scscf = f"sip\\:{site.options.ims_address}\\:{site.plan.scscf}"
    return {
        "version": "table_name(string) table_version(int)\n",
        "nds_trusted_domains": f"id(int) trusted_domain(string)\n1:{REALM}\n",
        "s_cscf": f"id(int) name(string) s_cscf_uri(string)\n1:scscf:{scscf}\n",
        "s_cscf_capabilities": "id(int) id_s_cscf(int) capability(int)\n1:1:0\n2:1:1\n",
    }


def cscfs_ready(site: Site) -> bool:
    """Both Cx peers have connected and all three proxies answer."""
    return len(_hss(site).ask("peers")) == 2 and all(
        answers_options(site.options.ims_address, getattr(site.plan, node)) for node in NODES
    )


def rpc_socket(run_dir: Path, node: str) -> Path:
    """Return where a CSCF listens for RPC."""
    return run_dir / f"{node}-rpc.sock"


def _hss(site: Site) -> Control:
    return Control(LOOPBACK, site.plan.hss_control, timeout_s=1)
