"""What a use case decides rests on what it has read: when somebody else was first, it reads and decides again."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.store import WriteConflictError

ATTEMPTS_MAX = 16

Made = TypeVar("Made")


async def until_committed(attempt: Callable[[], Awaitable[Made]], contended: FhirError) -> Made:
    """What `attempt`, which reads, decides and commits, comes to; raises `contended` when others are always first."""
    for _ in range(ATTEMPTS_MAX):
        try:
            return await attempt()
        except WriteConflictError:
            continue
    raise contended
