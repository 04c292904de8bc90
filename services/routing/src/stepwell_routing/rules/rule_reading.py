"""One rule of a policy: its condition compiled, its outcomes and its words in every language of the policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from stepwell_routing.rules.effects import (
    BLOCKING,
    EFFECTS,
    INTENSITY,
    MISSING_EFFECTS,
    OFFERING_EFFECTS,
    PERSONAL_EFFECTS,
    RED_FLAGS,
    SAFETY,
    STAGES,
    Effect,
    Missing,
)
from stepwell_routing.rules.evidence_names import CAPACITY, FRESH, PERSONAL, STEP_NAMES, base_of, group_of
from stepwell_routing.rules.expressions import Expression, ExpressionError, Kind, Scalar, compile_expression
from stepwell_routing.rules.reading import Element, Parts, Reader, first
from stepwell_routing.rules.steps import Step
from stepwell_routing.rules.tiers import Option, TierCatalogue
from stepwell_routing.rules.wording import Template, Wording, template, translations

PRIORITIES = ("routine", "urgent", "asap", "stat")
# What the domain floors came to; rules after them may ask.
FACTS = {"highest_floor": Kind.NUMBER, "domains_at_highest_floor": Kind.NUMBER}
_FLAGS = frozenset({"hold", "never-waits", "keep", "floor", "exclude-option"})


@dataclass(frozen=True, slots=True)
class Floor:
    """No step below this one: a fixed rank, or that of a named number, plus some steps, up to a cap."""

    rank: int
    name: str | None = None
    plus: int = 0
    cap: int | None = None


class NotFired(NamedTuple):
    """A rule that did not apply: its condition was false, or `missing` (absent or too old) evidence left it open."""

    code: str
    why: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """What happens when its condition is true (always, when it has none).

    `kinds` are all its effects by name; `floors` and `excluded_options` hold the most frequent ones, `effects` the
    others with their parts, and `missing` says what happens when missing evidence leaves the rule open. A rule that
    `blocks` forbids every move to less care while it applies; one that `moves` does more than set floors. `not_applied`
    says that its condition was false; one that `asks_places` waits until the step is known.
    """

    code: str
    stage: str
    title: Mapping[str, str]
    expression: Expression | None
    floors: tuple[Floor, ...]
    domain: str | None
    holds: bool
    never_waits: bool
    excluded_options: tuple[str, ...]
    priority: str
    review_within: timedelta | None
    clinician: Wording
    patient: Wording
    sources: tuple[str, ...]
    kinds: frozenset[str]
    effects: tuple[Effect, ...]
    missing: tuple[Missing, ...]
    blocks: bool
    moves: bool
    not_applied: NotFired
    asks_places: bool


@dataclass(frozen=True, slots=True)
class RuleScope:
    """What the rules of one policy may refer to."""

    names: Mapping[str, Kind]
    constants: Mapping[str, Scalar]
    language: str
    languages: tuple[str, ...]
    catalogue: TierCatalogue
    kind: str
    steps: tuple[Step, ...]
    tracks: Mapping[str, Step]

    @property
    def options(self) -> dict[str, Option]:
        """Every option of every step and track, by code."""
        offerings = [step.offering for step in (*self.steps, *self.tracks.values())]
        return {option.code: option for offering in offerings for option in offering.options}


def read_rule(reader: Reader, action: Element, path: str, stage: str, scope: RuleScope) -> Rule | None:
    """Read one action as a rule; findings go to the reader, None when it has no code to be known by."""
    code = reader.code(action, "rule")
    if code is None:
        reader.refuse(f"{path}.code", "a rule needs its code from our code system")
        return None
    names = {**scope.names, **(FACTS if stage in STAGES[3:] else {})}
    outcomes = _Outcomes(reader, action, path, stage, scope, names)
    words = frozenset(names) | frozenset(scope.constants) | {"review_date"}
    sources = tuple(str(item["citation"]) for item in action.get("documentation", ()) if item.get("citation"))
    if not sources:
        reader.refuse(f"{path}.documentation", f"the rule {code} needs the citation it rests on")
    priority = str(action.get("priority", "routine"))
    if priority not in PRIORITIES:
        reader.refuse(f"{path}.priority", f"is one of {', '.join(PRIORITIES)}")
    expression = _condition(reader, action, path, scope, names)
    clinician = read_wording(reader, action, "description", path, scope, words)
    patient = read_wording(reader, action, "textEquivalent", path, scope, words)
    _check_told(reader, path, expression, {"description": clinician, "textEquivalent": patient}, frozenset(names))
    missing = _missing(reader, action, path)
    _check_personal(reader, path, stage, expression, outcomes.kinds)
    _check_places(reader, path, expression, outcomes.kinds | {each.effect for each in missing})
    return Rule(
        code=code,
        stage=stage,
        title=_titles(reader, action, path, scope),
        expression=expression,
        floors=tuple(outcomes.floors),
        domain=outcomes.domain,
        holds="hold" in outcomes.kinds,
        never_waits=not outcomes.kinds.isdisjoint({"never-waits", "urgent"}),
        excluded_options=tuple(outcomes.excluded_options),
        priority=priority,
        review_within=reader.duration(action, "timingDuration", path),
        clinician=clinician,
        patient=patient,
        sources=sources,
        kinds=frozenset(outcomes.kinds),
        effects=tuple(outcomes.effects),
        missing=missing,
        blocks=stage in (SAFETY, RED_FLAGS) and not outcomes.kinds.isdisjoint(BLOCKING),
        moves=not outcomes.kinds <= {"floor", "exclude-option", "never-waits", "hold"},
        not_applied=NotFired(code, "false"),
        asks_places=expression is not None and CAPACITY in expression.names,
    )


def read_wording(
    reader: Reader, element: Element, name: str, path: str, scope: RuleScope, known: frozenset[str]
) -> Wording:
    """A text in all languages of the policy, whose placeholders are all known."""
    texts = translations(element, name, scope.language)
    for language in scope.languages:
        if not texts.get(language):
            reader.refuse(f"{path}.{name}", f"has no words in {language}")
    wording: dict[str, Template] = {language: template(texts.get(language, "")) for language in scope.languages}
    for unknown in sorted({name for text in wording.values() for name in text.names} - known):
        reader.refuse(f"{path}.{name}", f"the placeholder {{{unknown}}} is neither evidence nor a parameter")
    return wording


def _titles(reader: Reader, action: Element, path: str, scope: RuleScope) -> dict[str, str]:
    titles = translations(action, "title", scope.language)
    if set(scope.languages) - set(titles):
        reader.refuse(f"{path}.title", f"is needed in {', '.join(scope.languages)}")
    return titles


def _condition(
    reader: Reader, action: Element, path: str, scope: RuleScope, names: Mapping[str, Kind]
) -> Expression | None:
    conditions = [entry for entry in action.get("condition", ()) if entry.get("kind") == "applicability"]
    if len(conditions) != len(action.get("condition", ())) or len(conditions) > 1:
        reader.refuse(f"{path}.condition", "a rule has at most one condition, of kind applicability")
    if not conditions:
        return None
    stated = conditions[0].get("expression", {})
    place = f"{path}.condition[0].expression"
    if stated.get("language") != "text/fhirpath" or not isinstance(stated.get("expression"), str):
        reader.refuse(place, "conditions are written in text/fhirpath")
        return None
    try:
        expression = compile_expression(stated["expression"], names, scope.constants, _implied)
    except ExpressionError as refused:
        reader.refuse(f"{place}.expression", str(refused))
        return None
    if expression.kind is not Kind.BOOLEAN:
        reader.refuse(f"{place}.expression", f"a condition is true or false, not a {expression.kind.value}")
    return expression


def _implied(name: str) -> str | None:
    """What is known whenever a name is: the measure itself, where its course is told only while that is fresh."""
    base, suffix = base_of(name)
    return base if suffix in FRESH else None


def _check_personal(reader: Reader, path: str, stage: str, expression: Expression | None, kinds: set[str]) -> None:
    """Readiness, preference, barriers and capacity decide how help begins, never how much is needed."""
    asked = [name for name in (expression.names if expression else ()) if group_of(name) in PERSONAL]
    if not asked:
        return
    place = f"{path}.condition[0].expression.expression"
    if stage in STAGES[:3]:
        reader.refuse(place, f"%{asked[0]} may not decide in the stage {stage}: it lowers no floor")
    for kind in sorted(kinds - PERSONAL_EFFECTS):
        reader.refuse(place, f"%{asked[0]} may not decide on the effect {kind}")


def _check_told(
    reader: Reader, path: str, expression: Expression | None, wordings: Mapping[str, Wording], evidence: frozenset[str]
) -> None:
    """What a text names is known whenever the rule applies: nobody reads a gap."""
    known = expression.known_if_true if expression else frozenset[str]()
    for element, wording in wordings.items():
        told = {name for text in wording.values() for name in text.names} & evidence
        for name in sorted(told - known - FACTS.keys()):
            reader.refuse(f"{path}.{element}", f"the placeholder {{{name}}} may be unknown while the rule applies")


def _check_places(reader: Reader, path: str, expression: Expression | None, kinds: set[str]) -> None:
    """Places are known once the step is: what they decide cannot lead to another one."""
    if expression is None or CAPACITY not in expression.names:
        return
    for kind in sorted((kinds & PERSONAL_EFFECTS | kinds & set(MISSING_EFFECTS)) - OFFERING_EFFECTS):
        text = f"%{CAPACITY} is that of the step which is proposed: it may not decide on {kind}"
        reader.refuse(f"{path}.condition[0].expression.expression", text)


def _missing(reader: Reader, action: Element, path: str) -> tuple[Missing, ...]:
    found = []
    for place, parts in reader.extensions(action, "rule-missing", path):
        missing = Missing(str(first(parts, "effect")), first(parts, "role"))
        if missing.effect not in MISSING_EFFECTS:
            reader.refuse(place, f"without evidence a rule does one of {', '.join(MISSING_EFFECTS)}")
        if missing.effect == "tell" and missing.role is None:
            reader.refuse(place, "tell says whom: a role")
        found.append(missing)
    return tuple(found)


class _Outcomes:
    """The rule-outcome extensions of one action, taken apart."""

    def __init__(
        self, reader: Reader, action: Element, path: str, stage: str, scope: RuleScope, names: Mapping[str, Kind]
    ) -> None:
        self.reader, self.scope, self.names, self.stage = reader, scope, names, stage
        self.floors: list[Floor] = []
        self.domain: str | None = None
        self.excluded_options: list[str] = []
        self.effects: list[Effect] = []
        self.kinds: set[str] = set()
        found = False
        for place, parts in reader.extensions(action, "rule-outcome", path):
            found = True
            self.add(place, parts)
        if not found:
            reader.refuse(path, "a rule needs an outcome")

    def add(self, path: str, parts: Parts) -> None:
        kind = first(parts, "effect")
        known = EFFECTS.get(str(kind))
        if known is None:
            self.reader.refuse(path, f"an effect is one of {', '.join(EFFECTS)}")
            return
        self.kinds.add(str(kind))
        given = set(parts) - {"effect"}
        if self.stage not in known.stages:
            self.reader.refuse(path, f"{kind} has no place in the stage {self.stage}")
        if known.ladder not in (None, self.scope.kind):
            self.reader.refuse(path, f"{kind} is for {known.ladder} ladders")
        for name in sorted(known.needed - given):
            self.reader.refuse(path, f"{kind} needs the part {name}")
        for name in sorted(given - known.needed - known.optional):
            self.reader.refuse(path, f"{kind} has no part {name}")
        self.domain = first(parts, "domain") or self.domain
        if kind == "floor":
            self.add_floor(path, parts)
        elif kind == "exclude-option":
            self.excluded_options.append(self.option(path, first(parts, "option")))
        else:
            self.add_move(path, str(kind), parts)

    def add_floor(self, path: str, parts: Parts) -> None:
        name, cap = first(parts, "from"), self.rank(path, first(parts, "cap"))
        if name is not None:
            if self.names.get(name) is not Kind.NUMBER:
                self.reader.refuse(path, f"a floor cannot start from {name}: it is no number that is known here")
            if cap is None:
                self.reader.refuse(path, f"a floor that starts from {name} needs the tier it is capped at")
            self.floors.append(Floor(0, name, int(first(parts, "plus") or 0), cap))
            return
        rank = self.rank(path, first(parts, "step") or first(parts, "tier"))
        if rank is not None:
            self.floors.append(Floor(rank))
        elif parts.keys().isdisjoint({"tier", "step"}):
            self.reader.refuse(path, "a floor needs a tier or the number it starts from")

    def add_move(self, path: str, kind: str, parts: Parts) -> None:
        """Everything that is no fixed floor; on an intensity ladder keep, up and down are floors from the step."""
        plus = int(first(parts, "plus") or 1)
        rank = self.rank(path, first(parts, "step"))
        if kind in ("keep", "up", "down", "advance", "return"):
            name = next((name for name in sorted(STEP_NAMES, reverse=True) if name in self.names), None)
            if name is None:
                self.reader.refuse(path, f"{kind} needs the evidence step")
            elif self.scope.kind == INTENSITY:
                by = {"keep": 0, "up": plus, "down": -plus}.get(kind, 0)
                self.floors.append(Floor(0, name, by, len(self.scope.steps)))
        if kind == "re-enter" and rank is not None and self.scope.kind == INTENSITY:
            self.floors.append(Floor(rank))
        if kind in _FLAGS:
            return
        asked = tuple(str(name) for name in parts.get("name", ()))
        for name in [*asked, *parts.get("from", ())]:
            if name not in self.names:
                self.reader.refuse(path, f"the evidence {name} is not declared")
        within = first(parts, "resume-within")
        self.effects.append(
            Effect(
                kind=kind,
                rank=rank,
                plus=plus,
                name=first(parts, "from"),
                track=self.track(path, first(parts, "track")),
                discipline=first(parts, "discipline"),
                activity=self.known_option(path, first(parts, "activity")),
                option=self.known_option(path, first(parts, "option")),
                modality=first(parts, "modality"),
                role=first(parts, "role"),
                names=asked,
                resume_within=None if within is None else self.reader.span(within, path),
                resumed_by=first(parts, "resumed-by"),
            )
        )

    def option(self, path: str, option: Any) -> str:
        if option not in self.scope.options:
            self.reader.refuse(path, f"no tier has the option {option}")
        return str(option)

    def known_option(self, path: str, option: Any) -> str | None:
        return None if option is None else self.option(path, option)

    def track(self, path: str, track: Any) -> str | None:
        if track is not None and track not in self.scope.tracks:
            self.reader.refuse(path, f"the policy has no track {track}")
        return track if track is None else str(track)

    def rank(self, path: str, coding: Any) -> int | None:
        if coding is None:
            return None
        system = str(coding.get("system")).removeprefix(f"{self.scope.catalogue.canonical}/CodeSystem/")
        for step in self.scope.steps:
            if (step.offering.system, step.code) == (system, coding.get("code")):
                return step.rank
        self.reader.refuse(path, f"the tier {coding.get('code')} is not known")
        return None
