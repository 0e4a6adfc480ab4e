"""Python's logging into Kamailio's log, one event for each line: ``event=... call_id=... key=value``.

Values never hold tokens, passwords, digits or session descriptions; whoever logs takes care of that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

LOGGER = logging.getLogger("gateway")


def _quoted(value: object) -> str:
    text = str(value)
    if not text or any(character in text for character in ' "='):
        return (
            '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", " ").replace("\n", " ") + '"'
        )
    return text.replace("\r", " ").replace("\n", " ")


def line_from_event(event: str, fields: Mapping[str, object]) -> str:
    """Return the text of one log line."""
    parts = [f"event={event}", *(f"{key}={_quoted(value)}" for key, value in fields.items() if value != "")]
    return " ".join(parts)


def log_event(level: int, event: str, **fields: object) -> None:
    """Write one event."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, "%s", line_from_event(event, fields))


class KamailioHandler(logging.Handler):
    """Hands records to Kamailio's log functions, by level."""

    def __init__(self, functions: Mapping[str, Callable[[str], None]]) -> None:
        super().__init__()
        self._functions = functions

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a traceback becomes lines of its own."""
        if record.levelno >= logging.ERROR:
            write = self._functions["error"]
        elif record.levelno >= logging.WARNING:
            write = self._functions["warning"]
        elif record.levelno >= logging.INFO:
            write = self._functions["info"]
        else:
            write = self._functions["debug"]
        for line in self.format(record).splitlines():
            write(line + "\n")


def install(functions: Mapping[str, Callable[[str], None]], level: int = logging.INFO) -> None:
    """Send everything the package and its libraries log to Kamailio."""
    root = logging.getLogger()
    root.handlers[:] = [KamailioHandler(functions)]
    root.setLevel(level)
