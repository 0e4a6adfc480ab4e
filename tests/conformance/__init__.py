"""The conformance page: which row of the standards is proven by which test, and what is not met.

rows.toml   the rows: what is required, where it stands, what is not met and why
rows.py     reads and checks them
proofs.py   finds the tests that carry `@pytest.mark.conformance("R-20")`
page.py     joins both into docs/conformance.md

    make docs

writes the page; a unit test fails when it is stale.
"""
