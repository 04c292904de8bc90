"""What may follow a response that is kept already: a form goes on until it is finished, then it is only corrected.

https://hl7.org/fhir/R4/valueset-questionnaire-answers-status.html
"""

from collections.abc import Mapping
from typing import Any

from stepwell_screening.rules.finding import Finding

JsonObject = Mapping[str, Any]

CORRECTIONS = {
    "completed": frozenset({"amended", "entered-in-error"}),
    "amended": frozenset({"amended", "entered-in-error"}),
    "entered-in-error": frozenset({"amended", "entered-in-error"}),
}
"""Statuses that may follow a finished or withdrawn response; any may follow one that is still being filled in."""


def check_succession(before: JsonObject, after: JsonObject, *, same_subject: bool, same_content: bool) -> list[Finding]:
    """What speaks against `after` as the next version of `before`; saying the same again is always right.

    The score and the safety alerts of a response belong to its person and its form, so neither can be exchanged.
    """
    if same_content:
        return []
    findings: list[Finding] = []
    if not same_subject:
        text = "These answers are another person's; withdraw the response (entered-in-error) and send a new one."
        findings.append(Finding("business-rule", text, "QuestionnaireResponse.subject"))
    if before.get("questionnaire") != after.get("questionnaire"):
        text = "A response stays with its Questionnaire and its version; send a new response for another."
        findings.append(Finding("business-rule", text, "QuestionnaireResponse.questionnaire"))
    allowed = CORRECTIONS.get(before["status"])
    if allowed is not None and after["status"] not in allowed:
        text = f"A response that is {before['status']} can only become {' or '.join(sorted(allowed))}."
        findings.append(Finding("business-rule", text, "QuestionnaireResponse.status"))
    return findings
