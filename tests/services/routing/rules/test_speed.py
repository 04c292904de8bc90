"""Deciding is quick: what forty rules cost, held against plain work of the same interpreter in the same run."""

import json
import time
from collections.abc import Callable

from stepwell_routing.rules.decisions import decide

from tests.services.routing.rules.policy_documents import (
    Document,
    document,
    effect,
    evidence_of,
    published,
    rule,
    step,
    step_of,
)
from tests.services.routing.rules.shipped import NOW, evidence

ROUNDS, REPEATS = 5, 200
# Plain work: parsing this text, twice as much as a decision costs and 0.18 ms where 0.2 ms is the limit.
YARDSTICK = json.dumps([{"name": str(number), "value": [number, number / 7]} for number in range(400)])
NAMES = ("phq9", "gad7", "phq15", "wsas", "isi")


def _rules() -> dict[str, list[Document]]:
    floors = [
        rule(
            f"{name}-{number}",
            effect("floor", domain=name, step=step_of(f"rural-l{number}")),
            when=f"%{name} >= {number * 4}",
        )
        for name in NAMES
        for number in (1, 2, 3, 4)
    ]
    more = [rule(f"CHANGE-{n}", effect("stay"), when=f"%{name}_change >= {n}") for name in NAMES[:3] for n in range(6)]
    codes = iter(range(100))
    for each in more:
        each["code"][0]["coding"][0]["code"] += f"-{next(codes)}"
    always = [rule("ALWAYS", effect("floor", step=step_of("rural-l1"))), rule("STAY", effect("stay"))]
    return {"floors": floors, "modifiers": more, "proposal": always}


def _microseconds(function: Callable[[], object]) -> float:
    """CPU time of one call: the best of several rounds."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(REPEATS):
            function()
        found.append((time.process_time() - start) / REPEATS * 1e6)
    return min(found)


def test_a_decision_by_forty_rules_costs_less_than_parsing_twenty_kilobytes_of_json() -> None:
    inputs = [evidence_of(name, max_age=28) for name in NAMES]
    policy = published(document("intensity", inputs, _rules(), [step(f"rural-l{number}") for number in (1, 2, 3, 4)]))
    assert len(policy.rules) == 40
    known = evidence(phq9=16, gad7=9, phq15=11, wsas=14, isi=3)
    decision, yardstick = (
        _microseconds(lambda: decide(policy, known, NOW)),
        _microseconds(lambda: json.loads(YARDSTICK)),
    )
    assert decision < yardstick
