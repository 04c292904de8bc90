"""A sharing Consent as the rule reads it: provisions within provisions, each with the conditions under which it holds.

https://hl7.org/fhir/R4/consent-definitions.html#Consent.provision
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

SHARING_SCOPE = "patient-privacy"
DEPTH_MAX = 4
OPT_IN, OPT_OUT = "OPTIN", "OPTOUT"  # v3-ActCode: the base policy, to which provisions are exceptions

Json = Mapping[str, Any]
Localise = Callable[[str], str]


class Effect(StrEnum):
    """What a Consent says to something. `silent`: nothing."""

    DENY = "deny"
    SILENT = "silent"
    PERMIT = "permit"


@dataclass(frozen=True, slots=True)
class Coding:
    """A code of a system; codes of the two sides are the same when both parts are."""

    system: str
    code: str


@dataclass(frozen=True, slots=True)
class Named:
    """An actor of a provision: its reference (empty when it has none), and the codes of its role."""

    reference: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Period:
    """From and to when something holds; open ends are None, `end` is the first moment after it."""

    start: datetime | None = None
    end: datetime | None = None

    def has(self, moment: datetime) -> bool:
        """Whether the moment lies within."""
        return (self.start is None or self.start <= moment) and (self.end is None or moment < self.end)


@dataclass(frozen=True, slots=True)
class Provision:
    """One rule with its exceptions. `codes` hold a None for each concept without a coding: nobody can compare it.

    `is_specific`: it names single resources or a time of data, which this server does not compare.
    """

    effect: Effect
    period: Period
    actors: tuple[Named, ...]
    actions: frozenset[Coding]
    purposes: frozenset[Coding]
    classes: frozenset[Coding]
    codes: frozenset[Coding | None]
    labels: frozenset[Coding]
    is_specific: bool
    exceptions: tuple["Provision", ...]


@dataclass(frozen=True, slots=True)
class SharingConsent:
    """A Consent that is in force: its id, whose it is, its base policy, and the root of the exceptions to that."""

    id: str
    patient: str
    base: Effect
    root: Provision


def sharing_consent(resource: Json, localise: Localise = str) -> SharingConsent | None:
    """What a Consent says about sharing; None for one that is not active or is about something else.

    Whatever is not `active` counts for nothing from the moment in which it is stored. `localise` makes the spellings
    of one reference one.
    """
    if resource.get("status") != "active" or not is_scope(resource, SHARING_SCOPE):
        return None
    base = {OPT_IN: Effect.PERMIT, OPT_OUT: Effect.DENY}
    policies = [base[c.code] for c in _codings([resource.get("policyRule", {})]) if c and c.code in base]
    own = Effect.DENY if Effect.DENY in policies else policies[0] if policies else Effect.SILENT
    root = _provision(resource.get("provision", {}), localise)
    patient = localise(str(resource.get("patient", {}).get("reference", ""))).partition("/_history/")[0]
    return SharingConsent(str(resource.get("id", "")), patient, own, root)


def is_scope(resource: Json, code: str) -> bool:
    """Whether the Consent's scope is this code of http://terminology.hl7.org/CodeSystem/consentscope."""
    return any(each is not None and each.code == code for each in _codings([resource.get("scope", {})]))


def mentioned(consent: SharingConsent) -> tuple[set[Coding], set[Coding]]:
    """The security labels and codes that its provisions name anywhere."""
    labels: set[Coding] = set()
    codes: set[Coding] = set()
    todo = [consent.root]
    while todo:
        each = todo.pop()
        labels |= each.labels
        codes |= {code for code in each.codes if code is not None}
        todo += each.exceptions
    return labels, codes


def bounds(period: Json) -> Period:
    """A FHIR Period with its end as the first moment after it. A time without a zone is UTC."""
    start, end = period.get("start"), period.get("end")
    return Period(_moments(start)[0] if start else None, _moments(end)[1] if end else None)


def _provision(given: Json, localise: Localise) -> Provision:
    return Provision(
        effect=Effect(given.get("type", Effect.SILENT)),
        period=bounds(given.get("period", {})),
        actors=tuple(_named(each, localise) for each in given.get("actor", ())),
        actions=frozenset(c or Coding("", "") for c in _codings(given.get("action", ()))),
        purposes=frozenset(map(_coding, given.get("purpose", ()))),
        classes=frozenset(map(_coding, given.get("class", ()))),
        codes=frozenset(_codings(given.get("code", ()))),
        labels=frozenset(map(_coding, given.get("securityLabel", ()))),
        is_specific="data" in given or "dataPeriod" in given,
        exceptions=tuple(_provision(each, localise) for each in given.get("provision", ())),
    )


def _named(actor: Json, localise: Localise) -> Named:
    roles = frozenset(each.code for each in _codings([actor.get("role", {})]) if each is not None)
    reference = str(actor.get("reference", {}).get("reference", ""))
    return Named(localise(reference).partition("/_history/")[0], roles)


def _codings(concepts: Any) -> list[Coding | None]:
    """All codings of the concepts; None for a concept without any."""
    found: list[Coding | None] = []
    for concept in concepts:
        codings = [_coding(each) for each in concept.get("coding", ()) if "code" in each]
        found += codings or [None]
    return found


def _coding(given: Json) -> Coding:
    return Coding(str(given.get("system", "")), str(given.get("code", "")))


def _moments(text: str) -> tuple[datetime, datetime]:
    """The first moment that a FHIR dateTime means, and the first after it."""
    if len(text) == 4:
        year = int(text)
        return datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    if len(text) == 7:
        year, month = int(text[:4]), int(text[5:])
        return datetime(year, month, 1, tzinfo=UTC), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    length = timedelta(days=1) if len(text) == 10 else timedelta(seconds=0 if "." in text else 1)
    return moment, moment + max(length, timedelta(microseconds=1))
