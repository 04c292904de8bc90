"""Observation-based extraction: an answer to a coded question is the value of an Observation.

https://hl7.org/fhir/uv/sdc/extraction.html#observation-based-extraction
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stepwell_screening.rules.answers import CORE, answer_value
from stepwell_screening.rules.expressions import SDC, Place
from stepwell_screening.rules.extraction.casting import unit_of
from stepwell_screening.rules.extraction.session import EntryDetails, Session, extensions

JsonObject = Mapping[str, Any]
UNIT = f"{CORE}questionnaire-unit"
IS_SUBJECT = f"{SDC}isSubject"
RELATIONSHIPS = frozenset({"component", "member", "derived", "independent"})
_SUBJECTS = frozenset({"Patient", "Group", "Device", "Location"})
_PERFORMERS = frozenset({"Practitioner", "PractitionerRole", "Organization", "CareTeam", "Patient", "RelatedPerson"})
_PART_OF = frozenset(
    {"MedicationAdministration", "MedicationDispense", "MedicationStatement", "Procedure", "Immunization"}
    | {"ImagingStudy"}
)
# How an answer becomes the value of an Observation, which knows no decimal, date, uri, reference or attachment.
_AS_IS = {"valueBoolean", "valueInteger", "valueString", "valueTime", "valueDateTime", "valueQuantity"}
_RENAMED = {"valueDate": "valueDateTime", "valueUri": "valueString"}


@dataclass(slots=True)
class Made:
    """An Observation; a group's is in the transaction only once something belongs to it."""

    resource: dict[str, Any]
    details: EntryDetails
    relationship: bool | str | None
    parent: "Made | None"
    path: str
    is_added: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What an item inherits: whether and how it is extracted, the categories, the subject, the Observation above."""

    flag: bool | str | None = None
    categories: Sequence[JsonObject] = ()
    subject: JsonObject | None = None
    parent: Made | None = field(default=None)


def root_state(session: Session) -> State:
    state = State(subject=session.response.get("subject"))
    return replace(
        state,
        flag=_flag(session.questionnaire, None),
        categories=_categories(session.questionnaire) or (),
    )


def entered(item: JsonObject, state: State) -> State:
    """The state of an item: what it says itself wins over what is above."""
    return replace(state, flag=_flag(item, state.flag), categories=_categories(item) or state.categories)


def of_group(session: Session, item: JsonObject, given: JsonObject, state: State, place: Place, path: str) -> State:
    """What the items of a group inherit: the Observation of the group, where it has a code, and its own subject."""
    state = replace(state, subject=_subject_of(item, given) or state.subject)
    codings = _codings(item, state.flag)
    if not codings:
        return state
    return replace(state, parent=_made(session, item, codings, state, place, path))


def of_answer(session: Session, item: JsonObject, answer: JsonObject, state: State, place: Place, path: str) -> State:
    """Makes the Observation of one answer; gives what the items below that answer inherit."""
    codings, present = _codings(item, state.flag), answer_value(answer)
    if not codings or present is None:
        return state
    value = _value(item, *present)
    if value is None:
        text = "an Observation has no value of this type; extract this answer by definition or by template"
        session.evaluator.say("not-supported", text, path)
        return state
    if state.flag == "component" and state.parent is not None:
        component = {"code": {"coding": codings}, **value}
        state.parent.resource.setdefault("component", []).append(component)
        _put(session, state.parent)
        return state
    made = _made(session, item, codings, state, place, path)
    made.resource |= value
    _put(session, made)
    return replace(state, parent=made)


def _flag(element: JsonObject, inherited: bool | str | None) -> bool | str | None:
    for extension in extensions(element, "observationExtract"):
        found: bool | str | None = extension.get("valueBoolean", extension.get("valueCode"))
        if isinstance(found, bool) or found in RELATIONSHIPS:
            return found
    return inherited


def _categories(element: JsonObject) -> list[JsonObject] | None:
    found = [each.get("valueCodeableConcept") for each in extensions(element, "observation-extract-category")]
    found += [
        each.get("valueCodeableConcept")
        for each in element.get("extension", ())
        if each.get("url") == f"{SDC.removesuffix('questionnaire-')}observation-extract-category"
    ]
    return [each for each in found if isinstance(each, Mapping)] or None


def _codings(item: JsonObject, flag: bool | str | None) -> list[JsonObject]:
    """The codes that go into Observation.code: those that are tagged, else all of an item that is extracted."""
    codes: Sequence[JsonObject] = item.get("code", ())
    tagged = [code for code in codes if _flag(code, None)]
    if not tagged and flag:
        tagged = [code for code in codes if _flag(code, None) is not False]
    return [{name: value for name, value in code.items() if name not in {"extension", "id"}} for code in tagged]


def _value(item: JsonObject, key: str, value: Any) -> dict[str, Any] | None:
    if key in {"valueDecimal", "valueInteger"}:
        unit = unit_of(item, UNIT)
        if unit is not None or key == "valueDecimal":
            return {"valueQuantity": {"value": value, **(unit or {})}}
    if key == "valueCoding":
        coding = {name: each for name, each in value.items() if name not in {"extension", "id"}}
        return {"valueCodeableConcept": {"coding": [coding]}} if coding else None
    if key in _RENAMED:
        return {_RENAMED[key]: value}
    return {key: value} if key in _AS_IS else None


def _made(session: Session, item: JsonObject, codings: list[JsonObject], state: State, place: Place, path: str) -> Made:
    found = extensions(item, "observationExtractEntry")
    details = session.details(found[0], place, path) if found else EntryDetails(session.new_uuid())
    is_update = details.resource_id is not None and session.response.get("status") == "amended"
    status = {"status": "amended" if is_update else "final"}
    resource = {**_head(session), **status, **_body(session, codings, item, state)}
    return Made(resource, details, state.flag, state.parent, path)


def _head(session: Session) -> dict[str, Any]:
    response = session.response
    parts = [each for each in response.get("partOf", ()) if _is_of(each, _PART_OF)]
    return {
        "resourceType": "Observation",
        **({"basedOn": response["basedOn"]} if "basedOn" in response else {}),
        **({"partOf": parts} if parts else {}),
    }


def _body(session: Session, codings: list[JsonObject], item: JsonObject, state: State) -> dict[str, Any]:
    response, author = session.response, session.response.get("author")
    of_code = [each for code in item.get("code", ()) for each in _categories(code) or ()]
    members: dict[str, Any] = {
        "category": of_code or list(state.categories),
        "code": {"coding": codings},
        "subject": state.subject if _is_of(state.subject, _SUBJECTS) else None,
        "encounter": response.get("encounter"),
        "effectiveDateTime": response.get("authored"),
        "issued": _instant(response.get("authored")),
        "performer": [author] if _is_of(author, _PERFORMERS) else None,
        "device": author if _is_of(author, {"Device", "DeviceMetric"}) else None,
        "derivedFrom": [dict(session.source)] if session.source is not None else None,
    }
    return {name: value for name, value in members.items() if value}


def _instant(authored: Any) -> Any:
    """An instant needs seconds and a zone; a date alone is none."""
    return authored if isinstance(authored, str) and len(authored) >= 20 else None


def _is_of(reference: JsonObject | None, kinds: Any) -> bool:
    """Whether a reference may be to one of these types; one that does not tell its type may."""
    if reference is None:
        return False
    parts = str(reference.get("reference", "")).split("/")
    kind = reference.get("type") or (parts[-2] if len(parts) > 1 else None)
    return kind is None or kind in kinds


def _put(session: Session, made: Made) -> None:
    """Puts an Observation into the transaction, once, and those above it that are to name it."""
    if made.is_added:
        return
    made.is_added = True
    if made.relationship in {"component", "member", "derived"}:
        if made.parent is None:
            text = "this item belongs to an Observation above it, and none is extracted there; it stands alone"
            session.evaluator.say("business-rule", text, made.path)
        elif made.relationship == "derived":
            made.resource.setdefault("derivedFrom", []).append({"reference": made.parent.details.full_url})
        else:
            made.parent.resource.setdefault("hasMember", []).append({"reference": made.details.full_url})
        if made.parent is not None:
            _put(session, made.parent)
    session.add(made.resource, made.details)


def _subject_of(item: JsonObject, given: JsonObject) -> JsonObject | None:
    """Whom a group is about when one of its questions asks for that (extension isSubject)."""
    asking = {
        each["linkId"]
        for each in item.get("item", ())
        if any(one.get("url") == IS_SUBJECT and one.get("valueBoolean") for one in each.get("extension", ()))
    }
    for each in given.get("item", ()) if asking else ():
        for answer in each.get("answer", ()) if each.get("linkId") in asking else ():
            if "valueReference" in answer:
                found: JsonObject = answer["valueReference"]
                return found
    return None
