"""The conformance page is up to date and honest, and the checker would notice if it were not."""

from __future__ import annotations

import pytest

from tests.conformance.page import PAGE, complaints, page_from_rows
from tests.conformance.proofs import MarkError, proofs_in, proofs_in_repository
from tests.conformance.rows import ROWS, Priority, Row, RowError, Section, rows_of, sections_from_text

MARK = "pytest.mark.conformance"
PROVEN = Row("R-01", "does it", "RFC 1 §2", Priority.MUST)
OPEN = Row("R-02", "does not", "RFC 1 §3", Priority.SHOULD, not_met="no time")
SECTIONS = (Section("Things", (PROVEN, OPEN)),)
PROOFS = {"R-01": ["tests/unit/test_a.py::test_it"]}


class TestOurPage:
    """What stands in the repository."""

    def test_the_page_is_up_to_date(self) -> None:
        sections = sections_from_text(ROWS.read_text("utf-8"))
        page = page_from_rows(sections, proofs_in_repository())
        assert PAGE.read_text("utf-8") == page, "run: make docs"

    def test_rows_and_tests_fit(self) -> None:
        assert list(complaints(sections_from_text(ROWS.read_text("utf-8")), proofs_in_repository())) == []

    def test_every_mark_in_a_test_file_is_seen(self) -> None:
        proofs = proofs_in_repository()
        here = "tests/unit/core/test_flow_token.py"
        assert any(test.startswith(here) for test in proofs["R-21"])


class TestProofs:
    """Which tests prove what."""

    @pytest.mark.parametrize(
        ("source", "found"),
        [
            pytest.param(f"@{MARK}('R-01')\ndef test_a(): ...", {"R-01": ["t.py::test_a"]}, id="function"),
            pytest.param(
                f"@{MARK}('R-01', 'R-02')\nasync def test_a(): ...",
                {"R-01": ["t.py::test_a"], "R-02": ["t.py::test_a"]},
                id="two rows",
            ),
            pytest.param(
                f"class TestA:\n @{MARK}('R-01')\n @{MARK}('R-02')\n def test_a(self): ...",
                {"R-01": ["t.py::TestA::test_a"], "R-02": ["t.py::TestA::test_a"]},
                id="method with two marks",
            ),
            pytest.param(
                f"@{MARK}('R-01')\nclass TestA:\n def test_a(self): ...",
                {"R-01": ["t.py::TestA"]},
                id="class",
            ),
            pytest.param(
                f"@pytest.mark.parametrize('a', [pytest.param(1, marks={MARK}('R-01'))])\ndef test_a(a): ...",
                {"R-01": ["t.py::test_a"]},
                id="parameter",
            ),
            pytest.param(
                f"pytestmark = [pytest.mark.lab, {MARK}('R-01')]\ndef test_a(): ...",
                {"R-01": ["t.py"]},
                id="whole module",
            ),
            pytest.param("def test_a(): 'conformance'", {}, id="the word alone"),
        ],
    )
    def test_marks_are_found(self, source: str, found: dict[str, list[str]]) -> None:
        assert proofs_in([("t.py", source)]) == found

    @pytest.mark.parametrize(
        ("source", "why"),
        [
            pytest.param(f"@{MARK}('R-01')\ndef helper(): ...", "only tests", id="helper"),
            pytest.param(f"@{MARK}()\ndef test_a(): ...", "names rows", id="no row"),
            pytest.param(f"@{MARK}(row='R-01')\ndef test_a(): ...", "names rows", id="keyword"),
            pytest.param(f"@{MARK}(ROW)\ndef test_a(): ...", "plain text", id="variable"),
            pytest.param(f"mark = {MARK}('R-01')", "above a test", id="kept in a name"),
            pytest.param(
                f"@pytest.mark.skip\n@{MARK}('R-01')\ndef test_a(): ...", "proves nothing", id="skipped"
            ),
            pytest.param(
                f"@pytest.mark.xfail(reason='x')\n@{MARK}('R-01')\ndef test_a(): ...",
                "proves nothing",
                id="expected to fail",
            ),
        ],
    )
    def test_a_mark_that_proves_nothing_is_refused(self, source: str, why: str) -> None:
        with pytest.raises(MarkError, match=why):
            proofs_in([("t.py", source)])


class TestComplaints:
    """Where rows and tests do not fit."""

    def test_none(self) -> None:
        assert list(complaints(SECTIONS, PROOFS)) == []

    def test_a_mark_of_an_unknown_row(self) -> None:
        (complaint,) = complaints(SECTIONS, {**PROOFS, "R-99": ["t.py::test_a"]})
        assert complaint == "t.py::test_a: there is no row R-99"

    def test_a_row_without_test_and_without_reason(self) -> None:
        (complaint,) = complaints(SECTIONS, {})
        assert complaint.startswith("R-01 has no test")

    def test_a_reason_that_is_no_longer_true(self) -> None:
        (complaint,) = complaints(SECTIONS, {**PROOFS, "R-02": ["t.py::test_a"]})
        assert complaint.startswith("R-02 is proven: take not_met out")


def test_the_page_says_what_is_proven_and_what_is_not() -> None:
    page = page_from_rows(SECTIONS, PROOFS)
    assert "| M: must | 1 | 0 | 0 |\n| S: should | 0 | 1 | 0 |\n" in page
    assert (
        "| R-01 | M | does it | RFC 1 §2 | proven "
        "| [unit/test_a.py::test_it](../tests/unit/test_a.py) |\n" in page
    )
    assert "| R-02 | S | does not | RFC 1 §3 | not met: no time |  |\n" in page


ROW = '[[section]]\ntitle = "A"\n[[section.row]]\nid = "R-01"\nrequirement = "x"\nclause = "y"\npriority = "M"\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(ROW.replace('"R-01"', '"R-1"'), "like R-20", id="id"),
        pytest.param(ROW.replace('"M"', '"X"'), "R-01: 'X'", id="priority"),
        pytest.param(
            ROW.replace('requirement = "x"', 'requirement = ""'), "requirement", id="nothing required"
        ),
        pytest.param(ROW.replace('clause = "y"\n', ""), "clause", id="no clause"),
        pytest.param(ROW + 'remark = "x"\n', "unknown remark", id="unknown key"),
        pytest.param(ROW + 'not_met = "x"\nnot_tested = "y"\n', "either", id="two reasons"),
        pytest.param(ROW + ROW[ROW.index("[[section.row]]") :], "twice", id="twice"),
    ],
)
def test_a_wrong_row_is_named(text: str, why: str) -> None:
    with pytest.raises(RowError, match=why):
        sections_from_text(text)


def test_rows_keep_their_order() -> None:
    again = ROW[ROW.index("[[section.row]]") :].replace("R-01", "R-00")
    assert [row.id for row in rows_of(sections_from_text(ROW + again))] == ["R-01", "R-00"]
