"""Which configuration counts, and the parts of the program that are made of it when a command needs them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Final

import click

from kemi.state.web.client import connect
from webapp_api.services import Services
from webapp_api.settings import Settings, SettingsError, settings_from_text

DEFAULT_FOLDER: Final = Path("/etc/webrtc-ims-gateway")
WEB_SETTINGS: Final = "webapp_api.toml"
_FILES_OF_OTHERS: Final = ("gateway.toml", "media_agent.toml")


class Place:
    """A node's configuration."""

    def __init__(self, path: Path) -> None:
        """``path``: the folder of the configuration, or the settings file of the web service in it."""
        try:
            is_file = path.is_file()
        except OSError:  # we may not look; who reads it says so
            is_file = path.suffix == Path(WEB_SETTINGS).suffix
        self._file = path if is_file else path / WEB_SETTINGS
        self.folder = self._file.parent

    @cached_property
    def settings(self) -> Settings:
        """The web service's settings; raises SettingsError, or ClickException without a file."""
        try:
            return settings_from_text(self._file.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise SettingsError([f"{self._file}: not UTF-8"]) from error
        except OSError as error:
            hint = "name the folder of the configuration: gwctl --config FOLDER ..."
            if isinstance(error, FileNotFoundError) and any(
                (self.folder / name).exists() for name in _FILES_OF_OTHERS
            ):
                hint = "no web node: here are `gwctl check`, `doctor` and `trunks leave`, all else is on web nodes"
            elif isinstance(error, PermissionError):
                hint = "run it as root"
            raise click.ClickException(f"{self._file}: {error.strerror} ({hint})") from error

    @cached_property
    def services(self) -> Services:
        """The parts of the web service."""
        return Services.of(self.settings)

    @property
    def web_login(self) -> Services:
        """The same, where there is a web login; raises ClickException."""
        if not self.settings.web_login:
            raise click.ClickException("key_secret is not set: there is no web login")
        return self.services

    @cached_property
    def redis(self) -> Any:
        """A connection, for views that the web service does not have."""
        return connect(self.settings.redis_url)


pass_place: Final = click.make_pass_decorator(Place)
