"""A client writes an Observation: its own are welcome, those that Stepwell derives are not for clients to change."""

from typing import Any

import orjson
from stepwell_shared.canonical import code_system
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_measurement.tables import kept_score
from stepwell_measurement.use_cases.facts import observation_effects
from stepwell_measurement.use_cases.goals import check_attainment
from stepwell_measurement.use_cases.readings import is_remote, review_reading
from stepwell_measurement.use_cases.series import change_series, series_key

RELIABLE_CHANGE = code_system("reliable-change")


async def change_observation(runtime: Runtime, write: Write) -> None:
    """Brings the series up to date that the Observation belongs to, or no longer belongs to, and holds a reading that
    was taken away from the team to the person's plan.

    Raises FhirError BUSINESS_RULE when it is, or would pass for, a score or a result of ours.
    """
    previous = orjson.loads(write.previous.body) if write.previous and write.previous.body else {}
    versions = [each for each in (previous, write.resource) if each]
    for observation in versions:
        _refuse_derived(runtime, observation)
    check_attainment(write.resource or {})
    found = write.stored
    write.unit.effects += observation_effects(runtime, previous, write.resource or {}, found.id, found.version)
    keys = {series_key(runtime, each): None for each in versions}
    if any(keys):
        kept = kept_score(write.stored.body or b"{}", write.stored.version)
        for key in filter(None, keys):
            await change_series(runtime, write.unit, key, changed={write.stored.id: kept})
    if any(is_remote(each) for each in versions):
        await review_reading(runtime, write)


def _refuse_derived(runtime: Runtime, observation: dict[str, Any]) -> None:
    if _is_score(runtime, observation):
        text = "this score follows from a QuestionnaireResponse; correct the response in screening"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Observation.meta.source")])
    if _is_result(observation):
        text = "reliable change is computed here from the scores; correct those"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Observation.code")])


def _is_score(runtime: Runtime, observation: dict[str, Any]) -> bool:
    source = str(observation.get("meta", {}).get("source", ""))
    return source != "" and source.startswith(f"{runtime.settings.url_of('screening')}/QuestionnaireResponse/")


def _is_result(observation: dict[str, Any]) -> bool:
    codings = observation.get("code", {}).get("coding", ())
    return any(coding.get("system") == RELIABLE_CHANGE for coding in codings)
