"""What a subscriber's answer means, and how long to wait after it. Pure: the jitter is handed in."""

from dataclasses import dataclass
from enum import Enum

import orjson

BACKOFF_FIRST_SECONDS = 1.0
REASON_LENGTH_MAX = 300
# The peer, its gateway or our credentials are the trouble, whatever the event was.
_PEER_STATUSES = frozenset({401, 403, 408, 425, 429, 502, 503, 504})


class Verdict(Enum):
    """What to do next. Only a refusal that names the event is a decision about it; all else may pass."""

    DELIVERED = "delivered"
    REFUSED = "the receiver refused this event"
    FAULTY = "the receiver failed, perhaps over this event"
    UNAVAILABLE = "the receiver cannot be reached or does not let us in"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict with the reason that operators see; no patient data."""

    verdict: Verdict
    reason: str = ""


def read_answer(status: int, body: bytes, *, internal: bool) -> Answer:
    """The meaning of an HTTP answer.

    Our own services never quote patient data, so that only `internal` diagnostics are kept. A 4xx without an
    OperationOutcome that points at a Bundle entry comes from a gateway or a wrong address as easily as from the
    subscriber, and must not park an event.
    """
    if 200 <= status < 300:
        return Answer(Verdict.DELIVERED)
    if status in _PEER_STATUSES:
        return Answer(Verdict.UNAVAILABLE, f"HTTP {status}")
    issues = _issues(body)
    named = [issue for issue in issues if _names_entry(issue)]
    if 400 <= status < 500 and named:
        return Answer(Verdict.REFUSED, _reason(status, named[0], internal=internal))
    return Answer(Verdict.FAULTY, f"HTTP {status}")


def backoff_seconds(attempts: int, seconds_max: float, jitter: float) -> float:
    """Exponential backoff with full jitter after this many failed attempts; `jitter` lies in [0, 1).

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    ceiling: float = min(seconds_max, BACKOFF_FIRST_SECONDS * 2.0 ** min(attempts - 1, 30))
    return ceiling * jitter


def _issues(body: bytes) -> list[dict[str, object]]:
    try:
        outcome = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(outcome, dict) or outcome.get("resourceType") != "OperationOutcome":
        return []
    issues = outcome.get("issue")
    return [issue for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []


def _names_entry(issue: dict[str, object]) -> bool:
    expressions = issue.get("expression")
    return isinstance(expressions, list) and any(str(e).startswith("Bundle.entry[") for e in expressions)


def _reason(status: int, issue: dict[str, object], *, internal: bool) -> str:
    code = str(issue.get("code", ""))[:40]
    text = f": {issue.get('diagnostics', '')}" if internal else ""
    return f"HTTP {status} {code}{text}"[:REASON_LENGTH_MAX]
