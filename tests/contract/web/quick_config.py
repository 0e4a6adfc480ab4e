"""The server's configuration, but that listeners are looked at every second."""

from webapp_api import gunicorn_config, listeners

listeners.BEAT_S = 1.0  # type: ignore[misc]

globals().update({name: value for name, value in vars(gunicorn_config).items() if not name.startswith("__")})
