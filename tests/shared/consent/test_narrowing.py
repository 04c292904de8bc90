"""Promises of the searches that Consents become: each combination of labels and codes is found as the rule decides."""

import itertools
from collections.abc import Collection

from stepwell_shared.consent.narrowing import NAMED_MAX, by_queries, permitted_queries
from stepwell_shared.consent.provisions import Coding, SharingConsent, sharing_consent

from tests.support.consents import coded, label, provision, sharing

PSY, SUD = label("PSY"), label("SUD")


def consents(labels: list[dict[str, str]], codes: list[str]) -> list[SharingConsent]:
    exception = provision("deny", securityLabel=labels, code=[coded(each) for each in codes])
    found = sharing_consent(sharing("p1", provision("permit", provision=[exception])))
    assert found is not None
    return [found]


def everything(labels: Collection[Coding], codes: Collection[Coding] | None) -> bool:
    return True


def plain(labels: Collection[Coding], codes: Collection[Coding] | None) -> bool:
    return not labels and not codes


def test_what_is_permitted_whatever_it_says_is_asked_for_without_conditions() -> None:
    assert permitted_queries(consents([PSY], ["1"]), everything, has_codes=True) == [()]
    assert permitted_queries([], everything, has_codes=True) == [()]


def test_what_is_permitted_never_is_not_asked_for() -> None:
    assert permitted_queries(consents([PSY], []), lambda labels, codes: False, has_codes=True) == []


def test_every_permitted_combination_is_one_search() -> None:
    def either(labels: Collection[Coding], codes: Collection[Coding] | None) -> bool:
        return len(labels) == 1

    found = permitted_queries(consents([PSY, SUD], []), either, has_codes=True)
    names = sorted(tuple(name for name, _ in pairs) for pairs in found)
    assert names == [("_security", "_security:not"), ("_security:not", "_security")]


def test_where_there_are_no_codes_to_search_by_they_are_not_known() -> None:
    asked: list[Collection[Coding] | None] = []

    def remembering(labels: Collection[Coding], codes: Collection[Coding] | None) -> bool:
        asked.append(codes)
        return True

    permitted_queries(consents([PSY], ["1"]), remembering, has_codes=False)
    assert asked == [None, None]


def test_beyond_a_few_names_only_what_has_none_of_them_is_seen() -> None:
    many = consents([label(f"L{number}") for number in range(NAMED_MAX + 1)], [])
    (pairs,) = permitted_queries(many, plain, has_codes=True)
    assert {name for name, _ in pairs} == {"_security:not"}
    assert len(permitted_queries(many, everything, has_codes=True)) == 1
    assert permitted_queries(many, everything, has_codes=True) != [()]


def test_codes_that_separate_values_are_taken_literally() -> None:
    (pairs,) = permitted_queries(consents([], ["a,b|c"]), plain, has_codes=True)
    assert pairs == (("code:not", "http://loinc.org|a\\,b\\|c"),)


def test_people_with_the_same_consents_are_asked_for_together() -> None:
    pairs = (("_security:not", "x"),)
    found = dict(by_queries({"Patient/1": [pairs], "Patient/2": [pairs, ()], "Patient/3": []}))
    assert found == {pairs: ["Patient/1", "Patient/2"], (): ["Patient/2"]}
    assert list(itertools.chain(*found.values())).count("Patient/3") == 0
