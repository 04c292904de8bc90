"""Safety findings in answers: rules SAF-1 to SAF-7 of the default routing policy, as far as answers can tell.

A blank safety item is an unresolved positive, never a zero. Deadlines, wording and codes are data
(`data/safety.json`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from stepwell_screening.rules.definition import SafetyItem, ScoringDefinition
from stepwell_screening.rules.safety_policy import (
    NOT_ASKED,
    POSITIVE,
    PROMPT,
    RED_FLAG,
    SAFETY_REVIEW,
    UNANSWERED,
    Code,
    Prompt,
    SafetyPolicy,
    SafetyRule,
    Screen,
)
from stepwell_screening.rules.suicide_screens import SCREENS, Answer
from stepwell_screening.rules.weights import (
    Number,
    OptionKey,
    answered_items,
    extension_weight,
    option_weights,
    questionnaire_items,
    weighted_items,
)

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SafetyFinding:
    """One reason for a person to act, by when, and why in plain words. `link_id` names what it was found in."""

    rule: SafetyRule
    link_id: str
    reason: str
    deadline: datetime

    @property
    def is_about_self_harm(self) -> bool:
        """Whether the person who answered should be told at once where help is."""
        return self.rule.kind == SAFETY_REVIEW


def found(rule: SafetyRule, link_id: str, topic: str, received: datetime) -> SafetyFinding:
    """The finding of a rule; its deadline counts from `received`."""
    deadline = received + timedelta(hours=float(rule.deadline_hours))
    reason = rule.reason.format(topic=topic)
    return SafetyFinding(rule, link_id, reason[:1].upper() + reason[1:], deadline)


class SafetyCheck:
    """One Questionnaire's safety items, compiled; call it with a QuestionnaireResponse and the time it came in."""

    def __init__(self, questionnaire: JsonObject, definition: ScoringDefinition, policy: SafetyPolicy) -> None:
        self.policy = policy
        codes = _codes_of(questionnaire)
        self._screens = [
            (screen, {link_id: screen.roles[code] for link_id, code in codes if code in screen.roles})
            for screen in policy.screens
            if any(code in screen.roles for _, code in codes)
        ]
        screened = {link_id for _, roles in self._screens for link_id in roles}
        self._items = [item for item in definition.safety_items if item.link_id not in screened]
        accepted = {
            key: means
            for key, means in definition.accepted_answers.items()
            if any(item.link_id == key[0] for item in self._items)
        }
        self._weights = weighted_items(questionnaire, [item.link_id for item in self._items], accepted)
        self._red_flags = {link_id: policy.red_flags[code] for link_id, code in codes if code in policy.red_flags}
        self._prompts = list(_prompts(questionnaire, codes, policy))
        self._asks = _asks(questionnaire, codes, policy) and not self._screens and not self._items
        prompted = {link_id for _, weights in self._prompts for link_id in weights}
        self._looked_at = {*self._weights, *screened, *self._red_flags, *prompted}
        self.asks_about_self_harm = bool(self._screens or self._items)
        # whether it answers what somebody was asked to ask
        self.answers_an_ask = bool(self._screens)
        self._is_idle = not self._looked_at and not self._asks

    def __call__(
        self, response: JsonObject, received: datetime, person: JsonObject | None = None
    ) -> tuple[SafetyFinding, ...]:
        """What in this response needs a person; deadlines count from `received`. `person` is the Patient, if known."""
        status = response.get("status")
        if self._is_idle or status not in self.policy.positive_statuses:
            return ()
        answers: dict[str, list[JsonObject]] = {}
        for link_id, item, _ in answered_items(response.get("item", ()), "QuestionnaireResponse"):
            if link_id in self._looked_at:
                answers.setdefault(link_id, []).extend(item.get("answer", ()))
        finished = status in self.policy.unanswered_statuses
        rows = ((item, self._rule(item, answers.get(item.link_id, ()), finished)) for item in self._items)
        findings = [found(rule, item.link_id, item.topic, received) for item, rule in rows if rule is not None]
        if self._screens or self._red_flags or self._prompts or self._asks:
            findings += self._others(answers, finished, received, person or {})
        return tuple(findings)

    @property
    def safe_answers(self) -> dict[str, list[Code]] | None:
        """The coded answers that need nobody, by the linkId of the item, where such an answer to each of these items is
        all that there is to know; None where more than that counts."""
        if self._screens or self._red_flags:
            return None
        return {
            item.link_id: [
                (str(system), str(code))
                for (system, code), weight in self._weights[item.link_id].items()
                if weight < item.positive_from
            ]
            for item in self._items
        }

    def _rule(self, item: SafetyItem, answers: Sequence[JsonObject], finished: bool) -> SafetyRule | None:
        weights = [_safety_weight(answer, self._weights[item.link_id]) for answer in answers]
        if any(weight is not None and weight >= item.positive_from for weight in weights):
            return self.policy.rules[POSITIVE]
        answered = bool(weights) and None not in weights
        return None if answered or not finished else self.policy.rules[UNANSWERED]

    def _others(
        self, answers: Mapping[str, Sequence[JsonObject]], finished: bool, received: datetime, person: JsonObject
    ) -> Iterator[SafetyFinding]:
        rules = self.policy.rules
        for screen, roles in self._screens:
            yield from self._screened(screen, roles, answers, finished, received)
        for link_id, topic in self._red_flags.items():
            if self._answer(answers.get(link_id, ())) == Answer.YES:
                yield found(rules[RED_FLAG], link_id, topic, received)
        for prompt, weights in self._prompts:
            given = [_safety_weight(each, weights[link_id]) for link_id in weights for each in answers.get(link_id, ())]
            if finished and sum(weight or 0 for weight in given) >= prompt.threshold(person.get("gender")):
                yield found(rules[PROMPT], min(weights), "", received)
        if self._asks and finished:
            yield found(rules[NOT_ASKED], "not-asked", "", received)

    def _screened(
        self,
        screen: Screen,
        roles: Mapping[str, str],
        answers: Mapping[str, Sequence[JsonObject]],
        finished: bool,
        received: datetime,
    ) -> Iterator[SafetyFinding]:
        given = {role: self._answer(answers.get(link_id, ())) for link_id, role in roles.items()}
        said = {role: answer for role, answer in given.items() if answer is not None}
        for each in SCREENS[screen.name](said, finished=finished):
            rule = self.policy.rules[each.rule]
            if each.holds and not rule.holds:
                rule = replace(rule, holds=True)
            link_id = "-".join(part for part in (screen.name, each.part) if part)
            yield found(rule, link_id, screen.topic, received)

    def _answer(self, answers: Sequence[JsonObject]) -> Answer | None:
        """The worst of the answers to a yes-or-no question; None when there is none."""
        read = {_yes_or_no(answer, self.policy) for answer in answers}
        return next((each for each in (Answer.YES, Answer.UNCLEAR, Answer.NO) if each in read), None)


def compile_safety(questionnaire: JsonObject, definition: ScoringDefinition, policy: SafetyPolicy) -> SafetyCheck:
    """Compile a Questionnaire's safety items once; raises ValueError when one that is scored is not in it."""
    return SafetyCheck(questionnaire, definition, policy)


def is_minor(birth_date: object, today: date, adult_from_years: int) -> bool:
    """Whether a person with this FHIR date of birth is, or may be, younger; nobody is when none is known."""
    try:
        numbers = [int(part) for part in str(birth_date).split("-")]
        year, month, day = (*numbers, 12, 31)[:3] if len(numbers) == 1 else (*numbers, 31)[:3]
    except ValueError:
        return False
    return (year + adult_from_years, month, day) > (today.year, today.month, today.day)


def _codes_of(questionnaire: JsonObject) -> list[tuple[str, Code]]:
    """Every coded item as (linkId, code)."""
    return [
        (item["linkId"], (str(coding.get("system")), str(coding.get("code"))))
        for item in questionnaire_items(questionnaire)
        for coding in item.get("code", ())
    ]


def _asks(questionnaire: JsonObject, codes: Sequence[tuple[str, Code]], policy: SafetyPolicy) -> bool:
    """Whether this form asks what a safety question goes with, and holds none."""
    present = {code for _, code in codes}
    named = questionnaire.get("url") in policy.asks_for_questionnaires
    return (named or not present.isdisjoint(policy.asks_for)) and present.isdisjoint(policy.asked_by)


def _prompts(
    questionnaire: JsonObject, codes: Sequence[tuple[str, Code]], policy: SafetyPolicy
) -> Iterator[tuple[Prompt, dict[str, Mapping[OptionKey, Number]]]]:
    """The prompts all of whose items are in the form, with the weights of each item."""
    items = {item["linkId"]: item for item in questionnaire_items(questionnaire)}
    for prompt in policy.prompts:
        link_ids = {code: link_id for link_id, code in codes if code in prompt.codes}
        if link_ids.keys() == prompt.codes:
            yield prompt, {link_id: option_weights(items[link_id]) for link_id in link_ids.values()}


def _yes_or_no(answer: JsonObject, policy: SafetyPolicy) -> Answer:
    # No sender may weigh a yes down; a weight that it puts on its answer can only make one.
    coding = answer.get("valueCoding")
    if coding is None:
        said = answer.get("valueBoolean")
        return Answer.UNCLEAR if not isinstance(said, bool) else Answer.YES if said else Answer.NO
    weight = extension_weight(coding)
    code = coding.get("system"), coding.get("code")
    if code in policy.yes or (weight is not None and weight > 0):
        return Answer.YES
    return Answer.NO if code in policy.no else Answer.UNCLEAR


def _safety_weight(answer: JsonObject, weights: Mapping[OptionKey, Number]) -> Number | None:
    # The option's own weight stands beside the one that the sender put on the answer and the higher counts:
    # for a score the sender's weight wins (SDC), but no sender may weigh a positive safety answer down.
    coding = answer.get("valueCoding")
    if coding is None:
        return None
    option = weights.get((coding.get("system"), coding.get("code")))
    own = extension_weight(coding)
    if option is None:
        return own if own else None
    return option if own is None else max(option, own)
