"""Command line: `python -m tests.fuzz --seconds 600`: coverage-guided fuzzing (atheris), one process for each target.

What it finds worth keeping (inputs that reach new code) goes into build/fuzz/TARGET; a failing input is printed and
kept there as crash-*: put it into tests/fuzz/corpus/TARGET as found-WHAT, and mend what it found.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

OUTPUT = Path(__file__).parents[2] / "build" / "fuzz"
MOST_BYTES = 8192
SLOW_S = 5


@click.command()
@click.option("--seconds", default=60, show_default=True, help="For all targets together.")
@click.option("--only", default="", help="Comma list of targets.")
@click.option("--seed", default=0, show_default=True, help="0: another one each time.")
@click.option("--alone", default="", hidden=True, help="The target of this process.")
def main(seconds: int, only: str, seed: int, alone: str) -> None:
    """Fuzz the readers of what others write; exit status 1 when something was found."""
    if alone:
        _fuzz(alone, seconds, seed)
        return
    from tests.fuzz.targets import TARGETS

    names = only.split(",") if only else list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; known: {', '.join(TARGETS)}")
    found = []
    for name in names:
        order = [sys.executable, "-m", "tests.fuzz", "--alone", name, "--seed", str(seed)]
        share = max(1, seconds // len(names))
        done = subprocess.run(
            [*order, "--seconds", str(share)], check=False, capture_output=True, text=True, errors="replace"
        )
        executed = next((line for line in done.stderr.splitlines() if line.startswith("Done ")), "")
        click.echo(f"{name:14} {executed or 'FAILED'}")
        if done.returncode:
            found.append(name)
            click.echo((done.stdout + done.stderr)[-6000:])
    if found:
        raise click.exceptions.Exit(1)


def _fuzz(name: str, seconds: int, seed: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["kemi", "rtpengine", "webapp_api"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    folder = OUTPUT / name
    folder.mkdir(parents=True, exist_ok=True)
    words = OUTPUT / f"{name}.dict"
    words.write_text("".join(f'"{_escaped(piece)}"\n' for piece in target.dictionary if len(piece) < 100))
    arguments = [
        sys.argv[0], str(folder), str(target.folder), f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}",
        f"-timeout={SLOW_S}", f"-dict={words}", f"-artifact_prefix={folder}/", f"-seed={seed}", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup(arguments, target.run)
    atheris.Fuzz()


def _escaped(piece: bytes) -> str:
    return "".join(
        chr(byte) if 32 < byte < 127 and chr(byte) not in '"\\' else f"\\x{byte:02x}" for byte in piece
    )


if __name__ == "__main__":
    main()
