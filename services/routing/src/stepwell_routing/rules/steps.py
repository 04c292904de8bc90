"""The steps of a ladder and the tracks beside it, as one policy declares them: what each offers, and where it leads."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stepwell_routing.rules.effects import INTENSITY, PROGRESS
from stepwell_routing.rules.reading import Element, Parts, Reader, first
from stepwell_routing.rules.tiers import Option, Tier, TierCatalogue, Words
from stepwell_routing.rules.wording import translations

UNRANKED = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One step, phase, layer or track as this policy runs it.

    `offering` says in words what it is; `tier_code` is the tier by whose places it is given. `next_rank` and
    `return_ranks` say where it leads; a track has the rank 0. `review_within` is how long until it is looked at again.
    Boosters are counted from the end of care, or from the beginning of the step where they are part of it.
    """

    code: str
    rank: int
    kind: str
    offering: Tier
    tier_code: str
    next_rank: int | None
    return_ranks: tuple[int, ...]
    review_within: timedelta
    contact_within: timedelta | None = None
    booster_after: tuple[timedelta, ...] = ()
    boosters_in_step: bool = False


@dataclass(frozen=True, slots=True)
class LadderScope:
    """What steps are read against: the ladder's own kind, the languages, and the tiers that ship."""

    kind: str
    language: str
    languages: tuple[str, ...]
    catalogue: TierCatalogue


def read_steps(reader: Reader, group: Element, path: str, scope: LadderScope) -> tuple[Step, ...]:
    """The steps in order; findings go to the reader."""
    actions = list(group.get("action", ()))
    ranks = {_coded(reader, action): rank for rank, action in enumerate(actions, start=1)}
    steps = []
    for rank, action in enumerate(actions, start=1):
        place = f"{path}.action[{rank - 1}]"
        step = _StepReader(reader, action, place, scope, ranks).read(rank, len(actions))
        if step is not None:
            steps.append(step)
    if len(ranks) != len(actions):
        reader.refuse(path, "a step is there twice")
    shared = all(step.offering.system == "tier" for step in steps)
    if steps and shared and [step.code for step in steps] != [tier.code for tier in scope.catalogue.tiers]:
        reader.refuse(path, "every tier needs its step, in order")
    _check_course(reader, path, steps)
    return tuple(steps)


def read_tracks(reader: Reader, group: Element, path: str, scope: LadderScope) -> dict[str, Step]:
    """The tracks beside the ladder, by code."""
    tracks: dict[str, Step] = {}
    for index, action in enumerate(group.get("action", ())):
        place = f"{path}.action[{index}]"
        track = _StepReader(reader, action, place, scope, {}, "track").read(UNRANKED, UNRANKED)
        if track is not None and track.code in tracks:
            reader.refuse(place, f"the track {track.code} is there twice")
        elif track is not None:
            tracks[track.code] = track
    return tracks


def _coded(reader: Reader, action: Element) -> tuple[str, str] | None:
    for system in ("step", "tier"):
        code = reader.code(action, system)
        if code is not None:
            return system, code
    return None


def _check_course(reader: Reader, path: str, steps: list[Step]) -> None:
    """Following `next` ends, and reaches every step; `return-to` leads back."""
    by_rank = {step.rank: step for step in steps}
    seen: list[int] = []
    rank = steps[0].rank if steps else None
    while rank is not None and rank not in seen:
        seen.append(rank)
        rank = by_rank[rank].next_rank if rank in by_rank else None
    if rank is not None:
        reader.refuse(path, f"the steps run in a circle: {by_rank[rank].code} comes after itself")
    for step in steps:
        place = f"{path}.action[{step.rank - 1}]"
        if rank is None and step.rank not in seen:
            reader.refuse(place, f"no step leads to {step.code}")
        if any(back >= step.rank for back in step.return_ranks):
            reader.refuse(place, f"a return from {step.code} leads to an earlier step")


class _StepReader:
    """Reads one step or track."""

    def __init__(
        self,
        reader: Reader,
        action: Element,
        path: str,
        scope: LadderScope,
        ranks: Mapping[tuple[str, str] | None, int],
        system: str | None = None,
    ) -> None:
        self.reader, self.action, self.path, self.scope, self.ranks = reader, action, path, scope, ranks
        self.system, self.code = system, None if system is None else reader.code(action, system)
        if system is None:
            self.system, self.code = _coded(reader, action) or (None, None)
        found = list(reader.extensions(action, "policy-step", path))
        self.place, self.parts = found[0] if found else (path, {})

    def read(self, rank: int, count: int) -> Step | None:
        review = self.reader.duration(self.action, "timingDuration", self.path)
        tier = self.scope.catalogue.by_code(self.code or "") if self.system == "tier" else None
        if self.code is None or review is None or (self.system == "tier" and tier is None):
            self.reader.refuse(self.path, "a step needs the code of a known tier or step, and a timingDuration")
            return None
        options = self.options()
        offering = self.offering(rank, options) if tier is None else _with_options(tier, options)
        kind = first(self.parts, "kind") or self.scope.kind
        if kind not in (INTENSITY, PROGRESS):
            self.reader.refuse(self.place, f"a kind is {INTENSITY} or {PROGRESS}")
        return Step(
            code=self.code,
            rank=rank,
            kind=kind,
            offering=offering,
            tier_code=self.code if tier is not None else self.tier_code(),
            next_rank=self.next_rank(rank, count),
            return_ranks=tuple(r for r in map(self.rank_of, self.parts.get("return-to", ())) if r is not None),
            review_within=review,
            contact_within=self.span("contact-within"),
            booster_after=self.spans("booster-after"),
            boosters_in_step=self.boosters_in_step(),
        )

    def offering(self, rank: int, options: tuple[Option, ...]) -> Tier:
        service = first(self.parts, "service") or {}
        system = f"{self.scope.catalogue.canonical}/CodeSystem/tier-service"
        if service.get("system") != system or not service.get("code") or not service.get("display"):
            self.reader.refuse(self.place, "a step needs its service: a coding of tier-service with display")
        if not options:
            self.reader.refuse(f"{self.path}.action", "a step needs at least one option that people can choose")
        return Tier(
            code=str(self.code),
            rank=rank,
            human=first(self.parts, "human") is True,
            display=self.text("title"),
            service_code=str(service.get("code")),
            service=self.display_of(service),
            offer=self.text("textEquivalent"),
            options=options,
            system=str(self.system),
        )

    def display_of(self, coding: Mapping[str, Any]) -> Words:
        """A coding's display by language; its translations stand beside it."""
        texts = translations(coding, "display", self.scope.language)
        for language in self.scope.languages:
            if coding and not texts.get(language):
                self.reader.refuse(self.place, f"the display of the service has no words in {language}")
        return {language: texts.get(language, "") for language in self.scope.languages}

    def text(self, name: str) -> Words:
        texts = translations(self.action, name, self.scope.language)
        for language in self.scope.languages:
            if not texts.get(language):
                self.reader.refuse(f"{self.path}.{name}", f"has no words in {language}")
        return {language: texts.get(language, "") for language in self.scope.languages}

    def tier_code(self) -> str:
        coding = first(self.parts, "tier") or {}
        code = str(coding.get("code"))
        if self.scope.catalogue.by_code(code) is None:
            self.reader.refuse(self.place, "a step needs the tier by whose places it is given")
        return code

    def next_rank(self, rank: int, count: int) -> int | None:
        coding = first(self.parts, "next")
        if coding is not None:
            return self.rank_of(coding)
        return rank + 1 if rank < count else None

    def rank_of(self, coding: Mapping[str, Any]) -> int | None:
        system = str(coding.get("system")).rpartition("/")[2]
        rank = self.ranks.get((system, str(coding.get("code"))))
        if rank is None:
            self.reader.refuse(self.place, f"the step {coding.get('code')} is not known")
        return rank

    def span(self, name: str) -> timedelta | None:
        return next(iter(self.spans(name)), None)

    def spans(self, name: str) -> tuple[timedelta, ...]:
        found = (self.reader.span(each, f"{self.place}.{name}") for each in self.parts.get(name, ()))
        return tuple(each for each in found if each is not None)

    def boosters_in_step(self) -> bool:
        found = first(self.parts, "boosters-in-step") is True
        if found and "booster-after" not in self.parts:
            self.reader.refuse(self.place, "boosters in the step need their dates: booster-after")
        return found

    def options(self) -> tuple[Option, ...]:
        found = []
        for index, action in enumerate(self.action.get("action", ())):
            place = f"{self.path}.action[{index}]"
            option = _OptionReader(self.reader, action, place, self.scope).read()
            if option is not None:
                found.append(option)
        return tuple(found)


class _OptionReader:
    """Reads one entry of a menu."""

    def __init__(self, reader: Reader, action: Element, path: str, scope: LadderScope) -> None:
        self.reader, self.action, self.path, self.scope = reader, action, path, scope

    def read(self) -> Option | None:
        code = self.reader.code(self.action, "care-option")
        found = list(self.reader.extensions(self.action, "policy-option", self.path))
        if code is None or not found:
            self.reader.refuse(self.path, "an option needs its code from care-option and what policy-option says of it")
            return None
        place, parts = found[0]
        return Option(
            code=code,
            display=self.words(self.action, "title", f"{self.path}.title"),
            plain=self.words(self.action, "textEquivalent", f"{self.path}.textEquivalent"),
            benefit=self.part(parts, place, "benefit"),
            burden=self.part(parts, place, "burden"),
            timeline=self.part(parts, place, "timeline"),
            modalities=tuple(str(each) for each in parts.get("modality", ())),
            self_guided=first(parts, "self-guided") is True,
            definition=self.action.get("definitionCanonical"),
        )

    def part(self, parts: Parts, place: str, name: str) -> Words:
        """A text of the extension, whose translations stand beside its value."""
        if name not in parts:
            self.reader.refuse(place, f"an option says its {name}")
            return {}
        index = int(place.rpartition("[")[2].rstrip("]"))
        inner = self.action["extension"][index]["extension"]
        element = next(each for each in inner if each.get("url") == name)
        return self.words(element, "valueString", f"{place}.{name}")

    def words(self, element: Element, name: str, place: str) -> Words:
        texts = translations(element, name, self.scope.language)
        for language in self.scope.languages:
            if not texts.get(language):
                self.reader.refuse(place, f"has no words in {language}")
        return {language: texts.get(language, "") for language in self.scope.languages}


def _with_options(tier: Tier, options: tuple[Option, ...]) -> Tier:
    """A tier that ships, with the menu of the policy where it has one."""
    if not options:
        return tier
    return Tier(
        code=tier.code,
        rank=tier.rank,
        human=tier.human,
        display=tier.display,
        service_code=tier.service_code,
        service=tier.service,
        offer=tier.offer,
        options=options,
    )
