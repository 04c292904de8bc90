"""FHIRPath Patch: add, insert, delete, replace and move on elements that a path names, all or nothing.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from collections.abc import Callable
from typing import Any

from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.patch.json_tree import measure
from stepwell_shared.fhir.patch.new_element import new_element
from stepwell_shared.fhir.patch.path_text import Member, read_path
from stepwell_shared.fhir.patch.places import Item, Place, items, properties_of, refused, resolve, root, write
from stepwell_shared.fhir.validation.shape import Property

OPERATIONS_MAX = 1000
# Elements that all paths of a patch may have to look at together: a path looks at most at all of the resource.
VISITS_MAX = 250_000

Parts = dict[str, dict[str, Any]]


def apply_fhirpath_patch(resource: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """The resource after all operations of a valid Parameters resource, which change it in place.

    Raises FhirError INVALID for what is no operation or does not fit the type of the resource, and BUSINESS_RULE
    when the resource has not exactly one element where one is named: then nothing of the patch may be kept.
    """
    given = parameters.get("parameter", [])
    nodes, _ = measure(resource)
    if len(given) > OPERATIONS_MAX or len(given) * nodes > VISITS_MAX:
        text = f"a patch has at most {OPERATIONS_MAX} operations here, for a large resource fewer"
        raise FhirError(Category.INVALID, [Issue(text, "too-costly")])
    for number, parameter in enumerate(given, start=1):
        name, parts = _operation(number, parameter)
        try:
            _OPERATIONS[name][0](root(resource), parts)
        except FhirError as error:
            issues = [
                Issue(f"operation {number} ({name}): {issue.diagnostics}", issue.code, issue.expression)
                for issue in error.issues
            ]
            raise FhirError(error.category, issues) from None
    return resource


def _operation(number: int, parameter: dict[str, Any]) -> tuple[str, Parts]:
    """Type and parts of an operation that has all that its type needs and nothing else."""
    if parameter["name"] != "operation":
        raise _malformed(number, "every parameter is named operation")
    parts = {part["name"]: part for part in parameter.get("part", [])}
    if len(parts) != len(parameter.get("part", [])):
        raise _malformed(number, "a part is given twice")
    name = parts.pop("type", {}).get("valueCode")
    if name not in _OPERATIONS:
        raise _malformed(number, f"type is one of the codes {', '.join(_OPERATIONS)}")
    needed = _OPERATIONS[name][1]
    if parts.keys() != set(needed):
        raise _malformed(number, f"{name} has the parts {', '.join(needed)}")
    for part, member in (("path", "valueString"), ("name", "valueString"), ("index", "valueInteger"),
                         ("source", "valueInteger"), ("destination", "valueInteger")):  # fmt: skip
        if part in parts and member not in parts[part]:
            raise _malformed(number, f"{part} is a {member}")
    return name, parts


def _malformed(number: int, text: str) -> FhirError:
    return FhirError(
        Category.INVALID, [Issue(f"operation {number}: {text}", "structure", f"Parameters.parameter[{number - 1}]")]
    )


def _add(start: Place, parts: Parts) -> None:
    """Appends to what repeats; what does not repeat must not be there yet."""
    place = _one(start, parts)
    name = parts["name"]["valueString"]
    properties = properties_of(place, name)
    owner = place.members
    if any(items(owner, each.name) for each in properties if not each.element.repeats):
        raise _inapplicable(f"{place.expression}.{name} is there already: replace it", place.expression)
    new = new_element(parts["value"], properties, f"{place.expression}.{name}")
    place.insert(new.property, new.item, len(items(owner, new.property.name)))


def _insert_at(start: Place, parts: Parts) -> None:
    place, properties, expression = _list(start, parts)
    index = parts["index"]["valueInteger"]
    new = new_element(parts["value"], properties, expression)
    if not 0 <= index <= len(items(place.members, properties[0].name)):
        raise _inapplicable(f"{expression} has no place {index}", expression)
    place.insert(new.property, new.item, index)


def _delete(start: Place, parts: Parts) -> None:
    """What is not there is deleted already."""
    places = resolve(start, read_path(parts["path"]["valueString"]))
    if len(places) > 1:
        raise _inapplicable(f"the path leads to {len(places)} elements, and only one can be deleted")
    for place in places:
        _holder(place)
        place.remove()


def _replace(start: Place, parts: Parts) -> None:
    place = _one(start, parts)
    holder = _holder(place)
    element = holder.shape.properties[place.name].element
    new = new_element(parts["value"], properties_of(holder, element.name), place.expression)
    if new.property.name == place.name:
        place.put(new.item)
        return
    place.remove()
    holder.insert(new.property, new.item, 0)  # another type of the choice


def _move(start: Place, parts: Parts) -> None:
    """Takes an item out of a list and puts it where `destination` says in the list without it."""
    place, properties, expression = _list(start, parts)
    name = properties[0].name
    found = items(place.members, name)
    source, destination = parts["source"]["valueInteger"], parts["destination"]["valueInteger"]
    if not (0 <= source < len(found) and 0 <= destination < len(found)):
        raise _inapplicable(f"{expression} has {len(found)} items: source or destination is outside", expression)
    moved: Item = found.pop(source)
    found.insert(destination, moved)
    write(place.members, name, found, repeats=True)


def _one(start: Place, parts: Parts) -> Place:
    places = resolve(start, read_path(parts["path"]["valueString"]))
    if len(places) != 1:
        raise _inapplicable(f"the path leads to {len(places)} elements instead of one")
    return places[0]


def _list(start: Place, parts: Parts) -> tuple[Place, list[Property], str]:
    """The one element that holds the list which the path names, the list's property and its expression."""
    steps = read_path(parts["path"]["valueString"])
    last = steps[-1]
    if not isinstance(last, Member) or (len(steps) == 1 and last.name == start.kind):
        raise refused("the path must name a list, such as Patient.name")
    holders = resolve(start, steps[:-1])
    if len(holders) != 1:
        raise _inapplicable(f"the path leads to {len(holders)} lists instead of one")
    properties = properties_of(holders[0], last.name)
    expression = f"{holders[0].expression}.{last.name}"
    if not properties[0].element.repeats:
        raise refused(f"{expression} is no list", expression)
    return holders[0], properties, expression


def _holder(place: Place) -> Place:
    if place.holder is None:
        raise refused("the resource as a whole is replaced by PUT and removed by DELETE")
    return place.holder


def _inapplicable(text: str, expression: str | None = None) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "processing", expression)])


_OPERATIONS: dict[str, tuple[Callable[[Place, Parts], None], tuple[str, ...]]] = {
    "add": (_add, ("path", "name", "value")),
    "insert": (_insert_at, ("path", "value", "index")),
    "delete": (_delete, ("path",)),
    "replace": (_replace, ("path", "value")),
    "move": (_move, ("path", "source", "destination")),
}
