"""`python -m webapp_api`: the operator's commands."""

from webapp_api.cli import main

main(prog_name="python -m webapp_api")
