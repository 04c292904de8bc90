"""What clients sent and what they were answered, kept outside the services: the truth that the databases must match."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class Submission:
    """One response of one new patient. It is acknowledged when a 2xx named its id."""

    number: int
    patient_id: str = ""
    response_id: str = ""

    @property
    def identifier(self) -> str:
        """Marks patient and response, so that each is found again whatever happened to the answers."""
        return f"urn:chaos:{self.number}"

    @property
    def family(self) -> str:
        """The name of the patient, which no other has."""
        return f"Example-{self.number}"

    @property
    def acknowledged(self) -> bool:
        return bool(self.response_id)


@dataclass
class Ledger:
    """Every submission, every answer by kind, and every answer that should not have been."""

    submissions: dict[int, Submission] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    """By status code, and `none` where the connection broke or time was up."""
    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What was wrong with answers -> the identifiers of their submissions."""
    heard: list[tuple[int, str]] = field(default_factory=list)
    """Number and focus of each event that the EHR was told, in order of arrival."""

    def submission(self, number: int) -> Submission:
        """The submission of this number, begun when nobody has."""
        return self.submissions.setdefault(number, Submission(number))

    @property
    def acknowledged(self) -> list[Submission]:
        return [each for each in self.submissions.values() if each.acknowledged]
