"""Subscription filters (`Type?parameter=value`): parsed at the door, evaluated on each event before it is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

# Both ask for the person that the event is about, which every outbox row carries.
FILTER_NAMES = frozenset({"patient", "subject"})


@dataclass(frozen=True, slots=True)
class Filter:
    """One criterion: events about this resource type must have one of these values."""

    focus_type: str
    name: str
    values: tuple[str, ...]


def parse_filter(text: str) -> list[Filter]:
    """The criteria of one `Type?parameter=value&...`; ValueError when it is not of that form."""
    focus_type, question_mark, query = text.partition("?")
    if not focus_type.isalpha() or not question_mark:
        raise ValueError("a filter has the form Type?parameter=value")
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    if not pairs or any(not value for _, value in pairs):
        raise ValueError("a filter parameter needs a value")
    return [Filter(focus_type, name, tuple(value.split(","))) for name, value in pairs]


def matches(filters: Sequence[str], *, subject: str, focus: str) -> bool:
    """Whether an event about this subject and focus passes every filter (they are joined by AND).

    Criteria on another resource type than the focus do not concern the event.
    """
    focus_type = focus.partition("/")[0]
    criteria = [criterion for text in filters for criterion in parse_filter(text)]
    return all(_passes(criterion, subject) for criterion in criteria if criterion.focus_type == focus_type)


def _passes(criterion: Filter, subject: str) -> bool:
    if criterion.name not in FILTER_NAMES:
        return False
    return any(value in (subject, subject.removeprefix("Patient/")) for value in criterion.values)
