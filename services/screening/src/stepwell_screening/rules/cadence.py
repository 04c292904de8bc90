"""When a person is asked to fill in a form again, and which one: by tier, safety, how stable they are, their wish.

Pure: what is known, the cadence and the time are passed in; the numbers and their sources are in `data/cadence.json`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from stepwell_screening.rules.cadence_policy import Cadence, Form, Situation

USUAL, SLOWER, PAUSED = "usual", "slower", "paused"
PACES = (USUAL, SLOWER, PAUSED)
DETERIORATION = "deterioration"
STEADY = frozenset({"no-reliable-change", "improvement"})
SESSION, CONTACT = "session", "contact"
OCCASIONS = (SESSION, CONTACT)
REVIEW, OCCASION, PAUSE, ENDED = "CADENCE-REVIEW", "CADENCE-OCCASION", "CADENCE-PAUSE", "CADENCE-ENDED"
REMIND, OVERDUE = "remind", "overdue"


@dataclass(frozen=True, slots=True)
class Answered:
    """What is known of one measure of a person: when it was last answered, and whether it was elevated."""

    last: datetime
    is_elevated: bool


@dataclass(frozen=True, slots=True)
class History:
    """What has been asked and answered. `asked` is when each form was last asked for, by its canonical.

    `since` is when the schedule began. `prompted` is when somebody last asked for a form by themselves, if no form has
    been made for that yet; `last_unprompted` when a form last went out that nobody asked for. `wanted` is when a review
    last fell due without measures, and `wanted_measures` what it lacks beside those that are watched.
    """

    since: datetime
    answered: Mapping[str, Answered] = field(default_factory=dict)
    asked: Mapping[str, datetime] = field(default_factory=dict)
    is_safety_open: bool = False
    prompted: datetime | None = None
    last_unprompted: datetime | None = None
    wanted: datetime | None = None
    wanted_measures: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tier:
    """The tier that routing has assigned by which policy, and when it is reviewed; without a code none is known."""

    code: str = ""
    policy: str = ""
    review: datetime | None = None
    is_ended: bool = False


@dataclass(frozen=True, slots=True)
class Stability:
    """What can be said of a person's course: whether a score has got worse, whether all stand still long enough."""

    has_deteriorated: bool = False
    is_stable: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """The person's own wish, until when."""

    kind: str = USUAL
    until: datetime | None = None

    def at(self, now: datetime) -> str:
        """The wish that holds now; one whose time is over holds no more."""
        return USUAL if self.until is not None and now >= self.until else self.kind


@dataclass(frozen=True, slots=True)
class Solicitation:
    """Which form is asked for next and when, by which rule. Without a form nothing is asked for: look again at `at`."""

    questionnaire: str
    at: datetime | None
    rule: str
    reason: str
    is_prompted: bool = False

    def is_due(self, now: datetime) -> bool:
        """Whether to ask now."""
        return bool(self.questionnaire) and self.at is not None and self.at <= now


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next for a form that waits: a reminder, or that it is overdue."""

    what: str
    at: datetime


def next_solicitation(
    history: History, tier: Tier, stability: Stability, pause: Pace, cadence: Cadence, now: datetime
) -> Solicitation:
    """What is asked next, when, and why.

    At most one form goes out unprompted within the limit. A pause and a slower pace hold for all but safety. Who is
    asked for at a session or contact is asked at once: that is no unprompted form.
    """
    if tier.is_ended and not history.is_safety_open:
        return _after_the_end(history, cadence, now)
    situation = situation_of(cadence, tier, stability, is_safety_open=history.is_safety_open)
    watched = watched_measures(history, cadence)
    if history.prompted is not None:
        form = _form_for(cadence, [code for code in watched if cadence.measures[code].every_days is None], history)
        return Solicitation(form, history.prompted, OCCASION, "Somebody who meets this person asked for it.", True)
    pace = pause.at(now) if situation.can_be_slowed else USUAL
    if pace == PAUSED:
        return Solicitation("", pause.until, PAUSE, "The person has asked for a pause.")
    every = _interval(situation, stability, cadence, pace)
    review = _review_from(tier, cadence, now) if pace == USUAL else None
    due = {code: _due(code, every, history, review, cadence) for code in watched}
    lacking = _lacking(history, cadence)
    due |= {code: min(due.get(code, wanted), wanted) for code, wanted in lacking.items()}
    earliest = min(due.values())
    at = max(earliest, _next_unprompted(history, cadence))
    form = _form_for(cadence, [code for code in due if due[code] <= max(at, now)], history)
    if earliest in lacking.values():
        return Solicitation(form, at, REVIEW, f"{situation.display}: a review is due and has no new scores.")
    if review is not None and earliest == review:
        return Solicitation(form, at, REVIEW, f"{situation.display}: scores are wanted before the review.")
    return Solicitation(form, at, situation.code, _reason(situation, every, pace, is_stable=stability.is_stable))


def next_step(asked: datetime, due: datetime, *, is_reminded: bool, cadence: Cadence) -> Step:
    """What comes next for a form that was asked for and is still open: one reminder, then it is overdue."""
    remind = asked + timedelta(days=cadence.limit("remindAfterDays"))
    return Step(OVERDUE, due) if is_reminded or remind >= due else Step(REMIND, remind)


def stability_of(changes: Mapping[str, tuple[str, datetime]], cadence: Cadence, now: datetime) -> Stability:
    """What the last known change of each instrument, with the time since when it is so, says together.

    Stable is only who has at least one known course, all of them steady for long enough.
    """
    kinds = {kind for kind, _ in changes.values()}
    long_ago = now - timedelta(days=cadence.limit("stableAfterDays"))
    steady = bool(changes) and kinds <= STEADY and all(since <= long_ago for _, since in changes.values())
    return Stability(DETERIORATION in kinds, steady)


def situation_of(cadence: Cadence, tier: Tier, stability: Stability, *, is_safety_open: bool) -> Situation:
    """The first situation that fits."""
    return next(
        each
        for each in cadence.situations
        if (not each.needs_safety_open or is_safety_open)
        and (not each.needs_deterioration or stability.has_deteriorated)
        and each.tier in {"", tier.code}
        and each.policy in {"", tier.policy}
    )


def watched_measures(history: History, cadence: Cadence) -> list[str]:
    """What is asked for again: measures that were elevated, those that are never left out, and those with an interval
    of their own; while safety is open or nothing was elevated, those that are watched by default."""
    elevated = [code for code, known in history.answered.items() if known.is_elevated and code in cadence.measures]
    always = [code for code, measure in cadence.measures.items() if measure.every_days is not None]
    by_default = [code for code, measure in cadence.measures.items() if measure.is_watched_by_default]
    found = elevated if elevated and not history.is_safety_open else [*elevated, *by_default]
    return list(dict.fromkeys([*found, *always]))


def covering(cadence: Cadence, questionnaire: str) -> Sequence[str]:
    """The measures that a form asks, whatever its version; none for one that is not known here."""
    url = questionnaire.partition("|")[0]
    return next((form.measures for form in cadence.forms if form.questionnaire.partition("|")[0] == url), ())


def _lacking(history: History, cadence: Cadence) -> dict[str, datetime]:
    """The measures that a review which fell due still lacks, and since when: neither answered since then nor asked for
    so lately that the answer may yet come."""
    wanted = history.wanted
    if wanted is None:
        return {}
    asked_from = wanted - timedelta(days=cadence.limit("answerDays"))
    codes = [code for code in watched_measures(history, cadence) if cadence.measures[code].every_days is None]
    # One form at a time: what else is lacking follows once the scores are there.
    unanswered = [code for code in codes if not _is_answered(code, history, wanted)] or [
        code for code in sorted(history.wanted_measures) if not _is_answered(code, history, wanted)
    ]
    return {code: wanted for code in unanswered if _asked(code, history, cadence, asked_from) == asked_from}


def _is_answered(code: str, history: History, since: datetime) -> bool:
    return code in history.answered and history.answered[code].last >= since


def _after_the_end(history: History, cadence: Cadence, now: datetime) -> Solicitation:
    """After the end of care only a booster asks, once; what it asks for waits no longer than the longest interval."""
    wanted = history.wanted
    until = None if wanted is None else wanted + timedelta(days=cadence.slowest_days)
    if (
        wanted is None
        or until is None
        or now >= until
        or any(each.last >= wanted for each in history.answered.values())
    ):
        return Solicitation("", None, ENDED, "Care has ended: nothing is asked for.")
    lacking = _lacking(history, cadence)
    if not lacking:
        return Solicitation("", until, REVIEW, "Care has ended: a booster waits for its answer.")
    at = max(wanted, _next_unprompted(history, cadence))
    return Solicitation(_form_for(cadence, lacking, history), at, REVIEW, "Care has ended: a booster is due.")


def _interval(situation: Situation, stability: Stability, cadence: Cadence, pace: str) -> timedelta:
    days = situation.stable_every_days if stability.is_stable else situation.every_days
    if pace == SLOWER:
        days = max(days, min(days * cadence.limit("slowerTimes"), cadence.slowest_days))
    return timedelta(days=days)


def _due(code: str, every: timedelta, history: History, review: datetime | None, cadence: Cadence) -> datetime:
    """When a measure is due: so long after it was last answered or asked for; before a review that comes earlier."""
    own = cadence.measures[code].every_days
    last = _touched(code, history, cadence)
    due = last + (every if own is None else max(every, timedelta(days=own)))
    return min(due, review) if own is None and review is not None and last < review else due


def _review_from(tier: Tier, cadence: Cadence, now: datetime) -> datetime | None:
    """From when scores are wanted for the review; a review that is over asks for nothing by itself."""
    if tier.review is None or tier.review <= now:
        return None
    return tier.review - timedelta(days=cadence.limit("reviewLeadDays"))


def _touched(code: str, history: History, cadence: Cadence) -> datetime:
    answered = history.answered[code].last if code in history.answered else history.since
    return _asked(code, history, cadence, answered)


def _asked(code: str, history: History, cadence: Cadence, otherwise: datetime) -> datetime:
    """When a measure was last asked for, if that was later than another moment."""
    asked = (moment for form, moment in history.asked.items() if code in covering(cadence, form))
    return max([otherwise, *asked])


def _next_unprompted(history: History, cadence: Cadence) -> datetime:
    if history.last_unprompted is None:
        return history.since
    return history.last_unprompted + timedelta(days=cadence.limit("unpromptedDays"))


def _form_for(cadence: Cadence, due: Iterable[str], history: History) -> str:
    """The one form that asks most of what is due; then what waits longest, then the shortest."""
    wanted = set(due)

    def rank(form: Form) -> tuple[int, datetime, int]:
        asked = wanted & set(form.measures)
        oldest = min((_touched(code, history, cadence) for code in asked), default=history.since)
        return (-len(asked), oldest, len(form.measures))

    fitting = [form for form in cadence.forms if wanted & set(form.measures)]
    return min(fitting, key=rank).questionnaire if fitting else ""


def _reason(situation: Situation, every: timedelta, pace: str, *, is_stable: bool) -> str:
    why = [situation.display, *(["stable"] if is_stable else []), *(["slower by wish"] if pace == SLOWER else [])]
    return f"{', '.join(why)}: every {every.days} days."
