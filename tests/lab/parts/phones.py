"""The baresip phones, registered through the access P-CSCF."""

import signal
from pathlib import Path

from tests.lab import baresip
from tests.lab.ports import LOOPBACK
from tests.lab.site import Site
from tests.lab.subscribers import BY_NAME


def folder(run_dir: Path, name: str) -> Path:
    """Return a phone's folder: its configuration and its recordings."""
    return run_dir / "phones" / name


def start(site: Site) -> None:
    for phone in site.options.phones:
        subscriber, ports = BY_NAME[phone.name], site.plan.phones[phone.name]
        place = folder(site.run_dir, phone.name)
        account = baresip.Account(
            subscriber.impu,
            subscriber.impi,
            subscriber.password,
            outbound=f"sip:{site.options.ims_address}:{site.plan.pcscf}",
            auto_answer=phone.auto_answer,
        )
        setup = baresip.Setup(
            account,
            site.options.ims_address,
            ports.sip,
            ports.control,
            ports.rtp,
            phone.audio_codecs,
            phone.video_codec,
            phone.tone_hz,
        )
        baresip.write_configuration(place, setup)
        # On SIGTERM baresip waits for the answer to its de-registration, 32 s when the core is gone.
        argv = [baresip.BINARY, "-f", str(place), "-v"]
        site.processes.spawn(phone.name, argv, cwd=place, death_signal=signal.SIGKILL)


def ready(site: Site) -> bool:
    return all(_is_registered(site, phone.name) for phone in site.options.phones)


def _is_registered(site: Site, name: str) -> bool:
    with baresip.Phone(LOOPBACK, site.plan.phones[name].control, folder(site.run_dir, name)) as phone:
        return phone.is_registered()
