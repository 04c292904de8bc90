"""A policy: the PlanDefinition that a clinical lead publishes, read, checked whole and compiled.

The document's own words say what each rule means; this module only knows the shape: groups of rules in a fixed
order of stages, each rule with a FHIRPath condition over declared evidence and named parameters.
https://hl7.org/fhir/R4/plandefinition.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stepwell_routing.rules.expressions import Kind, Scalar, kind_of
from stepwell_routing.rules.reading import PARTS, Element, Reader, first
from stepwell_routing.rules.rule_reading import STAGES, Rule, RuleScope, read_rule, read_wording
from stepwell_routing.rules.tiers import TierCatalogue
from stepwell_routing.rules.wording import Wording, translations

PLACEHOLDERS = frozenset({"review_date", "tier"})


@dataclass(frozen=True, slots=True)
class Input:
    """One named piece of evidence: what it is found by and how old it may be (None: it does not age)."""

    name: str
    kind: Kind
    resource_type: str
    codes: tuple[tuple[str, str], ...]
    max_age: timedelta | None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named number or switch with its source; a site may set it within the bounds that the policy allows."""

    name: str
    value: Scalar
    minimum: Scalar | None
    maximum: Scalar | None
    source: str


@dataclass(frozen=True, slots=True)
class Step:
    """One tier as this policy runs it: how long until it is looked at again."""

    tier_code: str
    rank: int
    review_within: timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything a decision needs, immutable; the same document and site settings always give the same policy."""

    url: str
    version: str
    pathway: str
    title: Mapping[str, str]
    language: str
    languages: tuple[str, ...]
    profile: str | None
    inputs: tuple[Input, ...]
    parameters: Mapping[str, Parameter]
    constants: Mapping[str, Scalar]
    rules: tuple[Rule, ...]
    steps: tuple[Step, ...]
    closing_clinician: Wording
    closing_patient: Wording
    catalogue: TierCatalogue

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}"


def parse_policy(
    document: Element,
    catalogue: TierCatalogue,
    *,
    profile: str | None = None,
    site_parameters: Mapping[str, Scalar] | None = None,
) -> Policy:
    """Read, check and compile a PlanDefinition that is valid R4.

    `profile` picks one of the parameter sets that the policy names (None: the parameters as written);
    `site_parameters` override single ones within the policy's bounds. Raises DocumentError with all findings.
    """
    reader = Reader(catalogue.canonical)
    language = str(document.get("language", "en"))
    title = translations(document, "title", language)
    parameters = _parameters(reader, document, profile, site_parameters or {})
    groups = _groups(reader, document)
    inputs = _inputs(reader, groups)
    for name in sorted({item.name for item in inputs} & set(parameters)):
        reader.refuse("PlanDefinition.extension", f"{name} is a parameter and a piece of evidence at once")
    scope = RuleScope(
        names={item.name: item.kind for item in inputs},
        constants={name: parameter.value for name, parameter in parameters.items()},
        language=language,
        languages=tuple(sorted(title)),
        catalogue=catalogue,
    )
    rules = _rules(reader, groups, scope)
    steps = _steps(reader, groups, scope)
    closing = _closing(reader, groups, scope)
    _check_whole(reader, document, rules, scope)
    reader.finish()
    return Policy(
        url=document["url"],
        version=document["version"],
        pathway=str(document["url"]).rsplit("/", 1)[-1],
        title=title,
        language=language,
        languages=scope.languages,
        profile=profile,
        inputs=inputs,
        parameters=parameters,
        constants=scope.constants,
        rules=rules,
        steps=steps,
        closing_clinician=closing[0],
        closing_patient=closing[1],
        catalogue=catalogue,
    )


def _groups(reader: Reader, document: Element) -> dict[str, tuple[str, Element]]:
    """The document's first-level actions by stage code, each with its path."""
    groups: dict[str, tuple[str, Element]] = {}
    known = ("evidence", *STAGES, "steps")
    places = []
    for index, group in enumerate(document.get("action", ())):
        path = f"PlanDefinition.action[{index}]"
        stage = reader.code(group, "policy-stage")
        if stage not in known or stage in groups:
            reader.refuse(f"{path}.code", f"needs one of the stages {', '.join(known)}, each at most once")
            continue
        groups[stage] = (path, group)
        places.append(known.index(stage))
    if places != sorted(places):
        reader.refuse("PlanDefinition.action", f"stages come in the order {', '.join(known)}")
    for stage in ("evidence", "proposal", "steps"):
        if stage not in groups:
            reader.refuse("PlanDefinition.action", f"the stage {stage} is missing")
    return groups


def _parameters(
    reader: Reader, document: Element, profile: str | None, site: Mapping[str, Scalar]
) -> dict[str, Parameter]:
    parameters: dict[str, Parameter] = {}
    for path, parts in reader.extensions(document, "policy-parameter", "PlanDefinition"):
        name, value, source = first(parts, "name"), first(parts, "value"), first(parts, "source")
        if name is None or value is None or not source:
            reader.refuse(path, "a parameter needs a name, a value and the source of its value")
        elif name in parameters:
            reader.refuse(path, f"the parameter {name} is declared twice")
        else:
            parameters[name] = Parameter(name, value, first(parts, "minimum"), first(parts, "maximum"), source)
    for name, value, path in _settings(reader, document, profile):
        _set(reader, parameters, name, value, path)
    for name, value in site.items():
        _set(reader, parameters, name, value, f"site.{name}")
    return parameters


def _settings(reader: Reader, document: Element, profile: str | None) -> list[tuple[str, Any, str]]:
    """What the chosen profile sets, as (parameter, value, path)."""
    profiles: dict[str, list[tuple[str, Any, str]]] = {}
    for path, parts in reader.extensions(document, "policy-profile", "PlanDefinition"):
        inner = [reader.parts(entry, PARTS["set"], path) for entry in parts.get("set", ())]
        settings = [(str(first(entry, "parameter")), first(entry, "value"), path) for entry in inner]
        profiles[str(first(parts, "name"))] = settings
    if profile is not None and profile not in profiles:
        reader.refuse("PlanDefinition.extension", f"the policy has no profile {profile}")
    return profiles.get(profile, []) if profile is not None else []


def _set(reader: Reader, parameters: dict[str, Parameter], name: str, value: Any, path: str) -> None:
    """Override one parameter, or say why not."""
    parameter = parameters.get(name)
    if parameter is None:
        reader.refuse(path, f"the policy has no parameter {name}")
        return
    if value is None or kind_of(value) is not kind_of(parameter.value):
        reader.refuse(path, f"{name} needs a {kind_of(parameter.value).value}")
        return
    low, high = parameter.minimum, parameter.maximum
    outside = kind_of(value) is Kind.NUMBER and (
        (low is not None and value < low) or (high is not None and value > high)
    )
    if outside:
        reader.refuse(path, f"{name} must lie between {low} and {high}")
        return
    parameters[name] = Parameter(name, value, low, high, parameter.source)


def _inputs(reader: Reader, groups: Mapping[str, tuple[str, Element]]) -> tuple[Input, ...]:
    path, group = groups.get("evidence", ("", {}))
    inputs: dict[str, Input] = {}
    for index, requirement in enumerate(group.get("input", ())):
        place = f"{path}.input[{index}]"
        parts = next((parts for _, parts in reader.extensions(requirement, "evidence", place)), {})
        name, kind = first(parts, "name"), first(parts, "kind")
        if name is None or kind not in [known.value for known in Kind]:
            reader.refuse(place, "evidence needs a name and a kind: number, string or boolean")
            continue
        if name in inputs:
            reader.refuse(place, f"the evidence {name} is declared twice")
        codings = [c for entry in requirement.get("codeFilter", ()) for c in entry.get("code", ())]
        ages = [
            reader.duration(entry, "valueDuration", f"{place}.dateFilter")
            for entry in requirement.get("dateFilter", ())
        ]
        inputs[name] = Input(
            name=name,
            kind=Kind(kind),
            resource_type=str(requirement.get("type")),
            codes=tuple((str(c.get("system")), str(c.get("code"))) for c in codings),
            max_age=ages[0] if ages else None,
        )
    return tuple(inputs.values())


def _rules(reader: Reader, groups: Mapping[str, tuple[str, Element]], scope: RuleScope) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for stage in STAGES:
        path, group = groups.get(stage, ("", {}))
        for index, action in enumerate(group.get("action", ())):
            place = f"{path}.action[{index}]"
            rule = read_rule(reader, action, place, stage, scope)
            if rule is None:
                continue
            if any(other.code == rule.code for other in rules):
                reader.refuse(f"{place}.code", f"the rule {rule.code} is there twice")
            rules.append(rule)
    return tuple(rules)


def _steps(reader: Reader, groups: Mapping[str, tuple[str, Element]], scope: RuleScope) -> tuple[Step, ...]:
    path, group = groups.get("steps", ("", {}))
    steps: list[Step] = []
    for index, action in enumerate(group.get("action", ())):
        place = f"{path}.action[{index}]"
        tier = scope.catalogue.by_code(reader.code(action, "tier") or "")
        review = reader.duration(action, "timingDuration", place)
        if tier is None or review is None:
            reader.refuse(place, "a step needs the code of a known tier and a timingDuration until its review")
            continue
        steps.append(Step(tier.code, tier.rank, review))
    if [step.rank for step in steps] != [tier.rank for tier in scope.catalogue.tiers] and "steps" in groups:
        reader.refuse(path, "every tier needs its step, in order")
    return tuple(steps)


def _closing(reader: Reader, groups: Mapping[str, tuple[str, Element]], scope: RuleScope) -> tuple[Wording, Wording]:
    path, group = groups.get("proposal", ("", {}))
    clinician = read_wording(reader, group, "description", path, scope, PLACEHOLDERS | {"not_known"})
    return clinician, read_wording(reader, group, "textEquivalent", path, scope, PLACEHOLDERS)


def _check_whole(reader: Reader, document: Element, rules: tuple[Rule, ...], scope: RuleScope) -> None:
    for name in ("url", "version", "title"):
        if not isinstance(document.get(name), str):
            reader.refuse(f"PlanDefinition.{name}", "is needed")
    for language in scope.languages:
        if language not in scope.catalogue.languages:
            reader.refuse("PlanDefinition.title", f"the tiers have no words in {language}")
    last = [rule for rule in rules if rule.stage == "proposal" and rule.expression is None and rule.floors]
    if not last:
        text = "needs a rule without condition that gives a tier, so that everybody gets an answer"
        reader.refuse("PlanDefinition.action", f"the stage proposal {text}")
