"""Whether something of a person may be shared with somebody for a purpose. Pure: Consents, policy and time come in.

A provision holds when all its conditions do; its exceptions go before it, a denial before a permission, and the denial
of one Consent before the permission of another. A condition that cannot be compared counts against sharing.
https://hl7.org/fhir/R4/consent.html
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from stepwell_shared.consent.provisions import Coding, Effect, Named, Provision, SharingConsent

RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
PURPOSES = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACTIONS = "http://terminology.hl7.org/CodeSystem/consentaction"
# Actors that stand for others: who belongs to them is not known here.
_COLLECTIVE = frozenset({"Group", "CareTeam", "PractitionerRole"})


class Kind(StrEnum):
    """Where an actor stands towards the organisation that cares for the person."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    RELATED_PERSON = "related-person"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who would see it: its kind, and how references name it."""

    kind: Kind
    reference: str


@dataclass(frozen=True, slots=True)
class Default:
    """What holds for a kind of actor when no Consent speaks: for which purpose it acts, and why it is so.

    `is_named`: only a provision that names the actor permits it anything.
    """

    effect: Effect
    purpose: str
    is_named: bool
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """Resource types that a kind of actor always sees, or never, whatever Consents say, and why."""

    kind: Kind
    effect: Effect
    resource_types: frozenset[str]
    rule: str
    reason: str


@dataclass(frozen=True)
class Policy:
    """The default policy: what holds without a Consent, what none can change, and who receives."""

    defaults: Mapping[Kind, Default]
    fixed: tuple[Fixed, ...] = ()
    recipient_roles: frozenset[str] = frozenset()
    sharing_actions: frozenset[str] = frozenset()
    # types that are about no person
    open_types: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether it may be shared, why, by which rule, and the id of the Consent that said so (empty without one)."""

    permitted: bool
    reason: str
    rule: str
    consent: str = ""


@dataclass(frozen=True, slots=True)
class _Question:
    """What is compared with the conditions of a provision. `codes` are None when they cannot be known."""

    actor: Actor
    purpose: Coding
    resource_type: str
    labels: frozenset[Coding]
    codes: frozenset[Coding] | None
    now: datetime
    policy: Policy


@dataclass(frozen=True, slots=True)
class _Answer:
    effect: Effect
    is_named: bool = False


_SILENT = _Answer(Effect.SILENT)


def decide_sharing(
    consents: Sequence[SharingConsent],
    *,
    actor: Actor,
    purpose: str,
    resource_type: str,
    security_labels: Collection[Coding],
    now: datetime,
    policy: Policy,
    codes: Collection[Coding] | None = None,
) -> Decision:
    """Whether a resource of this type, with these labels and codes, may be shared with the actor for the purpose.

    `consents` are those of the person that the resource is about. `codes` None says that they are not known, so that
    what is denied by a code is denied and what is permitted by a code is not permitted.
    """
    if resource_type in policy.open_types:
        return Decision(True, "It is about no person.", "SHARE-OPEN")
    for each in policy.fixed:
        if each.kind is actor.kind and resource_type in each.resource_types:
            return Decision(each.effect is Effect.PERMIT, each.reason, each.rule)
    kept = None if codes is None else frozenset(codes)
    question = _Question(actor, Coding(PURPOSES, purpose), resource_type, frozenset(security_labels), kept, now, policy)
    default = policy.defaults[actor.kind]
    permitting = ""
    for consent in consents:
        answer = _answer_of(consent, question)
        if answer.effect is Effect.DENY:
            return Decision(False, "A Consent denies it.", "SHARE-DENIED", consent.id)
        if answer.effect is Effect.PERMIT and (answer.is_named or not default.is_named):
            permitting = permitting or consent.id
    if permitting:
        return Decision(True, "A Consent permits it.", "SHARE-PERMITTED", permitting)
    return Decision(default.effect is Effect.PERMIT, default.reason, default.rule)


def _answer_of(consent: SharingConsent, question: _Question) -> _Answer:
    """What a Consent says: its provisions, and where these are silent its base policy.

    A root provision without a type is no exception: it says when the base policy holds.
    """
    answer = _answer(consent.root, question, is_named=False)
    if answer.effect is not Effect.SILENT:
        return answer
    holds = True if consent.root.effect is not Effect.SILENT else _holds(consent.root, question)
    if holds is False or (holds is None and consent.base is Effect.PERMIT):
        return _SILENT
    return _Answer(consent.base)


def _answer(provision: Provision, question: _Question, *, is_named: bool) -> _Answer:
    """What a provision says with its exceptions; silent where it does not hold."""
    holds = _holds(provision, question)
    if holds is False:
        return _SILENT
    named = is_named or _any(_is_actor(each, question) for each in provision.actors) is True
    answers = [_answer(each, question, is_named=named) for each in provision.exceptions]
    found = _first(answers, Effect.DENY) or _first(answers, Effect.PERMIT) or _Answer(provision.effect, named)
    return _SILENT if holds is None and found.effect is Effect.PERMIT else found


def _first(answers: Iterable[_Answer], effect: Effect) -> _Answer | None:
    return next((each for each in answers if each.effect is effect), None)


def _holds(provision: Provision, question: _Question) -> bool | None:
    """Whether all conditions of a provision hold; None when that cannot be said."""
    if not provision.period.has(question.now):
        return False
    conditions = (
        not provision.actors or _any(_is_actor(each, question) for each in provision.actors),
        not provision.actions or _any(_is_sharing(each, question.policy) for each in provision.actions),
        not provision.purposes or _any(_is_same(each, question.purpose) for each in provision.purposes),
        not provision.classes or _any(_is_class(each, question.resource_type) for each in provision.classes),
        not provision.labels or not provision.labels.isdisjoint(question.labels),
        not provision.codes or _is_coded(provision.codes, question.codes),
        None if provision.is_specific else True,
    )
    if False in conditions:
        return False
    return None if None in conditions else True


def _any(answers: Iterable[bool | None]) -> bool | None:
    found = set(answers)
    if True in found:
        return True
    return None if None in found else False


def _is_actor(named: Named, question: _Question) -> bool | None:
    """Whether this is the actor; None for one that cannot be compared, or who is not named as a recipient."""
    kind = named.reference.rpartition("/")[0].rpartition("/")[2]
    if not named.reference or kind in _COLLECTIVE:
        return None
    if named.reference != question.actor.reference:
        return False
    return True if not named.roles.isdisjoint(question.policy.recipient_roles) else None


def _is_sharing(action: Coding, policy: Policy) -> bool | None:
    return action.code in policy.sharing_actions if action.system == ACTIONS else None


def _is_same(given: Coding, wanted: Coding) -> bool | None:
    return given.code == wanted.code if given.system == wanted.system else None


def _is_class(given: Coding, resource_type: str) -> bool | None:
    return given.code == resource_type if given.system == RESOURCE_TYPES else None


def _is_coded(given: frozenset[Coding | None], codes: frozenset[Coding] | None) -> bool | None:
    if codes is None:
        return None
    return _any(None if each is None else each in codes for each in given)
