"""Whom a page may not transfer to: a REFER is judged as the call that it makes."""

from __future__ import annotations

import pytest

from tests.integration.calls import incoming
from tests.integration.calls.stage import BOB, CAROL, Stage, warning_of
from tests.integration.services.world import (
    PREMIUM,
    established,
    hang_up,
    page_asks,
    page_dialog,
    refer_to,
    replaces,
    unharmed,
)

pytestmark = pytest.mark.lab


class TestForbiddenTargets:
    """A transfer is a call that the page has made (docs/flow.md: not allowed)."""

    @pytest.mark.conformance("X-11")
    @pytest.mark.parametrize(
        "target",
        [
            pytest.param(f"<{PREMIUM}>", id="number"),
            pytest.param("<sip:+1900555@ims.test;user=phone>", id="number as sip"),
            pytest.param(
                "<sip:+1900555@ims.test?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>", id="with Replaces"
            ),
            pytest.param("<sip:+1900555@ims.test;method=INVITE>", id="with method"),
            pytest.param("<sip:somebody@elsewhere.example>", id="foreign domain"),
            pytest.param("<sip:+1%3900555@ims.test;method=BYE?Replaces=a>", id="escaped"),
            pytest.param("<http://ims.test/>", id="no telephone"),
        ],
    )
    async def test_inside_a_call(self, stage: Stage, target: str) -> None:
        call = await established(stage, await stage.page())
        refused = await page_asks(call, "REFER", headers=[("Refer-To", target)])
        assert refused.status == 403
        assert warning_of(refused)
        assert not stage.core.trace.requests("REFER")
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.conformance("X-11")
    async def test_the_contact_of_a_call_is_whom_it_reaches(self, stage: Stage) -> None:
        """Who calls from a number that is denied is not called through somebody else."""
        page = await stage.page()
        call = await established(stage, page)
        other = await incoming.answered(stage, page, caller="sip:+1900555@ims.test;user=phone")
        target = refer_to(page_dialog(other).remote_target, Replaces=replaces(page_dialog(other)))
        refused = await page_asks(call, "REFER", headers=[("Refer-To", target)])
        assert refused.status == 403
        assert not stage.core.trace.requests("REFER")
        await hang_up(call, other)

    @pytest.mark.conformance("X-11")
    async def test_outside_a_call(self, stage: Stage) -> None:
        page = await stage.page()
        target = "<sip:+1900555@ims.test?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>"
        assert (await page.request("REFER", BOB, headers=[("Refer-To", target)])).status == 403
        assert not stage.core.trace.requests("REFER")

    @pytest.mark.parametrize("count", [0, 2])
    async def test_there_is_one_target(self, stage: Stage, count: int) -> None:
        call = await established(stage, await stage.page())
        refused = await page_asks(call, "REFER", headers=[("Refer-To", f"<{CAROL}>")] * count)
        assert refused.status == 400
        await unharmed(call)
        await hang_up(call)
