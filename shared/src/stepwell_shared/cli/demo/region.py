"""The synthetic region: its practices and services, and its people one after another, each from seed and number alone.

A region of a few people is the beginning of every larger one with the same seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from stepwell_shared.canonical import derived_id
from stepwell_shared.cli.demo.courses import Around, Course, course_of
from stepwell_shared.cli.demo.drawing import Draw
from stepwell_shared.cli.demo.numbers import RURAL, TIERS, Numbers, numbers

ORIGIN = "https://stepwell.health/demo"
NOT_RECORDED = "none"


@dataclass(frozen=True, slots=True)
class Practice:
    """A practice and the area around it; `deprivation` is the fifth, 1 the most deprived."""

    number: int
    id: str
    rural: bool
    deprivation: int


@dataclass(frozen=True, slots=True)
class Place:
    """A service that gives the care of one tier to the people of a block of practices."""

    id: str
    block: int
    tier: str
    practitioner_id: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who does not exist, and their course. `ethnicity` is a code of OMB categories, or not recorded."""

    number: int
    id: str
    given: str
    sex: str
    born: date
    language: str
    ethnicity: str | None
    deprivation: int
    practice: Practice
    course: Course


@dataclass(frozen=True, slots=True)
class Region:
    """A region of so many people, whose years end with `last_day`."""

    seed: int
    patients: int
    last_day: date = field(default_factory=lambda: numbers().last_day)

    @property
    def practices_count(self) -> int:
        """Practices come in blocks, so that the first people already live in all kinds of area."""
        table = numbers().practices
        block = int(table["in_a_block"])
        people = block * int(table["people_each"])
        return block * max(1, -(-self.patients // people))

    def practices(self) -> Iterator[Practice]:
        """Every practice in which somebody of the region is."""
        for number in range(min(self.practices_count, max(self.patients, 1))):
            yield self._practice(number)

    def places(self) -> Iterator[Place]:
        """One service for each tier and block of practices."""
        block = int(numbers().practices["in_a_block"])
        for number in range(self.practices_count // block):
            for tier in TIERS:
                yield self.place(number * block, tier)

    def place(self, practice: int, tier: str) -> Place:
        """Where the people of a practice get the care of a tier."""
        block = practice // int(numbers().practices["in_a_block"])
        named = self._id("service", f"{block}", tier), self._id("practitioner", f"{block}", tier)
        return Place(named[0], block, tier, named[1])

    def people(self, start: int = 0, end: int | None = None) -> Iterator[Person]:
        """The people with these numbers, in their order."""
        for number in range(start, self.patients if end is None else min(end, self.patients)):
            yield self.person(number)

    def person(self, number: int) -> Person:
        """One person, the same in every region of this seed and last day that has this number."""
        table, draw = numbers(), Draw("stepwell-demo", self.seed, number)
        block = int(table.practices["in_a_block"])
        people = block * int(table.practices["people_each"])
        practice = self._practice(number // people * block + number % block)
        own = draw.chance(table.practices["own_deprivation_share"])
        deprivation = draw.whole(1, 5)
        sex, ethnicity = draw.one_of(table.sexes), draw.one_of(table.ethnicities)
        language, given = draw.one_of(table.languages), draw.whole(0, len(table.given_names) - 1)
        referred = self.last_day - timedelta(days=draw.whole(0, table.days - 1))
        deprivation = practice.deprivation if own else deprivation
        around = Around(_pathway(draw, table, practice), practice.rural, deprivation == 1)
        return Person(
            number=number,
            id=self._id("patient", f"{number}"),
            given=table.given_names[given],
            sex=sex,
            born=_born(draw, table, referred),
            language=language,
            ethnicity=None if ethnicity == NOT_RECORDED else ethnicity,
            deprivation=deprivation,
            practice=practice,
            course=course_of(draw, table, referred, around, self.last_day),
        )

    def _practice(self, number: int) -> Practice:
        table = numbers().practices
        kind = number % int(table["in_a_block"])
        return Practice(number, self._id("practice", f"{number}"), table["rural"][kind], table["deprivation"][kind])

    def _id(self, *cause: str) -> str:
        return derived_id(ORIGIN, str(self.seed), *cause)


def _born(draw: Draw, table: Numbers, referred: date) -> date:
    """Of an age at the referral, on some day of a year."""
    youngest, below = draw.one_of(table.ages)
    years, days = draw.whole(youngest, below - 1), draw.whole(0, 364)
    return referred - timedelta(days=int(years * 365.25) + days + 1)


def _pathway(draw: Draw, table: Numbers, practice: Practice) -> str:
    drawn = draw.one_of(table.pathways)
    return RURAL if practice.rural and draw.chance(table.rural_share) else drawn
