"""The invariants of R4 as small functions by key: each takes the JSON node of its element and says whether it holds.

They follow the official expressions, which the tests hold against them, but for the defects that OVERRIDES names.
"""

from stepwell_shared.fhir.validation.invariants import clinical, datatypes, definitional, infrastructure, workflow
from stepwell_shared.fhir.validation.invariants.nodes import Rules

INVARIANTS: Rules = {
    **clinical.RULES,
    **datatypes.RULES,
    **definitional.RULES,
    **infrastructure.RULES,
    **workflow.RULES,
}

# Where the expression of R4 4.0.1 does not say what its text says, the text is followed.
OVERRIDES = {
    "app-4": "the expression compares with 'no-show', the code is 'noshow'",
    "per-1": "periods of unequal precision compare at the precision they share instead of failing",
    "que-12": "the text asks for enableBehavior with more than one enableWhen, the expression with more than two",
    "rng-2": "limits in different units cannot be compared and pass",
    "tim-9": "the expression fails on several 'when'; each must be an event other than a meal as such",
}
