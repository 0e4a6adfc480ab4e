"""Numbers and switches given as text mean what typed ones do: so come those of ``-e``, and of the environment.

The types of the roles' variables let such a text in, and do not change it.
"""

import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jinja2 import Environment

from tests.lab.roles import REPOSITORY, ROLES, resolved, role_defaults, template_environment

TEMPLATES: Final = sorted(path for path in ROLES.glob("*/templates/*.j2") if path.name != "journald.conf.j2")
ROLES_OF_TEMPLATES: Final = {path.parent.parent.name for path in TEMPLATES}


def _options() -> Iterator[tuple[str, str, str]]:
    for specs in ROLES.glob("*/meta/argument_specs.yml"):
        options = yaml.safe_load(specs.read_text())["argument_specs"]["main"]["options"]
        for name, option in options.items():
            yield name, option["type"], option.get("elements", "")


OPTIONS: Final = {name: (kind, elements) for name, kind, elements in _options()}
"""Of all roles: type, and that of a list's elements."""
NUMBERS: Final = [name for name, (kind, _) in OPTIONS.items() if kind in ("int", "float")]


def _site(number: int, switch: bool, form: Callable[[object], object]) -> dict[str, Any]:
    """Return variables of a machine that is everything, with all numbers and switches alike and in one form."""
    by_type = {"int": number, "float": number + 0.5 if number else 0, "bool": switch}
    site: dict[str, Any] = {
        # Something in each list, that what is for its elements is rendered.
        "firewall_trunk_hops": [],
        "monitoring_gateways": ["sig1"],
        "monitoring_webs": ["web1"],
        "monitoring_webs_alone": ["web2"],
        "firewall_sip_networks": ["192.0.2.0/24"],
        "firewall_gateway_networks": ["192.0.2.0/24"],
        "haproxy_metrics_sources": ["192.0.2.0/24"],
        "haproxy_metrics_address": "192.0.2.1",
        "webapp_api_listen_address": "192.0.2.1",
        "webapp_api_metrics_secret": "word",
        "haproxy_metrics_web_secret": "word",
    }
    for name, (kind, elements) in OPTIONS.items():
        if kind in by_type:
            site[name] = form(by_type[kind])
        elif elements == "int":
            site[name] = [form(number)]
    return site


def _typed(value: object) -> object:
    return value


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _environment(folder: Path) -> Environment:
    environment = template_environment(folder)
    environment.filters |= {
        "relpath": os.path.relpath,
        "basename": os.path.basename,
        "regex_replace": lambda value, pattern, new: re.sub(pattern, new, value),
        "flatten": lambda lists: [one for some in lists for one in some],
    }
    environment.globals |= {"lookup": lambda _plugin, _name, **_options: "", "role_path": ""}
    return environment


@cache
def _variables(number: int, switch: bool, form: Callable[[object], object]) -> dict[str, Any]:
    of_play = {"group_names": ["signalling", "media", "redis", "web"], "ansible_port": 22}
    defaults = {name: value for role in ROLES_OF_TEMPLATES for name, value in role_defaults(role).items()}
    return resolved({**of_play, **defaults, **_site(number, switch, form)}, _environment(ROLES), "all roles")


def _rendered(template: Path, *site: Any) -> list[str]:
    return _environment(template.parent).get_template(template.name).render(_variables(*site)).splitlines()


@pytest.mark.parametrize("switch", [True, False])
@pytest.mark.parametrize("number", [0, 7])
@pytest.mark.parametrize("template", TEMPLATES, ids=[path.name for path in TEMPLATES])
def test_a_text_means_what_its_number_or_switch_does(template: Path, number: int, switch: bool) -> None:
    assert _rendered(template, number, switch, _text) == _rendered(template, number, switch, _typed)


def test_nothing_is_reckoned_with_a_text() -> None:
    """A text times a thousand is that text a thousand times."""
    reckoned = re.compile(rf"\b(?:{'|'.join(NUMBERS)})\b *(?:[-+*/<>]|%(?!}})|==|!=)")
    files = [*ROLES.glob("*/[dth]*/*"), *(REPOSITORY / "ansible/playbooks").glob("*.yml")]
    found = {
        f"{file.relative_to(ROLES.parent)}: {line.strip()}"
        for file in files
        for line in file.read_text().splitlines()
        if reckoned.search(line)
    }
    assert len(files) > 90
    assert not found


@pytest.mark.parametrize(
    "template",
    [
        "firewall/templates/gateway.nft.j2",
        "rtpengine/templates/rtpengine.nft.j2",
        "haproxy/templates/haproxy.cfg.j2",
    ],
)
def test_no_rule_is_made_of_a_texts_letters(template: str) -> None:
    """Lists of dictionaries take no text by their type."""
    tasks = yaml.safe_load((ROLES / "common/tasks/preflight.yml").read_text())
    (looked_at,) = [task["loop"] for task in tasks if "common_list is not string" in str(task)]
    names = set(re.findall(r"\w+", (ROLES / template).read_text()))
    lists = {name for name, (kind, elements) in OPTIONS.items() if kind == "list" and elements != "dict"}
    assert names & lists
    assert not (names & lists).difference(looked_at)
