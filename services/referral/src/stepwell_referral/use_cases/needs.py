"""What a person needs of a place: from the copy of their record, and from what they said in the form about wishes and
barriers. What nobody has said is not known, and rules out nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import msgspec
from stepwell_shared.canonical import code_system

from stepwell_referral.directory_tables import PersonRow
from stepwell_referral.rules.matching import OFTEN, SOMETIMES, Need
from stepwell_referral.use_cases.whereabouts import address_parts, home_of, position_of

NO_PREFERENCE = "no-preference"
FULL_DATE_CHARACTERS = 10

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource)


def need_of(person: PersonRow | None, tier: str, now: datetime) -> Need:
    """The need of a person at a tier."""
    need = Need(tier=tier)
    if person is not None and person.patient is not None:
        need = _with_record(need, _resource.decode(person.patient), now)
    if person is not None and person.form is not None:
        need = _with_form(need, _resource.decode(person.form))
    return need


def language_codes(concept: Mapping[str, Any]) -> Iterator[str]:
    """A region narrows a language; places name languages: de-AT asks for de-AT first, then for de."""
    for coding in concept.get("coding", ()):
        code = str(coding.get("code", ""))
        yield from dict.fromkeys(each for each in (code, code.partition("-")[0]) if each)


def _with_record(need: Need, patient: Resource, now: datetime) -> Need:
    home = home_of(patient)
    spoken = sorted(patient.get("communication", ()), key=lambda each: not each.get("preferred", False))
    languages = dict.fromkeys(code for each in spoken for code in language_codes(each.get("language", {})))
    return replace(
        need,
        languages=tuple(languages),
        age=age_on(patient.get("birthDate", ""), now.date()),
        sex=patient.get("gender"),
        address=address_parts(home),
        position=position_of(home),
    )


def _with_form(need: Need, form: Resource) -> Need:
    answers = dict(_answers(form.get("item", ())))
    preferred = [code for code in _codes(answers.get("/language-preferred", ())) if code]
    languages = dict.fromkeys(each for code in preferred for each in language_codes({"coding": [{"code": code}]}))
    modalities = [code for code in _codes(answers.get("/modality", ())) if code != NO_PREFERENCE]
    barriers = {
        link_id.removeprefix("/"): frequency
        for link_id, given in answers.items()
        for frequency in _codes(given)
        if frequency in (SOMETIMES, OFTEN)
    }
    return replace(
        need,
        languages=tuple(dict.fromkeys((*languages, *need.languages))),
        modalities=tuple(modalities),
        barriers=barriers,
        accessibility=tuple(_codes(answers.get("/disability-needs", ()))),
        interpreter=any(each.get("valueBoolean") is True for each in answers.get("/interpreter", ())),
    )


def age_on(birth_date: str, today: date) -> int | None:
    """Whole years; None where the day of birth is not known."""
    if len(birth_date) != FULL_DATE_CHARACTERS:
        return None
    born = date.fromisoformat(birth_date)
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _answers(items: Iterable[Resource]) -> Iterator[tuple[str, list[Resource]]]:
    for item in items:
        if "answer" in item:
            yield str(item.get("linkId", "")), item["answer"]
        yield from _answers(item.get("item", ()))


def _codes(answers: Iterable[Resource]) -> Iterator[str]:
    """The codes of answers; what people wrote in their own words is for those who read it."""
    known = (code_system("form-answer"), code_system("modality"), "urn:ietf:bcp:47")
    for answer in answers:
        coding = answer.get("valueCoding", {})
        if coding.get("system") in known and "code" in coding:
            yield coding["code"]
