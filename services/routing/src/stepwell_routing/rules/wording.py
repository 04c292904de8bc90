"""Plain words in every language of a policy: FHIR strings with their translations, with `{names}` filled in.

Translations are the core extension http://hl7.org/fhir/R4/extension-translation.html.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A text in which the values of what is `asked` are filled in, in this order; without any it is the pattern."""

    asked: tuple[str, ...]
    pattern: str

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.asked)

    def fill(self, values: Mapping[str, object]) -> str:
        if not self.asked:
            return self.pattern
        return self.pattern % tuple([values.get(name, "?") for name in self.asked])


Wording = Mapping[str, Template]


@lru_cache(maxsize=4096)
def template(text: str) -> Template:
    """The text made ready; policies that derive from one another share most of theirs."""
    parts = _PLACEHOLDER.split(text)
    if len(parts) == 1:
        return Template((), text)
    return Template(tuple(parts[1::2]), "%s".join(part.replace("%", "%%") for part in parts[::2]))


def translations(element: Mapping[str, Any], name: str, language: str) -> dict[str, str]:
    """The text of `element[name]` by language: its own in `language`, the others from its translation extensions."""
    texts: dict[str, str] = {}
    if isinstance(element.get(name), str):
        texts[language] = element[name]
    for extension in (element.get(f"_{name}") or {}).get("extension", ()):
        if extension.get("url") != TRANSLATION:
            continue
        parts = {part.get("url"): part for part in extension.get("extension", ())}
        code, content = parts.get("lang", {}).get("valueCode"), parts.get("content", {}).get("valueString")
        if isinstance(code, str) and isinstance(content, str):
            texts[code] = content
    return texts
