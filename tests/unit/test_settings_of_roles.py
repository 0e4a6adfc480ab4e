"""What people write into variables of roles is TOML in the settings, or its name is said."""

import subprocess
import sys
import tomllib

import pytest

from tests.lab.roles import REPOSITORY, ROLES, render_role

PASSWORD = 'h\u00fctte \u2028 \U0001f511 "\\\\'
SECRETS = {"gateway_flow_secret": "f" * 32, "gateway_control_secret": "c" * 32}


def test_a_trunk_may_have_nothing_for_a_key_and_any_characters_in_a_password() -> None:
    trunk = {"name": "carrier", "uris": ["sip:192.0.2.9"], "user": None, "password": PASSWORD}
    text = render_role(
        "kamailio",
        "gateway.toml.j2",
        {**SECRETS, "gateway_trunks": [trunk], "gateway_hep_password": PASSWORD},
    )
    settings = tomllib.loads(text)
    assert settings["trunks"] == [{"name": "carrier", "uris": ["sip:192.0.2.9"], "password": PASSWORD}]
    assert settings["hep"]["password"] == PASSWORD


def test_a_provider_may_have_nothing_for_a_key_and_any_characters_in_its_secret() -> None:
    provider = {"issuer": "https://id.example.com", "client_secret": PASSWORD, "resource": None}
    settings = tomllib.loads(render_role("webapp_api", "webapp_api.toml.j2", {"webapp_api_oidc": provider}))
    assert settings["oidc"] == {"issuer": "https://id.example.com", "client_secret": PASSWORD}


@pytest.mark.parametrize("module", ["kemi.settings", "webapp_api.settings"])
def test_what_is_no_toml_is_named_and_not_shown(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-B", ROLES / "common/files/settings_are_good.py", module],
        cwd=REPOSITORY,
        input='first = "x"\nsome_password = "hidden\\ud83d"\n',
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("): some_password")
    assert "hidden" not in done.stderr
