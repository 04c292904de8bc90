"""Whether somebody who comes back to a form is the person whose form it is: one fact that the record has of them.

The site chooses the fact. A record that does not have it proves nothing, and so nobody.
"""

import re
from collections.abc import Iterator, Mapping
from hmac import compare_digest
from typing import Any

JsonObject = Mapping[str, Any]

FACTORS = ("birth-date", "postal-code", "phone-digits")
PHONE_DIGITS = 4
_FULL_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def is_on_record(factor: str, patient: JsonObject) -> bool:
    """Whether the record has the fact at all."""
    return any(_facts(factor, patient))


def is_proved(factor: str, patient: JsonObject, given: str) -> bool:
    """Whether what was given is the fact on record; spaces, hyphens and case do not matter."""
    plain = _plain(given)
    matches = [compare_digest(_plain(fact).encode(), plain.encode()) for fact in _facts(factor, patient)]
    return bool(plain) and any(matches)


def birth_date_of(day: str, month: str, year: str) -> str:
    """What was typed into three fields as a FHIR date; something that no record has when it is none."""
    parts = [part.strip() for part in (year, month, day)]
    return "-".join([parts[0].zfill(4), parts[1].zfill(2), parts[2].zfill(2)])


def _facts(factor: str, patient: JsonObject) -> Iterator[str]:
    if factor == "birth-date":
        date = str(patient.get("birthDate", ""))
        if _FULL_DATE.fullmatch(date):
            yield date
    elif factor == "postal-code":
        yield from (address["postalCode"] for address in patient.get("address", ()) if address.get("postalCode"))
    elif factor == "phone-digits":
        for contact in patient.get("telecom", ()):
            digits = re.sub(r"\D", "", contact.get("value", ""))
            if contact.get("system") in {"phone", "sms"} and len(digits) >= PHONE_DIGITS:
                yield digits[-PHONE_DIGITS:]
    else:
        raise ValueError(f"a second factor is one of {', '.join(FACTORS)}")


def _plain(text: str) -> str:
    return re.sub(r"[\s-]", "", text).upper()
