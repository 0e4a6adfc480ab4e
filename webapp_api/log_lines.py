"""What the service writes to its log: one line for each thing that happened, whatever is in it."""

import logging
import re
from typing import Any, Final

_FORMAT: Final = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
_MOMENT: Final = "[%Y-%m-%d %H:%M:%S %z]"
_PLAIN: Final = re.compile(r"[!-~]+")
_NEEDS_QUOTES: Final = frozenset("\"'=\\")


class OneLine(logging.Formatter):
    """A formatter after which nothing that somebody sent begins a line of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 logging's name
        """Return the line, with what cannot be printed in escapes."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 logging's name
        """Return a traceback whose lines are all indented; an exception may say what somebody sent."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {printable(line)}" for line in lines)


def printable(text: str) -> str:
    """Return a text with escapes for line ends and whatever else cannot be printed."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def value(text: str) -> str:
    """Return what stands after ``key=``: the text as the gateway's log has it, so that one search finds both.

    In quotes only where it would end or forge the field.
    """
    if not text:
        return "-"
    return text if _PLAIN.fullmatch(text) and not _NEEDS_QUOTES & set(text) else ascii(text)


def log_settings() -> dict[str, Any]:
    """Return settings for logging.config.dictConfig: everything from INFO on goes to stderr, as gunicorn's own does."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "root": {"level": "INFO", "handlers": ["stderr"]},
        # Not gunicorn's defaults, which would take its lines from the handlers it has.
        "loggers": {},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "one_line"}},
        "formatters": {"one_line": {"()": OneLine, "fmt": _FORMAT, "datefmt": _MOMENT}},
    }
