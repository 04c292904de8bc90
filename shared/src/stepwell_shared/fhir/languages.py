"""Resources in another language: the translations that their strings carry (extension `translation`), picked for a
reader by Accept-Language. Codes, linkIds and weights are the same in every language.

https://hl7.org/fhir/R4/languages.html, RFC 9110 section 12.5.4, RFC 4647 section 3.4
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from stepwell_shared.canonical import code_system
from stepwell_shared.fhir.presentation import SUBSETTED

TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
TRANSLATED_VIEW = {"system": code_system("view"), "code": "translated", "display": "In one of its languages"}
RANGES_MAX = 32
# What people read. Everything else means the same in every language, whatever an extension on it says.
READ_BY_PEOPLE = frozenset(
    {
        *("title", "subtitle", "description", "purpose", "usage", "copyright", "publisher"),
        *("text", "prefix", "display", "unit", "label", "human"),
    }
)
# In an extension these are words to read; as an answer they are the answer itself.
_IN_EXTENSIONS = frozenset({"valueString", "valueMarkdown"})
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)(?:\s*;\s*q=([01](?:\.[0-9]{0,3})?))?", re.IGNORECASE)

Resource = dict[str, Any]


@lru_cache(maxsize=256)  # clients send the same few headers for ever
def preferred(header: str) -> tuple[tuple[str, float], ...]:
    """The language ranges of an Accept-Language header with their weights, the most wanted first; what is malformed
    says nothing."""
    found = []
    for part in header.split(",")[:RANGES_MAX]:
        matched = _RANGE.fullmatch(part.strip())
        if matched is not None:
            found.append((matched[1].lower(), min(float(matched[2] or 1), 1.0)))
    return tuple(sorted(found, key=lambda each: -each[1]))


def best(header: str, offered: Sequence[str]) -> str | None:
    """Which of the offered languages is wanted most; the first one is what there is without a wish.

    None when the header asks for none of them. A range matches what it begins (de: de-AT), and by lookup what begins it
    (de-AT: de). `*` stands for whatever the other ranges do not name.
    """
    ranges = preferred(header)
    refused = {wanted for wanted, weight in ranges if weight == 0}
    for wanted, weight in ranges:
        if weight == 0:
            continue
        for language in offered:
            is_match = wanted == "*" or _begins(wanted, language.lower()) or _begins(language.lower(), wanted)
            if is_match and not any(_begins(each, language.lower()) for each in refused):
                return language
    return None


def _begins(shorter: str, longer: str) -> bool:
    """Whether a tag is the other one or a whole number of its first subtags."""
    return longer == shorter or longer.startswith(f"{shorter}-")


def languages_of(resource: Resource) -> list[str]:
    """Its own language first, then those in which every question of it can be read: no page in two languages."""
    own = str(resource.get("language", "en"))
    found: dict[str, None] | None = None
    for holder in _texts_of(resource):
        here = dict.fromkeys(language for language, _ in _translations(holder.get("_text")))
        found = here if found is None else {each: None for each in found if each in here}
    return [own, *(each for each in found or {} if each != own)]


def _texts_of(node: Any) -> Iterator[Resource]:
    """The items of a Questionnaire that have a text."""
    for item in node.get("item", ()):
        if "text" in item:
            yield item
        yield from _texts_of(item)


def in_language(resource: Resource, language: str) -> Resource:
    """A copy whose strings are in this language where they have it, tagged as a view of the whole resource.

    The tags keep it from being written back in place of what it is a view of.
    """
    view: Resource = _translated(resource, language)
    meta = view.get("meta", {})
    tags = [tag for tag in meta.get("tag", ()) if tag.get("code") not in {SUBSETTED["code"], TRANSLATED_VIEW["code"]}]
    view["meta"] = {**meta, "tag": [*tags, SUBSETTED, TRANSLATED_VIEW]}
    view["language"] = language
    return view


def _translated(node: Any, language: str) -> Any:
    if isinstance(node, list):
        return [_translated(each, language) for each in node]
    if not isinstance(node, dict):
        return node
    view: Resource = {}
    for name, value in node.items():
        if _is_read(node, name.removeprefix("_")):
            said = _said(node, name, value, language) if isinstance(value, str) else _without_translations(value)
            if said:
                view[name] = said
        elif name != "designation":
            view[name] = _translated(value, language)
    return view


def _is_read(node: Resource, name: str) -> bool:
    return name in READ_BY_PEOPLE or (name in _IN_EXTENSIONS and "url" in node)


def _said(node: Resource, name: str, value: str, language: str) -> str:
    """A string in this language: its translation, or the designation of the concept whose display it is."""
    said = dict(_translations(node.get(f"_{name}")))
    if name == "display":
        for designation in node.get("designation", ()):
            said.setdefault(designation.get("language", ""), designation.get("value", value))
    return said.get(language, value)


def _translations(element: Any) -> Iterator[tuple[str, str]]:
    """(language, content) of each translation that a primitive element carries."""
    for extension in element.get("extension", ()) if isinstance(element, dict) else ():
        if extension.get("url") == TRANSLATION:
            parts = {part.get("url"): part for part in extension.get("extension", ())}
            content = parts.get("content", {})
            text = content.get("valueString", content.get("valueMarkdown"))
            code = parts.get("lang", {}).get("valueCode")
            if code and text:
                yield code, text


def _without_translations(element: Any) -> Any:
    """What else a primitive element carries."""
    if not isinstance(element, dict) or "extension" not in element:
        return element
    kept = [each for each in element.get("extension", ()) if each.get("url") != TRANSLATION]
    rest = {name: value for name, value in element.items() if name != "extension"}
    return {**rest, "extension": kept} if kept else rest
