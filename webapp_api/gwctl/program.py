"""What all commands have in common: ``--json``, exit codes, examples and shapes in the help, errors in either form.

A command returns an Answer; whether people or programs read it is decided here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final, NoReturn, TypeVar

import click
import msgspec

from kemi.state.web.client import StateUnavailable
from webapp_api.gwctl.shapes import shape_to_text
from webapp_api.settings import SettingsError

_JSON: Final = "gwctl.json"
_EXIT_CODES: Final = (
    "0 done, 1 something is wrong or cannot be done, 2 wrong usage, 3 no answer (Redis, gateway)"
)

Function = TypeVar("Function", bound=Callable[..., Any])


class ExitCode(IntEnum):
    """How a command ends."""

    DONE = 0
    WRONG = 1
    """Something is wrong, or what was asked for cannot be done."""
    USAGE = 2
    AWAY = 3
    """Redis or a gateway does not answer."""


class Away(click.ClickException):
    """Somebody who is needed does not answer."""

    exit_code = ExitCode.AWAY


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command says."""

    document: object
    """For programs: an instance of the command's shape."""
    lines: Sequence[str]
    """For people."""
    exit_code: int = ExitCode.DONE
    remarks: Sequence[str] = ()
    """What people are told on standard error; the document has it, too."""


def is_json() -> bool:
    """Whether the running command was given --json."""
    return bool(click.get_current_context().meta.get(_JSON))


def to_json(document: object) -> str:
    """Write a document on one line, without what a terminal obeys: pages choose Call-IDs and names."""
    text = msgspec.json.encode(document).decode()
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def printable(text: str) -> str:
    """Return a text without what a terminal obeys: pages choose Call-IDs and names."""
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)


class Command(click.Command):
    """A command with --json, whose help has examples and the shape of what it writes."""

    def __init__(
        self,
        *args: Any,
        shape: type,
        examples: Sequence[str] = (),
        note: Callable[[str, str], None] | None = None,
        **kwargs: Any,
    ) -> None:
        """``note``: gets name and arguments of the command once it has changed something."""
        super().__init__(*args, **kwargs)
        self.shape = shape
        self._note = note
        self.examples = tuple(examples)
        self.params.append(
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_note_json,
                help="Write JSON, errors too.",
            )
        )

    def invoke(self, ctx: click.Context) -> None:
        """Run the command and write its answer."""
        try:
            answer = super().invoke(ctx)
        except SettingsError as error:
            raise click.ClickException(f"the settings cannot be used:\n{error}") from error
        except StateUnavailable as error:
            raise Away(f"Redis cannot be used: {error}") from error
        except msgspec.MsgspecError as error:
            raise click.ClickException(f"Redis has data of another release: {error}") from error
        if answer is None:  # has written as it went
            return
        if self._note is not None:
            given = {name: value for name, value in ctx.params.items() if value}
            self._note(ctx.command_path, " ".join(f"{name}={value}" for name, value in given.items()))
        assert isinstance(answer.document, self.shape), self.name
        if is_json():
            click.echo(msgspec.json.format(to_json(answer.document), indent=2))
        else:
            for line in answer.lines:
                click.echo(printable(line))
            for remark in answer.remarks:
                click.echo(printable(remark), err=True)
        ctx.exit(answer.exit_code)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples, shape and exit codes below the options."""
        program = ctx.find_root().info_name
        for title, lines in (
            ("Examples", [f"{program} {example}" for example in self.examples]),
            ("JSON", shape_to_text(self.shape)),
            ("Exit status", [_EXIT_CODES]),
        ):
            if lines:
                with formatter.section(title):
                    for line in lines:
                        formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Group(click.Group):
    """Commands about one thing, which may be named in the singular, too; without a command it is listed."""

    def __init__(self, *args: Any, aliases: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.aliases = dict(aliases or {})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take `nodes` and `nodes --json` for `nodes list`."""
        asks_for_help = bool(args) and args[0] in ctx.help_option_names
        names_none = not args or args[0].startswith("-")
        if "list" in self.commands and names_none and not asks_for_help and not ctx.resilient_parsing:
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command by its name, or another name it has."""
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))


class Program(Group):
    """The whole program: says what went wrong as the reader wants it."""

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any, **options: Any
    ) -> NoReturn:
        """Run, and end with the exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        try:
            _check_encoding(arguments)
            code = super().main(arguments, prog_name, *rest, **options)
        except click.ClickException as error:
            if "--json" in arguments:
                told = {"error": error.format_message(), "exit_code": int(error.exit_code)}
                click.echo(to_json(told))
            else:
                error.show()
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(ExitCode.WRONG)
        sys.exit(code if isinstance(code, int) else ExitCode.DONE)


def _check_encoding(arguments: Sequence[str]) -> None:
    try:
        "".join(arguments).encode()
    except UnicodeError as error:
        raise click.UsageError("an argument is not UTF-8") from error


def command(
    group: click.Group, name: str, shape: type, *examples: str, note: Callable[[str, str], None] | None = None
) -> Callable[[Callable[..., Answer | None]], Command]:
    """Add a command to a group; ``examples``: as they are typed, without the program's name."""

    def add(function: Callable[..., Answer | None]) -> Command:
        made = click.command(name, cls=Command, shape=shape, examples=examples, note=note)(function)
        group.add_command(made)
        return made

    return add


def _note_json(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    ctx.meta[_JSON] = value


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> list[str]:
    """Write rows below each other, as wide as they have to be; ``nothing``: what is said when there are none."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    if not cells:
        return [nothing]
    everything = [list(columns), *cells]
    widths = [max(len(row[place]) for row in everything) for place in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in everything
    ]


def _cell(value: object) -> str:
    return "-" if value in ("", None) else str(value)


def when(at: float) -> str:
    """Write a time (seconds since the epoch) as people and programs read it, "" for none."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""
