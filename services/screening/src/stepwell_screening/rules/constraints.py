"""Rules that a Questionnaire carries for its answers: the extension questionnaire-constraint.

https://hl7.org/fhir/extensions/StructureDefinition-questionnaire-constraint.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

JsonObject = Mapping[str, Any]
Holds = Callable[[JsonObject, JsonObject], bool]
"""Whether an expression holds, for (the response, the item of it that carries the rule)."""
CompileExpression = Callable[[str], Holds]
"""Compiles FHIRPath; raises ValueError for an expression that it cannot compile."""
CONSTRAINT = "http://hl7.org/fhir/StructureDefinition/questionnaire-constraint"


@dataclass(frozen=True, slots=True)
class Constraint:
    """One rule of severity error; `human` are its words for people."""

    key: str
    human: str
    holds: Holds


def constraints_of(element: JsonObject, compile_expression: CompileExpression | None) -> tuple[Constraint, ...]:
    """The rules of a Questionnaire or of one of its items that must hold once a response is finished.

    Rules of severity warning refuse nothing and are left out. Raises ValueError when there is a rule and nothing to
    compile it with.
    """
    found = []
    for extension in element.get("extension", ()):
        if extension.get("url") != CONSTRAINT:
            continue
        parts = {part.get("url"): _value(part) for part in extension.get("extension", ())}
        if parts.get("severity") == "warning":
            continue
        if compile_expression is None or not isinstance(parts.get("expression"), str):
            raise ValueError(f"{_name(element)} has a constraint ({CONSTRAINT}) that cannot be decided here")
        holds = compile_expression(str(parts["expression"]))
        found.append(Constraint(str(parts.get("key", "constraint")), str(parts.get("human", "")), holds))
    return tuple(found)


def _value(part: JsonObject) -> Any:
    return next((value for key, value in part.items() if key.startswith("value")), None)


def _name(element: JsonObject) -> str:
    return f"item {element['linkId']}" if "linkId" in element else "the Questionnaire"
