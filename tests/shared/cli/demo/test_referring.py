"""What a course means for its referrals: every state in its order, dated as it was, and every contact in one step."""

from itertools import pairwise

from stepwell_shared.cli.demo.courses import Ending
from stepwell_shared.cli.demo.referring import ORDER, steps_of
from stepwell_shared.cli.demo.region import Region

PEOPLE = list(Region(3, 2_000).people())


def test_a_referral_goes_through_its_states_in_order_and_forward_in_time() -> None:
    for person in PEOPLE:
        for step in steps_of(person.course):
            moves = list(step.moves())
            places = [ORDER.index(status) for status, _ in moves]
            assert places == sorted(set(places))
            said = [change["value"] for _, patch in moves for change in patch if change["path"] == "/lastModified"]
            assert said == sorted(said)


def test_every_contact_belongs_to_one_step() -> None:
    for person in PEOPLE:
        numbers = [number for step in steps_of(person.course) for number, _ in step.contacts]
        assert numbers == list(range(len(person.course.contacts)))


def test_one_step_ends_where_the_next_begins() -> None:
    several = [list(steps_of(person.course)) for person in PEOPLE if len(person.course.steps) > 1]
    assert several
    for steps in several:
        assert all(one.ended_at == other.asked_at and one.last == "completed" for one, other in pairwise(steps))


def test_whoever_left_has_said_so_themselves() -> None:
    left = [each.course for each in PEOPLE if each.course.ending in {Ending.LEFT, Ending.NEVER_BEGAN}]
    assert left
    for course in left:
        *_, (status, patch) = list(steps_of(course))[-1].moves()
        assert status == "cancelled"
        assert any(change["path"] == "/statusReason" for change in patch)


def test_who_still_waits_has_only_asked() -> None:
    waiting = [each.course for each in PEOPLE if each.course.ending is Ending.WAITING]
    assert waiting
    assert all(not list(step.moves()) for course in waiting for step in steps_of(course))
