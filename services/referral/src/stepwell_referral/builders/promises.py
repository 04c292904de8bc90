"""What a referral has promised its person about the wait, read from the Task. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from stepwell_shared.canonical import extension_url


class Told(NamedTuple):
    """The promised day, where one could be given, and whether the class's longest wait could be kept."""

    promised_by: datetime | None
    keepable: bool


def promised_of(task: Mapping[str, Any]) -> Told | None:
    """What the referral says of its wait; None when it says nothing."""
    url = extension_url("wait-promise")
    told = next((each for each in task.get("extension", ()) if each.get("url") == url), None)
    if told is None:
        return None
    parts = {part["url"]: part for part in told.get("extension", ())}
    days = parts.get("upper", {}).get("valueDuration", {}).get("value")
    keepable = parts.get("keepable", {}).get("valueBoolean") is True
    if days is None or "computed-at" not in parts:
        return Told(None, keepable)
    return Told(datetime.fromisoformat(parts["computed-at"]["valueDateTime"]) + timedelta(days=float(days)), keepable)


def median_days_of(task: Mapping[str, Any]) -> int | None:
    """After how many days half of such waits are over, as the referral says."""
    url = extension_url("wait-promise")
    told: Mapping[str, Any] = next((each for each in task.get("extension", ()) if each.get("url") == url), {})
    days = [
        part["valueDuration"].get("value")
        for part in told.get("extension", ())
        if part["url"] == "median" and "valueDuration" in part
    ]
    return int(days[0]) if days and days[0] is not None else None
