"""`python -m rtpengine.agent --config FILE`: run the media agent until SIGTERM or SIGINT.

Exit status: 0 stopped, 2 wrong usage or settings.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import Final

import click

from rtpengine.agent.app import Agent
from rtpengine.agent.settings import DEFAULT_PATH, Settings, SettingsError, settings_from_file

EXIT_WRONG: Final = 2


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_PATH, show_default=True
)
@click.option("--verbose", is_flag=True, help="Log what is only good to know, too.")
def main(config: Path, verbose: bool) -> None:
    """Watch the relay nodes of the gateway on this machine."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s %(message)s"
    )
    # One line for each ping of a dead node would bury the rest.
    logging.getLogger("rtpengine.transport").setLevel(logging.ERROR)
    try:
        settings = settings_from_file(config)
    except SettingsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_WRONG)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    work = loop.create_task(Agent(settings).run())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    await work


if __name__ == "__main__":
    main()
