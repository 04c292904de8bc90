"""Ids that follow from a cause: the same each time, others for others, and beside what they follow from."""

import uuid
from itertools import combinations

from stepwell_shared.canonical import derived_beside, derived_id
from stepwell_shared.fhir.identifiers import new_id

CAUSES = [("https://a.example", "north", "score", "q1"), ("https://b.example", "north", "score", "q1"),
          ("https://a.example", "south", "score", "q1"), ("https://a.example", "north", "scor", "eq1"),
          ("https://a.example", "north", "score", "q2")]  # fmt: skip


def test_other_causes_have_other_ids_though_they_stand_beside_the_same() -> None:
    response = new_id()
    for one, other in combinations(CAUSES, 2):
        assert derived_id(*one) != derived_id(*other)
        assert derived_beside(response, *one) != derived_beside(response, *other)


def test_what_follows_from_a_resource_stands_beside_it_in_every_index() -> None:
    earlier, response, later = (f"01a203f7-00{n}0-7000-8000-000000000000" for n in (1, 2, 3))
    score = derived_beside(response, *CAUSES[0])
    result = derived_beside(score, *CAUSES[0])
    assert score == derived_beside(response, *CAUSES[0])
    assert earlier < score < later
    assert earlier < result < later
    assert (uuid.UUID(score).version, uuid.UUID(score).variant) == (8, uuid.RFC_4122)


def test_beside_an_id_that_a_client_chose_it_is_scattered() -> None:
    for chosen in ("q1", "01A203F7-0010-7000-8000-000000000000", "x" * 64, "01a203f7-0010-70"):
        assert derived_beside(chosen, *CAUSES[0]) == derived_id(*CAUSES[0])
