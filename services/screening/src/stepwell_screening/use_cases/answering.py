"""Who has just sent a finished response: a note in memory that costs a request next to nothing.

The loop that asks takes the notes and completes the Tasks that wait. A note that is lost with its process loses
nothing: at its start the loop looks at everybody who waits, and before a reminder it looks again.
"""

from collections.abc import Sequence

from stepwell_shared.runtime import Runtime

NOTES_MAX = 10_000


class Heard:
    """The notes of one process. Each is handed out twice, so that a commit that is still under way is not missed."""

    def __init__(self) -> None:
        self._new: dict[str, set[str]] = {}
        self._before: dict[str, set[str]] = {}
        self._swept: set[str] = set()

    def note(self, tenant: str, subject: str) -> None:
        """This person has answered something."""
        notes = self._new.setdefault(tenant, set())
        notes.add(subject)
        if len(notes) > NOTES_MAX:
            notes.clear()
            self.sweep(tenant)

    def take(self, tenant: str) -> Sequence[str] | None:
        """Who has answered since the look before last; None means everybody must be looked at."""
        new = self._new.pop(tenant, set())
        before, self._before[tenant] = self._before.get(tenant, set()), new
        if tenant not in self._swept:
            self._swept.add(tenant)
            return None
        return sorted(new | before)

    def sweep(self, tenant: str) -> None:
        """At the next look everybody who waits is looked at."""
        self._swept.discard(tenant)


def heard_of(runtime: Runtime) -> Heard:
    """The notes of this process."""
    found = runtime.cache.get(Heard)
    if not isinstance(found, Heard):
        found = runtime.cache[Heard] = Heard()
    return found
