"""What a definition in the content library must say before anybody is given its text, and what stays once it may be."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# What may change once a text is approved; whoever wants other words makes another version under another id.
CHANGEABLE = frozenset({"id", "meta", "text", "status", "date", "lastReviewDate"})
CONTEXTS = ("audience", "reading-level")
_NEEDED = {
    "url": "the canonical URL by which it is known",
    "version": "its version",
    "title": "a title in words that people understand",
    "language": "the language of its text",
    "topic": "what it is about",
    "approvalDate": "when the site approved it",
}


class Finding(NamedTuple):
    """What is wrong, and where."""

    text: str
    expression: str


def check_definition(
    definition: Mapping[str, Any], before: Mapping[str, Any] | None, content_system: str
) -> list[Finding]:
    """What speaks against storing a definition. A draft is free; an active one is complete, approved by somebody who is
    named, and changes no more but for its end."""
    if before is not None and before.get("status") in {"active", "retired"}:
        return list(_changed(definition, before))
    if definition.get("status") != "active":
        return []
    return list(_incomplete(definition, content_system))


def document_url(definition: Mapping[str, Any]) -> str | None:
    """Where the text of a definition is."""
    for each in definition.get("relatedArtifact", ()):
        url = each.get("document", {}).get("url")
        if each.get("type") == "documentation" and url:
            return str(url)
    return None


def audiences(definition: Mapping[str, Any], content_system: str) -> set[str]:
    """The codes of those for whom it is written."""
    return set(_context(definition, "audience", content_system))


def _changed(definition: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[Finding]:
    for name in sorted({*definition, *before} - CHANGEABLE):
        if definition.get(name) != before.get(name):
            yield Finding("what was approved stays as it is; make another version", f"ActivityDefinition.{name}")
    allowed = {"active", "retired"} if before.get("status") == "active" else {"retired"}
    if definition.get("status") not in allowed:
        yield Finding(f"from here its status is one of {', '.join(sorted(allowed))}", "ActivityDefinition.status")


def _incomplete(definition: Mapping[str, Any], content_system: str) -> Iterator[Finding]:
    for name, what in _NEEDED.items():
        if not definition.get(name):
            yield Finding(f"before it is active, say {what}", f"ActivityDefinition.{name}")
    if definition.get("kind") != "Task":
        yield Finding("content is given to people as a Task", "ActivityDefinition.kind")
    if not any(each.get("name") for each in definition.get("endorser", ())):
        yield Finding("before it is active, name who approved it for the site", "ActivityDefinition.endorser")
    for kind in CONTEXTS:
        if not _context(definition, kind, content_system):
            yield Finding(f"before it is active, say its {kind}", "ActivityDefinition.useContext")
    if document_url(definition) is None:
        yield Finding("before it is active, refer to its text", "ActivityDefinition.relatedArtifact")


def _context(definition: Mapping[str, Any], kind: str, content_system: str) -> list[str]:
    found = []
    for each in definition.get("useContext", ()):
        code = each["code"]
        if (code.get("system"), code.get("code")) == (content_system, kind):
            found += [
                coding["code"] for coding in each.get("valueCodeableConcept", {}).get("coding", ()) if "code" in coding
            ]
    return found
