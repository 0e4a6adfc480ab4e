"""Renders the Ansible roles' templates as Ansible would, so that lab and production share one configuration.

Knows jinja2, the roles' defaults and their place; knows nothing of what the variables mean.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

REPOSITORY: Final = Path(__file__).resolve().parents[2]
ROLES: Final = REPOSITORY / "ansible" / "roles"
_MAX_NESTING: Final = 10


class UnknownRoleVariable(KeyError):
    """An override names a variable that the role does not have."""


def template_environment(folder: Path) -> Environment:
    """Set jinja2 up as Ansible does: first newline after a block dropped, undefined is an error."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["to_json"] = json.dumps
    environment.filters["bool"] = lambda value: str(value).lower() in ("true", "yes", "on", "1")
    environment.tests["search"] = lambda value, pattern: re.search(pattern, str(value)) is not None
    environment.tests["match"] = lambda value, pattern: re.match(pattern, str(value)) is not None
    environment.globals["hostvars"] = environment.globals["groups"] = {}  # nor of an inventory
    environment.globals["ansible_facts"] = {}  # nothing is known of a machine: a default has to do without
    environment.globals["ansible_managed"] = "Rendered from the Ansible role."
    return environment


@cache
def role_defaults(role: str) -> Mapping[str, Any]:
    """Read a role's defaults, unresolved."""
    defaults: dict[str, Any] = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text()) or {}
    return defaults


def role_variables(role: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the role's variables with overrides applied and templates inside values resolved."""
    defaults = role_defaults(role)
    unknown = overrides.keys() - defaults.keys()
    if unknown:
        raise UnknownRoleVariable(f"role {role} has no variable {', '.join(sorted(unknown))}")
    return resolved({**defaults, **overrides}, template_environment(ROLES / role / "templates"), role)


def resolved(variables: dict[str, Any], environment: Environment, whose: str) -> dict[str, Any]:
    """Return variables with the templates inside their values resolved."""

    def resolve(value: Any) -> Any:
        if isinstance(value, str) and "{{" in value:
            whole = value.strip()
            if whole.startswith("{{") and whole.endswith("}}") and whole.count("{{") == 1:
                return environment.compile_expression(whole[2:-2].strip(), undefined_to_none=False)(
                    **variables
                )
            return environment.from_string(value).render(variables)
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if isinstance(value, dict):
            return {key: resolve(item) for key, item in value.items()}
        return value

    for _ in range(_MAX_NESTING):
        found = {name: resolve(value) for name, value in variables.items()}
        if found == variables:
            return variables
        variables = found
    raise ValueError(f"the defaults of {whose} refer to each other in a circle")


def render_role(role: str, template: str, overrides: Mapping[str, Any], **of_others: Any) -> str:
    """Render one template of a role; ``of_others``: variables of other roles that it reads."""
    environment = template_environment(ROLES / role / "templates")
    return environment.get_template(template).render(role_variables(role, overrides), **of_others)
