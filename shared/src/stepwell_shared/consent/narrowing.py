"""What Consents leave of a type, as searches: so that a search, its total and its includes honour them in the database.

Pure. What a decision depends on beside the type are the labels and codes that the Consents name; each combination of
them is decided once, and the permitted ones become queries.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product

from stepwell_shared.consent.provisions import Coding, SharingConsent, mentioned
from stepwell_shared.fhir.search.terms import escape

# Beyond this only what has none of the labels and codes is shown: each more would double the queries.
NAMED_MAX = 5

Pairs = tuple[tuple[str, str], ...]
# Whether a resource with these labels and codes may be seen; codes None when they are not known.
Permits = Callable[[Collection[Coding], Collection[Coding] | None], bool]


def permitted_queries(consents: Sequence[SharingConsent], permits: Permits, *, has_codes: bool) -> list[Pairs]:
    """The searches that together find what may be seen of one type of one person; without pairs it is everything.

    `has_codes` says whether the type is searched by `code`.
    """
    labels, codes = _named(consents)
    atoms = [("_security", each) for each in labels] + [("code", each) for each in codes if has_codes]
    combinations = list(_combinations(len(atoms)))
    found = []
    for chosen in combinations:
        present = [atom for atom, is_there in zip(atoms, chosen, strict=True) if is_there]
        given_codes = [each for name, each in present if name == "code"] if has_codes else None
        if permits([each for name, each in present if name == "_security"], given_codes):
            found.append(tuple(_pair(*atom, is_there=there) for atom, there in zip(atoms, chosen, strict=True)))
    return [()] if len(found) == 2 ** len(atoms) else found


def by_queries(queries_of: Mapping[str, Iterable[Pairs]]) -> Iterator[tuple[Pairs, list[str]]]:
    """The people of each search, so that those with the same Consents are asked for together."""
    people: dict[Pairs, list[str]] = {}
    for person, queries in queries_of.items():
        for pairs in queries:
            people.setdefault(pairs, []).append(person)
    yield from people.items()


def _named(consents: Iterable[SharingConsent]) -> tuple[list[Coding], list[Coding]]:
    labels: set[Coding] = set()
    codes: set[Coding] = set()
    for consent in consents:
        of_labels, of_codes = mentioned(consent)
        labels |= of_labels
        codes |= of_codes

    def in_order(given: set[Coding]) -> list[Coding]:
        return sorted(given, key=lambda each: (each.system, each.code))

    return in_order(labels), in_order(codes)


def _combinations(count: int) -> Iterator[tuple[bool, ...]]:
    if count > NAMED_MAX:
        yield (False,) * count
    else:
        yield from product((False, True), repeat=count)


def _pair(name: str, coding: Coding, *, is_there: bool) -> tuple[str, str]:
    return name if is_there else f"{name}:not", f"{escape(coding.system)}|{escape(coding.code)}"
