"""The eIMS-AGW: rtpengine in user space, from its Ansible role."""

from typing import Final

from rtpengine.ng.commands import Ping
from rtpengine.ng.errors import NgError
from rtpengine.pool import NodeAddress
from rtpengine.transport.udp import UdpClient
from tests.lab.ports import LOOPBACK
from tests.lab.relay_program import relay_command
from tests.lab.site import Site

NAME: Final = "rtpengine"
THREADS: Final = 2
# Two loopback addresses, so that a packet's address tells which side it belongs to.
WIC_ADDRESS: Final = LOOPBACK
IMS_ADDRESS: Final = "127.0.0.2"
_LOG_LEVEL: Final = 6
_PING_DEADLINE_S: Final = 0.2


def start(site: Site) -> None:
    plan = site.plan
    first, last = plan.media_rtp
    config = site.render(
        "rtpengine",
        "rtpengine.conf.j2",
        {
            "rtpengine_wic_address": WIC_ADDRESS,
            "rtpengine_ims_address": IMS_ADDRESS,
            "rtpengine_ng_address": LOOPBACK,
            "rtpengine_ng_port": plan.ng,
            "rtpengine_cli_port": plan.rtpengine_cli,
            "rtpengine_port_min": first,
            "rtpengine_port_max": last,
            "rtpengine_threads": THREADS,
            "rtpengine_log_level": _LOG_LEVEL,
            "rtpengine_dtmf_log_dest": f"{LOOPBACK}:{plan.rtpengine_dtmf}",
        },
    )
    argv = [*relay_command(), f"--config-file={config}", "--foreground", "--log-stderr"]
    site.processes.spawn(NAME, argv, cwd=site.run_dir)


def ready(site: Site) -> bool:
    client = UdpClient(NodeAddress(LOOPBACK, site.plan.ng), deadline_s=_PING_DEADLINE_S)
    try:
        client.request(Ping())
    except NgError as error:
        raise ConnectionError(str(error)) from error
    finally:
        client.close()
    return True
