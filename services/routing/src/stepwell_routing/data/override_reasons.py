"""The coded reasons for deciding otherwise than proposed, as the code system has them: by code, in every language."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from stepwell_shared.canonical import code_system

SYSTEM = code_system("override-reason")
PERSON_PREFERS, OTHER = "person-prefers", "other"


@cache
def override_reasons() -> Mapping[str, Mapping[str, str]]:
    """What each reason is called, by language."""
    path = files("stepwell_shared") / "terminology" / "override-reason.json"
    found = json.loads(path.read_bytes())
    return MappingProxyType(
        {
            each["code"]: {
                found["language"]: each["display"],
                **{designation["language"]: designation["value"] for designation in each["designation"]},
            }
            for each in found["concept"]
        }
    )
