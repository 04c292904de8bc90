"""What every answer of a clinician to a proposal leaves behind, for the rates: a row, and a figure for whoever watches.

Rates of overriding show where a rule does not fit the people it is applied to; they judge rules and never clinicians.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from stepwell_shared.database.functions import Effect
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.proposal_answers import answer_effect
from stepwell_routing.use_cases.standing import Standing

COUNTER = "stepwell_proposals_answered_total"


def answered(
    proposal: Mapping[str, Any], standing: Standing, now: datetime, answer: str, *, reason: str = ""
) -> Effect:
    """The row of an answer to a proposal. The site is the organization that runs the episode."""
    site = (standing.episode_body or {}).get("managingOrganization", {}).get("reference", "")
    rules, policy = builders.rule_codes(proposal), proposal["instantiatesCanonical"][0]
    return answer_effect(proposal["id"], now, answer, policy, rules, reason=reason, site=site)


def count_answer(runtime: Runtime, answer: str, rules: Collection[str]) -> None:
    """Counts an answer that was committed, for each rule that led to the proposal."""
    what = "Answers of clinicians to proposals, once for each rule that led to the proposal"
    counter = runtime.metrics.tally(COUNTER, what, ("answer", "rule"))
    for rule in rules:
        counter.add(answer, rule)
