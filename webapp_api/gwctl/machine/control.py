"""The control endpoint of this machine's gateway (kemi/adapters/control/endpoint.py)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from kemi.settings import Settings, SettingsError, settings_from_text
from rtpengine.agent.control import ControlClient, ControlRefused, ControlUnreachable
from webapp_api.gwctl.program import Away

FILE = "gateway.toml"


def ask_gateway(folder: Path, method: str, path: str, body: object = None) -> dict[str, Any]:
    """Ask the gateway whose settings are in a folder; raises ClickException."""
    file = folder / FILE
    try:
        settings = settings_from_text(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.ClickException(
            f"{file}: {error.strerror}; this is for the gateway of this machine"
        ) from error
    except SettingsError as error:
        raise click.ClickException(f"{file}: {error}") from error
    try:
        return asyncio.run(ask_control(settings, method, path, body))
    except ControlRefused as error:
        raise click.ClickException(f"the gateway refuses: {error}") from error
    except ControlUnreachable as error:
        raise Away(f"the gateway of this machine does not answer: {error}") from error


async def ask_control(
    settings: Settings, method: str, path: str, body: object = None, timeout_s: float = 5.0
) -> dict[str, Any]:
    """Ask; raises ControlRefused or ControlUnreachable."""
    control = settings.control
    client = ControlClient(control.address, control.port, control.secret, timeout_s)
    try:
        return await client.ask(method, path, body)
    finally:
        client.close()
