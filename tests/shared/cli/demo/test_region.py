"""The synthetic region: the same from the same seed, plausible within its own numbers, and nobody in it exists."""

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise

import pytest
from stepwell_shared.cli.demo.courses import ITEMS, SAFETY_FORM, SAFETY_ITEM, Answers, Ending
from stepwell_shared.cli.demo.drawing import Draw, Shares, log_normal_through
from stepwell_shared.cli.demo.numbers import TIERS, numbers
from stepwell_shared.cli.demo.region import Person, Region

SOME = 3_000


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return list(Region(1, SOME).people())


def test_shares_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        Shares([("a", 0.5), ("b", 0.4)])


def test_one_seed_gives_one_region_and_another_seed_another_one() -> None:
    assert list(Region(7, 40).people()) == list(Region(7, 40).people())
    assert Region(7, 1).person(0) != Region(8, 1).person(0)


def test_another_last_day_moves_the_same_people_in_time() -> None:
    moved = timedelta(days=7)
    one, other = Region(1, 30), Region(1, 30, numbers().last_day + moved)
    for person, later in zip(one.people(), other.people(), strict=True):
        assert later.course.referred_at == person.course.referred_at + moved
        assert [each.weights for each in later.course.answers] == [each.weights for each in person.course.answers]


def test_a_small_region_is_the_beginning_of_a_large_one() -> None:
    assert list(Region(1, 1_000_000).people(0, 20)) == list(Region(1, 20).people())
    assert list(Region(1, 1_000_000).places())[:4] == list(Region(1, 20).places())


def test_every_person_belongs_to_a_practice_and_a_place_of_the_region() -> None:
    region = Region(1, 9_000)
    practices, places = set(region.practices()), set(region.places())
    for number in range(0, 9_000, 97):
        person = region.person(number)
        assert person.practice in practices
        assert region.place(person.practice.number, person.course.tier) in places


def test_nobody_is_under_age_when_they_are_referred(people: list[Person]) -> None:
    for person in people:
        born = person.born.replace(day=min(person.born.day, 28))
        assert date(born.year + 18, born.month, born.day) <= person.course.referred_at.date()


def test_nothing_happens_after_the_last_day(people: list[Person]) -> None:
    last = numbers().last_day
    for person in people:
        course = person.course
        moments = [course.referred_at, *(each.at for each in course.contacts), *(each.at for each in course.uses)]
        moments += [each.given_at for each in course.answers]
        moments += [each for each in (course.began_at, course.ended_at) if each is not None]
        assert max(moments).date() <= last


def test_a_course_goes_forward_in_time(people: list[Person]) -> None:
    for person in people:
        course = person.course
        assert all(one.at < other.at for one, other in pairwise(course.contacts))
        assert course.began_at is None or course.referred_at <= course.began_at
        assert (course.ended_at is None) == (course.ending in {Ending.WAITING, Ending.OPEN})
        assert (course.began_at is None) == (course.ending in {Ending.WAITING, Ending.NEVER_BEGAN})
        assert all(one <= other for (one, _), (other, _) in pairwise(course.steps))


def test_every_answer_is_one_that_the_form_has(people: list[Person]) -> None:
    for person in people:
        for answers in person.course.answers:
            items, most = ITEMS[answers.form]
            assert len(answers.weights) == items
            assert all(0 <= weight <= most for weight in answers.weights)


def test_a_safety_item_is_positive_at_the_first_measure_alone(people: list[Person]) -> None:
    positive = 0
    for person in people:
        course = person.course
        for answers in course.answers:
            if answers.form == SAFETY_FORM and answers.weights[SAFETY_ITEM]:
                assert answers.given_at == course.referred_at
                positive += 1
    assert 0 < positive < SOME / 10


def test_first_scores_lie_within_the_floors_of_their_tier(people: list[Person]) -> None:
    for person in people:
        form, _ = numbers().forms[person.course.pathway]
        first = next(each for each in person.course.answers if each.form == form)
        lowest, highest = numbers().baselines[form][person.course.tier]
        assert lowest <= sum(first.weights) <= highest


def test_a_person_has_eight_observations_on_average(people: list[Person]) -> None:
    scores = sum(len(person.course.answers) for person in people)
    forms = Counter((person.number, each.form) for person in people for each in person.course.answers)
    changes = sum(count - 1 for (_, form), count in forms.items() if form != "experience")
    assert 7.8 < (scores + changes) / SOME < 8.2


def test_three_quarters_begin_within_six_weeks_and_nearly_all_within_eighteen() -> None:
    location, spread = log_normal_through([(42, 0.75), (126, 0.95)])
    draw = Draw("waits")
    waits = [draw.log_normal(location, spread) for _ in range(20_000)]
    assert sum(each <= 42 for each in waits) / len(waits) == pytest.approx(0.75, abs=0.01)
    assert sum(each <= 126 for each in waits) / len(waits) == pytest.approx(0.95, abs=0.01)


def test_about_half_of_those_who_complete_recover(people: list[Person]) -> None:
    """Above the cut-off of the PHQ-9 at first and below it at last, the setbacks of some afterwards left out."""
    recovered = cases = 0
    for person in people:
        course = person.course
        scores = [sum(each.weights) for each in course.answers if each.form == SAFETY_FORM and _in_care(person, each)]
        if course.ending is Ending.COMPLETED and scores[0] >= 10:
            cases += 1
            recovered += scores[-1] < 10
    assert cases > SOME / 10
    assert 0.45 < recovered / cases < 0.75


def test_the_planted_differences_are_there(people: list[Person]) -> None:
    def missed(*, most_deprived: bool) -> float:
        chosen = [each for each in people if (each.deprivation == 1) is most_deprived]
        contacts = [contact for person in chosen for contact in person.course.contacts]
        return sum(contact.attendance == "noshow" for contact in contacts) / len(contacts)

    def wait(*, rural: bool) -> float:
        chosen = [each.course.wait_days for each in people if each.practice.rural is rural]
        return sum(chosen) / len(chosen)

    assert missed(most_deprived=True) > 1.3 * missed(most_deprived=False)
    assert wait(rural=True) > 1.2 * wait(rural=False)


def test_every_stratum_and_tier_has_people(people: list[Person]) -> None:
    assert {person.course.tier for person in people} == set(TIERS)
    assert {person.deprivation for person in people} == {1, 2, 3, 4, 5}
    assert {person.sex for person in people} == {"female", "male", "other", "unknown"}
    assert {person.course.ending for person in people} == set(Ending)
    assert None in {person.ethnicity for person in people}


def _in_care(person: Person, answers: Answers) -> bool:
    ended = person.course.ended_at
    return ended is None or answers.given_at <= ended + timedelta(days=1)
