"""What `--diff` shows of settings files has no secret in it, and all the rest."""

import importlib.util

import pytest

from tests.provision.operator import ANSIBLE

SPEC = importlib.util.spec_from_file_location(
    "without_secrets", ANSIBLE / "callback_plugins/without_secrets.py"
)
assert SPEC is not None
assert SPEC.loader is not None
PLUGIN = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(PLUGIN)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('+flow_secret = "hush"', '+flow_secret = "***"'),
        (r'-password = "hu \"sh"', '-password = "***"'),
        (
            'redis_url = "redis+sentinel://:hush@192.0.2.1:26379/gateway?sentinel_password=hush"',
            'redis_url = "redis+sentinel://:***@192.0.2.1:26379/gateway?sentinel_password=***"',
        ),
        ('redis_url = "redis://h/0?db=1&password=hush"', 'redis_url = "redis://h/0?db=1&password=***"'),
        ("requirepass hush", "requirepass ***"),
        ("sentinel auth-pass gateway hush", "sentinel auth-pass gateway ***"),
        (f"user default on #{'5e' * 32} ~* &* +@all", "user default on #*** ~* &* +@all"),
        (r"""set-header Authorization 'Bearer hu"\'\''sh'""", "set-header Authorization 'Bearer ***"),
        ("+ Authorization 'Bearer hush'\x1b[0m\n+ next", "+ Authorization 'Bearer ***\x1b[0m\n+ next"),
        ('public_origin = "https://gateway.example.com:8443"',) * 2,
        ("password_login = true",) * 2,
        ('icscf_uris = ["sip:192.0.2.1:5060"]',) * 2,
    ],
)
def test_secrets_are_stars(line: str, shown: str) -> None:
    assert PLUGIN.without_secrets(line) == shown
