"""The life of a policy's version: draft, shadow, active, retired; from shadow on only its status changes.

Shadow is a published version that decides beside the active one without consequence: status active and experimental.
R4 PublicationStatus has no word of its own for it.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from stepwell_routing.rules.reading import Finding

Document = Mapping[str, Any]
DERIVED_FROM = "derived-from"
VENUE = "venue"
CHANGEABLE = frozenset({"id", "meta", "status", "experimental", "date", "effectivePeriod"})
"""What may change once a version has left draft; resource versions keep every earlier state."""
EVERYWHERE = ""
"""The site of a policy that names none: all sites of its tenant."""


class Life(Enum):
    """Where a version stands."""

    DRAFT = "draft"
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"


MOVES: Mapping[Life | None, frozenset[Life]] = {
    None: frozenset({Life.DRAFT, Life.SHADOW}),
    Life.DRAFT: frozenset({Life.DRAFT, Life.SHADOW, Life.RETIRED}),
    Life.SHADOW: frozenset({Life.SHADOW, Life.ACTIVE, Life.RETIRED}),
    Life.ACTIVE: frozenset({Life.ACTIVE, Life.RETIRED}),
    Life.RETIRED: frozenset({Life.RETIRED}),
}
"""From where (None: not stored yet) a version may go where."""


def life_of(document: Document) -> Life | None:
    """Where a version stands by its status; None for the status unknown."""
    status = document.get("status")
    if status == "active":
        return Life.SHADOW if document.get("experimental") is True else Life.ACTIVE
    return {"draft": Life.DRAFT, "retired": Life.RETIRED}.get(str(status))


def site_of(document: Document) -> str:
    """The site that a policy is for: the venue of its use context, by reference or in words."""
    for context in document.get("useContext", ()):
        if context.get("code", {}).get("code") != VENUE:
            continue
        reference = context.get("valueReference", {}).get("reference")
        concept = context.get("valueCodeableConcept", {})
        codes = [coding.get("code") for coding in concept.get("coding", ())]
        return str(reference or next(filter(None, codes), None) or concept.get("text") or EVERYWHERE)
    return EVERYWHERE


def base_of(document: Document) -> str | None:
    """The `url|version` that a site's setting derives from; None for a policy of its own."""
    for artifact in document.get("relatedArtifact", ()):
        if artifact.get("type") == DERIVED_FROM and artifact.get("resource") and not document.get("action"):
            return str(artifact["resource"])
    return None


def is_default(document: Document, canonical: str) -> bool:
    """Whether who begins care where this version is in force begins on its pathway."""
    url = f"{canonical}/StructureDefinition/default-pathway"
    return any(each.get("url") == url and each.get("valueBoolean") is True for each in document.get("extension", ()))


def check_move(before: Document | None, after: Document) -> list[Finding]:
    """What a new state of a version must not do: skip a stage of its life, go back, or change once it is published."""
    start, end = life_of(before) if before is not None else None, life_of(after)
    if end is None:
        return [Finding("PlanDefinition.status", "a policy is draft, active (first with experimental) or retired")]
    if end not in MOVES[start]:
        first = "runs in shadow first: active with experimental true" if end is Life.ACTIVE else "does not go back"
        stood = start.value if start else "new"
        return [Finding("PlanDefinition.status", f"a version that is {stood} {first}")]
    if before is None or start is Life.DRAFT:
        return []
    changed = sorted(
        name
        for name in {*before, *after}
        if name.removeprefix("_") not in CHANGEABLE and before.get(name) != after.get(name)
    )
    text = "a version that left draft never changes, but for its status and date: publish another version"
    return [Finding(f"PlanDefinition.{name}", text) for name in changed]
