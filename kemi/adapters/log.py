"""Python's logging into Kamailio's log, one event for each line: ``event=... call_id=... key=value``.

Values never hold tokens, passwords, digits or session descriptions; whoever logs takes care of that.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping

LOGGER = logging.getLogger("gateway")


Observer = Callable[[int, str, Mapping[str, object]], None]

_write_by_level: Mapping[str, Callable[[str], None]] = {}
_observers: list[Observer] = []
_threshold = logging.NOTSET
_INFO_VERBOSITY = 2
"""From this debug level on Kamailio writes lines of level info."""


def _verbosity() -> int:
    return _INFO_VERBOSITY


_PLAIN = re.compile(r"[^\s\"=\\]+")


def _quoted(value: object) -> str:
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + " ".join(text.replace("\\", "\\\\").replace('"', '\\"').splitlines()) + '"'


def line_from_event(event: str, fields: Mapping[str, object]) -> str:
    """Return the text of one log line, without NUL, which Kamailio's functions do not take."""
    line = f"event={event}"
    for key, value in fields.items():
        if value != "":
            line += f" {key}={_quoted(value)}"
    return line.replace("\0", "\\0") if "\0" in line else line


def is_written(level: int) -> bool:
    """Whether a line of this level would reach the log."""
    return level >= _threshold and (level > logging.INFO or _verbosity() >= _INFO_VERBOSITY)


def log_event(level: int, event: str, **fields: object) -> None:
    """Write one event: straight to Kamailio once installed, because several are written for every call."""
    for observer in _observers:
        observer(level, event, fields)
    if not is_written(level):
        return
    line = line_from_event(event, fields)
    if _write_by_level:
        _writer(_write_by_level, level)(line + "\n")
    else:
        LOGGER.log(level, "%s", line)


def _writer(functions: Mapping[str, Callable[[str], None]], level: int) -> Callable[[str], None]:
    if level >= logging.ERROR:
        return functions["error"]
    if level >= logging.WARNING:
        return functions["warning"]
    return functions["info"] if level >= logging.INFO else functions["debug"]


class KamailioHandler(logging.Handler):
    """Hands records to Kamailio's log functions, by level."""

    def __init__(self, functions: Mapping[str, Callable[[str], None]]) -> None:
        super().__init__()
        self._functions = functions

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a traceback becomes lines of its own."""
        write = _writer(self._functions, record.levelno)
        for line in self.format(record).splitlines():
            write(line.replace("\0", "\\0") + "\n")


def observe(observer: Observer) -> None:
    """Let somebody see every event, whether its line is written or not."""
    _observers[:] = [observer]


def install(
    functions: Mapping[str, Callable[[str], None]], verbosity: Callable[[], int], level: int = logging.INFO
) -> None:
    """Send everything the package and its libraries log to Kamailio; lines it would not write are not made."""
    global _write_by_level, _threshold, _verbosity
    _write_by_level, _threshold, _verbosity = functions, level, verbosity
    root = logging.getLogger()
    root.handlers[:] = [KamailioHandler(functions)]
    root.setLevel(level)
