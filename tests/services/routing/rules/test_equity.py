"""Equal severity is compared with equal severity; what differs is found, what does not is not claimed."""

from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_routing.rules.equity import NOT_MEASURED, Band, EquityTally, Scale, severity_of, watch

SCALES = (
    Scale("phq9", (Band("minimal", 0), Band("moderate", 10)), "Kroenke 2001"),
    Scale("gad7", (Band("some", 0),), "Spitzer 2006"),
)


def tallied(*rows: tuple[str, str, int, int]) -> EquityTally:
    """Rows of language, severity, rank, and how many."""
    tally = EquityTally()
    for language, severity, rank, many in rows:
        for _ in range(many):
            tally.add({"language": language}, severity, rank)
    return tally


def test_few_people_are_not_compared() -> None:
    assert watch(tallied(("de", "moderate", 2, 4)), "p", 4, round_to=1) is None


def test_who_was_not_measured_has_no_severity_made_up() -> None:
    assert severity_of(SCALES, {}) == NOT_MEASURED
    assert severity_of(SCALES, {"phq9": 9}) == "minimal"
    assert severity_of(SCALES, {"phq9": 10, "gad7": 3}) == "moderate"
    assert severity_of(SCALES, {"gad7": 3}) == "some"


def test_a_group_that_gets_less_at_equal_severity_is_found() -> None:
    rows = [("de", "moderate", 3, 80), ("de", "moderate", 2, 20), ("en", "moderate", 3, 20), ("en", "moderate", 2, 80)]
    found = watch(tallied(*rows), "p", 4, round_to=1)
    assert found is not None
    pooled = {each.values: each for each in found.dimensions[0].pooled if each.from_rank == 3}
    assert pooled["en",].differs
    assert pooled["en",].difference.high < 0
    assert pooled["de",].difference.low > 0


def test_a_group_that_is_more_ill_but_treated_alike_is_not_accused() -> None:
    rows = [("de", "minimal", 1, 90), ("de", "severe", 3, 10), ("en", "minimal", 1, 10), ("en", "severe", 3, 90)]
    found = watch(tallied(*rows), "p", 4, round_to=1)
    assert found is not None
    assert not any(each.differs for each in found.dimensions[0].pooled)


def test_a_language_of_two_people_is_not_published_alone() -> None:
    rows = [("de", "moderate", 2, 30), ("en", "moderate", 2, 20), ("en", "moderate", 3, 20), ("fr", "moderate", 2, 2)]
    found = watch(tallied(*rows), "p", 4, round_to=1)
    assert found is not None
    assert all("fr" not in each.values or len(each.values) > 1 for each in found.dimensions[0].comparisons)


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["de", "en", "fr"]),
            st.sampled_from(["minimal", "moderate"]),
            st.integers(1, 4),
            st.integers(1, 9),
        ),
        max_size=10,
    )
)
def test_no_comparison_counts_a_small_group_or_leaves_one(rows: list[tuple[str, str, int, int]]) -> None:
    found = watch(tallied(*rows), "p", 4, round_to=1)
    for dimension in found.dimensions if found else ():
        for each in dimension.comparisons:
            having = round(each.share.estimate * each.people)
            assert all(many == 0 or many >= 5 for many in (each.people, having, each.people - having))
