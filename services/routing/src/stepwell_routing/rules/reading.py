"""Reads the few FHIR shapes that policies are written in; collects what is wrong, with its place, and goes on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

Element = Mapping[str, Any]

Parts = dict[str, list[Any]]

# The parts of our extensions and their types; data/definitions says the same as StructureDefinitions.
_SCALARS = (int, Decimal, bool, str)
PARTS: dict[str, dict[str, tuple[type, ...]]] = {
    "policy-parameter": {
        "name": (str,),
        "value": _SCALARS,
        "minimum": (int, Decimal),
        "maximum": (int, Decimal),
        "source": (str,),
        "product-default": (bool,),
    },
    "policy-ladder": {"kind": (str,)},
    "policy-setting": {"parameter": (str,), "value": _SCALARS, "reason": (str,)},
    "policy-profile": {"name": (str,), "description": (str,), "set": (dict,)},
    "set": {"parameter": (str,), "value": _SCALARS},
    "evidence": {
        "name": (str,),
        "kind": (str,),
        "sustained-over": (dict,),
        "reliable-change": (str,),
        "stall-measures": (int,),
        "stall-over": (dict,),
    },
    "rule-outcome": {
        "effect": (str,),
        "domain": (str,),
        "option": (str,),
        "from": (str,),
        "plus": (int,),
        "tier": (dict,),
        "step": (dict,),
        "cap": (dict,),
        "track": (str,),
        "discipline": (str,),
        "activity": (str,),
        "modality": (str,),
        "role": (str,),
        "name": (str,),
        "resume-within": (dict,),
        "resumed-by": (str,),
    },
    "rule-missing": {"effect": (str,), "role": (str,)},
    "policy-step": {
        "kind": (str,),
        "human": (bool,),
        "tier": (dict,),
        "service": (dict,),
        "next": (dict,),
        "return-to": (dict,),
        "contact-within": (dict,),
        "booster-after": (dict,),
        "boosters-in-step": (bool,),
    },
    "policy-option": {
        "benefit": (str,),
        "burden": (str,),
        "timeline": (str,),
        "modality": (str,),
        "self-guided": (bool,),
    },
}
_REPEATED = frozenset(
    {
        ("policy-profile", "set"),
        ("rule-outcome", "name"),
        ("policy-step", "return-to"),
        ("policy-step", "booster-after"),
    }
    | {("policy-option", "modality")}
)
_UCUM_SECONDS = {"min": 60, "h": 3600, "d": 86400, "wk": 604800}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a document: where (FHIRPath) and what."""

    path: str
    text: str


class DocumentError(ValueError):
    """The document cannot be used; `findings` name everything that is wrong with it, all at once."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(f"{finding.path}: {finding.text}" for finding in self.findings))


@dataclass(slots=True)
class Reader:
    """Knows the canonical base of our extensions and code systems, and keeps the findings."""

    canonical: str
    findings: list[Finding] = field(default_factory=list)

    def refuse(self, path: str, text: str) -> None:
        self.findings.append(Finding(path, text))

    def finish(self) -> None:
        if self.findings:
            raise DocumentError(self.findings)

    def extensions(self, element: Element, name: str, path: str) -> Iterator[tuple[str, Parts]]:
        """The parts of each of our extensions called `name`, with the extension's path; refuses unknown parts."""
        url = f"{self.canonical}/StructureDefinition/{name}"
        for index, extension in enumerate(element.get("extension", ())):
            if extension.get("url") == url:
                place = f"{path}.extension[{index}]"
                yield place, self.parts(extension, name, place)

    def parts(self, extension: Element, definition: str, path: str) -> Parts:
        """The parts of one extension by name, each of the type that its definition gives it."""
        parts: Parts = {}
        known = PARTS[definition]
        for index, part in enumerate(extension.get("extension", ())):
            name, place = str(part.get("url")), f"{path}.extension[{index}]"
            value = next((value for key, value in part.items() if key.startswith("value")), part)
            value = Decimal(str(value)) if isinstance(value, float) else value
            if name not in known or type(value) not in known[name]:
                self.refuse(place, f"is not one of the parts {', '.join(known)}, or of another type")
            elif name in parts and (definition, name) not in _REPEATED:
                self.refuse(place, f"{name} is there twice")
            else:
                parts.setdefault(name, []).append(value)
        return parts

    def code(self, element: Element, system: str) -> str | None:
        """The first code of our code system `system` in `element.code`."""
        wanted = f"{self.canonical}/CodeSystem/{system}"
        for concept in element.get("code", ()):
            for coding in concept.get("coding", ()):
                if coding.get("system") == wanted and isinstance(coding.get("code"), str):
                    return str(coding["code"])
        return None

    def duration(self, element: Element, name: str, path: str) -> timedelta | None:
        """`element[name]` as a length of time; months and years have none, so they are refused."""
        return self.span(element[name], f"{path}.{name}") if name in element else None

    def span(self, quantity: Any, path: str) -> timedelta | None:
        """A Duration as a length of time; months and years have none, so they are refused."""
        seconds, value = _UCUM_SECONDS.get(str(quantity.get("code"))), quantity.get("value")
        if seconds is None or isinstance(value, bool) or value is None or value <= 0:
            self.refuse(path, f"needs a positive value and one of the UCUM codes {', '.join(_UCUM_SECONDS)}")
            return None
        return timedelta(seconds=float(value) * seconds)


def first(parts: Parts, name: str) -> Any:
    """The only value of an extension part, or None."""
    return parts[name][0] if parts.get(name) else None
