"""Which references an element takes: the target types of R4, for relative and absolute references alike.

https://hl7.org/fhir/R4/references.html
"""

import re

from stepwell_shared.fhir.definitions import resource_types
from stepwell_shared.fhir.validation.primitives import BLANK

ID = r"[A-Za-z0-9.\-]{1,64}"
_TYPED = re.compile(rf"(?:https?://[^{BLANK}]+/)?([A-Z][A-Za-z]+)/({ID})(?:/_history/{ID})?")
_CONDITIONAL = re.compile(rf"([A-Z][A-Za-z]+)\?[^{BLANK}]+")
_ABSOLUTE = re.compile(rf"[a-z][a-z0-9+.\-]*:[^{BLANK}]+")
TARGETS_NAMED_MAX = 8


def ordinary_pattern(targets: frozenset[str]) -> str:
    """A pattern of the references that are certainly allowed; others deserve a closer look, not a refusal."""
    types = "|".join(sorted(targets or resource_types()))
    return f"^(?:(?:https?://[!-~]+/)?(?:{types})/{ID}(?:/_history/{ID})?|urn:(?:uuid|oid):[!-~]+)$"


def problem(reference: str, targets: frozenset[str], *, conditional: bool) -> tuple[str, str] | None:
    """What is wrong with `Reference.reference` as (R4 issue code, advice), or None.

    References to contained resources (`#id`) are another matter. `conditional` allows `Type?criteria`,
    which only transactions resolve. An absolute URL that names no resource type may mean anything and passes.
    """
    found = _TYPED.fullmatch(reference)
    if found is None and conditional:
        found = _CONDITIONAL.fullmatch(reference)
    if found is not None and found[1] in resource_types():
        return None if not targets or found[1] in targets else ("value", f"must refer to {named(targets)}")
    if _ABSOLUTE.fullmatch(reference):
        return None
    return "value", "must be Type/id, an absolute URL, urn:uuid:..., or #id of a contained resource"


def named(targets: frozenset[str]) -> str:
    """The allowed types for a message, or only their number when there are many."""
    if len(targets) > TARGETS_NAMED_MAX:
        return f"one of the {len(targets)} types that R4 allows here"
    return " or ".join(sorted(targets))
