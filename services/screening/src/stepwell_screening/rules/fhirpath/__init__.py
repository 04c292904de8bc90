"""FHIRPath over FHIR JSON, bounded: every evaluation has a budget of steps, so that no expression runs for long.

http://hl7.org/fhirpath/N1, the functions that R4 adds (https://hl7.org/fhir/R4/fhirpath.html) and SDC's `weight()`.
What is left out is refused when an expression is compiled: memberOf, subsumes, conformsTo, quantities across units.
"""

from stepwell_screening.rules.fhirpath.budget import Budget, ExpressionError, TooCostlyError
from stepwell_screening.rules.fhirpath.items import Collection, Item, root
from stepwell_screening.rules.fhirpath.parser import Expression, compile_path
from stepwell_screening.rules.fhirpath.scope import Run, Scope

__all__ = [
    "Budget",
    "Collection",
    "Expression",
    "ExpressionError",
    "Item",
    "Run",
    "Scope",
    "TooCostlyError",
    "compile_path",
    "root",
]
