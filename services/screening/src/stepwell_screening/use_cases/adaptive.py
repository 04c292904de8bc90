"""Adaptive forms: `Questionnaire/$next-question`, and an adaptive response as it is stored.

All state is in the response itself; the Questionnaire that it contains is built again each time and never believed.
SDC 4.0, "Adaptive forms"; http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-next-question
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from stepwell_shared.canonical import instant
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.runtime import Runtime

from stepwell_screening.data import adaptive as data
from stepwell_screening.instruments import Instrument, compile_instrument, find_imported, find_instrument, instruments
from stepwell_screening.rules.adaptive import (
    AdaptiveForm,
    Following,
    Parts,
    Step,
    first_difference,
    foreign_weights,
    parse_form,
    proceed,
    replay,
    rule_following,
)
from stepwell_screening.rules.adaptive_copies import (
    adaptive_copy,
    adaptive_questionnaire,
    assembled_from,
    with_scores,
)
from stepwell_screening.rules.aggregation import Context, ScoreResult
from stepwell_screening.rules.definition import ScoringDefinition
from stepwell_screening.rules.finding import FINISHED, Finding
from stepwell_screening.rules.item_banks import SuppliedBank, bank_following
from stepwell_screening.use_cases.item_banks import find_bank, t_score

QUESTIONNAIRE = "QuestionnaireResponse.questionnaire"
ASSEMBLED_FROM_MAX = 20
PARAMETER = "questionnaire-response"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """What an adaptive response was derived from: a form or a bank, and how its copy in a response begins."""

    canonical: str
    heading: Mapping[str, Any]
    parts: Parts
    bank: SuppliedBank | None
    form: AdaptiveForm | None

    def following(self, response: Resource) -> Following:
        """What is asked next, given the answers of this response."""
        if self.bank is not None:
            return bank_following(self.bank, response)
        assert self.form is not None, "an adaptive response comes of a form or of a bank"
        return rule_following(self.form, self.parts, response)


@dataclass(frozen=True)
class Assembled:
    """An adaptive response's own form and the instruments in it; used in place of one instrument.

    `whole` is the form compiled as one Questionnaire, which holds its answers and watches their safety.
    """

    origin: Origin
    whole: Instrument
    steps: Sequence[Step]
    findings: Sequence[Finding]
    is_ended: bool

    @property
    def canonical(self) -> str:
        """The adaptive Questionnaire with its version."""
        return self.origin.canonical

    @property
    def definition(self) -> ScoringDefinition:
        """What the scores of all its instruments share, such as the code system of their bands."""
        return self._parts[0].definition if self._parts else self.whole.definition

    def check(self, response: Resource) -> list[Finding]:
        """Everything that is wrong with the response: the form that it contains, and its answers to that form."""
        if response["status"] == "entered-in-error":
            return []
        found = [*self.findings, *foreign_weights(self.steps, response)]
        if response["status"] in FINISHED and not self.is_ended and not self.findings:
            text = "This form goes on: ask for the next question ($next-question), or save it as in-progress."
            found.append(Finding("business-rule", text, "QuestionnaireResponse.status"))
        return [*found, *self.whole.check(response)]

    @property
    def score(self) -> "AssembledScoring":
        """The scores of every instrument in it."""
        return AssembledScoring(self._parts, self.origin.bank, self.steps)

    @property
    def _parts(self) -> list[Instrument]:
        """Every instrument whose questions were asked, once, in that order."""
        found = {part.canonical: part for part in (each.part for each in self.steps) if isinstance(part, Instrument)}
        return list(found.values())


@dataclass(frozen=True)
class AssembledScoring:
    """Each instrument in an adaptive response scored as that instrument."""

    parts: Sequence[Instrument]
    bank: SuppliedBank | None
    steps: Sequence[Step]

    def __call__(self, response: Resource, context: Context | None = None) -> tuple[ScoreResult, ...]:
        """The scores of all instruments in the order in which they were asked, or the T score of a bank."""
        if self.bank is not None:
            return (t_score(self.bank, self.steps, response),)
        return tuple(result for part in self.parts for result in part.score(response, context))

    def check(self, response: Resource, results: Sequence[ScoreResult]) -> list[Finding]:
        """Refuse a finished response that states another score than the one of its answers."""
        found: list[Finding] = []
        for part in self.parts:
            own = tuple(result for result in results if result.instrument == part.canonical)
            found += part.score.check(response, own)
        return found


@cache
def adaptive_forms() -> dict[str, AdaptiveForm]:
    """Every shipped adaptive form by its canonical with version."""
    return {form.canonical: form for form in map(parse_form, data.forms())}


def adaptive_questionnaires() -> list[Resource]:
    """The shipped adaptive forms as Questionnaires that can be found; their questions come one step at a time."""
    return [adaptive_questionnaire(form.canonical, form.heading) for form in adaptive_forms().values()]


async def next_question(runtime: Runtime, request: Request) -> Response:
    """`$next-question`: the response with the next questions in the Questionnaire that it contains, or completed.

    Raises FhirError: 400 for a body that is no adaptive response, 422 for answers or questions that are not those that
    were asked, with their places.
    """
    response, is_bare = _asked(request.body)
    if response.get("status") != "in-progress":
        raise _refusal("only a response that is in-progress goes on", "QuestionnaireResponse.status")
    place, offered = _contained(response)
    assembled = await _assembled(runtime, request.access.tenant, response, place, offered, strict=False)
    findings = [*assembled.findings, *foreign_weights(assembled.steps, response)]
    held = {**response, "status": "completed"}
    results = assembled.score(held)
    findings += assembled.whole.check(held) + assembled.score.check(held, results)
    if findings:
        raise FhirError(Category.BUSINESS_RULE, [Issue(each.text, each.code, each.expression) for each in findings])
    steps, ended = proceed(assembled.steps, assembled.origin.following(response))
    contained = list(response["contained"])
    contained[place] = adaptive_copy(offered["id"], assembled.origin.canonical, assembled.origin.heading, steps)
    answered: Resource = {
        **response,
        "contained": contained,
        "status": "completed" if ended else "in-progress",
        "authored": instant(runtime.clock()),
    }
    if "item" in response:
        answered["item"] = with_scores(response["item"], assembled.steps, results)
    body = answered if is_bare else {
        "resourceType": "Parameters", "parameter": [{"name": PARAMETER, "resource": answered}]
    }  # fmt: skip
    return Response(200, encode(body))


async def assembled_of(runtime: Runtime, tenant: str, response: Resource) -> Assembled:
    """The form that an adaptive response contains, as it was asked, with everything that differs from it.

    Raises FhirError BUSINESS_RULE when there is no such form.
    """
    place, offered = _contained(response)
    return await _assembled(runtime, tenant, response, place, offered, strict=True)


async def _assembled(
    runtime: Runtime, tenant: str, response: Resource, place: int, offered: Resource, *, strict: bool
) -> Assembled:
    path = f"QuestionnaireResponse.contained[{place}]"
    origin = await _origin(runtime, tenant, offered, path)
    following = origin.following(response)
    steps, findings = replay(offered.get("item", ()), following, path)
    own = adaptive_copy(offered["id"], origin.canonical, origin.heading, steps)
    if strict and not findings:
        differs = first_difference(_as_sent(own), _as_sent(offered), path)
        findings = [Finding("business-rule", "This differs from what was asked.", differs)] if differs else []
    url, _, version = origin.canonical.partition("|")
    try:
        whole = compile_instrument({**own, "url": url, "version": version}, None)
    except ValueError as error:
        raise _refusal(f"the instruments of this form cannot be put together: {error}", path) from error
    return Assembled(origin, whole, steps, findings, is_ended=bool(steps) and not following(steps))


async def _origin(runtime: Runtime, tenant: str, offered: Resource, path: str) -> Origin:
    """The form or bank that the contained Questionnaire names in derivedFrom."""
    derived = offered.get("derivedFrom", ())
    if len(derived) != 1:
        raise _refusal("name the one adaptive Questionnaire that this is derived from", f"{path}.derivedFrom")
    canonical = str(derived[0])
    form = adaptive_forms().get(canonical)
    if form is not None:
        return Origin(canonical, form.heading, await _parts(runtime, tenant, form, offered), None, form)
    bank = await find_bank(runtime, tenant, canonical) if "|" in canonical else None
    if bank is None:
        text = "this is derived from no adaptive Questionnaire that is known here with this version"
        raise _refusal(text, f"{path}.derivedFrom[0]")
    return Origin(canonical, bank.questionnaire, {}, bank, None)


async def _parts(runtime: Runtime, tenant: str, form: AdaptiveForm, offered: Resource) -> Parts:
    """The instruments of a form: those that ship, and those that the site has imported with the right to use them.

    A form that is under way keeps the version that it began with, which its copy names.
    """
    parts: dict[str, list[Instrument]] = {name: [] for name in form.instruments}
    for instrument in instruments().values():
        if instrument.definition.id in parts:
            parts[instrument.definition.id].append(instrument)
    found = [await find_imported(runtime, tenant, name) for name, known in parts.items() if not known]
    named = [canonical for canonical in assembled_from(offered)[:ASSEMBLED_FROM_MAX] if "|" in canonical]
    found += [await find_instrument(runtime, tenant, canonical) for canonical in named]
    for each in found:
        # A form whose questions need more than themselves (contained value sets) cannot be taken apart.
        known = parts.get(each.definition.id) if each is not None and "contained" not in each.questionnaire else None
        if each is not None and known is not None and each.canonical not in {one.canonical for one in known}:
            known.append(each)
    return parts


def _asked(body: bytes) -> tuple[Resource, bool]:
    """The response in the body, and whether it is the whole body. Raises FhirError INVALID."""
    parsed: Resource = json.loads(body, parse_float=Decimal) if body else {}
    if parsed.get("resourceType") == "QuestionnaireResponse":
        return parsed, True
    given = [each for each in parsed.get("parameter", ()) if each["name"] == PARAMETER]
    if len(given) != 1 or given[0].get("resource", {}).get("resourceType") != "QuestionnaireResponse":
        text = f"give the one parameter {PARAMETER}, a QuestionnaireResponse"
        raise FhirError(Category.INVALID, [Issue(text, "required", "Parameters.parameter")])
    return given[0]["resource"], False


def _contained(response: Resource) -> tuple[int, Resource]:
    """The contained Questionnaire that the response names, and where it stands. Raises FhirError BUSINESS_RULE."""
    reference = response.get("questionnaire", "")
    for place, resource in enumerate(response.get("contained", ())):
        if resource.get("resourceType") == "Questionnaire" and f"#{resource.get('id')}" == reference:
            return place, resource
    raise _refusal("an adaptive response names the Questionnaire that it contains, such as #form", QUESTIONNAIRE)


def _as_sent(questionnaire: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a copy says, without what only says where its questions came from."""
    return {name: value for name, value in questionnaire.items() if name not in ("id", "meta", "extension", "item")}


def _refusal(text: str, expression: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", expression)])
