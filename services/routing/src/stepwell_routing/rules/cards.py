"""From findings to CDS Hooks cards: which advice is given, in which words, with what it suggests.

Pure; https://cds-hooks.hl7.org/2.0/#card-attributes. Open safety questions come first and leave no room for routine
advice; nothing here blocks an order. Words come from outside escaped, so that a card's Markdown is ours alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stepwell_routing.rules.care_view import CareView, Limits, Rung, Step, due_since, off_track
from stepwell_routing.rules.draft_orders import Earlier, Referral, is_urgent

SUMMARY_CHARACTERS_MAX = 139  # "less than 140"
WORDS_CHARACTERS_MAX = 120
LISTED_MAX = 5
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:@])")
_BLANKS = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Suggested:
    """A step to refer to instead of what a draft order says."""

    step: Step
    order: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Advice:
    """One card before it has words: the rule that speaks, what it saw, and what it suggests."""

    rule: str
    seen: Mapping[str, object] = field(default_factory=dict)
    listed: Sequence[str] = ()
    suggested: Suggested | None = None


@dataclass(frozen=True, slots=True)
class CardTexts:
    """The words of one language: for each rule its summary and detail, for each reason its display."""

    language: str
    cards: Mapping[str, Mapping[str, str]]
    reasons: Mapping[str, str]
    source: str
    suggestion: str
    action: str
    withdrawn: str
    link: str


def care_advice(view: CareView, limits: Limits, now: datetime) -> list[Advice]:
    """Hook patient-view: an open safety question, the step, what is due, and whether care helps enough."""
    if not view.is_known:
        return []
    advice = [*_safety(view)]
    if view.plan is not None:
        advice.append(Advice("care-step", {"step": view.plan, "since": view.plan.since, "review": view.plan.review_at}))
    if view.proposal is not None and not view.is_safety_open and not view.proposal.is_held:
        seen = {"step": view.proposal, "since": view.proposal.since, "review": view.proposal.review_at}
        advice.append(Advice("care-step-proposed", seen))
    track = off_track(view, limits, now)
    if track is not None:
        seen = {
            "label": track.label,
            "latest": track.latest.value,
            "day": track.latest.observed_at,
            "earlier": track.earlier.value,
            "earlier_day": track.earlier.observed_at,
        }
        advice.append(Advice(track.rule, seen))
    due = due_since(view)
    if not view.scores and not view.is_safety_open:
        advice.append(Advice("screening-first"))
    elif due is not None and due <= now:
        advice.append(Advice("screening-due", {"day": due}))
    return advice


def referral_advice(view: CareView, referrals: Sequence[Referral], ladder: Mapping[str, Rung]) -> list[Advice]:
    """Hooks order-select and order-sign: whether draft referrals fit the step that is proposed or agreed.

    `ladder` is that of the person's pathway, by the codes of its steps and of their tiers. While a safety question is
    open only that is said, and while a proposal waits for something else nothing is: no step is suggested before a
    clinician has answered.
    """
    if not referrals:
        return []
    if view.is_safety_open:
        return [Advice("safety-open")]
    target = view.target
    if target is None or target.is_held or target.code not in ladder:
        return []
    advice = []
    for referral in referrals:
        rule = _compared(ladder.get(referral.step_code or ""), target.rank, ladder[target.code])
        if rule is not None:
            advice.append(Advice(rule, {"step": target}, suggested=Suggested(target, referral.order)))
    return advice


def _compared(referred: Rung | None, rank: int, target: Rung) -> str | None:
    """The rule for a referral to this rung; None when it is to the step of this rank. Phases that lead to more
    independence are other steps, neither more nor less care."""
    if referred is None:
        return "referral-without-step"
    if referred.lowest <= rank <= referred.highest:
        return None
    if not (referred.is_more_care and target.is_more_care):
        return "referral-other-step"
    return "referral-below" if referred.highest < rank else "referral-above"


def repeat_advice(
    view: CareView, tests: Sequence[Mapping[str, Any]], earlier: Sequence[Earlier] | None, plans: Sequence[str]
) -> list[Advice]:
    """Hooks order-select and order-sign: results that are here already, beside the agreed plan. It never blocks.

    A red flag wins over everything that could delay an examination, and so does an order that cannot wait. `earlier`
    is None when the client did not send results: then that is said.
    """
    if not tests or not view.is_known:
        return []
    if view.has_red_flag:
        return [Advice("red-flag")]
    if view.is_safety_open or any(is_urgent(test) for test in tests):
        return []
    if earlier is None:
        return [Advice("results-missing")]
    if not earlier:
        return []
    listed = [_line(each) for each in earlier[:LISTED_MAX]]
    step = {"step": view.plan, "review": view.plan.review_at} if view.plan is not None else {}
    planned = [plain(plan) for plan in plans[:LISTED_MAX]]
    rule = "earlier-results" if not step else "earlier-results-and-plan"
    return [Advice(rule, {"count": len(earlier), "day": earlier[0].observed_at, **step}, [*listed, *planned])]


def card(
    advice: Advice,
    texts: CardTexts,
    *,
    card_id: str,
    indicator: str,
    topic_system: str,
    reasons: Sequence[str],
    reason_system: str,
    app_url: str | None = None,
    suggestion: Json | None = None,
) -> Json:
    """The card as JSON, without empty members. `suggestion` is what `draft_suggestion` made of the advice."""
    words = texts.cards[advice.rule]
    shown = {name: _shown(value, texts.language) for name, value in advice.seen.items()}
    summary = words["summary"].format(**{name: _one_line(value) for name, value in shown.items()})
    escaped = {name: plain(text) if isinstance(advice.seen[name], Step) else text for name, text in shown.items()}
    detail = words["detail"].format(**escaped)
    body: Json = {
        "uuid": card_id,
        "summary": summary if len(summary) <= SUMMARY_CHARACTERS_MAX else summary[: SUMMARY_CHARACTERS_MAX - 1] + "…",
        "indicator": indicator,
        "detail": "\n".join([detail, *(["", *(f"- {line}" for line in advice.listed)] if advice.listed else [])]),
        "source": {
            "label": texts.source,
            "topic": {"system": topic_system, "code": advice.rule, "display": words["topic"]},
        },
        "overrideReasons": [
            {"system": reason_system, "code": code, "display": texts.reasons[code]} for code in reasons
        ],
    }
    if suggestion is not None:
        body |= {"suggestions": [suggestion], "selectionBehavior": "at-most-one"}
    if app_url is not None:
        body["links"] = [{"label": texts.link, "url": app_url, "type": "smart"}]
    return {name: value for name, value in body.items() if value != []}


def draft_suggestion(
    suggested: Suggested, texts: CardTexts, request: Mapping[str, Any], *, suggestion_id: str, request_url: str
) -> Json:
    """The suggestion to refer to the step instead: a new draft ServiceRequest, and the one it stands for taken back.

    `request` is the tier assignment that the step comes from; who, when and for whom are those of the draft order.
    """
    order, name = suggested.order, _named(suggested.step, texts.language)
    kept = {key: order[key] for key in ("subject", "encounter", "requester", "occurrenceDateTime") if order.get(key)}
    priority = order.get("priority") if is_urgent(order) else request.get("priority")
    draft: Json = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": order.get("intent") if isinstance(order.get("intent"), str) else "order",
        "category": request["category"],
        "code": request["code"],
        **({"priority": priority} if isinstance(priority, str) else {}),
        **kept,
        "supportingInfo": [{"reference": request_url}],
    }
    label = texts.suggestion.format(step=_one_line(name))
    actions: list[Json] = [
        {"type": "create", "description": texts.action.format(step=_one_line(name)), "resource": draft}
    ]
    if isinstance(order.get("id"), str):
        resource_id = f"ServiceRequest/{order['id']}"
        actions.append({"type": "delete", "description": texts.withdrawn, "resourceId": resource_id})
    return {"label": label, "uuid": suggestion_id, "isRecommended": True, "actions": actions}


def plain(text: str) -> str:
    """A text of others as Markdown that shows just this text: one line, of bounded length, with nothing to follow."""
    escaped = _MARKDOWN.sub(r"\\\1", _one_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _safety(view: CareView) -> list[Advice]:
    found = [Advice("safety-open")] if view.is_safety_open else []
    return [*found, Advice("red-flag")] if view.has_red_flag else found


def _line(each: Earlier) -> str:
    result = f": {plain(each.result)}" if each.result else ""
    return f"{each.observed_at.date().isoformat()} {plain(each.title)}{result}".rstrip()


def _one_line(text: str) -> str:
    joined = _BLANKS.sub(" ", text).strip()
    return joined if len(joined) <= WORDS_CHARACTERS_MAX else joined[: WORDS_CHARACTERS_MAX - 1] + "…"


def _shown(value: object, language: str) -> str:
    if isinstance(value, Step):
        return _named(value, language)
    return value.date().isoformat() if isinstance(value, datetime) else str(value)


def _named(step: Step, language: str) -> str:
    return step.words.get(language) or step.words.get("en") or next(iter(step.words.values()), step.code)
