"""Who may ask for which care from outside, and whether a referral says all that it must. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stepwell_referral.rules.authorisation import AUTHORISING_INTENTS

PROPOSAL = "proposal"


@dataclass(frozen=True, slots=True)
class Source:
    """A role that may refer: tiers that it orders, tiers that it proposes; the empty role is a client without one."""

    role: str
    orders: frozenset[str]
    proposes: frozenset[str] = frozenset()
    needs_identifier: bool = False


@dataclass(frozen=True, slots=True)
class Needed:
    """One of these elements belongs there."""

    elements: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong or missing, and where."""

    element: str
    text: str


def source_of(roles: Collection[str], sources: Iterable[Source], others: Collection[str]) -> Source | None:
    """As whom a client refers: the role that may most; None for `others`, which refer nobody.

    A client in none of all these roles, such as a record system, speaks for who refers.
    """
    known = {source.role: source for source in sources}
    named = next((source for role, source in known.items() if role and role in roles), None)
    return named if named is not None or set(others) & set(roles) else known.get("")


def scope_problems(source: Source, tier: str, status: str, intent: str) -> list[Problem]:
    """What the role may not ask for. What is beyond its scope is asked for as a proposal, that a clinician answers."""
    problems = []
    if status != "active":
        problems.append(Problem("status", "a referral comes active"))
    if tier not in source.orders | source.proposes:
        tiers = ", ".join(sorted(source.orders | source.proposes))
        problems.append(Problem("category", f"this role refers to {tiers}"))
    elif tier not in source.orders and intent != PROPOSAL:
        problems.append(Problem("intent", f"{tier} is asked for as a proposal: a clinician decides"))
    elif intent != PROPOSAL and intent not in AUTHORISING_INTENTS:
        problems.append(Problem("intent", "a referral is a proposal, a plan or an order"))
    return problems


def missing(present: Collection[str], needed: Sequence[Needed]) -> list[Problem]:
    """What is not there of what belongs there, each with the element that would say it."""
    return [
        Problem(each.elements[0], each.text) for each in needed if not any(name in present for name in each.elements)
    ]


def held_back(open_holds: Mapping[str, str]) -> Problem | None:
    """A safety question is open (request id by rule): nobody is sent to unguided help before a person has spoken."""
    if not open_holds:
        return None
    return Problem("subject", "a question of safety is open: a person speaks with them first")
