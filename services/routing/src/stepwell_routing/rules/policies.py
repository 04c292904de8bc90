"""A policy: the PlanDefinition that a clinical lead publishes, read, checked whole and compiled.

The document's own words say what each rule means; this module only knows the shape: groups of rules in a fixed
order of stages, each rule with a FHIRPath condition over declared evidence and named parameters.
https://hl7.org/fhir/R4/plandefinition.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from stepwell_routing.rules.checks import check_reach, check_thresholds
from stepwell_routing.rules.effects import BEFORE_FACTS, INTENSITY, PROGRESS, STAGES
from stepwell_routing.rules.evidence_names import base_of, known, names_of
from stepwell_routing.rules.expressions import Kind, Scalar, kind_of
from stepwell_routing.rules.reading import Element, Parts, Reader, first
from stepwell_routing.rules.rule_reading import Rule, RuleScope, read_rule, read_wording
from stepwell_routing.rules.steps import LadderScope, Step, read_steps, read_tracks
from stepwell_routing.rules.tiers import Option, TierCatalogue
from stepwell_routing.rules.wording import Wording, translations

PLACEHOLDERS = frozenset({"review_date", "tier", "step"})


@dataclass(frozen=True, slots=True)
class Input:
    """One named piece of evidence: what it is found by and how old it may be (None: it does not age).

    The last four say what its suffixes `_sustained` and `_stalled` mean; `reliable_change` names a parameter.
    """

    name: str
    kind: Kind
    resource_type: str
    codes: tuple[tuple[str, str], ...]
    max_age: timedelta | None
    sustained_over: timedelta | None = None
    reliable_change: str | None = None
    stall_measures: int | None = None
    stall_over: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named number or switch with its source; a site may set it within the bounds that the policy allows."""

    name: str
    value: Scalar
    minimum: Scalar | None
    maximum: Scalar | None
    source: str
    product_default: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything a decision needs, immutable; the same document and site settings always give the same policy.

    `derived` are the suffixed names that it asks for, by declared name: (suffix, name). `facts_at` is how
    many rules are run before what the domain floors came to is known. It `asks_places` where a rule asks for those of
    the step that is proposed.
    """

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
    kind: str
    steps: tuple[Step, ...]
    tracks: Mapping[str, Step]
    options: Mapping[str, Option]
    rule_titles: Mapping[str, Mapping[str, str]]
    derived: Mapping[str, tuple[tuple[str, str], ...]]
    closing_clinician: Wording
    closing_patient: Wording
    catalogue: TierCatalogue
    facts_at: int = 0
    asks_places: bool = False

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}"

    def step_of(self, code: str | None) -> Step | None:
        """The step of this code."""
        return next((step for step in self.steps if step.code == code), None)


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
    inputs = _inputs(reader, groups, parameters)
    for name in sorted({item.name for item in inputs} & set(parameters)):
        reader.refuse("PlanDefinition.extension", f"{name} is a parameter and a piece of evidence at once")
    ladder = LadderScope(_kind(reader, document), language, tuple(sorted(title)), catalogue)
    steps, tracks = _ladder(reader, groups, ladder)
    scope = RuleScope(
        names={name: kind for item in inputs for name, kind in names_of(item.name).items()},
        constants={name: parameter.value for name, parameter in parameters.items()},
        language=language,
        languages=ladder.languages,
        catalogue=catalogue,
        kind=ladder.kind,
        steps=steps,
        tracks=tracks,
    )
    rules = _rules(reader, groups, scope)
    closing = _closing(reader, groups, scope)
    _check_whole(reader, document, rules, scope)
    reader.finish()
    return Policy(
        url=document["url"],
        version=document["version"],
        pathway=pathway_of(document, catalogue.canonical),
        title=title,
        language=language,
        languages=scope.languages,
        profile=profile,
        inputs=inputs,
        parameters=parameters,
        constants=scope.constants,
        rules=tuple(rule for rule, _ in rules),
        kind=ladder.kind,
        steps=steps,
        tracks=tracks,
        options=scope.options,
        rule_titles=MappingProxyType({rule.code: rule.title for rule, _ in rules}),
        derived=_derived([rule for rule, _ in rules]),
        closing_clinician=closing[0],
        closing_patient=closing[1],
        catalogue=catalogue,
        asks_places=any(rule.asks_places for rule, _ in rules),
        facts_at=sum(rule.stage in BEFORE_FACTS for rule, _ in rules),
    )


def pathway_of(document: Element, canonical: str) -> str:
    """The code of the pathway that a policy is for: its topic, or the last part of its url."""
    for topic in document.get("topic", ()):
        for coding in topic.get("coding", ()):
            if coding.get("system") == f"{canonical}/CodeSystem/pathway" and coding.get("code"):
                return str(coding["code"])
    return str(document.get("url", "")).rsplit("/", 1)[-1]


def _kind(reader: Reader, document: Element) -> str:
    found = [
        (path, first(parts, "kind")) for path, parts in reader.extensions(document, "policy-ladder", "PlanDefinition")
    ]
    path, kind = found[0] if found else ("", INTENSITY)
    if kind not in (INTENSITY, PROGRESS) or len(found) > 1:
        reader.refuse(path, f"a policy has one kind of ladder: {INTENSITY} or {PROGRESS}")
    return str(kind)


def _ladder(
    reader: Reader, groups: Mapping[str, tuple[str, Element]], scope: LadderScope
) -> tuple[tuple[Step, ...], dict[str, Step]]:
    path, group = groups.get("steps", ("", {}))
    tracks_path, tracks = groups.get("tracks", ("", {}))
    return read_steps(reader, group, path, scope), read_tracks(reader, tracks, tracks_path, scope)


def _derived(rules: list[Rule]) -> dict[str, tuple[tuple[str, str], ...]]:
    """The suffixed names that conditions or words ask for."""
    asked = {name for rule in rules for name in (rule.expression.names if rule.expression else ())}
    texts = [text for rule in rules for wording in (rule.clinician, rule.patient) for text in wording.values()]
    asked |= {name for text in texts for name in text.names}
    found: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(asked):
        base, suffix = base_of(name)
        if suffix is not None:
            found.setdefault(base, []).append((suffix, name))
    return {base: tuple(names) for base, names in found.items()}


def _groups(reader: Reader, document: Element) -> dict[str, tuple[str, Element]]:
    """The document's first-level actions by stage code, each with its path."""
    groups: dict[str, tuple[str, Element]] = {}
    stages = ("evidence", *STAGES, "steps", "tracks")
    places = []
    for index, group in enumerate(document.get("action", ())):
        path = f"PlanDefinition.action[{index}]"
        stage = reader.code(group, "policy-stage")
        if stage not in stages or stage in groups:
            reader.refuse(f"{path}.code", f"needs one of the stages {', '.join(stages)}, each at most once")
            continue
        groups[stage] = (path, group)
        places.append(stages.index(stage))
    if places != sorted(places):
        reader.refuse("PlanDefinition.action", f"stages come in the order {', '.join(stages)}")
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
            bounds = first(parts, "minimum"), first(parts, "maximum")
            parameters[name] = Parameter(name, value, *bounds, source, first(parts, "product-default") is True)
            _check_bounds(reader, path, parameters[name])
    for name, value, path in _settings(reader, document, profile):
        _set(reader, parameters, name, value, path)
    for name, value in site.items():
        _set(reader, parameters, name, value, f"site.{name}")
    return parameters


def _settings(reader: Reader, document: Element, profile: str | None) -> list[tuple[str, Any, str]]:
    """What the chosen profile sets, as (parameter, value, path)."""
    profiles: dict[str, list[tuple[str, Any, str]]] = {}
    for path, parts in reader.extensions(document, "policy-profile", "PlanDefinition"):
        inner = [reader.parts(entry, "set", path) for entry in parts.get("set", ())]
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
    if _is_outside(value, parameter):
        reader.refuse(path, f"{name} must lie between {parameter.minimum} and {parameter.maximum}")
        return
    parameters[name] = replace(parameter, value=value)


def _is_outside(value: Any, parameter: Parameter) -> bool:
    low, high = parameter.minimum, parameter.maximum
    return kind_of(value) is Kind.NUMBER and ((low is not None and value < low) or (high is not None and value > high))


def _check_bounds(reader: Reader, path: str, parameter: Parameter) -> None:
    if _is_outside(parameter.value, parameter):
        reader.refuse(path, f"the value of {parameter.name} lies outside its own bounds")


def _inputs(
    reader: Reader, groups: Mapping[str, tuple[str, Element]], parameters: Mapping[str, Parameter]
) -> tuple[Input, ...]:
    path, group = groups.get("evidence", ("", {}))
    inputs: dict[str, Input] = {}
    for index, requirement in enumerate(group.get("input", ())):
        place = f"{path}.input[{index}]"
        parts = next((parts for _, parts in reader.extensions(requirement, "evidence", place)), {})
        name, kind = first(parts, "name"), first(parts, "kind")
        if name is None or kind not in [known.value for known in Kind]:
            reader.refuse(place, "evidence needs a name and a kind: number, string or boolean")
            continue
        listed = known(name)
        if listed is None or listed.kind is not Kind(kind):
            text = "is not in the list of evidence" if listed is None else f"is a {listed.kind.value}"
            reader.refuse(place, f"{name} {text}")
            continue
        if name in inputs:
            reader.refuse(place, f"the evidence {name} is declared twice")
        reliable = first(parts, "reliable-change")
        if reliable is not None and reliable not in parameters:
            reader.refuse(place, f"the policy has no parameter {reliable}")
        inputs[name] = _input(reader, requirement, parts, place)
    return tuple(inputs.values())


def _input(reader: Reader, requirement: Element, parts: Parts, place: str) -> Input:
    codings = [c for entry in requirement.get("codeFilter", ()) for c in entry.get("code", ())]
    ages = [
        reader.duration(entry, "valueDuration", f"{place}.dateFilter") for entry in requirement.get("dateFilter", ())
    ]
    sustained, stall = first(parts, "sustained-over"), first(parts, "stall-over")
    return Input(
        name=first(parts, "name"),
        kind=Kind(first(parts, "kind")),
        resource_type=str(requirement.get("type")),
        codes=tuple((str(c.get("system")), str(c.get("code"))) for c in codings),
        max_age=ages[0] if ages else None,
        sustained_over=None if sustained is None else reader.span(sustained, place),
        reliable_change=first(parts, "reliable-change"),
        stall_measures=first(parts, "stall-measures"),
        stall_over=None if stall is None else reader.span(stall, place),
    )


def _rules(reader: Reader, groups: Mapping[str, tuple[str, Element]], scope: RuleScope) -> list[tuple[Rule, str]]:
    """The rules in order, each with its place."""
    rules: list[tuple[Rule, str]] = []
    for stage in STAGES:
        path, group = groups.get(stage, ("", {}))
        for index, action in enumerate(group.get("action", ())):
            place = f"{path}.action[{index}]"
            rule = read_rule(reader, action, place, stage, scope)
            if rule is None:
                continue
            if any(other.code == rule.code for other, _ in rules):
                reader.refuse(f"{place}.code", f"the rule {rule.code} is there twice")
            rules.append((rule, place))
    return rules


def _closing(reader: Reader, groups: Mapping[str, tuple[str, Element]], scope: RuleScope) -> tuple[Wording, Wording]:
    path, group = groups.get("proposal", ("", {}))
    clinician = read_wording(reader, group, "description", path, scope, PLACEHOLDERS | {"not_known"})
    return clinician, read_wording(reader, group, "textEquivalent", path, scope, PLACEHOLDERS)


def _check_whole(reader: Reader, document: Element, rules: list[tuple[Rule, str]], scope: RuleScope) -> None:
    for name in ("url", "version", "title"):
        if not isinstance(document.get(name), str):
            reader.refuse(f"PlanDefinition.{name}", "is needed")
    shared = any(step.offering.system == "tier" for step in scope.steps)
    for language in scope.languages:
        if shared and language not in scope.catalogue.languages:
            reader.refuse("PlanDefinition.title", f"the tiers have no words in {language}")
    always = [rule for rule, _ in rules if rule.stage == STAGES[-1] and rule.expression is None]
    if not any(rule.floors or "enter" in rule.kinds for rule in always):
        text = "needs a rule without condition that gives a tier, so that everybody gets an answer"
        reader.refuse("PlanDefinition.action", f"the stage proposal {text}")
    for path, text in (*check_reach(rules, len(scope.steps)), *check_thresholds(rules)):
        reader.refuse(path, text)
