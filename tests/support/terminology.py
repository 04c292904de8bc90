"""Our code systems, and what of a resource is coded in them without being defined there."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from stepwell_shared.canonical import CANONICAL

FOLDER = files("stepwell_shared") / "terminology"
CODE_SYSTEMS: dict[str, dict[str, Any]] = {
    system["url"]: system
    for system in (
        json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.iterdir() if path.name.endswith(".json")
    )
}
"""By URL."""

_DISPLAYS = {
    (url, concept["code"]): {
        concept["display"],
        *(designation["value"] for designation in concept.get("designation", ())),
    }
    for url, system in CODE_SYSTEMS.items()
    for concept in system["concept"]
}


def unknown_codings(content: Any) -> list[str]:
    """Codings from our systems, anywhere in JSON content, whose code or display is not defined, in any language."""
    return sorted({f"{system}#{code} {display or ''}" for system, code, display in _unknown(content)})


def _unknown(content: Any) -> Iterator[tuple[str, str, str | None]]:
    if isinstance(content, list):
        for each in content:
            yield from _unknown(each)
    elif isinstance(content, dict):
        system, code, display = str(content.get("system")), content.get("code"), content.get("display")
        if system.startswith(f"{CANONICAL}/CodeSystem/") and code is not None:
            displays = _DISPLAYS.get((system, code))
            if displays is None or (display is not None and display not in displays):
                yield system, code, display
        for value in content.values():
            yield from _unknown(value)
