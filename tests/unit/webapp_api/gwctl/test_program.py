"""What all commands of gwctl have in common."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from kemi.core.explain.judge import RULES
from kemi.core.explain.rules import Rule
from webapp_api.gwctl.main import main
from webapp_api.gwctl.program import Command, table
from webapp_api.gwctl.shapes import shape_to_text


def all_of(group: click.Group, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Walk the tree: names as typed, and command."""
    yield names, group
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from all_of(command, *names, name)
        else:
            yield (*names, name), command


def typed(one: object) -> str:
    """Name a case."""
    return " ".join(one) if isinstance(one, tuple) else ""


EVERYTHING = list(all_of(main))
LEAVES = [(names, command) for names, command in EVERYTHING if not isinstance(command, click.Group)]


def gwctl(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"WEBAPP_SETTINGS": "/nowhere"}, prog_name="gwctl")


@pytest.mark.parametrize("name", ["gateway.toml", "media_agent.toml"])
def test_a_machine_without_web_service_is_said_to_be_no_web_node(tmp_path: Path, name: str) -> None:
    def said() -> str:
        return CliRunner().invoke(main, ["--config", str(tmp_path), "nodes", "list"]).output

    assert "gwctl --config FOLDER" in said()
    (tmp_path / name).touch()
    assert "no web node" in said()
    assert "--config" not in said()


@pytest.mark.parametrize("command", ["status", "check", "doctor"])
def test_who_may_not_read_the_configuration_is_told_who_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "webapp_api.toml").touch()

    def refused(path: Path, *_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_text", refused)
    monkeypatch.setattr(Path, "read_bytes", refused)
    only = ("--only", "logs") if command == "doctor" else ()
    done = CliRunner().invoke(main, ["--config", str(tmp_path), command, *only])
    assert done.exit_code == 1
    assert "webapp_api.toml: Permission denied" in done.output
    assert "run it as root" in done.output
    assert "FOLDER" not in done.output
    assert "says more" not in done.output


def test_there_are_the_commands_that_are_promised() -> None:
    names = {" ".join(names) for names, _ in LEAVES}
    assert {
        "status", "registrations list", "registrations end", "calls list", "calls end", "calls history", "calls trace",
        "calls explain", "nodes list", "nodes drain", "nodes undrain", "trunks list", "trunks leave", "routes load",
        "users list", "users add", "users remove", "users password", "users class", "users operator", "users show",
        "keys rotate", "counters", "events", "check", "doctor", "audit",
    } <= names  # fmt: skip


@pytest.mark.parametrize(("names", "command"), EVERYTHING, ids=typed)
def test_every_command_helps(names: tuple[str, ...], command: click.Command) -> None:
    shown = gwctl(*names, "--help")
    assert shown.exit_code == 0
    assert command.help
    assert len(shown.output.splitlines()) > 5
    if not isinstance(command, click.Group):
        assert isinstance(command, Command), "made with program.command"
        assert "--json" in shown.output
        assert "\nExamples:\n  gwctl " in shown.output
        assert "\nExit status:\n" in shown.output
        assert command.examples


@pytest.mark.parametrize(("names", "command"), LEAVES, ids=typed)
def test_every_example_is_one_that_can_be_typed(names: tuple[str, ...], command: Command) -> None:
    for example in command.examples:
        arguments = example.partition(" > ")[0].partition(" < ")[0].partition(" | ")[0].split()
        for place, name in enumerate(arguments):
            if name.startswith("table.json"):
                arguments[place] = __file__
        with main.make_context("gwctl", arguments, resilient_parsing=False) as context:
            found: click.Command | None = main
            rest = [*context._protected_args, *context.args]
            while isinstance(found, click.Group):
                _, found, rest = found.resolve_command(context, rest)
            assert found is command, example
            found.make_context("x", rest, parent=context)


@pytest.mark.parametrize("rule", [rule for rule in RULES if "gwctl" in rule.do], ids=lambda rule: rule.code)
def test_verdicts_name_commands_that_can_be_typed(rule: Rule) -> None:
    for named in re.findall(r"gwctl ([\w -]+)", rule.do):
        found: click.Command = main
        words = named.split()
        while words and isinstance(found, click.Group) and words[0] in found.commands:
            found = found.commands[words.pop(0)]
        if isinstance(found, click.Group):
            assert "list" in found.commands, named
        needed = [one for one in found.params if isinstance(one, click.Argument) and one.required]
        assert [word.isupper() for word in words[: len(needed)]] == [True] * len(needed), named


def test_a_password_is_never_an_option() -> None:
    for names, command in LEAVES:
        for parameter in command.params:
            assert "password" not in str(parameter.name), names


def test_nouns_may_be_singular_and_users_were_accounts() -> None:
    for name in ("call", "node", "trunk", "route", "user", "key", "registration", "accounts"):
        assert gwctl(name, "--help").exit_code == 0, name


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("nodes", "list", "--jsno"), "--json"),
        (("nodes", "lst"), "list"),
        (("statsu",), "status"),
    ],
)
def test_what_was_perhaps_meant_is_said(arguments: tuple[str, ...], meant: str) -> None:
    done = gwctl(*arguments)
    assert done.exit_code == 2
    assert f"Did you mean '{meant}'" in done.stderr


def test_errors_are_json_where_json_is_wanted() -> None:
    for arguments, code in ((("users", "list"), 1), (("calls", "end"), 2), (("nodes", "lst"), 2)):
        done = gwctl(*arguments, "--json")
        told = json.loads(done.stdout)
        assert (done.exit_code, told["exit_code"], set(told)) == (code, code, {"error", "exit_code"})
        assert done.stderr == ""


def test_a_configuration_that_is_not_there_is_told_with_what_to_do() -> None:
    done = gwctl("users", "list")
    assert done.exit_code == 1
    assert "/nowhere/webapp_api.toml" in done.stderr
    assert "--config FOLDER" in done.stderr


def test_folder_and_file_name_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "webapp_api.toml").write_text('public_origin = "https://a"\n')
    for path in (tmp_path, tmp_path / "webapp_api.toml"):
        done = CliRunner().invoke(main, ["--config", str(path), "users", "list"])
        assert (done.exit_code, "domain: missing" in done.stderr) == (1, True)


def test_shells_complete_commands() -> None:
    environment = {
        "_GWCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": "gwctl registrations ",
        "COMP_CWORD": "2",
    }
    done = CliRunner().invoke(main, [], env=environment, prog_name="gwctl")
    assert done.output.split() == ["plain,end", "plain,list"]


class Inner(msgspec.Struct):
    a: int | None
    b: list[str]


class Outer(msgspec.Struct):
    inner: list[Inner]
    one: Inner
    c: dict[str, float]


def test_shapes_are_written_from_the_types() -> None:
    assert "".join(shape_to_text(Outer)).replace(" ", "") == (
        '{"inner":[{"a":number|null"b":[text]}]"one":{"a":number|null"b":[text]}"c":{text:number}}'
    )


def test_a_table_is_as_wide_as_it_has_to_be() -> None:
    assert table(("A", "LONG"), [("xyz", 1), ("", None)], "none") == ["A    LONG", "xyz  1", "-    -"]
    assert table(("A",), [], "none") == ["none"]
