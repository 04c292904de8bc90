"""Who works where with which competence, read from PractitionerRole, Practitioner, supervision and fidelity."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stepwell_shared.canonical import code_system, extension_url
from stepwell_shared.fhir.values import period
from stepwell_shared.runtime import Runtime

from stepwell_referral import builders
from stepwell_referral.rules.competence import Competence, Span, valid_spans
from stepwell_referral.use_cases.whereabouts import span_of

FINISHED = ("completed", "amended")
DAYS_OF = {"d": 1.0, "wk": 7.0, "mo": 30.4375, "a": 365.25}

Resource = dict[str, Any]


@dataclass(frozen=True)
class Role:
    """One PractitionerRole: at which places, of whom, in which time, with what."""

    services: frozenset[str]
    practitioner: str
    span: Span
    competences: tuple[Competence, ...]


@dataclass
class Staff:
    """All that is known of staff; each resource that comes replaces what was known from it."""

    _roles: dict[str, Role] = field(default_factory=dict)
    _at: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _qualifications: dict[str, dict[str, list[Span]]] = field(default_factory=dict)
    _retired: set[str] = field(default_factory=set)
    # kind of evidence -> who -> by which resource -> when
    _evidence: dict[str, defaultdict[str, dict[str, float]]] = field(
        default_factory=lambda: {"supervision": defaultdict(dict), "fidelity": defaultdict(dict)}
    )

    def take(self, resource_type: str, resource: Resource, runtime: Runtime) -> set[str]:
        """Takes a resource in; what comes back are the ids of the places that must be looked at again."""
        if resource_type == "PractitionerRole":
            return self._take_role(resource, runtime)
        if resource_type == "Practitioner":
            return self._take_practitioner(resource)
        if resource_type == "Appointment":
            return self._take_supervision(resource, runtime)
        return self._take_form(resource, runtime)

    def competences_at(self, service: str) -> dict[str, tuple[Span, ...]]:
        """When somebody at a place has which competence."""
        found: defaultdict[str, tuple[Span, ...]] = defaultdict(tuple)
        for id_ in sorted(self._at[service]):
            for code, spans in self._of_role(id_, self._roles[id_]):
                found[code] += spans
        return dict(found)

    def _of_role(self, id_: str, role: Role) -> Iterator[tuple[str, tuple[Span, ...]]]:
        if role.practitioner in self._retired:
            return
        qualified = self._qualifications.get(role.practitioner, {})
        stated = [each.code for each in role.competences]
        alone = [Competence(code) for code in qualified if code not in stated]
        names = [f"PractitionerRole/{id_}", *([f"Practitioner/{role.practitioner}"] if role.practitioner else [])]
        moments = {
            kind: [moment for name in names for moment in known.get(name, {}).values()]
            for kind, known in self._evidence.items()
        }
        for each in (*role.competences, *alone):
            spans = valid_spans(each, role.span, qualified.get(each.code), moments["supervision"], moments["fidelity"])
            yield each.code, spans

    def _take_role(self, role: Resource, runtime: Runtime) -> set[str]:
        id_ = role["id"]
        before = self._roles.pop(id_, None)
        stale = set(before.services) if before is not None else set()
        for service in stale:
            self._at[service].discard(id_)
        if role.get("active", True):
            services = frozenset(_ids("HealthcareService", role.get("healthcareService", ()), runtime))
            practitioner = next(iter(_ids("Practitioner", [role.get("practitioner", {})], runtime)), "")
            span = span_of(role.get("period", {}))
            self._roles[id_] = Role(services, practitioner, span, tuple(_competences(role)))
            for service in services:
                self._at[service].add(id_)
            stale |= services
        return stale

    def _take_practitioner(self, practitioner: Resource) -> set[str]:
        id_ = practitioner["id"]
        (self._retired.discard if practitioner.get("active", True) else self._retired.add)(id_)
        qualified: defaultdict[str, list[Span]] = defaultdict(list)
        for each in practitioner.get("qualification", ()):
            qualified[builders.competence(each.get("code", {}))].append(span_of(each.get("period", {})))
        self._qualifications[id_] = dict(qualified)
        return self._places_of({f"Practitioner/{id_}"})

    def _take_form(self, form: Resource, runtime: Runtime) -> set[str]:
        who = [runtime.engine.localise(form.get("subject", {}).get("reference", ""))]
        counts = form.get("status") in FINISHED
        return self._note("fidelity", form, who, form.get("authored") if counts else None)

    def _take_supervision(self, appointment: Resource, runtime: Runtime) -> set[str]:
        actors = [each.get("actor", {}).get("reference", "") for each in appointment.get("participant", ())]
        who = [runtime.engine.localise(each) for each in actors]
        counts = appointment.get("status") == "fulfilled" and is_supervision(appointment)
        return self._note("supervision", appointment, who, appointment.get("start") if counts else None)

    def _note(self, kind: str, source: Resource, who: Iterable[str], at: str | None) -> set[str]:
        address = f"{source.get('resourceType')}/{source['id']}"
        staff = {each for each in who if each.startswith(("Practitioner/", "PractitionerRole/"))}
        known = self._evidence[kind]
        told = {name for name, moments in known.items() if moments.pop(address, None) is not None}
        moment = period(at) if at is not None else None
        for name in staff if moment is not None else ():
            known[name][address] = moment[0].timestamp() if moment is not None else 0.0
        return self._places_of(staff | told)

    def _places_of(self, staff: set[str]) -> set[str]:
        found: set[str] = set()
        for id_, role in self._roles.items():
            if f"PractitionerRole/{id_}" in staff or f"Practitioner/{role.practitioner}" in staff:
                found |= role.services
        return found


def is_supervision(appointment: Mapping[str, Any]) -> bool:
    """Whether an Appointment is supervision of staff, in one room or from afar."""
    codings = appointment.get("appointmentType", {}).get("coding", ())
    wanted = (code_system("appointment-kind"), "supervision")
    return any((coding.get("system"), coding.get("code")) == wanted for coding in codings)


def _competences(role: Resource) -> Iterator[Competence]:
    for extension in role.get("extension", ()):
        if extension.get("url") != extension_url("competence"):
            continue
        parts = {part.get("url"): part for part in extension.get("extension", ())}
        code = builders.competence(parts.get("code", {}).get("valueCodeableConcept", {}))
        if code:
            yield Competence(
                code,
                span_of(parts.get("period", {}).get("valuePeriod", {})),
                _days(parts.get("supervised-within", {}).get("valueDuration")),
                _days(parts.get("fidelity-within", {}).get("valueDuration")),
            )


def _days(duration: Resource | None) -> float | None:
    """A Duration in days, None where none is stated; one in a unit that is no time never ends before it begins: 0."""
    if duration is None:
        return None
    return float(duration.get("value", 0)) * DAYS_OF.get(str(duration.get("code", "d")), 0.0)


def _ids(kind: str, references: Iterable[Resource], runtime: Runtime) -> list[str]:
    local = (runtime.engine.localise(each.get("reference", "")).split("/") for each in references)
    return [parts[1] for parts in local if len(parts) > 1 and parts[0] == kind]
