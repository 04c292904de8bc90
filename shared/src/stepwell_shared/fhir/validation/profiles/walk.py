"""A resource held to a profile, element by element.

Whatever R4 itself refuses may come along: values of another JSON type than their element's are passed over here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from stepwell_shared.fhir.definitions import resource_types
from stepwell_shared.fhir.outcome import Issue
from stepwell_shared.fhir.validation import references
from stepwell_shared.fhir.validation.profiles.definitions import Constraint, ElementRule, ExtensionUse, Profile, known
from stepwell_shared.fhir.validation.profiles.rules import RULES
from stepwell_shared.fhir.validation.shape import Property, shape

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """One value of an element; of a primitive, `extra` is the object with its extensions.

    `content` is the path of the value's own elements in the definitions, None for primitives.
    """

    value: Any
    extra: Any
    at: str
    content: str | None

    @property
    def extensions(self) -> list[Node]:
        holder = self.extra if self.content is None else self.value
        found = holder.get("extension") if isinstance(holder, dict) else None
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def findings(resource: Node, profile: Profile, *, is_valid: bool) -> list[Issue]:
    """Where a resource of the profile's type does not keep to it: errors, and warnings for what only should be.

    `is_valid` says that R4's own rules hold; only then are the profile's invariants asked.
    """
    root = Place(resource, None, profile.type, profile.type)
    issues = [issue for rule in profile.elements for issue in _element(root, rule)]
    if is_valid:
        for path in {rule.path: None for rule in profile.rules}:
            rules = [rule for rule in profile.rules if rule.path == path]
            issues += [issue for place in _places(root, path) for rule in rules for issue in _constraint(place, rule)]
    if profile.base is not None:
        issues += findings(resource, known()[profile.base], is_valid=is_valid)
    return issues


def _element(root: Place, rule: ElementRule) -> Iterator[Issue]:
    above, _, name = rule.path.rpartition(".")
    for parent in _places(root, above):
        found = list(_children(parent, name))
        at = f"{parent.at}.{name}"
        if len(found) < rule.min:
            yield Issue(f"{at} is required by the profile", "required", at)
        if rule.max is not None and len(found) > rule.max:
            yield Issue(f"{at} stands at most {rule.max} times in the profile", "structure", at)
        for each in rule.slices:
            count = sum(_matches(place.value, each.pattern) for place in found)
            yield from _counted(f"{at} with the pattern '{each.name}'", at, count, each.min, each.max)
        for place in found:
            yield from _target(place, rule)
            yield from _code(place, rule)
            for extension in rule.extensions:
                yield from _extension(place, extension)


def _counted(what: str, at: str, count: int, least: int, most: int | None) -> Iterator[Issue]:
    if count < least:
        yield Issue(f"{what} is required by the profile", "required", at)
    if most is not None and count > most:
        yield Issue(f"{what} stands at most {most} times in the profile", "structure", at)


def _target(place: Place, rule: ElementRule) -> Iterator[Issue]:
    reference = place.value.get("reference") if isinstance(place.value, dict) and rule.targets else None
    if not isinstance(reference, str) or reference.startswith("#"):
        return
    wrong = references.problem(reference, rule.targets, conditional=True)
    if wrong is not None and references.problem(reference, resource_types(), conditional=True) is None:
        yield Issue(f"{place.at}.reference {wrong[1]} by the profile", wrong[0], f"{place.at}.reference")


def _code(place: Place, rule: ElementRule) -> Iterator[Issue]:
    if not rule.codes or not isinstance(place.value, dict):
        return
    codings = place.value.get("coding", ())
    is_bound = any(
        isinstance(each, dict) and each.get("code") in rule.codes.get(str(each.get("system")), ()) for each in codings
    )
    if not is_bound:
        yield Issue(f"{place.at} must have a code that the profile's value set has", "code-invalid", place.at)


def _extension(place: Place, use: ExtensionUse) -> Iterator[Issue]:
    at = f"{place.at}.extension"
    found = [each for each in place.extensions if each.get("url") == use.url]
    name = use.url.rpartition("/")[2]
    yield from _counted(f"{at} {name}", at, len(found), use.min, use.max)
    member = f"value{use.value[0].upper()}{use.value[1:]}"
    for each in found:
        if member not in each and f"_{member}" not in each:
            yield Issue(f"{at} {name} has a value of type {use.value}", "value", at)
        elif use.codes and each.get(member) not in use.codes:
            yield Issue(f"{at} {name} is one of {', '.join(use.codes)}", "code-invalid", at)


def _constraint(place: Place, rule: Constraint) -> Iterator[Issue]:
    if isinstance(place.value, dict) and not RULES[rule.key](place.value):
        yield Issue(f"{place.at} {rule.key}: {rule.human}", "invariant", place.at, rule.severity)


def _places(root: Place, path: str) -> Iterator[Place]:
    """The values at a path below the root; a step with `+` means nested ones too."""
    found = [root]
    for step in path.split(".") if path else ():
        name = step.removesuffix("+")
        found = [each for parent in found for each in _children(parent, name)]
        if step.endswith("+"):
            found = [each for place in found for each in _with_nested(place, name)]
    yield from found


def _with_nested(place: Place, name: str) -> Iterator[Place]:
    yield place
    for child in _children(place, name):
        yield from _with_nested(child, name)


def _children(parent: Place, name: str) -> Iterator[Place]:
    """The values of one element, whatever the type of a choice."""
    if not isinstance(parent.value, dict) or parent.content is None:
        return
    for prop in _named(parent.content, name):
        value, extra = parent.value.get(prop.name), parent.value.get(f"_{prop.name}") if prop.is_primitive else None
        content = prop.content
        if not prop.element.repeats:
            if value is not None or extra is not None:
                yield Place(value, extra, f"{parent.at}.{name}", content)
            continue
        values = value if isinstance(value, list) else []
        extras = extra if isinstance(extra, list) else []
        for index in range(max(len(values), len(extras))):
            one = values[index] if index < len(values) else None
            beside = extras[index] if index < len(extras) else None
            yield Place(one, beside, f"{parent.at}.{name}[{index}]", content)


@cache
def _named(content: str, name: str) -> tuple[Property, ...]:
    """The JSON properties of one element: several for a choice of types."""
    return tuple(prop for prop in shape(content).properties.values() if prop.element.name == name)


def _matches(value: object, pattern: object) -> bool:
    """Whether all that the pattern says is in the value. https://hl7.org/fhir/R4/elementdefinition-definitions.html"""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(_matches(value.get(name), each) for name, each in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(_matches(one, each) for one in value) for each in pattern)
    return value == pattern
