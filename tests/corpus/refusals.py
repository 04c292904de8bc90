"""Why published examples are refused: each issue that the engine raises over them, and what in R4 it follows from."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """Issues by their text, and why a server must not, or ours does not, take such a resource."""

    issue: str
    reason: str

    def explains(self, issue: str) -> bool:
        """Whether this is about the issue."""
        return re.search(self.issue, issue) is not None


EXPLANATIONS = (
    Explanation(
        r"^Questionnaire\S+linkId is required$",
        "R4 generated one Questionnaire for each resource type, with items without linkId; Questionnaire.item.linkId is"
        " 1..1",
    ),
    Explanation(
        r"^Questionnaire que-2: ",
        "the same Questionnaires give the same linkId to several items; que-2: the link ids for groups and questions"
        " must be unique within the questionnaire",
    ),
    Explanation(
        r"^Questionnaire\S+ que-1: ",
        "the same Questionnaires have groups without items; que-1: group items must have nested items",
    ),
    Explanation(
        r"^\d+ further problems are not listed$",
        "the longest of the same Questionnaires have more such items than an OperationOutcome lists",
    ),
    Explanation(
        r" txt-2: ",
        "IBM's complete examples have an empty div; txt-2: the narrative SHALL have some non-whitespace content",
    ),
    Explanation(
        r"^RiskAssessment\.prediction\[0\]\.probability ras-1: ",
        "a probability as a Range whose low has no code; ras-1: low and high must be percentages, if present",
    ),
    Explanation(
        r"^(Measure(Report)?\.improvementNotation|Condition\.(clinical|verification)Status) must have a code of the",
        "a Coding that has nothing but the reason why its code is absent, where the binding is required",
    ),
    Explanation(
        r"^MeasureReport mrp-2: ",
        "IBM's complete examples have both; mrp-2: stratifiers SHALL be either a single criteria or a set of criteria"
        " components",
    ),
    Explanation(
        r"^Organization org-1: ",
        "an Organization without content; org-1: it SHALL at least have a name or an identifier",
    ),
    Explanation(
        r"\.modifierExtension is not supported",
        "extensibility: a system SHALL NOT process a resource with a modifier extension that it does not recognise",
    ),
    Explanation(
        r"^Observation\.performer\[0\]\.reference must refer to CareTeam or Organization or Patient or Practitioner",
        "observation-example-clinical-gender has an Encounter for its performer, a type that Observation.performer does"
        " not name",
    ),
    Explanation(
        r"^the body is larger than \d+ bytes$",
        "the longest value sets and code systems of the specification have more than the megabyte that one request may"
        " have here",
    ),
    Explanation(
        r"^CodeSystem\.concept\[\d+\]\.code must be a code without ",
        "codes with two spaces in a row; a code has no spaces but single ones within",
    ),
    Explanation(
        r"^Consent ppc-1: ",
        "a Consent without a policy; ppc-1: either a Policy or PolicyRule",
    ),
    Explanation(
        r"^List lst-[123]: ",
        "IBM's complete examples have every element of a List at once, which lst-1 to lst-3 exclude",
    ),
    Explanation(
        r"^Group grp-1: ",
        "IBM's complete examples have members in Groups of which they do not say that they are actual; grp-1: can only"
        " have members if group is actual",
    ),
    Explanation(
        r"^Appointment\S* app-[13]: ",
        "a minimal Appointment: app-1 and app-3 ask for a type or an actor, and for times once it is planned",
    ),
)
