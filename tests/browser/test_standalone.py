"""Real browsers at a gateway without an IMS core: they call each other and a telephone, and are called by it."""

from __future__ import annotations

import pytest

from tests.lab.lab import Lab
from tests.lab.options import WITHOUT_IMS, LabOptions
from tests.lab.proof import is_answer_then_update
from tests.lab.proof_standalone import prove_standalone

pytestmark = [pytest.mark.browser, pytest.mark.lab]


def test_pages_and_telephones_hear_each_other() -> None:
    with Lab(LabOptions(parts=WITHOUT_IMS, standalone=True)) as lab:
        proof = prove_standalone(lab)
    assert is_answer_then_update(proof.ladder)
