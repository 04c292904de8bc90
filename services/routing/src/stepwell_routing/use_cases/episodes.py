"""An episode of care is told of when a clinician has changed it: a step entered, rested, resumed, agreed on, ended."""

from datetime import datetime

from stepwell_shared.database.functions import Effect
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

from stepwell_routing.subscriptions import EPISODE_CHANGED


def episode_told(runtime: Runtime, subject_key: str, episode: Stored, now: datetime) -> Effect:
    """The event of one version of an EpisodeOfCare, to be committed with it."""
    focus = f"EpisodeOfCare/{episode.id}"
    entries = [(f"{runtime.engine.base_url}/{focus}", episode)]
    return event(EPISODE_CHANGED.canonical, subject_key, focus, entries, now)
