"""One rule of a policy: its condition compiled, its outcomes and its words in every language of the policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stepwell_routing.rules.expressions import Expression, ExpressionError, Kind, Scalar, compile_expression
from stepwell_routing.rules.reading import Element, Parts, Reader, first
from stepwell_routing.rules.tiers import TierCatalogue
from stepwell_routing.rules.wording import Template, Wording, template, translations

STAGES = ("safety", "red-flags", "floors", "modifiers", "preference", "proposal")
PRIORITIES = ("routine", "urgent", "asap", "stat")
EFFECTS = ("floor", "hold", "never-waits", "exclude-option")
# What the domain floors came to; rules after them may ask.
FACTS = {"highest_floor": Kind.NUMBER, "domains_at_highest_floor": Kind.NUMBER}


@dataclass(frozen=True, slots=True)
class Floor:
    """No tier below this one: a fixed rank, or that of a named number, plus some steps, up to a cap."""

    rank: int
    name: str | None = None
    plus: int = 0
    cap: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens when its condition is true (always, when it has none)."""

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


@dataclass(frozen=True, slots=True)
class RuleScope:
    """What the rules of one policy may refer to."""

    names: Mapping[str, Kind]
    constants: Mapping[str, Scalar]
    language: str
    languages: tuple[str, ...]
    catalogue: TierCatalogue


def read_rule(reader: Reader, action: Element, path: str, stage: str, scope: RuleScope) -> Rule | None:
    """Read one action as a rule; findings go to the reader, None when it has no code to be known by."""
    code = reader.code(action, "rule")
    if code is None:
        reader.refuse(f"{path}.code", "a rule needs its code from our code system")
        return None
    names = {**scope.names, **(FACTS if stage in STAGES[3:] else {})}
    outcomes = _Outcomes(reader, action, path, scope, names)
    words = frozenset(names) | frozenset(scope.constants)
    sources = tuple(str(item["citation"]) for item in action.get("documentation", ()) if item.get("citation"))
    if not sources:
        reader.refuse(f"{path}.documentation", f"the rule {code} needs the citation it rests on")
    priority = str(action.get("priority", "routine"))
    if priority not in PRIORITIES:
        reader.refuse(f"{path}.priority", f"is one of {', '.join(PRIORITIES)}")
    return Rule(
        code=code,
        stage=stage,
        title=_titles(reader, action, path, scope),
        expression=_condition(reader, action, path, scope, names),
        floors=tuple(outcomes.floors),
        domain=outcomes.domain,
        holds=outcomes.holds,
        never_waits=outcomes.never_waits,
        excluded_options=tuple(outcomes.excluded_options),
        priority=priority,
        review_within=reader.duration(action, "timingDuration", path),
        clinician=read_wording(reader, action, "description", path, scope, words),
        patient=read_wording(reader, action, "textEquivalent", path, scope, words),
        sources=sources,
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
        expression = compile_expression(stated["expression"], names, scope.constants)
    except ExpressionError as refused:
        reader.refuse(f"{place}.expression", str(refused))
        return None
    if expression.kind is not Kind.BOOLEAN:
        reader.refuse(f"{place}.expression", f"a condition is true or false, not a {expression.kind.value}")
    return expression


class _Outcomes:
    """The rule-outcome extensions of one action, taken apart."""

    def __init__(self, reader: Reader, action: Element, path: str, scope: RuleScope, names: Mapping[str, Kind]) -> None:
        self.reader, self.scope, self.names = reader, scope, names
        self.floors: list[Floor] = []
        self.domain: str | None = None
        self.holds = self.never_waits = False
        self.excluded_options: list[str] = []
        found = False
        for place, parts in reader.extensions(action, "rule-outcome", path):
            found = True
            self.add(place, parts)
        if not found:
            reader.refuse(path, "a rule needs an outcome")

    def add(self, path: str, parts: Parts) -> None:
        effect = first(parts, "effect")
        if effect == "floor":
            self.add_floor(path, parts)
        elif effect == "hold":
            self.holds = True
        elif effect == "never-waits":
            self.never_waits = True
        elif effect == "exclude-option":
            self.add_exclusion(path, first(parts, "option"))
        else:
            self.reader.refuse(path, f"an effect is one of {', '.join(EFFECTS)}")

    def add_floor(self, path: str, parts: Parts) -> None:
        name, cap = first(parts, "from"), self.rank(path, first(parts, "cap"))
        self.domain = first(parts, "domain") or self.domain
        if name is not None:
            if self.names.get(name) is not Kind.NUMBER:
                self.reader.refuse(path, f"a floor cannot start from {name}: it is no number that is known here")
            if cap is None:
                self.reader.refuse(path, f"a floor that starts from {name} needs the tier it is capped at")
            self.floors.append(Floor(0, name, int(first(parts, "plus") or 0), cap))
            return
        rank = self.rank(path, first(parts, "tier"))
        if rank is not None:
            self.floors.append(Floor(rank))
        elif "tier" not in parts:
            self.reader.refuse(path, "a floor needs a tier or the number it starts from")

    def add_exclusion(self, path: str, option: Any) -> None:
        known = {option.code for tier in self.scope.catalogue.tiers for option in tier.options}
        if option not in known:
            self.reader.refuse(path, f"no tier has the option {option}")
        self.excluded_options.append(str(option))

    def rank(self, path: str, coding: Any) -> int | None:
        if coding is None:
            return None
        tier = self.scope.catalogue.by_code(str(coding.get("code")))
        if tier is None or coding.get("system") != f"{self.scope.catalogue.canonical}/CodeSystem/tier":
            self.reader.refuse(path, f"the tier {coding.get('code')} is not known")
            return None
        return tier.rank
