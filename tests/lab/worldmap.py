"""Describes a started site as the data of lab.json."""

import os
from pathlib import Path

from tests.lab.options import Part
from tests.lab.parts import carrier, gateway, ims, phones, rtpengine, web_api
from tests.lab.plan import Plan
from tests.lab.ports import LOOPBACK
from tests.lab.services import conference, pstn
from tests.lab.site import Site
from tests.lab.subscribers import BY_NAME, REALM, SUBSCRIBERS, Subscriber
from tests.lab.world import (
    ConferenceInfo,
    GatewayInfo,
    ImsInfo,
    LabInfo,
    PhoneInfo,
    RtpengineInfo,
    ServiceInfo,
    UserInfo,
    WebInfo,
)


def info_of(site: Site) -> LabInfo:
    """Collect every address of the site."""
    plan, run_dir = site.plan, site.run_dir
    return LabInfo(
        run_dir=str(run_dir),
        log_dir=str(site.processes.log_dir),
        parts=tuple(part for part in Part if part in site.options.parts),
        standalone=site.options.standalone,
        launcher_pid=os.getpid(),
        processes=site.processes.pids,
        web=_web_info(plan, run_dir),
        gateway=GatewayInfo(
            LOOPBACK,
            plan.gateway_sip,
            plan.gateway_ws,
            plan.gateway_control,
            site.control_secret,
            str(gateway.rpc_socket(run_dir)),
            plan.gateway_home,
        ),
        rtpengine=RtpengineInfo(
            LOOPBACK,
            plan.ng,
            plan.rtpengine_cli,
            rtpengine.WIC_ADDRESS,
            rtpengine.IMS_ADDRESS,
            *plan.media_rtp,
            plan.rtpengine_dtmf,
        ),
        ims=ImsInfo(
            REALM,
            f"sip:{site.options.ims_address}:{plan.icscf}",
            f"sip:{site.options.ims_address}:{plan.scscf}",
            f"sip:{site.options.ims_address}:{plan.pcscf}",
            plan.hss_control,
            {node: str(ims.rpc_socket(run_dir, node)) for node in ims.NODES},
        ),
        redis_url=f"redis://{LOOPBACK}:{plan.redis}/0",
        users={
            subscriber.name: _user_info(subscriber, with_did=site.options.standalone)
            for subscriber in SUBSCRIBERS
        },
        phones=_phone_infos(site),
        pstn=ServiceInfo(
            f"tel:{carrier.NUMBER if site.options.standalone else f'{pstn.PREFIX}0200'}",
            plan.pstn,
            plan.pstn_control,
            pstn.TONE_HZ,
        ),
        conference=ConferenceInfo(
            f"sip:conference@{REALM}",
            plan.conference,
            plan.conference_control,
            conference.PROMPT_HZ,
            f"sip:{conference.DOOR}@{REALM}",
            conference.NUMBER,
            conference.PINS,
        ),
    )


def _web_info(plan: Plan, run_dir: Path) -> WebInfo:
    host = f"localhost:{plan.https}"
    service_url = f"http://{LOOPBACK}:{plan.web_api}"
    accounts = {
        subscriber.name: web_api.web_password(subscriber.name)
        for subscriber in SUBSCRIBERS
        if web_api.has_account(subscriber)
    } | {web_api.OPERATOR: web_api.web_password(web_api.OPERATOR)}
    return WebInfo(
        f"https://{host}",
        f"wss://{host}/sip",
        service_url,
        str(run_dir / "tls" / "site.crt"),
        accounts,
        f"http://{LOOPBACK}:{plan.metrics}/metrics",
    )


def _user_info(subscriber: Subscriber, *, with_did: bool) -> UserInfo:
    did = carrier.did_of(subscriber) if with_did else ""
    return UserInfo(
        subscriber.name,
        subscriber.impi,
        subscriber.impu,
        f"tel:{did}" if did else subscriber.tel,
        subscriber.scheme,
        subscriber.password,
    )


def _phone_infos(site: Site) -> dict[str, PhoneInfo]:
    infos = {}
    for phone in site.options.phones:
        subscriber, ports = BY_NAME[phone.name], site.plan.phones[phone.name]
        infos[phone.name] = PhoneInfo(
            phone.name,
            subscriber.impu,
            subscriber.tel,
            ports.sip,
            ports.control,
            str(phones.folder(site.run_dir, phone.name)),
            phone.audio_codecs,
            phone.video_codec,
            phone.tone_hz,
        )
    return infos
