"""`python -m tests.lab`: run a lab for people to look at."""

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from tests.lab.lab import Lab, RunDirectoryInUse, is_running
from tests.lab.options import PARTS_BY_MODE, LabOptions, Mode, Part
from tests.lab.parts.web_api import OPERATOR
from tests.lab.ports import PortMode, PortsExhausted
from tests.lab.processes import ProcessDied, log_tail, start_ticks, stop_leftovers
from tests.lab.roles import REPOSITORY
from tests.lab.waiting import NotReady, wait_until
from tests.lab.world import INFO_FILE, LabInfo, info_from_file

DEFAULT_RUN_DIR: Final = REPOSITORY / "lab-run"
STOP_TIMEOUT_S: Final = 15.0
EXIT_FAILED: Final = 1
MEDIA_PORTS_OF_LOAD: Final = 4000

run_dir_option = click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_RUN_DIR,
    show_default=f"{DEFAULT_RUN_DIR.name} in the working copy",
    help="Folder of configuration, logs and lab.json.",
)


class Interrupted(Exception):
    """Somebody asked the lab to stop."""


@click.group()
def main() -> None:
    """The gateway with a whole IMS world around it, on loopback."""


@main.command()
@run_dir_option
@click.option("--once", is_flag=True, help="Prove one call and stop, instead of waiting for Ctrl-C.")
@click.option(
    "--ports",
    type=click.Choice([mode.value for mode in PortMode]),
    default=PortMode.FIXED.value,
    show_default=True,
)
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    default=Mode.WORLD.value,
    show_default=True,
    help="Which parts.",
)
@click.option(
    "--sipp", is_flag=True, help="With the trunks that SIPp plays (tests/sipp), short timers and no limits."
)
def run(run_dir: Path, once: bool, ports: str, mode: str, sipp: bool) -> None:
    """Start the lab in the foreground, prove a call and keep it until Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    chosen = Mode(mode)
    if sipp and chosen is not Mode.WORLD:
        raise click.UsageError(
            f"--sipp needs --mode {Mode.WORLD}: its trunks are those of a gateway with a core"
        )
    if once and chosen is Mode.IMS:
        raise click.UsageError(f"--once proves a call through the gateway, which --mode {Mode.IMS} has not")
    options = LabOptions(
        parts=PARTS_BY_MODE[chosen],
        run_dir=run_dir,
        ports=PortMode(ports),
        standalone=chosen is Mode.STANDALONE,
    )
    if sipp:
        options = replace(
            options, role_variables={"kamailio": _trunks_of_sipp()}, media_ports=MEDIA_PORTS_OF_LOAD
        )
    lab = Lab(options)
    proven = False
    try:
        with lab:
            click.echo(f"ready in {lab.started_in_s:.1f} s\n")
            click.echo("\n".join(describe(lab.info)))
            if chosen is not Mode.IMS:
                _prove(lab, standalone=chosen is Mode.STANDALONE)
            proven = True
            if not once:
                click.echo("\nCtrl-C stops the lab.")
                signal.pause()
    except Interrupted:
        click.echo("stopped")
        sys.exit(0 if proven else EXIT_FAILED)
    except (PortsExhausted, RunDirectoryInUse) as error:
        advice = {
            PortsExhausted: "`make run PORTS=free` takes other ports",
            RunDirectoryInUse: "`python -m tests.lab stop` ends a lab, `--run-dir` names another folder",
        }
        raise click.ClickException(f"{error}; {advice[type(error)]}") from None
    except (ProcessDied, NotReady, AssertionError) as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        click.echo(f"logs: {run_dir / 'log'}", err=True)
        sys.exit(EXIT_FAILED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


def _trunks_of_sipp() -> dict[str, Any]:
    from tests.sipp.existing import role_variables  # the scenarios import what they play with

    return role_variables()


def _prove(lab: Lab, *, standalone: bool) -> None:
    # a browser's worth of imports, only when wanted
    from tests.lab.proof import prove
    from tests.lab.proof_standalone import prove_standalone

    proof = prove_standalone(lab) if standalone else prove(lab)
    click.echo("\n" + "\n".join(proof.lines()))


@main.command()
@run_dir_option
def status(run_dir: Path) -> None:
    """Say where a running lab is and which of its processes live."""
    info = _info(run_dir)
    alive = is_running(run_dir)
    click.echo("\n".join(describe(info)))
    click.echo(f"\nlauncher {info.launcher_pid} {'runs' if alive else 'is gone'}")
    for name, pid in info.processes.items():
        click.echo(f"  {name:<12}{pid:>8}  {'runs' if start_ticks(pid) is not None else 'is gone'}")
    sys.exit(0 if alive else EXIT_FAILED)


@main.command()
@run_dir_option
def stop(run_dir: Path) -> None:
    """Stop a lab that runs in another terminal, or what a killed one left."""
    pid = _info(run_dir).launcher_pid
    if is_running(run_dir):  # or the process of that number is a stranger
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_running(run_dir), "the launcher's end", STOP_TIMEOUT_S)
    stop_leftovers(run_dir)
    click.echo("stopped")


@main.command()
@run_dir_option
@click.argument("names", nargs=-1)
def logs(run_dir: Path, names: Sequence[str]) -> None:
    """Show the ends of the logs: of these processes, or of all."""
    for path in sorted((run_dir / "log").glob("*.log")):
        if not names or path.stem in names:
            click.echo(f"--- {path.stem}\n{log_tail(path)}")


def _info(run_dir: Path) -> LabInfo:
    try:
        return info_from_file(run_dir / INFO_FILE)
    except FileNotFoundError:
        raise click.ClickException(f"no lab ran in {run_dir}") from None


def describe(info: LabInfo) -> list[str]:
    """Say in lines where everything is."""
    rows = [
        (Part.HAPROXY, "softphone", f"{info.web.origin}/  (self-signed certificate)"),
        (
            Part.HAPROXY,
            "console",
            f"{info.web.origin}/console  ({OPERATOR}, password {info.web.accounts[OPERATOR]})",
        ),
        (Part.HAPROXY, "SIP over WSS", info.web.wss_url),
        (Part.GATEWAY, "gateway", f"sip:{info.gateway.address}:{info.gateway.sip_port} (UDP, TCP, STUN)"),
        (Part.RTPENGINE, "media relay", f"ng {info.rtpengine.ng_address}:{info.rtpengine.ng_port}"),
        (Part.REDIS, "Redis", info.redis_url),
        (Part.IMS, "IMS core", f"I-CSCF {info.ims.icscf}  S-CSCF {info.ims.scscf}  P-CSCF {info.ims.pcscf}"),
        (Part.PSTN, "PSTN number", f"{info.pstn.uri}  (says {info.pstn.tone_hz} Hz)"),
        (Part.CONFERENCE, "conference", f"{info.conference.uri}  (open; says {info.conference.tone_hz} Hz)"),
        (
            Part.CONFERENCE,
            "",
            f"tel:{info.conference.door_number} through the PSTN, {info.conference.door_uri}",
        ),
        *(
            (Part.CONFERENCE, "", f"  PIN {pin}# leads into the room {room}")
            for pin, room in info.conference.pins.items()
        ),
    ]
    lines = [f"{name:<14}{value}" for part, name, value in rows if part in info.parts]
    if Part.PHONES in info.parts:
        lines += [
            f"{phone.name:<14}{phone.impu}  {phone.tel}  ({', '.join(phone.audio_codecs)}"
            f"{'; ' + phone.video_codec if phone.video_codec else ''}; says {phone.tone_hz} Hz)"
            for phone in info.phones.values()
        ]
    passwords = "private identity, password of the web account"
    lines += ["", f"users to sign in with ({passwords}{'' if info.standalone else ', SIP password'}):"]
    for user in info.users.values():
        account = info.web.accounts.get(user.name, "-")
        if info.standalone and user.name in info.web.accounts:
            lines.append(f"  {user.impi:<18}{account:<18}{user.tel}")
        elif not info.standalone and user.password and user.name not in info.phones:
            lines.append(f"  {user.impi:<18}{account:<18}{user.password:<15}{user.tel}  {user.scheme}")
    return [*lines, "", f"logs in {info.log_dir}"]


if __name__ == "__main__":
    main()
