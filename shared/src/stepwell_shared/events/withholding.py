"""What somebody is told who is told under Consents alone: asked at each send, so that a withdrawal stops what waits.

An event keeps its number whatever is withheld of it, so that nobody takes a gap for a loss.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from stepwell_shared.events.outbox import Entry


@dataclass(frozen=True, slots=True)
class Told:
    """One event on its way: whom it is about, and its entries, focus first."""

    subject: str
    entries: Sequence[Entry]


# (tenant, actor, events) -> for each event the entries that the actor may see now; none when it is withheld whole
Withhold = Callable[[str, str, Sequence[Told]], Awaitable[list[Sequence[Entry]]]]


async def withhold_all(tenant: str, actor: str, events: Sequence[Told]) -> list[Sequence[Entry]]:
    """For a process that keeps no Consents: whoever is told under them alone is told nothing but numbers."""
    return [() for _ in events]
