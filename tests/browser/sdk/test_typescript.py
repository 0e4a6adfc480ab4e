"""The TypeScript of SDK and softphone: strict types, and the tests that run without a browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.browser

SDK: Final = Path(__file__).parents[3] / "webapp_api" / "sdk"
NODE: Final = Path(sys.executable).parent / "node"


def run_node(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Node.js of this Python environment in the SDK's folder."""
    return subprocess.run(
        [NODE, *arguments], cwd=SDK, capture_output=True, text=True, check=False, timeout=100
    )


def test_sdk_and_softphone_are_strictly_typed() -> None:
    result = run_node("node_modules/typescript/bin/tsc", "-p", ".")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.conformance("R-46")
def test_the_sdks_own_tests_pass() -> None:
    result = run_node("--test", "--test-reporter=spec", "test/*.test.ts")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "fail 0" in result.stdout
