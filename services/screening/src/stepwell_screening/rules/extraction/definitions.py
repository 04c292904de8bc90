"""Definition-based extraction: `item.definition` says which element of which resource an answer is.

https://hl7.org/fhir/uv/sdc/extraction.html#definition-based-extraction. Elements on the way are made as needed: a
list gets a new element for each item that leads through it, anything else is shared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepwell_screening.rules.answers import CORE
from stepwell_screening.rules.expressions import Place
from stepwell_screening.rules.extraction.casting import cast, unit_of
from stepwell_screening.rules.extraction.session import EntryDetails, Session, extensions
from stepwell_screening.rules.extraction.structure import Element
from stepwell_screening.rules.fhirpath import Collection, Item
from stepwell_screening.rules.fhirpath.items import kind_of, members

JsonObject = Mapping[str, Any]
UNIT = f"{CORE}questionnaire-unit"
_ITEM_CONTEXTS = (
    "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-itemExtractionContext",
    f"{CORE}questionnaire-itemExtractionContext",
)
# What an answer is cast to first, where an element may be of several types and none is its own.
_NEAREST = {"Coding": "CodeableConcept", "decimal": "Quantity", "date": "dateTime", "uri": "string"}


@dataclass(slots=True)
class Position:
    """An element that is being filled: its JSON object, and where R4 defines what stands in it."""

    node: dict[str, Any]
    content: str


@dataclass(frozen=True, slots=True)
class Open:
    """One resource being made: elements by their path, as far as items lead there together."""

    kind: str
    positions: Mapping[str, Position]
    details: EntryDetails


@dataclass(frozen=True, slots=True)
class State:
    """The resources that an item's definitions can mean, by canonical URL without version."""

    open: Mapping[str, Open] = field(default_factory=dict)


def entered(session: Session, element: JsonObject, state: State, place: Place, path: str) -> State:
    """The state of an item or the root, with the resources that it begins; call `left` with it after its children."""
    opened = dict(state.open)
    for canonical, extension in _begun(element):
        kind = _kind_of(canonical, element)
        if kind is None or not session.structure(kind, "id"):
            session.evaluator.say("not-supported", "the type of what is extracted here is not known here", path)
            continue
        resource: dict[str, Any] = {"resourceType": kind}
        if canonical != f"{CORE}{kind}":
            resource["meta"] = {"profile": [canonical]}
        details = session.details(extension, place, path)
        opened[canonical.partition("|")[0]] = Open(kind, {kind: Position(resource, kind)}, details)
    return State(opened)


def left(session: Session, state: State, above: State) -> None:
    """Puts the resources that an item began into the transaction; one that stayed empty is none."""
    for canonical, each in state.open.items():
        if above.open.get(canonical) is not None and above.open[canonical].details is each.details:
            continue
        resource = _without_empties(each.positions[each.kind].node)
        if resource.keys() - {"resourceType", "meta"}:
            session.add(resource, each.details)


def _without_empties(node: Any) -> Any:
    """A copy without the elements that were made on the way to a value that did not fit."""
    if isinstance(node, dict):
        kept = {name: _without_empties(each) for name, each in node.items()}
        return {name: each for name, each in kept.items() if each not in ({}, [])}
    if isinstance(node, list):
        return [each for each in map(_without_empties, node) if each not in ({}, [])]
    return node


def filled(session: Session, item: JsonObject, answers: Collection, state: State, place: Place, path: str) -> State:
    """Puts an item's answers and its calculated values where their definitions say; gives the state of its children.

    A group's own definition opens an element for its children; what else is made on the way is this item's own.
    """
    is_group = item.get("type") == "group"
    target = _target(item.get("definition"), state)
    children = state
    if target is not None and is_group:
        children = _opened(session, state, *target, path)
    own = State({name: Open(each.kind, dict(each.positions), each.details) for name, each in children.open.items()})
    if target is not None and not is_group and answers:
        _set(session, own, *target, answers, item, path)
    for extension in extensions(item, "definitionExtractValue"):
        _set_calculated(session, own, extension, item, place, path)
    return children if is_group else own


def _begun(element: JsonObject) -> list[tuple[str, JsonObject]]:
    """The (canonical, extension) of every resource that begins here; the older spelling by resource type too."""
    found: list[tuple[str, JsonObject]] = []
    for extension in extensions(element, "definitionExtract"):
        canonical = _part(extension, "definition")
        if isinstance(canonical, str):
            found.append((canonical, extension))
    older = [each.get("valueCode") for each in element.get("extension", ()) if each.get("url") in _ITEM_CONTEXTS]
    return [*found, *((f"{CORE}{kind}", {}) for kind in older if isinstance(kind, str))]


def _part(extension: JsonObject, name: str) -> Any:
    parts: Sequence[JsonObject] = extension.get("extension", ())
    for part in parts:
        if part.get("url") == name:
            return next((value for key, value in part.items() if key.startswith("value")), None)
    return None


def _kind_of(canonical: str, element: JsonObject) -> str | None:
    """The resource type: R4's own URL says it; for a profile the definitions below it do."""
    url = canonical.partition("|")[0]
    if url.startswith(CORE) and "/" not in url.removeprefix(CORE):
        return url.removeprefix(CORE)
    pending: list[JsonObject] = [element]
    while pending:
        each = pending.pop()
        values = [_part(one, "definition") for one in extensions(each, "definitionExtractValue")]
        for definition in [each.get("definition"), *values]:
            if isinstance(definition, str) and definition.partition("#")[0].partition("|")[0] == url:
                return definition.partition("#")[2].partition(".")[0] or None
        pending.extend(each.get("item", ()))
    return None


def _target(definition: Any, state: State) -> tuple[str, list[str]] | None:
    """The resource that a definition means, among those that are open, and the steps to its element."""
    if not isinstance(definition, str) or "#" not in definition:
        return None
    canonical, _, element_id = definition.partition("#")
    url = canonical.partition("|")[0]
    steps = [step.partition(":")[0].removesuffix("[x]") for step in element_id.split(".")]
    return (url, steps) if url in state.open and len(steps) > 1 and steps[0] == state.open[url].kind else None


def _opened(session: Session, state: State, url: str, steps: list[str], path: str) -> State:
    """The state with a new element at these steps."""
    opened = state.open[url]
    positions = dict(opened.positions)
    parent = _reached(session, positions, steps[:-1], path)
    found = session.structure(parent.content, steps[-1]) if parent is not None else ()
    if parent is None or len(found) != 1 or found[0].content is None:
        session.evaluator.say("not-found", "the definition of this group names no element that holds others", path)
        return state
    positions[".".join(steps)] = _child(parent, found[0], anew=True)
    return State({**state.open, url: Open(opened.kind, positions, opened.details)})


def _reached(session: Session, positions: dict[str, Position], steps: list[str], path: str) -> Position | None:
    """The element at these steps, made as needed below the nearest one that is there; None for no element of R4."""
    known = len(steps)
    while known > 1 and ".".join(steps[:known]) not in positions:
        known -= 1
    position = positions[".".join(steps[:known])]
    for index in range(known, len(steps)):
        found = session.structure(position.content, steps[index])
        if len(found) != 1 or found[0].content is None:
            return None
        position = _child(position, found[0], anew=False)
        positions[".".join(steps[: index + 1])] = position
    return position


def _child(parent: Position, element: Element, *, anew: bool) -> Position:
    content = element.content or element.kind
    if element.repeats:
        node: dict[str, Any] = {}
        parent.node.setdefault(element.name, []).append(node)
    elif anew or not isinstance(parent.node.get(element.name), dict):
        node = parent.node.setdefault(element.name, {})
    else:
        node = parent.node[element.name]
    return Position(node, content)


def _set(
    session: Session, state: State, url: str, steps: list[str], values: Collection, item: JsonObject, path: str
) -> None:
    positions = state.open[url].positions
    assert isinstance(positions, dict), "the state of an item is its own"
    parent = _reached(session, positions, steps[:-1], path)
    found = session.structure(parent.content, steps[-1]) if parent is not None else ()
    if parent is None or not found:
        session.evaluator.say("not-found", "a definition names an element that R4 does not have", path)
        return
    for value in values:
        element, made = _fitting(found, value, unit_of(item, UNIT))
        if element is None:
            session.evaluator.say("value", "a value does not fit the element that its definition names", path)
        elif element.repeats:
            parent.node.setdefault(element.name, []).append(made)
            _remember(positions, steps, element, made)
        elif element.name in parent.node and len(values) > 1:
            session.evaluator.say("value", "several values for an element that takes one; the first stands", path)
        else:
            parent.node[element.name] = made
            _remember(positions, steps, element, made)


def _remember(positions: dict[str, Position], steps: list[str], element: Element, made: Any) -> None:
    if isinstance(made, dict) and element.content is not None:
        positions[".".join(steps)] = Position(made, element.content)


def _fitting(found: Sequence[Element], value: Item, unit: JsonObject | None) -> tuple[Element | None, Any]:
    """The property that takes this value: of a choice the one of its own type before those that it is cast to."""
    kind = kind_of(value)
    wanted = "Quantity" if unit is not None and kind in {"decimal", "integer"} else kind
    nearest = [wanted, _NEAREST.get(str(kind))]
    for element in sorted(found, key=lambda each: nearest.index(each.kind) if each.kind in nearest else len(nearest)):
        made = cast(value, element.kind, unit)
        if made is not None:
            return element, made
    return None, None


def _set_calculated(
    session: Session, state: State, extension: JsonObject, item: JsonObject, place: Place, path: str
) -> None:
    target = _target(_part(extension, "definition"), state)
    if target is None:
        session.evaluator.say("not-found", "a calculated value is for a resource that is not extracted here", path)
        return
    expression = _part(extension, "expression")
    if expression is not None:
        values = session.evaluator.value(expression, place, path)
    else:
        values = [each for part in extension.get("extension", ()) for each in _fixed(part)]
    if values:
        _set(session, state, *target, values, item, path)


def _fixed(part: JsonObject) -> list[Item]:
    return list(members(Item(dict(part)), "value")) if part.get("url") == "fixed-value" else []
