"""The program: which commands there are."""

from __future__ import annotations

from pathlib import Path

import click

import webapp_api.gwctl.traces  # noqa: F401  adds its commands to `calls`
from webapp_api.gwctl.audit import add_audit
from webapp_api.gwctl.bans import bans
from webapp_api.gwctl.calls import calls
from webapp_api.gwctl.check import add_check
from webapp_api.gwctl.doctor import add_doctor
from webapp_api.gwctl.events import add_events
from webapp_api.gwctl.keys import keys
from webapp_api.gwctl.nodes import add_counters, nodes
from webapp_api.gwctl.place import DEFAULT_FOLDER, Place
from webapp_api.gwctl.program import Program
from webapp_api.gwctl.registrations import registrations
from webapp_api.gwctl.routes import routes
from webapp_api.gwctl.status import add_status
from webapp_api.gwctl.trunks import trunks
from webapp_api.gwctl.users import users
from webapp_api.version import VERSION

_NOUNS = (registrations, calls, nodes, trunks, routes, users, bans, keys)
ALIASES = {
    "accounts": "users",
    **{str(group.name).removesuffix("s"): str(group.name) for group in _NOUNS},
}
"""Other names: what the users were called before, and each noun in the singular."""


@click.group(
    cls=Program,
    aliases=ALIASES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_FOLDER,
    show_default=True,
    envvar="WEBAPP_SETTINGS",
    show_envvar=True,
    help="Folder of the configuration (of a lab: lab-run), or the web service's settings file in it.",
)
@click.version_option(VERSION, prog_name="gwctl")
@click.pass_context
def main(context: click.Context, config: Path) -> None:
    """The operator's command line of the WebRTC gateway.

    Every command has --json and says in its help which document that is; errors are then JSON, too:
    {"error": text, "exit_code": number}. Times are UTC. Nouns may be named in the singular (gwctl call list), and alone
    they list (gwctl nodes).

    Exit status: 0 done, 1 something is wrong or cannot be done, 2 wrong usage, 3 Redis or a gateway does not answer.

    Completion of the shell: eval "$(_GWCTL_COMPLETE=bash_source gwctl)", also zsh_source, fish_source.
    """
    context.obj = Place(config)


add_status(main)
for _group in _NOUNS:
    main.add_command(_group)
add_counters(main)
add_events(main)
add_audit(main)
add_check(main)
add_doctor(main)
