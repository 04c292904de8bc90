"""Evidence that is counted, dated or looked up in what is kept of a person, rather than measured or answered.

Each name has one function; what it cannot know from the rows is missing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from stepwell_routing.rules.decisions import EvidenceValue
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.policies import Input
from stepwell_routing.tables import (
    BORN,
    CONDITION,
    EXIT,
    MEDICINE,
    OUTCOME,
    PLACE,
    SAID,
    SEX,
    SITE,
    STEP,
    WAIT_UNTIL,
    Known,
)

TRUE = "true"
ACTIVE = "active"
REVIEWS_APART = timedelta(weeks=1)
"""Measures less than a week apart are one review: a product default, the shortest interval of the policies."""
MONTH_DAYS = 30.4375

Derivation = Callable[[Input, "Rows"], EvidenceValue | None]


@dataclass(frozen=True, slots=True)
class Rows:
    """What is kept of a person by name, without what was withdrawn; since when they are in their step."""

    by_name: Mapping[str, Sequence[Known]]
    now: datetime | None

    @property
    def step_since(self) -> datetime | None:
        """Since when the person is in the step in which care has begun; None before and after."""
        exited = max((row.observed_at for row in self.by_name.get(EXIT, ())), default=None)
        steps = [row.observed_at for row in self.by_name.get(STEP, ())]
        return max((each for each in steps if exited is None or each > exited), default=None)

    def in_step(self, name: str) -> list[Known]:
        """The rows of a name since the step began, oldest first."""
        since = self.step_since
        rows = [row for row in self.by_name.get(name, ()) if since is None or row.observed_at >= since]
        return sorted(rows, key=lambda row: (row.observed_at, row.reference))

    def last(self, name: str) -> Known | None:
        """The newest row of a name."""
        rows = self.by_name.get(name, ())
        return max(rows, key=lambda row: (row.observed_at, row.reference), default=None)

    def starting(self, prefix: str) -> list[Known]:
        """The rows whose names start so."""
        return [row for name, rows in self.by_name.items() if name.startswith(prefix) for row in rows]


def rows_of(known: Iterable[Known], now: datetime | None) -> Rows:
    """The rows by name; `known` has the newest version of each."""
    by_name: dict[str, list[Known]] = {}
    for row in known:
        if row.value is not None:
            by_name.setdefault(row.name, []).append(row)
    return Rows(by_name, now)


def is_measured(name: str) -> bool:
    """Whether rows of this name are scores or results of instruments, which are kept by system and code alone."""
    return "|" in name and not name.startswith((CONDITION, MEDICINE))


def is_answered(row: Known) -> bool:
    """Whether a row is what somebody was asked at a review: a score, a result, or another answer to a form."""
    return is_measured(row.name) or (row.name.startswith(SAID) and "/QuestionnaireResponse/" in row.reference)


def derivation_of(name: str) -> Derivation | None:
    """How a name is derived; None for one that is only measured or answered."""
    found = DERIVATIONS.get(name)
    if found is None and name.startswith(("condition_", "medicine_")):
        return _coded
    return found


def _flares(item: Input, rows: Rows) -> EvidenceValue | None:
    """How often a flare-up began in this step: one that is still open at the next review is the same."""
    said = rows.in_step(SAID + "flare")
    began = [row for before, row in zip([None, *said], said, strict=False) if _begins(before, row)]
    return _of(len(began), said[-1]) if said else None


def _begins(before: Known | None, row: Known) -> bool:
    return row.value == TRUE and (before is None or before.value != TRUE)


def _tasks_met_reviews(item: Input, rows: Rows) -> EvidenceValue | None:
    """At how many reviews of this step, running up to the last one, the agreed tasks were met."""
    said = rows.in_step(SAID + "tasks_met")
    missed = next((index for index, row in enumerate(reversed(said)) if row.value != TRUE), len(said))
    return _of(missed, said[-1]) if said else None


def _step_reviews(item: Input, rows: Rows) -> EvidenceValue | None:
    """How often the course was looked at with new measures or answers since the step began."""
    since = rows.step_since
    if since is None:
        return None
    asked = [row for each in rows.by_name.values() for row in each if is_answered(row)]
    reviews: list[Known] = []
    for row in sorted(asked, key=lambda each: (each.observed_at, each.reference)):
        start = reviews[-1].observed_at + REVIEWS_APART if reviews else since
        if row.observed_at > since and row.observed_at >= start:
            reviews.append(row)
    last = reviews[-1] if reviews else rows.last(STEP)
    return None if last is None else _of(len(reviews), last)


def _age(item: Input, rows: Rows) -> EvidenceValue | None:
    """Whole years; who gives the year or month alone is as young as that can be, so that no minor is missed."""
    born = rows.last(BORN)
    if born is None or rows.now is None:
        return None
    year, month, day = _padded(str(born.value), (12, 31))
    today = rows.now.date()
    return _of(today.year - year - ((today.month, today.day) < (month, day)), born)


def _sex(item: Input, rows: Rows) -> EvidenceValue | None:
    return _text(rows.last(SEX))


def _site(item: Input, rows: Rows) -> EvidenceValue | None:
    return _text(rows.last(SITE))


def _previous_outcome(item: Input, rows: Rows) -> EvidenceValue | None:
    return _text(rows.last(OUTCOME))


def _text(row: Known | None) -> EvidenceValue | None:
    return None if row is None else _of(str(row.value), row)


def _conditions(item: Input, rows: Rows) -> EvidenceValue | None:
    return _number_active(rows.starting(CONDITION))


def _medicines(item: Input, rows: Rows) -> EvidenceValue | None:
    return _number_active(rows.starting(MEDICINE))


def _number_active(received: Sequence[Known]) -> EvidenceValue | None:
    """How many are active; nothing was received, so nothing is known."""
    if not received:
        return None
    last = max(received, key=lambda row: (row.observed_at, row.reference))
    return _of(len({row.reference for row in received if _is_active(row)}), last)


def _coded(item: Input, rows: Rows) -> EvidenceValue | None:
    """Whether one of the codes of the policy is active; false only where something of the kind was received."""
    prefix = CONDITION if item.name.startswith("condition_") else MEDICINE
    received = rows.starting(prefix)
    if not item.codes or not received:
        return None
    names = {f"{prefix}{system}|{code}" for system, code in item.codes}
    active = [row for row in received if row.name in names and _is_active(row)]
    last = max(active or received, key=lambda row: (row.observed_at, row.reference))
    return _of(bool(active), last)


def _symptom_months(item: Input, rows: Rows) -> EvidenceValue | None:
    """Whole months since the earliest onset among the active Conditions that the policy means, or among all."""
    names = {f"{CONDITION}{system}|{code}" for system, code in item.codes}
    active = [row for row in rows.starting(CONDITION) if _is_active(row) and (not names or row.name in names)]
    onsets = [(onset, row) for row in active if (onset := str(row.value).partition("|")[2])]
    if not onsets or rows.now is None:
        return None
    onset, row = min(onsets, key=lambda each: each[0])
    first = date(*_padded(onset, (1, 1)))
    return _of(int((rows.now.date() - first).days // MONTH_DAYS), row)


def _is_active(row: Known) -> bool:
    return str(row.value).partition("|")[0] == ACTIVE


def _wait_days(item: Input, rows: Rows) -> EvidenceValue | None:
    """Days until the date that a referral promises; nobody waits whose care has begun."""
    waiting = rows.last(WAIT_UNTIL)
    if waiting is None or rows.now is None:
        return None
    until = datetime.fromisoformat(str(waiting.value)).astimezone(UTC)
    return _of(max(0, (until.date() - rows.now.astimezone(UTC).date()).days), waiting)


def places_by_tier(rows: Rows) -> dict[str, EvidenceValue]:
    """How many people can begin in a week at the places of each tier, whole ones; a tier without places is not told."""
    fitting: dict[str, list[tuple[Decimal, Known]]] = {}
    for row in rows.by_name.get(PLACE, ()):
        starts, *tiers = str(row.value).split()
        for tier in tiers:
            fitting.setdefault(tier, []).append((Decimal(starts), row))
    return {tier: _of(int(sum(starts for starts, _ in found)), found[-1][1]) for tier, found in fitting.items()}


def _padded(text: str, missing: tuple[int, int]) -> tuple[int, int, int]:
    """Year, month and day of a FHIR date or dateTime, with month and day for what it does not say."""
    given = [int(part) for part in text[:10].split("-")]
    year, month, day = [*given, *missing[len(given) - 1 :]]
    return year, month, day


def _of(value: Scalar, row: Known) -> EvidenceValue:
    return EvidenceValue(value, row.observed_at, row.reference)


DERIVATIONS: Mapping[str, Derivation] = {
    "flares": _flares,
    "tasks_met_reviews": _tasks_met_reviews,
    "step_reviews": _step_reviews,
    "age": _age,
    "sex": _sex,
    "site": _site,
    "previous_outcome": _previous_outcome,
    "conditions": _conditions,
    "medicines": _medicines,
    "symptom_months": _symptom_months,
    "wait_days": _wait_days,
}
