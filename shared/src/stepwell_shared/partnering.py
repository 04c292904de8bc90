"""The partners of this process: who they are, read once in a while, and when they were heard."""

from stepwell_shared.federation.links import Heard
from stepwell_shared.federation.partners import Partner, Partners
from stepwell_shared.runtime import Runtime


def partners_of(runtime: Runtime) -> Partners:
    """The partners, read once in a while for the whole process."""
    kept = runtime.cache.get(Partners)
    if not isinstance(kept, Partners):
        kept = runtime.cache[Partners] = Partners(runtime.database, runtime.engine.base_url)
    return kept


async def note_heard(runtime: Runtime, partner: Partner) -> None:
    """The partner has called us or answered us."""
    kept = runtime.cache.get(Heard)
    if not isinstance(kept, Heard):
        kept = runtime.cache[Heard] = Heard(runtime.database)
    await kept.note(partner, runtime.clock())
