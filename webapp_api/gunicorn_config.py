"""Configuration of gunicorn, from the same settings file as the application.

Start: WEBAPP_SETTINGS=<file> gunicorn --config python:webapp_api.gunicorn_config webapp_api.wsgi:app
"""

from webapp_api.settings import settings_from_environment

_settings = settings_from_environment()
_host = f"[{_settings.listen_address}]" if ":" in _settings.listen_address else _settings.listen_address

bind = f"{_host}:{_settings.listen_port}"
worker_class = "gthread"
workers = _settings.workers
threads = _settings.threads
# Its default is a file in the home directory; nothing here uses it.
control_socket_disable = True
forwarded_allow_ips = "127.0.0.1,::1"
# One slow page must not hold a thread for ever; every answer here takes milliseconds.
timeout = 30
graceful_timeout = 10
