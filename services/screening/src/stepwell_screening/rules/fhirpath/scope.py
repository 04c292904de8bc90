"""What an expression is evaluated against: its focus, its named values, and what a whole run shares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stepwell_screening.rules.fhirpath.budget import Budget
from stepwell_screening.rules.fhirpath.items import Collection, Item

Weigh = Callable[[Item], Any]
"""The weight of a coded answer, or None."""
Resolve = Callable[[str], Any]
"""The resource that a reference names, as far as it is at hand, or None."""


@dataclass(slots=True)
class Run:
    """What all expressions of one request share. `now` is the time that `now()` and `today()` tell."""

    budget: Budget = field(default_factory=Budget)
    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    weigh: Weigh = lambda item: None
    resolve: Resolve = lambda reference: None


class Scope:
    """One place in an evaluation: `this` is what paths start from; `names` are the environment variables."""

    __slots__ = ("index", "names", "run", "this", "total")

    def __init__(
        self,
        run: Run,
        this: Collection,
        names: Mapping[str, Collection],
        index: int | None = None,
        total: Collection | None = None,
    ) -> None:
        self.run = run
        self.this = this
        self.names = names
        self.index = index
        self.total = total

    def at(self, item: Item, index: int, total: Collection | None = None) -> "Scope":
        """The scope of a criteria: `$this` is one item of the collection that it is asked of."""
        return Scope(self.run, [item], self.names, index, self.total if total is None else total)
