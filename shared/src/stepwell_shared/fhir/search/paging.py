"""The links of a page, and one page of several types at once.

https://hl7.org/fhir/R4/http.html#paging
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepwell_shared.fhir.search.order import CURSOR, Cursor
from stepwell_shared.fhir.search.query import SearchQuery
from stepwell_shared.fhir.search.terms import Values, refused

_PLACE = re.compile(r"\$2\[(\d+)\]")
Parameters = list[tuple[str, str]]


@dataclass(frozen=True)
class Paging:
    """Where in a result a page stands: the parameters that were used, the cursor in the request, and what cursors
    of this search belong to."""

    parameters: Parameters
    place: str
    cursor_key: bytes
    text: str = ""
    cursor: Cursor | None = None

    @property
    def is_backward(self) -> bool:
        """Whether the page is read from its end, so that its rows come in the opposite order."""
        return self.cursor is not None and self.cursor.backward

    def links(self, ends: Sequence[tuple[str | None, ...]], *, is_full: bool) -> list[tuple[str, Parameters]]:
        """The parameters of the self link, and where there is more than this page of those around it.

        `ends` are the keys of the first and the last row, if there is one; `is_full` says that more rows were found
        than the page shows, in the direction in which it was read. A last page holds as many as fit before the end.
        """
        cursor = self.cursor
        links = [("self", self._at(self.text))]
        if cursor is None and not is_full:
            return links
        links.append(("first", self.parameters))
        if ends and (is_full if self.is_backward else cursor is not None):
            links.append(("previous", self._at(self._sealed(Cursor(ends[0], backward=True)))))
        if ends and (bool(cursor and cursor.keys) if self.is_backward else is_full):
            links.append(("next", self._at(self._sealed(Cursor(ends[-1])))))
        return [*links, ("last", self._at(self._sealed(Cursor(backward=True))))]

    def _sealed(self, cursor: Cursor) -> str:
        return cursor.sealed(self.place, self.cursor_key)

    def _at(self, text: str) -> Parameters:
        return [*self.parameters, (CURSOR, text)] if text else self.parameters


def paging_of(query: SearchQuery) -> Paging:
    """The paging of a search of one type."""
    return Paging(query.parameters, query.place, query.cursor_key, query.page, query.cursor)


def check_common_order(queries: Sequence[SearchQuery]) -> None:
    """Refuses an order that does not compare resources of different types: only ids, times and dates do."""
    for query in queries:
        if any(key.cast != "timestamptz" and key.expression != "r.id" for key in query.order.keys):
            raise refused("_sort", "takes _id, _lastUpdated and dates that all of these types have")


def page_of_types(queries: Sequence[SearchQuery], cursor: Cursor | None, most: int) -> tuple[str, list[str | None]]:
    """The first rows of all types in their common order, each with the `position` of its type.

    Without an order they come type by type. The keys in a cursor end with the id and the position.
    """
    texts: list[str] = []
    entries: list[str | None] = []
    is_backward = cursor is not None and cursor.backward
    for position, query in enumerate(queries):
        order = query.order.turned() if is_backward else query.order
        found = Values(list(query.values.entries), query.values.entries_max + len(order.keys) + 1)
        behind: list[str] | None = []
        if cursor is not None and cursor.keys:
            behind = _behind(query, position, cursor, found)
        if behind is None:
            continue
        text = _moved(query.statement(order, behind, most), len(entries))
        texts.append(f"SELECT {position} AS position, q.* FROM ({text}) AS q")
        entries += found.entries
    if not texts:
        return "SELECT WHERE false", []
    by_type = "position DESC" if is_backward else "position ASC"
    clause = f"{order.clause}, {by_type}" if order.keys else f"{by_type}, {order.clause}"
    together = " UNION ALL ".join(f"({text})" for text in texts)
    return f"SELECT p.* FROM ({together}) AS p ORDER BY {clause} LIMIT {most}", entries


def _behind(query: SearchQuery, position: int, cursor: Cursor, found: Values) -> list[str] | None:
    """What of one type comes after a place in the common order; None for nothing at all."""
    *keys, there = cursor.keys
    later = (position - int(str(there))) * (-1 if cursor.backward else 1)
    order = query.order.turned() if cursor.backward else query.order
    if order.keys:
        return order.after(keys, found, inclusive=later > 0)
    if later < 0:
        return None
    return order.after(keys, found) if later == 0 else []


def _moved(statement: str, by: int) -> str:
    """The statement with its values further on in the array."""
    return _PLACE.sub(lambda matched: f"$2[{int(matched.group(1)) + by}]", statement)


def ends_of_types(queries: Sequence[SearchQuery], page: Sequence[Mapping[str, Any]]) -> list[tuple[str | None, ...]]:
    """The keys of the first and the last row."""
    rows = [page[0], page[-1]] if page else []
    return [(*queries[row["position"]].order.keys_of(row), str(row["position"])) for row in rows]
