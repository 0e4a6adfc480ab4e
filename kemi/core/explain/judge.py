"""Why did this call fail, or why is there no sound?  All rules, on one trace.

A cause is why a call failed or had no sound, a trouble made it worse, a note is worth knowing.  docs/explain.md is the
table of all verdicts, made of the rules.
"""

from __future__ import annotations

from typing import Final

from kemi.core.explain import described, media, relay, signalling, way
from kemi.core.explain.reading import Reading
from kemi.core.explain.rules import Found, Rule
from kemi.core.explain.verdict import Gravity, Verdict
from kemi.core.trace.entries import CallTrace

RULES: Final[tuple[Rule, ...]] = (*relay.RULES, *way.RULES, *described.RULES, *media.RULES, *signalling.RULES)
_ORDER: Final = {gravity: place for place, gravity in enumerate(Gravity)}


def explain(trace: CallTrace) -> list[Verdict]:
    """Return the verdicts on a call, the gravest first; none: nothing is to be said of it.

    A call that still runs is judged by what is known so far.
    """
    call = Reading(trace)
    usable = [rule for rule in RULES if call.is_whole or not rule.needs_all]
    applying = [(rule, finding) for rule in usable if (finding := rule.check(call)) is not None]
    codes = {rule.code for rule, _ in applying}
    kept = [(rule, finding) for rule, finding in applying if not codes.intersection(rule.unless)]
    has_cause = any(rule.gravity is Gravity.CAUSE and not rule.only_alone for rule, _ in kept)
    told = [_verdict(rule, finding) for rule, finding in kept if not (rule.only_alone and has_cause)]
    return sorted(told, key=lambda verdict: _ORDER[verdict.gravity])


def _verdict(rule: Rule, finding: Found) -> Verdict:
    return Verdict(
        code=rule.code,
        gravity=rule.gravity,
        says=_filled(rule.says, finding),
        because=finding.because,
        do=_filled(rule.do, finding),
    )


def _filled(sentence: str, finding: Found) -> str:
    for name, value in finding.names.items():
        sentence = sentence.replace(f"{{{name}}}", value)
    return sentence[:1].upper() + sentence[1:]
