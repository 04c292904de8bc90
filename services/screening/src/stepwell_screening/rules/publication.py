"""When a Questionnaire may be published, and which of its versions is the newest.

R4 invariants que-0 to que-13 (https://hl7.org/fhir/R4/questionnaire.html#invs) and SDC 4.0, "Versioning".
"""

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"[0-9]+")


def newest(versions: Sequence[str]) -> str:
    """The last of these versions; their numbers compare as numbers, so that 1.10 follows 1.9.

    Of equal numbers the one without further text is the last (`2.0.0` after `2.0.0-draft`), as in semantic versioning.
    Raises ValueError when there are none.
    """
    return max(versions, key=_order)


def _order(version: str) -> tuple[list[int], bool, str]:
    core, dash, rest = version.partition("-")
    return [int(number) for number in _NUMBER.findall(core)], not dash, rest
