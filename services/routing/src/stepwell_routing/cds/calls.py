"""Reads what an EHR sends: a hook with its context and prefetch, or feedback on cards. All findings at once.

https://cds-hooks.hl7.org/2.0/#http-request-1 and #feedback. Diagnostics never quote what was sent.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.values import date_range

from stepwell_routing.cds.services import ORDER_HOOKS, ORDER_SELECT, CdsService

ENTRIES_MAX = 1000
FEEDBACK_MAX = 200
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_CARD = re.compile(r"[0-9a-f\-]{36}")

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call: the orders are those that it is about, of the selected ones alone while orders are being chosen."""

    hook: str
    patient_id: str
    orders: Sequence[Resource]
    prefetch: Mapping[str, Any]

    def resources(self, key: str, resource_type: str) -> list[Resource] | None:
        """The resources of one prefetch; None when the client did not send it."""
        bundle = self.prefetch.get(key)
        if not isinstance(bundle, dict):
            return None
        if bundle.get("resourceType") == resource_type:
            return [bundle]
        return [each for each in _entries(bundle) if each.get("resourceType") == resource_type]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What was done with one card; `reason` is the code of an override, empty without one."""

    card: str
    outcome: str
    reason: str
    given_at: datetime


def read_call(body: bytes, service: CdsService) -> HookCall:
    """The call in a body. Raises FhirError INVALID with every place that is not as CDS Hooks has it."""
    given = _object(body)
    issues = [*_head_issues(given, service)]
    context, prefetch = given.get("context"), given.get("prefetch") or {}
    if not isinstance(context, dict):
        context = {}
        issues.append(_required("context"))
    patient_id = context.get("patientId")
    if not isinstance(patient_id, str) or not _ID.fullmatch(patient_id):
        issues.append(_required("context.patientId", "the id of a Patient"))
    if not isinstance(context.get("userId"), str):
        issues.append(_required("context.userId", "a text such as Practitioner/x"))
    if not isinstance(prefetch, dict):
        issues.append(Issue("prefetch is an object with a member for each key", "structure", "prefetch"))
        prefetch = {}
    orders: list[Resource] = []
    if given.get("hook") in ORDER_HOOKS:
        orders = _orders(context, str(given.get("hook")), issues)
    patient = prefetch.get("patient")
    if isinstance(patient, dict) and patient.get("id") != patient_id:
        text = "this is another Patient than that of the context"
        issues.append(Issue(text, "business-rule", "prefetch.patient"))
    if issues:
        raise FhirError(Category.INVALID, issues)
    return HookCall(str(given["hook"]), str(patient_id), orders, prefetch)


def read_feedback(body: bytes, reason_codes: frozenset[str], reason_system: str) -> list[Feedback]:
    """What became of cards. A comment is not read: it may say who it is about. Raises FhirError INVALID."""
    listed = _object(body).get("feedback")
    if not isinstance(listed, list) or not 0 < len(listed) <= FEEDBACK_MAX:
        text = f"an array of 1 to {FEEDBACK_MAX}"
        raise FhirError(Category.INVALID, [_required("feedback", text)])
    issues: list[Issue] = []
    found = [_one(each, f"feedback[{index}]", reason_codes, reason_system, issues) for index, each in enumerate(listed)]
    if issues:
        raise FhirError(Category.INVALID, issues)
    return [each for each in found if each is not None]


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise FhirError(Category.INVALID, [Issue("the body is not JSON", "structure")]) from error
    if not isinstance(given, dict):
        raise FhirError(Category.INVALID, [Issue("the body is a JSON object", "structure")])
    return given


def _head_issues(given: Resource, service: CdsService) -> list[Issue]:
    issues = []
    if given.get("hook") not in service.hooks:
        issues.append(Issue(f"this service answers {' and '.join(service.hooks)}", "value", "hook"))
    try:
        UUID(str(given.get("hookInstance")))
    except ValueError:
        issues.append(_required("hookInstance", "a UUID"))
    if "fhirAuthorization" in given and not isinstance(given.get("fhirServer"), str):
        issues.append(_required("fhirServer", "named where fhirAuthorization is"))
    return issues


def _orders(context: Resource, hook: str, issues: list[Issue]) -> list[Resource]:
    bundle = context.get("draftOrders")
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        issues.append(_required("context.draftOrders", "a Bundle"))
        return []
    orders = _entries(bundle)
    if len(orders) > ENTRIES_MAX:
        issues.append(Issue(f"at most {ENTRIES_MAX} orders at once", "too-long", "context.draftOrders"))
    if hook != ORDER_SELECT:
        return orders
    selections = context.get("selections")
    if not isinstance(selections, list) or not all(isinstance(each, str) for each in selections):
        issues.append(_required("context.selections", "an array of references"))
        return []
    chosen = {each.split("/_history/")[0] for each in selections}
    return [each for each in orders if f"{each.get('resourceType')}/{each.get('id')}" in chosen]


def _entries(bundle: Resource) -> list[Resource]:
    listed = bundle.get("entry")
    resources = [each.get("resource") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [each for each in resources if isinstance(each, dict)]


def _one(
    given: object, place: str, reason_codes: frozenset[str], reason_system: str, issues: list[Issue]
) -> Feedback | None:
    before = len(issues)
    if not isinstance(given, dict):
        issues.append(_required(place, "an object"))
        return None
    card, outcome, reason = given.get("card"), given.get("outcome"), given.get("overrideReason")
    if not isinstance(card, str) or not _CARD.fullmatch(card):
        issues.append(_required(f"{place}.card", "the uuid of a card"))
    if outcome not in {"accepted", "overridden"}:
        issues.append(Issue("accepted or overridden", "value", f"{place}.outcome"))
    if outcome == "accepted" and not isinstance(given.get("acceptedSuggestions"), list):
        issues.append(_required(f"{place}.acceptedSuggestions", "the suggestions that were accepted"))
    given_at = _moment(given.get("outcomeTimestamp"))
    if given_at is None:
        issues.append(_required(f"{place}.outcomeTimestamp", "a time with its zone"))
    code = _reason(reason, reason_codes, reason_system)
    if code is None:
        text = "overrideReason.reason is one of the card's overrideReasons"
        issues.append(Issue(text, "value", f"{place}.overrideReason.reason"))
    if len(issues) > before or given_at is None:
        return None
    return Feedback(str(card), str(outcome), code or "", given_at)


def _reason(given: object, codes: frozenset[str], system: str) -> str | None:
    """The code of an override's reason: empty where none is given, None where it is none of ours."""
    reason = given.get("reason") if isinstance(given, dict) else None
    if reason is None:
        return ""
    coding = reason if isinstance(reason, dict) else {}
    code = coding.get("code")
    return code if isinstance(code, str) and code in codes and coding.get("system", system) == system else None


def _moment(text: object) -> datetime | None:
    interval = date_range(text) if isinstance(text, str) and "T" in text else None
    return None if interval is None else interval[0].astimezone(UTC)


def _required(place: str, what: str = "") -> Issue:
    return Issue(f"{place.rpartition('.')[2]} is needed{f': {what}' if what else ''}", "required", place)
