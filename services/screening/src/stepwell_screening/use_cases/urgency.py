"""Which responses cannot wait: those with a safety item that is positive, or blank, are let in when others are not.

Far beyond its peak a process asks this of thousands of bodies a second. Most say in so many bytes that nothing is
urgent in them, and are not parsed.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson

from stepwell_screening.instruments import Instrument, instruments
from stepwell_screening.rules.adaptive import group_of
from stepwell_screening.rules.weights import ITEM_WEIGHT, ORDINAL_VALUE

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # deadlines do not matter here
_ANSWERED = re.compile(rb'"questionnaire"\s*:\s*"([^"\\]*)"')
# With one of these in it a body weighs its answers itself.
_WEIGHS = tuple(url.rpartition("/")[2].encode() for url in (ITEM_WEIGHT, ORDINAL_VALUE))
# From the linkId of an item to the code of its first answer, with nothing in between that could mean something else.
_TO_ITS_ANSWER = (
    rb'\s*,\s*(?:"text"\s*:\s*"[^"\\]*"\s*,\s*)?"answer"\s*:\s*\[\s*\{\s*"valueCoding"\s*:\s*\{\s*'
    rb'"system"\s*:\s*"%b"\s*,\s*"code"\s*:\s*"%b"'
)

SafeItems = tuple[tuple[bytes, re.Pattern[bytes]], ...]
"""Each item as it is named in a body, and what follows where its answer needs nobody."""


def cannot_wait(body: bytes) -> bool:
    """Whether a body that nobody has validated yet says what a person must see soon."""
    if _surely_waits(body):
        return False
    try:
        response = orjson.loads(body)
        asked = _instruments(response)
        return any(finding.rule.cannot_wait for each in asked for finding in each.safety(response, _ANY_TIME))
    except (ValueError, TypeError, KeyError, AttributeError):
        return False  # no such response; it is told so when there is room


def _surely_waits(body: bytes) -> bool:
    """Whether each item of safety is there once and answered with a code that is no reason for anything.

    True only where parsing would say so too; a body in another order, or with another kind of answer, is parsed.
    """
    named = _ANSWERED.search(body)
    items = None if named is None else _safe_items().get(named[1])
    if items is None or any(word in body for word in _WEIGHS):
        return False
    for name, answered in items:
        at = body.find(name)
        if at < 0 or body.find(name, at + 1) >= 0 or answered.match(body, at + len(name)) is None:
            return False
    return True


@cache
def _safe_items() -> Mapping[bytes, SafeItems]:
    """By canonical of each shipped instrument of which safe answers say all."""
    found = {}
    for canonical, each in instruments().items():
        safe = each.safety.safe_answers
        if safe is not None:
            found[canonical.encode()] = tuple(
                (f'"{link_id}"'.encode(), re.compile(b"|".join(_TO_ITS_ANSWER % _escaped(*code) for code in codes)))
                for link_id, codes in safe.items()
            )
    return found


def _escaped(*texts: str) -> tuple[bytes, ...]:
    return tuple(re.escape(text).encode() for text in texts)


def _instruments(response: dict[str, Any]) -> list[Instrument]:
    """The shipped instrument that a response answers, or those that an adaptive response says that it asked."""
    name = response["questionnaire"]
    if not name.startswith("#"):
        found = instruments().get(name)
        return [found] if found is not None else []
    forms = [each for each in response["contained"] if each.get("id") == name[1:]]
    asked = {item["linkId"] for form in forms for item in form.get("item", ())}
    return [each for each in instruments().values() if group_of(each.definition.id) in asked]
