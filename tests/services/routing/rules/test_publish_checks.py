"""A bad policy is refused when it is published, with the place: what only the whole of it, or its steps, can show."""

from collections.abc import Callable
from typing import Any

import pytest
from stepwell_routing.rules.reading import DocumentError, Finding

from tests.services.routing.rules import test_intensity_ladders as intensity
from tests.services.routing.rules import test_progress_ladders as progress
from tests.services.routing.rules.policy_documents import (
    Document,
    coded,
    document,
    effect,
    evidence_of,
    extension,
    parameter,
    published,
    rule,
    step,
    step_of,
)

CONDITION = "condition[0].expression.expression"


def _refused(content: Document) -> tuple[Finding, ...]:
    with pytest.raises(DocumentError) as refused:
        published(content)
    return refused.value.findings


def _with(stage: str, *rules: Document, inputs: tuple[str, ...] = (), **more: Any) -> Document:
    """The intensity ladder of these tests with further rules at the end of a stage."""
    added = {**intensity.RULES, stage: [*intensity.RULES.get(stage, ()), *rules]}
    known = [*intensity.INPUTS, *(evidence_of(name) for name in inputs)]
    return document("intensity", known, added, intensity.STEPS, **more)


def _floor(code: str, number: int, when: str, domain: str = "pain") -> Document:
    return rule(code, effect("floor", domain=domain, step=step_of(f"rural-l{number}")), when=when)


def _progress(steps: list[Document], **more: Any) -> Document:
    return document("progress", progress.INPUTS, progress.RULES, steps, [step("specialist", system="track")], **more)


def _without_service() -> Document:
    broken = step("pain-p3")
    broken["extension"][0]["extension"] = broken["extension"][0]["extension"][1:]
    return _progress([*progress.STEPS[:2], broken])


def _in_a_circle() -> Document:
    return _progress([*progress.STEPS[:2], step("pain-p3", ("next", step_of("pain-p1")))])


def _skipped() -> Document:
    first = step("pain-p1", ("next", step_of("pain-p3")), options=("education", "guided-programme"))
    return _progress([first, *progress.STEPS[1:]])


def _returning_ahead() -> Document:
    first = step("pain-p1", ("return-to", step_of("pain-p3")), options=("education", "guided-programme"))
    return _progress([first, *progress.STEPS[1:]])


def _option_without_burden() -> Document:
    broken = step("pain-p3")
    parts = broken["action"][0]["extension"][0]["extension"]
    parts[:] = [part for part in parts if part["url"] != "burden"]
    return _progress([*progress.STEPS[:2], broken])


def _one_language_short() -> Document:
    content = _with("floors")
    content["_title"] = {
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/translation",
                "extension": [{"url": "lang", "valueCode": "de"}, {"url": "content", "valueString": "Probe"}],
            }
        ]
    }
    return content


REFUSED: dict[str, tuple[Callable[[], Document], str, str]] = {
    "never true by range": (lambda: _with("floors", _floor("X", 2, "%phq9 > 27")), CONDITION, "can never apply"),
    "never true by contradiction": (
        lambda: _with("floors", _floor("X", 2, "%phq9 > 9 and %phq9 < 5")),
        "action[2].action[3].condition",
        "the rule X can never apply",
    ),
    "no such step": (lambda: _with("modifiers", _floor("X", 2, "%step = 7")), CONDITION, "can never apply"),
    "no such answer": (
        lambda: _with("preference", rule("X", effect("stay"), when="%episode_status = 'gone'")),
        CONDITION,
        "can never apply",
    ),
    "a gap": (
        lambda: _with("floors", _floor("A", 2, "%phq9 >= 5 and %phq9 <= 8"), _floor("B", 3, "%phq9 >= 10")),
        "action[2].action[3].condition",
        "at 9 they give less",
    ),
    "a gap where less is worse": (
        lambda: _with(
            "floors", _floor("A", 2, "%pseq <= 30 and %pseq >= 25"), _floor("B", 3, "%pseq <= 20"), inputs=("pseq",)
        ),
        CONDITION,
        "at 24 they give less",
    ),
    "an overlap": (
        lambda: _with("floors", _floor("A", 2, "%phq9 >= 12"), _floor("B", 3, "%phq9 >= 9")),
        "action[2].action[3].condition",
        "the rule A never decides",
    ),
    "evidence nobody knows": (
        lambda: document(
            "intensity",
            [
                *intensity.INPUTS,
                {"type": "Observation", "extension": [extension("evidence", ("name", "phq7"), ("kind", "number"))]},
            ],
            intensity.RULES,
            intensity.STEPS,
        ),
        f"input[{len(intensity.INPUTS)}]",
        "phq7 is not in the list",
    ),
    "evidence of another kind": (
        lambda: document(
            "intensity",
            [
                *intensity.INPUTS,
                {"type": "Observation", "extension": [extension("evidence", ("name", "isi"), ("kind", "boolean"))]},
            ],
            intensity.RULES,
            intensity.STEPS,
        ),
        "input[",
        "isi is a number",
    ),
    "a floor by readiness": (
        lambda: _with("floors", _floor("X", 3, "%phq9 >= 16 and %readiness >= 7", "mood")),
        CONDITION,
        "%readiness may not decide in the stage floors",
    ),
    "a step up by readiness": (
        lambda: _with("modifiers", rule("X", effect("up"), when="%readiness >= 7")),
        CONDITION,
        "may not decide on the effect up",
    ),
    "safety by a barrier": (
        lambda: _with("safety", rule("X", effect("hold"), when="%barrier_transport")),
        CONDITION,
        "%barrier_transport may not decide in the stage safety",
    ),
    "an effect out of its stage": (
        lambda: _with("preference", rule("X", effect("hold"), when="%wishes_pause")),
        "extension[0]",
        "hold has no place in the stage preference",
    ),
    "a move of the other ladder": (
        lambda: _with("proposal", rule("X", effect("advance"))),
        "extension[0]",
        "advance is for progress ladders",
    ),
    "a floor on a progress ladder": (
        lambda: document(
            "progress",
            progress.INPUTS,
            {**progress.RULES, "floors": [rule("X", effect("floor", step=step_of("pain-p3")), when="%phq9 >= 16")]},
            progress.STEPS,
        ),
        "extension[0]",
        "floor is for intensity ladders",
    ),
    "a part too many": (
        lambda: _with("modifiers", rule("X", effect("keep", track="specialist"))),
        "extension[0]",
        "keep has no part track",
    ),
    "a track that is not there": (
        lambda: _with("floors", rule("X", effect("track", track="urgent"), when="%phq9 >= 10")),
        "extension[0]",
        "no track urgent",
    ),
    "nobody to tell": (
        lambda: _with("floors", rule("X", effect("tell", role="clinician"), when="%phq9 >= 10", missing=["whisper"])),
        "extension[1]",
        "without evidence a rule does one of",
    ),
    "a step without service": (_without_service, "action[7].action[2].extension[0]", "needs its service"),
    "phases in a circle": (_in_a_circle, "PlanDefinition.action[7]", "in a circle: pain-p1"),
    "a step that is never reached": (_skipped, "action[7].action[1]", "no step leads to pain-p2a"),
    "a return that leads ahead": (_returning_ahead, "action[7].action[0]", "leads to an earlier step"),
    "an option without burden": (_option_without_burden, "extension[0]", "says its burden"),
    "words missing in a language": (_one_language_short, "description", "has no words in de"),
    "a parameter without source": (
        lambda: _with("floors", parameters=[parameter("limit", 3, "")]),
        "extension[1]",
        "the source of its value",
    ),
    "a tier that nobody has": (
        lambda: _progress(
            [*progress.STEPS[:2], {**step("pain-p3"), "code": coded("tier", "tier-9")}],
        ),
        "action[7].action[2]",
        "known tier or step",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_policy_is_refused_with_the_place(case: str) -> None:
    make, path, text = REFUSED[case]
    findings = _refused(make())
    assert any(path in finding.path and text in finding.text for finding in findings), findings


@pytest.mark.parametrize(
    "rules",
    [
        (_floor("A", 2, "%phq9 >= 9"), _floor("B", 3, "%phq9 >= 12")),
        (_floor("A", 2, "%phq9 >= 9 and %phq9 <= 11"), _floor("B", 3, "%phq9 >= 12")),
        (_floor("A", 2, "%phq9 >= 9 and %gad7 >= 3"), _floor("B", 3, "%phq9 >= 8 and %gad7 >= 20")),
    ],
)
def test_floors_that_rise_with_the_measure_are_published(rules: tuple[Document, ...]) -> None:
    assert published(_with("floors", *rules)).kind == "intensity"


def test_a_condition_over_many_names_is_taken_as_it_is() -> None:
    names = ("isi", "peg", "wsas", "pcs", "tsk11", "phq15", "sss8")
    condition = " and ".join(f"%{name} >= 5" for name in names)
    assert published(_with("floors", _floor("X", 2, condition), inputs=names)).rules
