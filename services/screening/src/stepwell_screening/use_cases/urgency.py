"""Which responses cannot wait: those with a safety item that is positive, or blank, are let in when others are not.

Far beyond its peak a process asks this of thousands of bodies a second. Most say in so many bytes that nothing is
urgent in them, and are not parsed; the database is never asked. Answers to a form that this process has not met yet
cannot wait: once one of them is in, the form is known.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import orjson
from stepwell_shared.runtime import Runtime
from stepwell_shared.urgent import Test, brings_something

from stepwell_screening.instruments import instruments, safety_of, safety_policy, seen_as
from stepwell_screening.rules.adaptive import group_of
from stepwell_screening.rules.safety import SafetyCheck
from stepwell_screening.rules.weights import ITEM_WEIGHT, ORDINAL_VALUE

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # deadlines do not matter here
# Ten times an answered PHQ-9 as clients write it; a longer response counts as one that cannot wait.
LOOKED_INTO_BYTES_MAX = 64 * 1024
_ANSWERED = re.compile(rb'"questionnaire"\s*:\s*"([^"\\]*)"')
# With one of these in it a body weighs its answers itself.
_WEIGHS = tuple(url.rpartition("/")[2].encode() for url in (ITEM_WEIGHT, ORDINAL_VALUE))
# From the linkId of an item to the code of its first answer, with nothing in between that could mean something else.
_TO_ITS_ANSWER = (
    rb'\s*,\s*(?:"text"\s*:\s*"[^"\\]*"\s*,\s*)?"answer"\s*:\s*\[\s*\{\s*"valueCoding"\s*:\s*\{\s*'
    rb'"system"\s*:\s*"%b"\s*,\s*"code"\s*:\s*"%b"'
)

SafeItems = tuple[tuple[bytes, re.Pattern[bytes]], ...]
"""Each item as it is named in a body, and what follows where its answer needs nobody."""


def tests(runtime: Runtime) -> Mapping[str, Test]:
    """Where safety alerts are opened, or found to be of high risk, and how it is seen that one is."""
    is_urgent = partial(cannot_wait, runtime)
    return {
        "QuestionnaireResponse": is_urgent,
        "Questionnaire/$process-response": is_urgent,
        "Patient/$raise-safety-concern": brings_something,
        "Task/$record-risk-level": brings_something,
    }


def cannot_wait(runtime: Runtime, body: bytes) -> bool:
    """Whether a body that nobody has validated yet says what a person must see soon."""
    if _surely_waits(body):
        return False
    if len(body) > LOOKED_INTO_BYTES_MAX:
        return True
    try:
        response = orjson.loads(body)
        if response.get("resourceType") == "Parameters":
            response = response["parameter"][0]["resource"]
        if response["status"] not in safety_policy().positive_statuses:
            return False
        checks = _checks(runtime, response)
        return checks is None or any(
            finding.rule.cannot_wait for check in checks for finding in check(response, _ANY_TIME)
        )
    except (ValueError, TypeError, LookupError, AttributeError):
        return False  # no such response; it is told so when there is room


def _surely_waits(body: bytes) -> bool:
    """Whether each item of safety is there once and answered with a code that is no reason for anything.

    True only where parsing would say so too; a body in another order, or with another kind of answer, is parsed.
    """
    named = _ANSWERED.search(body) if body.count(b'"questionnaire"') == 1 else None
    items = None if named is None else _safe_items().get(named[1])
    if items is None or any(word in body for word in _WEIGHS):
        return False
    for name, answered in items:
        at = body.find(name)
        if at < 0 or body.find(name, at + 1) >= 0 or answered.match(body, at + len(name)) is None:
            return False
    return True


@cache
def _safe_items() -> Mapping[bytes, SafeItems]:
    """By canonical of each shipped instrument of which safe answers say all."""
    found = {}
    for canonical, each in instruments().items():
        safe = each.safety.safe_answers
        if safe is not None:
            found[canonical.encode()] = tuple(
                (f'"{link_id}"'.encode(), re.compile(b"|".join(_TO_ITS_ANSWER % _escaped(*code) for code in codes)))
                for link_id, codes in safe.items()
            )
    return found


def _escaped(*texts: str) -> tuple[bytes, ...]:
    return tuple(re.escape(text).encode() for text in texts)


def _checks(runtime: Runtime, response: dict[str, Any]) -> list[SafetyCheck] | None:
    """What looks after the safety of whoever answers this form, or forms, for tenants may call theirs the same; None
    where the form is not known."""
    name = response["questionnaire"]
    if name.startswith("#"):
        return _checks_of_adaptive(response, name[1:])
    found = instruments().get(name)
    if found is not None:
        return [found.safety]
    url, _, version = name.partition("|")
    if not url or not version:
        return []  # it names no form that can be answered
    return [each.safety for each in seen_as(runtime, name)] or None


def _checks_of_adaptive(response: dict[str, Any], id_: str) -> list[SafetyCheck]:
    """The same of an adaptive response: by the shipped instruments that it was asked, and by the questions that it
    brings of others."""
    checks = []
    for form in (each for each in response["contained"] if each.get("id") == id_):
        asked = {item["linkId"] for item in form.get("item", ())}
        shipped = {group_of(each.definition.id): each.safety for each in instruments().values()}
        checks += [check for group, check in shipped.items() if group in asked]
        others = [item for item in form.get("item", ()) if item["linkId"] not in shipped]
        if others:
            checks.append(safety_of({"resourceType": "Questionnaire", "item": others}))
    return checks
