"""Which responses cannot wait: those with a safety item that is positive, or blank, are let in when others are not."""

from datetime import UTC, datetime
from typing import Any

import orjson

from stepwell_screening.instruments import Instrument, instruments
from stepwell_screening.rules.adaptive import group_of

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # deadlines do not matter here


def cannot_wait(body: bytes) -> bool:
    """Whether a body that nobody has validated yet says what a person must see soon."""
    try:
        response = orjson.loads(body)
        asked = _instruments(response)
        return any(finding.rule.cannot_wait for each in asked for finding in each.safety(response, _ANY_TIME))
    except (ValueError, TypeError, KeyError, AttributeError):
        return False  # no such response; it is told so when there is room


def _instruments(response: dict[str, Any]) -> list[Instrument]:
    """The shipped instrument that a response answers, or those that an adaptive response says that it asked."""
    name = response["questionnaire"]
    if not name.startswith("#"):
        found = instruments().get(name)
        return [found] if found is not None else []
    forms = [each for each in response["contained"] if each.get("id") == name[1:]]
    asked = {item["linkId"] for form in forms for item in form.get("item", ())}
    return [each for each in instruments().values() if group_of(each.definition.id) in asked]
