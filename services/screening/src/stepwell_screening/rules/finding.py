"""What a rule holds against a submission: an issue code, words for the sender, and the place."""

from dataclasses import dataclass

FINISHED = frozenset({"completed", "amended"})
"""Response statuses whose content must hold in full; R4 questionnaire-answers-status."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem. `code` is from the R4 issue-type value set; `text` never quotes an answer;
    `expression` is a FHIRPath such as `QuestionnaireResponse.item[3].answer[0].value`."""

    code: str
    text: str
    expression: str
