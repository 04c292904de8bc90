"""Less of a resource, for clients that ask for less: `_summary` and `_elements`, marked SUBSETTED.

Members are cut out of the JSON text; what stays is byte for byte as stored. https://hl7.org/fhir/R4/search.html#summary
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
import orjson

from stepwell_shared.fhir.definitions import served_types
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.validation.shape import Property, shape

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
PARAMETERS = frozenset({"_summary", "_elements"})
SUMMARIES = ("true", "text", "data", "count", "false")
ELEMENTS_MAX = 100
_ALWAYS = frozenset({"resourceType", "id", "meta"})
_EXTENSIONS = frozenset({"extension", "modifierExtension"})

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])

Keep = Callable[[Property], bool]


@dataclass(frozen=True)
class View:
    """What a client wants to see of resources: a kind of summary, or the elements of these names."""

    summary: str = "false"
    elements: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        return self.summary in {"false", "count"} and not self.elements

    @property
    def is_count(self) -> bool:
        """Whether only the number of resources is wanted."""
        return self.summary == "count"

    def shown(self, body: bytes) -> bytes:
        """The part of a stored resource that is wanted, marked as a part; the stored bytes when all of it is."""
        if self.is_whole:
            return body
        members = _members.decode(body)
        resource_type = msgspec.json.decode(members["resourceType"], type=str)
        if resource_type not in served_types():
            return body
        kept = _kept(members, resource_type, self._keep())
        if self.summary == "true":
            kept = {name: _summarised(resource_type, name, value) for name, value in kept.items()}
        kept["meta"] = _marked(members.get("meta", b"{}"))
        return _object(kept)

    def _keep(self) -> Keep:
        if self.elements:
            return self._is_chosen
        return {"true": _is_in_summary, "text": _is_with_text, "data": _is_data}[self.summary]

    def _is_chosen(self, each: Property) -> bool:
        return each.element.name in self.elements or each.element.minimum > 0 or each.element.is_modifier


WHOLE = View()


def view_of(parameters: Iterable[tuple[str, str]]) -> View:
    """The view that a request asks for. Raises FhirError INVALID for what is no view."""
    if not parameters:
        return WHOLE
    given = [(name, value) for name, value in parameters if name in PARAMETERS and value]
    if not given:
        return WHOLE
    summaries = [value for name, value in given if name == "_summary"]
    elements = [each.strip() for name, value in given if name == "_elements" for each in value.split(",")]
    if len(summaries) > 1 or (summaries and elements):
        raise _refused("_summary", "is given once, and not together with _elements")
    if summaries and summaries[0] not in SUMMARIES:
        raise _refused("_summary", f"is one of {', '.join(SUMMARIES)}")
    if len(elements) > ELEMENTS_MAX:
        raise _refused("_elements", f"takes at most {ELEMENTS_MAX} names")
    return View(summaries[0] if summaries else "false", frozenset(elements) - {""})


def is_subsetted(resource: dict[str, Any]) -> bool:
    """Whether a resource says that it is only a part of what its server has."""
    tags: Sequence[dict[str, Any]] = resource.get("meta", {}).get("tag", ())
    return any(tag.get("code") == SUBSETTED["code"] and tag.get("system") == SUBSETTED["system"] for tag in tags)


def _refused(name: str, text: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(f"{name} {text}", "invalid")])


def _is_in_summary(each: Property) -> bool:
    return each.element.is_summary or each.element.minimum > 0


def _is_with_text(each: Property) -> bool:
    return each.name == "text" or each.element.minimum > 0


def _is_data(each: Property) -> bool:
    return each.name != "text"


def _kept(members: dict[str, msgspec.Raw], resource_type: str, keep: Keep) -> dict[str, bytes]:
    """The wanted members in their order; the `_` partner of a primitive goes with it."""
    properties = shape(resource_type).properties
    return {
        name: bytes(value)
        for name, value in members.items()
        if name in _ALWAYS or ((each := properties.get(name.removeprefix("_"))) is not None and keep(each))
    }


def _summarised(resource_type: str, name: str, value: bytes) -> bytes:
    """A kept member without the parts of it that are no summary."""
    each = shape(resource_type).properties.get(name)
    return value if each is None or each.content is None else _content(value, each.content)


@cache
def _summary_members(content: str) -> frozenset[str] | None:
    """The members of a datatype or backbone element that a summary has; None when it has all of them.

    Extensions of what is kept stay: they may be all that a required element has, such as the reason for its absence.
    """
    properties = shape(content).properties.values()
    kept = frozenset(each.name for each in properties if each.name in _EXTENSIONS or _is_in_summary(each))
    nested = any(each.content is not None and each.name in kept - _EXTENSIONS for each in properties)
    return kept if nested or len(kept) < len(properties) else None


def _content(value: bytes, content: str) -> bytes:
    wanted = _summary_members(content)
    if wanted is None:
        return value
    if value.startswith(b"["):
        return b"[%b]" % b",".join(_content(bytes(each), content) for each in _list.decode(value))
    properties = shape(content).properties
    kept: dict[str, bytes] = {}
    for name, raw in _members.decode(value).items():
        plain = name.removeprefix("_")
        if plain in wanted:
            inner = properties[plain].content
            is_final = inner is None or plain in _EXTENSIONS
            kept[name] = bytes(raw) if is_final or inner is None else _content(bytes(raw), inner)
    return _object(kept) if kept else value


def _marked(meta: bytes) -> bytes:
    """The meta with the tag that says that this is not the whole resource."""
    members = {name: bytes(value) for name, value in _members.decode(meta).items()}
    tags = [bytes(each) for each in _list.decode(members.get("tag", b"[]"))]
    if not any(SUBSETTED.items() <= orjson.loads(each).items() for each in tags):
        tags.append(orjson.dumps(SUBSETTED))
    return _object(members | {"tag": b"[%b]" % b",".join(tags)})


def _object(members: dict[str, bytes]) -> bytes:
    return b"{%b}" % b",".join(orjson.dumps(name) + b":" + value for name, value in members.items())
