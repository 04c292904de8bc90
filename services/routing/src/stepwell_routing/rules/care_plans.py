"""What a plan in a person's own words must be: one of the known kinds, its sections, words in each, and one person."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any

from stepwell_routing.rules.care_content import Finding

WORDS_CHARACTERS_MAX = 4_000
CLOSED = frozenset({"revoked", "completed", "entered-in-error"})


def plan_kind(plan: Mapping[str, Any], system: str) -> str:
    """The code of a plan's kind; empty for none of ours."""
    codings = (coding for each in plan.get("category", ()) for coding in each.get("coding", ()))
    return next((str(each.get("code", "")) for each in codings if each.get("system") == system), "")


def sections(plan: Mapping[str, Any], system: str) -> dict[str, list[str]]:
    """The person's words by the code of their section, in the order in which they stand."""
    found: dict[str, list[str]] = {}
    for each in plan.get("activity", ()):
        detail = each.get("detail", {})
        for coding in detail.get("code", {}).get("coding", ()):
            if coding.get("system") == system and detail.get("description"):
                found.setdefault(str(coding.get("code")), []).append(str(detail["description"]))
    return found


def check_plan(
    plan: Mapping[str, Any], before: Mapping[str, Any] | None, kinds: Mapping[str, Collection[str]], system: str
) -> list[Finding]:
    """What speaks against storing a plan. `kinds` are the sections that each kind has, by code."""
    return [*_whole(plan, before, kinds, system), *_parts(plan, kinds.get(plan_kind(plan, system), ()), system)]


def may_come_back(exited: date, today: date, months: int) -> bool:
    """Whether somebody who left care on this day may come back without a new referral."""
    month = exited.month - 1 + months
    year, month = exited.year + month // 12, month % 12 + 1
    return (today.year, today.month, today.day) <= (year, month, exited.day)


def _whole(
    plan: Mapping[str, Any], before: Mapping[str, Any] | None, kinds: Mapping[str, Collection[str]], system: str
) -> Iterator[Finding]:
    kind = plan_kind(plan, system)
    if kind not in kinds:
        yield Finding(f"the category is one of {', '.join(kinds)}", "CarePlan.category")
    if plan.get("intent") != "plan":
        yield Finding("what a person and their team agreed on is a plan", "CarePlan.intent")
    if "author" not in plan:
        yield Finding("say who wrote it down with the person", "CarePlan.author")
    if before is not None and plan_kind(before, system) != kind:
        yield Finding("a plan stays of its kind; make another", "CarePlan.category")
    if before is not None and before.get("status") in CLOSED and plan.get("status") != before.get("status"):
        yield Finding("this plan is closed; make another", "CarePlan.status")


def _parts(plan: Mapping[str, Any], known: Collection[str], system: str) -> Iterator[Finding]:
    for index, each in enumerate(plan.get("activity", ())):
        place, detail = f"CarePlan.activity[{index}]", each.get("detail")
        if detail is None:
            yield Finding("a part of this plan is written in its detail", place)
            continue
        codes = [
            coding.get("code") for coding in detail.get("code", {}).get("coding", ()) if coding.get("system") == system
        ]
        if len(codes) != 1 or codes[0] not in known:
            yield Finding(f"a part belongs to one section: {', '.join(known)}", f"{place}.detail.code")
        if not 0 < len(detail.get("description", "").strip()) <= WORDS_CHARACTERS_MAX:
            yield Finding("a part holds the person's own words", f"{place}.detail.description")
