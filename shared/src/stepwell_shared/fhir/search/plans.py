"""Which way a search takes: as legs, each with its own index and its own end, of which PostgreSQL merges the rows.

What a search costs must not hang on what the planner believes of a tenant's data, nor on whether it planned before it
knew the values. So a criterion that is kept in an index first gives its ids, up to a bound: few are looked up and
sorted, and only where every criterion finds many are the resources walked in the order of the page, which is then full
soon.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from stepwell_shared.fhir.parameters import SearchParameter
from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.search.order import Order
from stepwell_shared.fhir.search.rows import FEW_MAX, Narrowing, any_of
from stepwell_shared.fhir.table_names import current_table

STARTS_MAX = 3
# With these a criterion on a concept still names codes.
_NAMING_CODES = frozenset({"", "in", "above", "below"})
_THERE = ("r.tenant = s.tenant", "r.body IS NOT NULL")


@dataclass(frozen=True)
class Coded:
    """A criterion on a concept in columns: where its condition stands, its test on the columns, and the column that is
    empty in the other resources that it may find. `is_one` says that it asks for one code."""

    place: int
    name: str
    test: str
    column: str
    is_one: bool


@dataclass
class Plan:
    """What the criteria of a search offer to start from. `starts` are queries of ids, by the name of the parameter."""

    served_type: ServedType
    is_anchored: bool = False
    starts: list[tuple[str, str]] = field(default_factory=list)
    coded: Coded | None = None

    @property
    def _table(self) -> str:
        return current_table(self.served_type.name)

    def take(self, name: str, alternatives: int, condition: str, place: int, found: Narrowing) -> None:
        """Notes what one criterion offers, whose condition stands at this place among all."""
        self.is_anchored = self.is_anchored or found.is_key
        plain, _, modifier = name.partition(":")
        parameter = self.served_type.parameters.get(plain)
        own = f"SELECT r.id FROM {self._table} AS r WHERE r.tenant = s.tenant AND "
        if found.coded:
            if parameter is not None and modifier in _NAMING_CODES and len(found.coded) == alternatives:
                test = any_of(found.coded)
                self.starts.append((plain, " UNION ALL ".join([own + test, *found.ids])))
                self.coded = self.coded or Coded(place, plain, test, f"r.{parameter.column}", alternatives == 1)
        elif found.ids and len(found.ids) == alternatives:
            self.starts.append((plain, " UNION ALL ".join(found.ids)))
        elif plain == "_lastUpdated" or (parameter is not None and self._is_looked_up(parameter, name)):
            self.starts.append((plain, own + condition))

    def _is_looked_up(self, parameter: SearchParameter, name: str) -> bool:
        modifier = name.partition(":")[2]
        is_plain = "." not in name and (not modifier or modifier[0].isupper())
        return is_plain and parameter in self.served_type.looked_up

    def page(self, conditions: Sequence[str], behind: Sequence[str], order: Order, most: int) -> str:
        """The first rows that meet all conditions in this order; `behind` are the parts of what comes after a place."""
        select = f"SELECT r.id, r.version, r.last_updated, r.body{order.selected} FROM {self._table} AS r WHERE"
        end = f" ORDER BY {order.clause} LIMIT {most}"
        starts = self._starts(order)
        met = " AND ".join([*_THERE, *conditions, *([any_of(behind)] if behind else [])])
        texts, many = [], ""
        for number in range(len(starts)):
            few = f"cardinality(k{number}.ids) <= {FEW_MAX}{many} AND r.id = ANY(k{number}.ids)"
            texts.append(f"{select} {met} AND {few}{end}")
            many += f" AND cardinality(k{number}.ids) > {FEW_MAX}"
        parts = behind or order.parts()
        part_end = f" ORDER BY {order.part_clause} LIMIT {most}" if parts else end
        for each in self._apart(conditions):
            walked = " AND ".join([*_THERE, *each]) + many
            texts += [f"{select} {walked} AND {part}{part_end}" for part in parts] or [f"{select} {walked}{end}"]
        if len(texts) == 1:
            return texts[0]
        together = f"({' UNION ALL '.join(f'({text})' for text in texts)}) AS p"
        ids = [
            f"(SELECT ARRAY(SELECT d.id FROM ({start}) AS d LIMIT {FEW_MAX + 1}) AS ids OFFSET 0) AS k{number}"
            for number, start in enumerate(starts)
        ]
        source = f"{' CROSS JOIN '.join(ids)} CROSS JOIN LATERAL {together}" if ids else together
        return f"SELECT p.* FROM {source}{end}"

    def _starts(self, order: Order) -> list[str]:
        """The queries of ids to begin with; none where the candidates are few, or an index has them in order."""
        if self.is_anchored:
            return []
        name, coded = order.name.removeprefix("-"), self.coded
        is_ordered = coded is not None and coded.is_one and (coded.name, f"-{name}") in self.served_type.indexes
        ordered = {name, coded.name if coded is not None and is_ordered else name}
        return [start for parameter, start in self.starts if parameter not in ordered][:STARTS_MAX]

    def _apart(self, conditions: Sequence[str]) -> list[list[str]]:
        """The conditions, once for those whose one coding stands in columns and once for the others: an index on the
        columns gives an order only without the OR."""
        coded = self.coded
        if coded is None:
            return [[*conditions]]
        others = [*conditions[: coded.place], *conditions[coded.place + 1 :]]
        return [[*others, coded.test], [*others, f"{coded.column} IS NULL", conditions[coded.place]]]
