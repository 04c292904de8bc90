"""What `$match` says of a place beside the HealthcareService itself: score, reasons, the way, the wait and support."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import code_system, extension_url

from stepwell_referral.rules.matching import LeftOut, Option, in_words

Json = dict[str, Any]

UCUM = "http://unitsofmeasure.org"


def match_search(option: Option, words: Mapping[str, Any]) -> Json:
    """`Bundle.entry.search` of an option; reasons are in the language of these words."""
    reasons = [_reason(reason.rule, in_words(reason, words)) for reason in option.reasons]
    return {"extension": [*_offer(option), *reasons], "mode": "match", "score": Decimal(str(option.score))}


def left_out_issues(left_out: Sequence[LeftOut], words: Mapping[str, str]) -> list[Json]:
    """Why places were left out, as issues of an OperationOutcome: each place with its rule."""
    return [
        {
            "severity": "information",
            "code": "informational",
            "details": {"coding": [_rule(each.rule)], "text": f"{each.place.name}: {words[each.rule]}"},
            "diagnostics": f"HealthcareService/{each.place.place_id}",
        }
        for each in left_out
    ]


def no_place_issue(rule: str, text: str) -> Json:
    """Nothing was found, and by which rule."""
    details = {"coding": [_rule(rule)], "text": text}
    return {"severity": "information", "code": "not-found", "details": details}


def _offer(option: Option) -> list[Json]:
    parts: list[Json] = []
    if option.modality:
        parts.append({"url": "modality", "valueCoding": {"system": code_system("modality"), "code": option.modality}})
    if option.kilometres is not None:
        parts.append({"url": "kilometres", "valueDecimal": Decimal(f"{option.kilometres:.1f}")})
    if option.minutes is not None:
        parts.append({"url": "minutes", "valueInteger": option.minutes})
    if option.upper_days is not None:
        wait = {"value": option.upper_days, "unit": "days", "system": UCUM, "code": "d"}
        parts.append({"url": "wait", "valueDuration": wait})
    supports = dict.fromkeys(support for _, support in option.supports)
    parts += [{"url": "support", "valueCoding": {"system": code_system("support"), "code": each}} for each in supports]
    return [{"url": extension_url("match-offer"), "extension": parts}] if parts else []


def _reason(rule: str, text: str) -> Json:
    parts = [{"url": "rule", "valueCoding": _rule(rule)}, {"url": "text", "valueString": text}]
    return {"url": extension_url("match-reason"), "extension": parts}


def _rule(code: str) -> Json:
    return {"system": code_system("rule"), "code": code}
