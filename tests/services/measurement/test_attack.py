"""Nothing that is kept back follows from all that pages and reports publish about the same people."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from itertools import chain, pairwise, permutations, product

import pytest
from stepwell_measurement.data.measures import measures
from stepwell_measurement.rules.answers import Asked, answer
from stepwell_measurement.rules.board import Group, Sheet, sheets_of
from stepwell_measurement.rules.curves import curve
from stepwell_measurement.rules.measures.figures import BEGUN, Figure, Kind, Measure, Tally, added, wait_name, waits_in
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW
from stepwell_measurement.rules.measures.utilisation import DAYS_PER_YEAR
from stepwell_measurement.rules.nesting import LEFT, parts_of, tables_of
from stepwell_measurement.rules.numbering import Key
from stepwell_measurement.rules.partings import (
    BEFORE_PERIOD,
    EVENTS,
    MONTH,
    PERIOD,
    PRACTICE,
    QUARTER,
    TIER,
    Counts,
    key_of,
    quarter_of,
)
from stepwell_measurement.rules.publishing import equations

from tests.services.measurement.attacking import solved
from tests.services.measurement.boards import END, START, counted

Counted = list[tuple[Measure, Counts]]


def told_by(measure: Measure, of: Key, parts: list[Key], figure: Figure) -> Iterator[tuple[Key, int | None]]:
    """The counts that a figure says, by what it counts; shares and bounds say no more than these."""
    among = frozenset.intersection(*parts)  # what marks these people among others
    known = frozenset.intersection(*(part for part in parts if ("yes" in {value for _, value in part - among})))
    of |= among
    yield of, figure.eligible
    if measure.kind is Kind.WAITS:
        yield of | known, figure.waits.begun if figure.waits else figure.having
    elif measure.criteria.followed:
        yield of | known, figure.followed
    if measure.kind in {Kind.SHARE, Kind.COST}:
        yield of | parts[0], figure.having
    for when, rate in (("before", figure.use.before), ("after", figure.use.after)) if figure.use else ():
        people_years = (figure.eligible or 0) * measure.days / DAYS_PER_YEAR
        yield of | EVENTS | key_of("when", when), round(rate.estimate * people_years)


def published_by(measure: Measure, parts: list[Key], sheet: Sheet, counts: Counts) -> Iterator[tuple[Key, int | None]]:
    """The counts that all pages say of one measure."""

    def of(group: Group, dimension: str, period: Key = PERIOD) -> Iterator[tuple[Key, int | None]]:
        return told_by(measure, period | key_of(dimension, group.value), parts, group.figure)

    yield from told_by(measure, PERIOD, parts, sheet.all.figure)
    for group in sheet.months:
        yield from of(group, MONTH, BEFORE_PERIOD if group.value in counts.before else PERIOD)
    for dimension, groups in sheet.by.items():
        for group in groups:
            yield from of(group, dimension)
    for row in sheet.mix.rows if sheet.mix else ():
        for tier, people in zip(sheet.mix.parts if sheet.mix else (), row.parts, strict=True):
            yield PERIOD | key_of(MONTH, row.value) | key_of(TIER, tier), people
    for group in sheet.quarters:
        yield from of(group, QUARTER)
    for quarter, groups in sheet.practices.items():
        for group in groups:
            yield from of(group, PRACTICE, PERIOD | key_of(QUARTER, quarter))


def questions(sheet: Sheet) -> Iterator[Asked]:
    """Whatever somebody may try: periods that overlap, all strata together, one group alone, each part of a year."""
    strata = [each for many in range(3) for each in permutations(sheet.by, many)]
    wheres = [((name, group.value),) for name, groups in sheet.by.items() for group in groups]
    pairs = [(*one, *other) for one, other in pairwise(wheres)]
    for start, end in product(
        (START, date(2024, 11, 1), date(2026, 8, 1), date(2025, 11, 2)), (END, date(2026, 7, 31))
    ):
        for by in ("", "month", "quarter", "year"):
            yield from (Asked(start, end, each, by) for each in strata)
            yield from (Asked(start, end, (), by, where) for where in (*wheres, *pairs))
            yield from (Asked(start, end, ("sex",), by, where) for where in wheres)


def reported_by(measure: Measure, parts: list[Key], sheet: Sheet, counts: Counts) -> Iterator[tuple[Key, int | None]]:
    """The counts that all reports say which somebody may ask for."""
    for asked in questions(sheet):
        found = answer(measure, sheet, (START, END), asked)
        if found is None:
            continue
        everybody = PERIOD.union(*(key_of(*where) for where in asked.where))
        yield from told_by(measure, everybody, parts, found.whole)
        for row in found.rows:
            of = PERIOD.union(*(key_of(*each) for each in zip(asked.strata, row.strata, strict=True)))
            if row.since is not None and asked.by == MONTH:
                month = f"{row.since:%Y-%m}"
                of = (BEFORE_PERIOD if month in counts.before else of) | key_of(MONTH, month)
            elif row.since is not None:
                of |= key_of(QUARTER, quarter_of(f"{row.since:%Y-%m}"))
            yield from told_by(measure, of, parts, row.figure)


def is_left(key: Key) -> bool:
    """Whether people are counted on no page, and are the difference of two figures."""
    return any(name == LEFT for name, _ in key)


def attacked(together: Counted) -> tuple[dict[Key, int], dict[Key, int]]:
    """What an attacker finds out, and what is published, of the people of some measures; a count of 0 is never kept
    back, where a page counts those people at all."""
    tables = tables_of(together)
    truth = {key: count for table in tables for key, count in table.cells()}
    sheets = sheets_of(together)
    said = {key: 0 for key, count in truth.items() if not count and not is_left(key)}
    for measure, counts in together:
        parts = parts_of(together)[measure.id]
        sheet = sheets[measure.id]
        for key, count in chain(
            published_by(measure, parts, sheet, counts), reported_by(measure, parts, sheet, counts)
        ):
            if count is not None:
                assert count == truth[key], (measure.id, key)
                said[key] = count
    found = solved([equation for table in tables for equation in equations(table)], said)
    return {key: int(value) for key, value in found.items() if value == truth[key]}, said


@pytest.fixture(scope="module")
def regions() -> Mapping[int, dict[str, Counted]]:
    """Regions from tiny to middling: the smaller one is, the more has to be kept back."""
    return {people: counted(people, seed=people) for people in (40, 250)}


@pytest.mark.parametrize("people", [40, 250])
def test_no_small_count_follows_from_all_pages_and_reports(
    regions: Mapping[int, dict[str, Counted]], people: int
) -> None:
    kept_back = differences = 0
    for together in regions[people].values():
        found, said = attacked(together)
        assert not {key: count for key, count in found.items() if 0 < count < SMALL_BELOW}
        assert not {key: count for key, count in said.items() if 0 < count < SMALL_BELOW}
        truth = {key: count for table in tables_of(together) for key, count in table.cells()}
        small = [key for key, count in truth.items() if 0 < count < SMALL_BELOW]
        kept_back += len(small)
        differences += sum(map(is_left, small))
    assert kept_back > 100
    assert differences > 100


def people_told(sheet: Sheet) -> dict[tuple[str, ...], int]:
    """How many people a measure says there are in each group, on all pages."""
    groups: dict[tuple[str, ...], Group] = {
        ("all", ""): sheet.all,
        **{("month", each.value): each for each in sheet.months},
    }
    groups |= {("quarter", each.value): each for each in sheet.quarters}
    groups |= {(name, each.value): each for name, several in sheet.by.items() for each in several}
    told = {where: group.figure.eligible for where, group in groups.items()}
    for quarter, practices in sheet.practices.items():
        told |= {(quarter, each.value): each.figure.eligible for each in practices}
    return {where: people for where, people in told.items() if people is not None}


def test_no_few_people_are_the_difference_of_a_group_and_one_within_it(
    regions: Mapping[int, dict[str, Counted]],
) -> None:
    compared, few = 0, set[tuple[str, str, tuple[str, ...]]]()
    for together in regions[250].values():
        told = {name: people_told(sheet) for name, sheet in sheets_of(together).items()}
        for (inner, _), (outer, _) in permutations(together, 2):
            if not inner.criteria.eligible.startswith(f"{outer.criteria.eligible} AND "):
                continue
            for where in told[inner.id].keys() & told[outer.id].keys():
                compared += 1
                if 0 < told[outer.id][where] - told[inner.id][where] < SMALL_BELOW:
                    few.add((outer.id, inner.id, where))
    assert compared > 10
    assert not few


def test_the_attack_finds_what_one_figure_too_many_gives_away(regions: Mapping[int, dict[str, Counted]]) -> None:
    """With every count of every measure but the small ones published, the small ones follow."""
    together = next(iter(regions[250].values()))
    tables = tables_of(together)
    truth = {key: count for table in tables for key, count in table.cells()}
    said = {key: count for key, count in truth.items() if not 0 < count < SMALL_BELOW}
    found = solved([equation for table in tables for equation in equations(table)], said)
    assert {key: count for key, count in found.items() if 0 < count < SMALL_BELOW}


def test_between_two_points_of_a_curve_it_was_over_for_nobody_or_for_several() -> None:
    waits = measures()["waits"]
    tally = {wait_name(BEGUN, day): Decimal(count) for day, count in ((1, 2), (3, 2), (4, 1), (9, 6), (41, 3), (50, 9))}
    points = curve(waits, tally)
    assert [day for day, _ in points] == [4, 41, 50]
    begun = [round(share * 23) for _, share in points]
    assert [later - earlier for earlier, later in pairwise([0, *begun])] == [5, 9, 9]
    assert curve(waits, {wait_name(BEGUN, 3): Decimal(4)}) == ()


def left_over(tallies: Mapping[str, Tally], told: Mapping[str, set[int]]) -> list[tuple[str, int, int]]:
    """Whose wait ended between which days for few people, out of the curves of groups, and of everybody (``), which
    tell it by these days: what is told of all but one group says what is so of that one."""
    everybody = {"": added(tallies.values()), **tallies}
    days = sorted(set().union(*told.values()))

    def begun(name: str, day: int) -> int:
        return sum(each.begun for each in waits_in(everybody[name]) if each.days <= day)

    def key(name: str, day: int) -> Key:
        return key_of("group", name) | key_of("until", f"{day:03}")

    known = {key(name, day): begun(name, day) for name, own in told.items() for day in own}
    sums = [(*(key(name, day) for name in tallies), key("", day)) for day in days]
    found = {**known, **{each: int(value) for each, value in solved(sums, known).items()}}
    steps = [
        (name, later, found[key(name, later)] - found[key(name, earlier)])
        for name in tallies
        for earlier, later in pairwise(day for day in days if key(name, day) in found)
    ]
    return [each for each in steps if 0 < each[-1] < SMALL_BELOW]


def waits_of(**begun: dict[int, int]) -> tuple[Measure, Counts]:
    """How many people of each tier had their first contact after so many days."""
    tiers = {tier: {wait_name(BEGUN, day): Decimal(many) for day, many in days.items()} for tier, days in begun.items()}
    whole = added(tiers.values())
    return measures()["waits"], Counts(whole, months={"2026-03": whole}, by={TIER: tiers})


LARGE = {day: 5 + day % 3 for day in (*range(1, 40), 60, 130)}
SMALL = {3: 2, 9: 4, 20: 1, 70: 9, 140: 11}


def test_no_few_of_a_tier_are_left_over_between_the_curves_of_the_others_and_of_everybody() -> None:
    measure, counts = waits_of(first=LARGE, second=LARGE, third=SMALL)
    sheet = sheets_of([(measure, counts)])["waits"]
    told = {each.value: {day for day, _ in each.curve} for each in sheet.by[TIER]}
    assert all(told.values())
    assert not left_over(counts.by[TIER], {**told, "": {day for day, _ in sheet.all.curve}})
    assert left_over(counts.by[TIER], {**told, "": {day for day, _ in curve(measure, counts.whole)}})
    assert not any(each.curve for each in (*sheet.months, *sheet.quarters))


def test_everybody_has_a_curve_where_fewer_than_two_tiers_have_one() -> None:
    sheet = sheets_of([waits_of(first=LARGE, second={4: 12, 60: 6, 130: 2})])["waits"]
    assert [bool(each.curve) for each in (sheet.all, *sheet.by[TIER])] == [True, False, False]
