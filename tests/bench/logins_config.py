"""The server's configuration, but that a password is compared and not hashed: its hash is measured by itself."""

from tests.contract.web.client import PASSWORD
from webapp_api import gunicorn_config, logins


def _password_fits(stored_hash: str | None, password: str) -> bool:
    return stored_hash is not None and password == PASSWORD


logins.password_fits = _password_fits  # type: ignore[attr-defined]

globals().update({name: value for name, value in vars(gunicorn_config).items() if not name.startswith("__")})
