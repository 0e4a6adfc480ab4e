"""The eP-CSCF itself: Kamailio with the KEMI code of this working copy, configured by its Ansible role."""

import secrets
import sysconfig
from pathlib import Path
from typing import Final

from tests.lab.kamailio import answers_options, command_line
from tests.lab.options import Part
from tests.lab.parts import carrier
from tests.lab.ports import LOOPBACK
from tests.lab.relay_program import relay_version
from tests.lab.roles import REPOSITORY, role_variables
from tests.lab.site import Site
from tests.lab.subscribers import REALM

NAME: Final = "gateway"
UDP_WORKERS: Final = 2
TCP_WORKERS: Final = 2
SHM_MB: Final = 256
VENV: Final = REPOSITORY / ".venv"


def start(site: Site) -> None:
    plan = site.plan
    web_origin = f"https://localhost:{plan.https}"
    variables = {
        "kamailio_code_dir": str(REPOSITORY),
        "kamailio_venv_dir": str(VENV),
        "kamailio_run_dir": str(site.run_dir),
        "kamailio_state_dir": str(site.run_dir),
        "kamailio_config_dir": str(site.run_dir),
        "kamailio_sip_address": LOOPBACK,
        "kamailio_sip_port": plan.gateway_sip,
        "kamailio_ws_address": LOOPBACK,
        "kamailio_ws_port": plan.gateway_ws,
        "kamailio_home_port": plan.gateway_home,
        "kamailio_control_address": LOOPBACK,
        "kamailio_control_port": plan.gateway_control,
        "gateway_control_secret": site.control_secret,
        "kamailio_udp_workers": UDP_WORKERS,
        "kamailio_tcp_workers": TCP_WORKERS,
        "kamailio_shm_mb": SHM_MB,
        "gateway_realm": REALM,
        "gateway_icscf_uris": [f"sip:{LOOPBACK}:{plan.icscf}"],
        "gateway_origins": [web_origin],
        "gateway_registration_schemes": ["digest", "bearer"],
        "gateway_token_issuers": [{"issuer": web_origin, "authz_server": f"{web_origin}/"}],
        # Whole crowds of test users share an address, and some do on purpose what gets it banned.
        "gateway_ban_points": 0,
        "gateway_flow_secret": secrets.token_hex(32),
        "gateway_rtpengine_nodes": [{"address": LOOPBACK, "port": plan.ng, "version": relay_version()}],
        "gateway_redis_url": f"redis://{LOOPBACK}:{plan.redis}/0",
        **(carrier.variables(site) if site.options.standalone else {}),
    }
    if site.options.standalone and Part.REDIS in site.options.parts:
        carrier.load_table(site)
    config = site.render("kamailio", "site.cfg.j2", variables)
    settings = site.render("kamailio", "gateway.toml.j2", variables)
    if site.options.role_variables.get("kamailio", {}).get("kamailio_tls_port"):
        site.render("kamailio", "tls.cfg.j2", variables)
    effective = role_variables("kamailio", {**variables, **site.options.role_variables.get("kamailio", {})})
    site.processes.spawn(
        NAME,
        command_line(
            config,
            site.run_dir,
            effective["kamailio_shm_mb"],
            effective["kamailio_pkg_mb"],
            effective["kamailio_memory_manager"],
        ),
        cwd=site.run_dir,
        env={
            "PYTHONPATH": f"{REPOSITORY}:{sysconfig.get_path('purelib')}",
            "GATEWAY_SETTINGS": str(settings),
        },
    )


def ready(site: Site) -> bool:
    chosen = site.options.role_variables.get("kamailio", {})
    return answers_options(
        str(chosen.get("kamailio_sip_address", LOOPBACK)),
        chosen.get("kamailio_sip_port", site.plan.gateway_sip),
    )


def rpc_socket(run_dir: Path) -> Path:
    """Return where the gateway listens for RPC, as the role's template says."""
    return run_dir / "kamailio-rpc.sock"
