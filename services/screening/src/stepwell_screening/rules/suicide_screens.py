"""What answered suicide screens come to: ASQ positive or open, C-SSRS high, moderate, low or open (SAF-1 to SAF-5).

Sources: C-SSRS clinical triage guidelines, the public summary of ASQ; what is assumed beyond them stands in
`data/safety.json`. A blank is never a no.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from stepwell_screening.rules.safety_policy import HIGH, LOW, MODERATE, POSITIVE, UNANSWERED


class Answer(StrEnum):
    """How a yes-or-no question was answered; `unclear` is any other answer, such as a refusal."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


class Screened(NamedTuple):
    """A rule that the answers call for; `part` tells findings of one screen apart. `holds` as in SafetyRule."""

    rule: str
    part: str = ""
    holds: bool = False


Answers = Mapping[str, Answer]
"""By role; a question without an answer is left out."""


def asq(answers: Answers, *, finished: bool) -> list[Screened]:
    """Any yes, or a refusal, is positive (SAF-1), acute when question 5 is yes; blanks of a finished form are SAF-5."""
    if answers.get("acute") == Answer.YES:
        return [Screened(POSITIVE, "acute")]
    if any(answer != Answer.NO for answer in answers.values()):
        return [Screened(POSITIVE)]
    questions = {f"question-{number}" for number in range(1, 5)}
    return [Screened(UNANSWERED)] if finished and not questions <= answers.keys() else []


def c_ssrs(answers: Answers, *, finished: bool) -> list[Screened]:
    """High: intent, plan or recent behaviour. Moderate: method or earlier behaviour. Low: wish or thoughts alone.

    What is open can only raise the level: a yes beside open questions is unresolved, in a form that goes on (SAF-1)
    and in a finished one (SAF-5), and never low.
    """
    said_yes = {role for role, answer in answers.items() if answer == Answer.YES}
    if said_yes & {"intent", "plan", "behaviour-recent"}:
        return [Screened(HIGH)]
    open_questions = _asked(answers) - {role for role, answer in answers.items() if answer != Answer.UNCLEAR}
    found = [Screened(MODERATE)] if said_yes & {"method", "behaviour-ever"} else []
    if open_questions and finished:
        found.append(Screened(UNANSWERED))
    elif open_questions and (said_yes or Answer.UNCLEAR in answers.values()):
        found.append(Screened(POSITIVE))
    elif said_yes and not found:
        found.append(Screened(LOW, holds="thoughts" in said_yes))
    return found


def _asked(answers: Answers) -> set[str]:
    """Questions 1, 2 and 6 always; 3 to 5 unless question 2 is no, the past 3 months unless there never was any."""
    asked = {"wish", "thoughts", "behaviour-ever"}
    if answers.get("thoughts") != Answer.NO:
        asked |= {"method", "intent", "plan"}
    if answers.get("behaviour-ever") != Answer.NO:
        asked.add("behaviour-recent")
    return asked


SCREENS = {"asq": asq, "c-ssrs": c_ssrs}
"""By the name of the screen in `data/safety.json`."""
