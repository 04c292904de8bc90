"""Template-based extraction: a contained resource is copied, its annotated elements replaced by what was answered.

https://hl7.org/fhir/uv/sdc/extraction.html#template-based-extraction. What an expression finds nothing for is left
out; what it finds several of is repeated.
"""

from collections.abc import Mapping
from typing import Any

from stepwell_screening.rules.expressions import SDC, Place
from stepwell_screening.rules.extraction.casting import cast
from stepwell_screening.rules.extraction.session import EntryDetails, Session, extensions
from stepwell_screening.rules.extraction.structure import Element
from stepwell_screening.rules.fhirpath.items import Json

JsonObject = Mapping[str, Any]
CONTEXT, VALUE = f"{SDC}templateExtractContext", f"{SDC}templateExtractValue"
_OURS = frozenset({CONTEXT, VALUE})


def extract(session: Session, element: JsonObject, place: Place, path: str) -> None:
    """Fills the templates that an item or the root names, with the place as what their expressions start from."""
    for extension in extensions(element, "templateExtract"):
        parts = {part.get("url"): part for part in extension.get("extension", ())}
        template = _template(session, parts.get("template", {}).get("valueReference"), path)
        made = _resource(session, template, place) if template is not None else None
        if made is not None:
            session.add(made, session.details(extension, place, path))
    for extension in extensions(element, "templateExtractBundle"):
        template = _template(session, extension.get("valueReference"), path)
        made = _resource(session, template, place) if template is not None else None
        for entry in (made or {}).get("entry", ()):
            if "resource" in entry:
                _add(session, entry)


def _add(session: Session, entry: JsonObject) -> None:
    request = dict(entry.get("request", {}))
    conditions = {name: str(value) for name, value in request.items() if name not in {"method", "url"}}
    session.add(dict(entry["resource"]), EntryDetails(entry.get("fullUrl") or session.new_uuid(), None, conditions))


def _template(session: Session, reference: Any, path: str) -> JsonObject | None:
    """The contained resource that is named."""
    wanted = reference.get("reference") if isinstance(reference, Mapping) else None
    for each in session.questionnaire.get("contained", ()):
        if isinstance(wanted, str) and f"#{each.get('id')}" == wanted:
            found: JsonObject = each
            return found
    session.evaluator.say("not-found", "the template that is named here is not contained in the Questionnaire", path)
    return None


def _resource(session: Session, template: JsonObject, place: Place) -> dict[str, Any] | None:
    """The filled template without its id, which only named it within the Questionnaire."""
    kind = str(template.get("resourceType"))
    path = f"Questionnaire.contained.where(id = '{template.get('id')}')"
    body = {name: value for name, value in template.items() if name not in {"id", "resourceType"}}
    filled = _Filling(session).node(body, kind, place, path)
    return {"resourceType": kind, **filled[0]} if filled else None


class _Filling:
    """Copies one template. Each step gives a list: nothing where the element is left out, several where it repeats."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def node(self, node: JsonObject, content: str | None, place: Place, path: str) -> list[Any]:
        """An object, once for each thing that its context expression finds."""
        self.session.evaluator.run.budget.spend()
        context, value, rest = _annotations(node)
        return [
            made
            for here in self.places(context, place, path)
            for made in self.object(node, rest, value, content, here, path)
        ]

    def object(
        self, node: JsonObject, rest: list[JsonObject], value: Json, content: str | None, place: Place, path: str
    ) -> list[Any]:
        made: dict[str, Any] = {"extension": rest} if rest else {}
        for name in dict.fromkeys(key.removeprefix("_") for key in node if key != "extension"):
            self.member(made, name, node, content, place, f"{path}.{name}")
        if value is None:
            return [made] if made else []
        found = []
        for item in self.session.evaluator.value(value, place, path):
            cast_value = cast(item, content or "") if content else item.value
            if not isinstance(cast_value, dict):
                self.session.evaluator.say("value", "a value does not fit the element of its template", path)
                continue
            found.append({**made, **cast_value})
        return found

    def member(
        self, made: dict[str, Any], name: str, node: JsonObject, content: str | None, place: Place, path: str
    ) -> None:
        """One property with its extensions beside it, as JSON has primitives."""
        value, beside = node.get(name), node.get(f"_{name}")
        element = self.element(content, name)
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value)):
            found = []
            for index, each in enumerate(value if isinstance(value, list) else [value]):
                kind = element.content if element is not None else None
                where = f"{path}[{index}]" if isinstance(value, list) else path
                found += self.nested(each, kind, place, where)
            if found and not isinstance(value, list) and len(found) > 1:
                self.session.evaluator.say(
                    "value", "several values for an element that takes one; the first stands", path
                )
            if found:
                made[name] = found if isinstance(value, list) else found[0]
            return
        self.primitive(made, name, element, value, beside, place, path)

    def nested(self, node: Any, kind: str | None, place: Place, path: str) -> list[Any]:
        """A child object; a whole resource, as in the entries of a Bundle, keeps its type and loses its id."""
        if "resourceType" not in node:
            return self.node(node, kind, place, path)
        body = {name: value for name, value in node.items() if name not in {"id", "resourceType"}}
        filled = self.node(body, str(node["resourceType"]), place, path)
        return [{"resourceType": node["resourceType"], **each} for each in filled]

    def element(self, content: str | None, name: str) -> Element | None:
        found = self.session.structure(content, name) if content else ()
        return found[0] if len(found) == 1 else None

    def primitive(
        self,
        made: dict[str, Any],
        name: str,
        element: Element | None,
        value: Json,
        beside: Json,
        place: Place,
        path: str,
    ) -> None:
        is_list = isinstance(value, list) or isinstance(beside, list) or (element is not None and element.repeats)
        size = max(len(value) if isinstance(value, list) else 1, len(beside) if isinstance(beside, list) else 1)
        values = value if isinstance(value, list) else [value] * (1 if value is not None else 0)
        extras = beside if isinstance(beside, list) else [beside] * (1 if beside is not None else 0)
        found: list[tuple[Json, Json]] = []
        for index in range(size):
            one = values[index] if index < len(values) else None
            extra = extras[index] if index < len(extras) else None
            found += self.single(one, extra, element, place, path)
        if not found:
            return
        if not is_list:
            if len(found) > 1:
                self.session.evaluator.say(
                    "value", "several values for an element that takes one; the first stands", path
                )
            found = found[:1]
        _write(made, name, found, is_list=is_list)

    def single(
        self, value: Json, extra: Json, element: Element | None, place: Place, path: str
    ) -> list[tuple[Json, Json]]:
        """(value, what stands beside it) of a primitive, once for each result."""
        context, expression, rest = _annotations(extra) if isinstance(extra, Mapping) else (None, None, [])
        kept = {key: each for key, each in (extra or {}).items() if key != "extension"}
        beside = {**kept, **({"extension": rest} if rest else {})} or None
        found: list[tuple[Json, Json]] = []
        for here in self.places(context, place, path):
            if expression is None:
                found += [(value, beside)] if value is not None or beside is not None else []
                continue
            for item in self.session.evaluator.value(expression, here, path):
                result = cast(item, element.kind) if element is not None else item.value
                if result is None or isinstance(result, dict | list):
                    self.session.evaluator.say("value", "a value does not fit the element of its template", path)
                else:
                    found.append((result, beside))
        return found

    def places(self, context: Json, place: Place, path: str) -> list[Place]:
        """Where an element is filled: here, or at each thing that its context expression finds, under its name."""
        if context is None:
            return [place]
        found = self.session.evaluator.value(context, place, path)
        name = context.get("name") if isinstance(context, Mapping) else None
        places = [place.at([item]) for item in found]
        return [each.naming(**{str(name): each.focus}) for each in places] if name else places


def _annotations(node: JsonObject) -> tuple[Json, Json, list[JsonObject]]:
    """The context expression, the value expression, and the extensions that stay."""
    context = value = None
    rest = []
    for extension in node.get("extension", ()):
        if extension.get("url") == CONTEXT:
            context = extension.get("valueString") or extension.get("valueExpression")
        elif extension.get("url") == VALUE:
            value = extension.get("valueString") or extension.get("valueExpression")
        else:
            rest.append(extension)
    return context, value, rest


def _write(made: dict[str, Any], name: str, found: list[tuple[Json, Json]], *, is_list: bool) -> None:
    values = [value for value, _ in found]
    beside = [extra for _, extra in found]
    if is_list:
        if any(value is not None for value in values):
            made[name] = values
        if any(extra is not None for extra in beside):
            made[f"_{name}"] = beside
        return
    if values[0] is not None:
        made[name] = values[0]
    if beside[0] is not None:
        made[f"_{name}"] = beside[0]
