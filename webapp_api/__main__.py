"""`python -m webapp_api`: the same program as `gwctl`, where that is not installed."""

from webapp_api.gwctl.main import main

main(prog_name="gwctl")
