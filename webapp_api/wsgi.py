"""What the HTTP server loads: the application with the settings that WEBAPP_SETTINGS names."""

from webapp_api import create_app
from webapp_api.settings import settings_from_environment

app = create_app(settings_from_environment())
