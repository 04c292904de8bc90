"""What routing ships as care content, read once: texts by topic and language, with who they are for."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class CareText:
    """One text in one language; `use` says what it is good for, `review` what a site does before it is given out."""

    topic: str
    use: str
    audiences: tuple[str, ...]
    reading_level: str
    language: str
    title: str
    text: str
    review: str


@cache
def shipped_texts() -> tuple[CareText, ...]:
    """Every text that ships, each in each of its languages."""
    folder = files("stepwell_routing") / "data" / "content"
    found = []
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        content = json.loads(path.read_bytes())
        for language, words in content["texts"].items():
            found.append(
                CareText(
                    topic=content["topic"],
                    use=content["use"],
                    audiences=tuple(content["audience"]),
                    reading_level=content["reading_level"],
                    language=language,
                    title=words["title"],
                    text="\n\n".join(words["paragraphs"]),
                    review=content["review"],
                )
            )
    return tuple(found)
