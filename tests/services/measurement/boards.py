"""A region that does not exist, as it would be counted: practices of very different size, a year and one before it."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random

from stepwell_measurement.data.measures import measures
from stepwell_measurement.rules.board import Board, Sheet, sheets_of
from stepwell_measurement.rules.measures.figures import (
    AFTER,
    BEFORE,
    BEGUN,
    ELIGIBLE,
    FOLLOWED,
    HAVING,
    LEFT,
    SQUARES,
    SUM,
    WAITING,
    Kind,
    Measure,
    Tally,
    wait_name,
)
from stepwell_measurement.rules.nesting import population_of
from stepwell_measurement.rules.partings import MONTH, PRACTICE, Counts, quarter_of

from tests.services.measurement.courses import COLUMNS, Course, cells_of, drawn

START, END, MADE = date(2025, 11, 1), date(2026, 10, 31), datetime(2026, 11, 22, 9, tzinfo=UTC)
MONTHS = [f"2025-{month:02}" for month in (11, 12)] + [f"2026-{month:02}" for month in range(1, 11)]
MONTHS_BEFORE = [f"2024-{month:02}" for month in (11, 12)] + [f"2025-{month:02}" for month in range(1, 11)]
# How many people there are of each group, beside each other.
GROUPS: Mapping[str, Mapping[str, float]] = {
    "practice": {"lindenhof": 30, "am-markt": 22, "riverside": 14, "seeblick": 11, "north-hill": 8, "hafen": 6,
                 "bergdorf": 5, "mill-lane": 3, "inselpraxis": 0.4},
    "tier": {"tier-1": 45, "tier-2": 33, "tier-3": 17, "tier-4": 5},
    "pathway": {"stepped-care": 80, "chronic-pain-rehabilitation": 20},
    "age": {"0-17": 4, "18-24": 16, "25-64": 62, "65-79": 15, "80+": 3},
    "sex": {"female": 61, "male": 37, "other": 1, "not-recorded": 1},
    "language": {"de": 78, "tr": 9, "uk": 6, "ar": 4, "en": 2.5, "fr": 0.3},
    "ethnicity": {"not-recorded": 100},
    "deprivation": {"1": 18, "2": 22, "3": 24, "4": 20, "5": 16},
    "rurality": {"urban": 71, "rural": 27, "not-recorded": 2},
}  # fmt: skip
RATES = {"better": 0.62, "access": 0.86, "reach": 0.11, "attendance": 0.81, "non-attendance": 0.09, "step-up": 0.14,
         "step-down": 0.22}  # fmt: skip
APART = {"non-attendance", "step-down"}  # from what another measure finds in the same people

Person = dict[str, str]
Said = list[dict[str, Decimal]]
"""What each person adds to a tally; nothing of who is not counted."""


def board(people: int = 3000, seed: int = 1) -> Board:
    """What would be published of so many people."""
    found: dict[str, Sheet] = {}
    for together in counted(people, seed).values():
        found |= sheets_of(together)
    return Board(START, END, MADE, {name: found[name] for name in measures()})


def counted(people: int = 3000, seed: int = 1) -> dict[str, list[tuple[Measure, Counts]]]:
    """What would be counted, small counts and all, by population: the same people for measures about the same."""
    random, groups = Random(seed), dict[str, list[Measure]]()
    for measure in measures().values():
        groups.setdefault(population_of(measure), []).append(measure)
    found = {}
    for population, together in groups.items():
        has_months = bool(together[0].criteria.on)
        now = [_person(random, MONTHS) for _ in range(people)]
        before = [_person(random, MONTHS_BEFORE) for _ in range(people)] if has_months else []
        said = _of_courses if population == "care_course/ended_on" else _drawn
        told = said(random, together, [*now, *before])
        found[population] = [(each, _counts(each, now, before, told[each.id])) for each in together]
    return found


def _of_courses(random: Random, together: list[Measure], people: list[Person]) -> dict[str, Said]:
    """What measures find in the same courses: some of it implies other."""
    courses = [drawn(random, _rate("better", person)) for person in people]
    return {measure.id: _said_of(measure, courses) for measure in together}


def _said_of(measure: Measure, courses: list[Course]) -> Said:
    cells, said = cells_of(measure, courses), []
    known, having = cells.get("followed", cells["eligible"]), cells.get("having", set())
    for place, course in enumerate(courses):
        of_course = dict(zip(COLUMNS, course, strict=True)).get(measure.criteria.value)
        value = Decimal(of_course or 0) * (place in known)
        counts = {ELIGIBLE: Decimal(1), FOLLOWED: Decimal(place in known), HAVING: Decimal(place in having)}
        said.append({**counts, SUM: value, SQUARES: value * value} if place in cells["eligible"] else {})
    return said


def _drawn(random: Random, together: list[Measure], people: list[Person]) -> dict[str, Said]:
    shared = [random.random() for _ in people]
    return {
        each.id: [_told(random, each, person, known) for person, known in zip(people, shared, strict=True)]
        for each in together
    }


def _person(random: Random, months: list[str]) -> Person:
    chosen = {name: random.choices(list(values), list(values.values()))[0] for name, values in GROUPS.items()}
    return {**chosen, MONTH: random.choice(months)}


def _counts(measure: Measure, now: list[Person], before: list[Person], said: Said) -> Counts:
    told = {id(person): each for person, each in zip((*now, *before), said, strict=True)}
    now, before = ([person for person in people if told[id(person)]] for people in (now, before))

    def by(dimension: str, people: list[Person]) -> dict[str, Tally]:
        found: dict[str, dict[str, Decimal]] = {}
        for person in people:
            tally = found.setdefault(person[dimension], {})
            for name, count in told[id(person)].items():
                tally[name] = tally.get(name, Decimal(0)) + count
        return dict(found)

    whole: dict[str, Decimal] = {}
    for tally in by("sex", now).values():
        for name, count in tally.items():
            whole[name] = whole.get(name, Decimal(0)) + count
    mix: dict[tuple[str, str], int] = {}
    if measure.id == "time-in-tier":
        for person in now:
            key = person[MONTH], person["tier"]
            mix[key] = mix.get(key, 0) + 1
    months = by(MONTH, now) if measure.criteria.on else {}
    quarters = sorted({quarter_of(month) for month in months})
    practices = {
        quarter: by(PRACTICE, [person for person in now if quarter_of(person[MONTH]) == quarter])
        for quarter in quarters
    }  # fmt: skip
    dimensions = {name: by(name, now) for name in measure.dimensions}
    return Counts(whole, months, by(MONTH, before), dimensions, mix, practices)


def _rate(name: str, person: Person) -> float:
    rate = RATES.get(name, 0.5) - (0.1 if person["language"] in {"tr", "ar"} else 0)
    rate += 0.12 if person[MONTH] >= "2026-05" and name == "step-down" else 0
    return rate - (0.16 if person["practice"] == "riverside" else 0)


def _told(random: Random, measure: Measure, person: Person, shared: float) -> dict[str, Decimal]:
    """What one person adds to a tally; measures about the same people know the same of them by what is `shared`."""
    one = Decimal(1)
    if measure.kind is Kind.WAITS:
        rank = list(GROUPS["tier"]).index(person["tier"]) + 1
        days = min(int(random.expovariate(1 / (12 * rank + 10))), 320)
        has_begun = shared < _rate("access", person)
        return {wait_name(BEGUN if has_begun else WAITING if random.random() < 0.7 else LEFT, days): one}
    has = (1 - shared if measure.id in APART else shared) < _rate(measure.id, person)
    return {
        ELIGIBLE: one,
        FOLLOWED: one,
        HAVING: one * has,
        BEFORE: Decimal(random.random() < 0.3),
        AFTER: Decimal(random.random() < 0.22),
    }
