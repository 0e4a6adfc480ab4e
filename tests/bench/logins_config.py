"""The server's configuration, but that a password is compared and not hashed: its hash is measured by itself."""

from tests.contract.web.client import PASSWORD
from webapp_api import gunicorn_config, logins

logins.password_fits = lambda _hash, password: password == PASSWORD  # type: ignore[attr-defined]

globals().update({name: value for name, value in vars(gunicorn_config).items() if not name.startswith("__")})
