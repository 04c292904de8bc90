"""Which responses cannot wait: those with a safety item that is positive, or blank, are let in when others are not."""

from datetime import UTC, datetime

import orjson

from stepwell_screening.instruments import instruments

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # deadlines do not matter here


def cannot_wait(body: bytes) -> bool:
    """Whether a body that nobody has validated yet says what a person must see soon."""
    try:
        response = orjson.loads(body)
        instrument = instruments().get(response["questionnaire"])
        if instrument is None:
            return False
        return any(finding.rule.cannot_wait for finding in instrument.safety(response, _ANY_TIME))
    except (ValueError, TypeError, KeyError, AttributeError):
        return False  # no such response; it is told so when there is room
