"""Decisions of the board: read for reports and pages, and recorded by leaders, with who did so on record."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.pages.door import Visit
from stepwell_shared.runtime import Runtime

from stepwell_measurement.data.dashboard_words import languages
from stepwell_measurement.data.measures import measures
from stepwell_measurement.improvement_tables import (
    decision_effect,
    newest_decisions,
    suggestion_effect,
    suggestion_of,
)
from stepwell_measurement.rules.minutes import STANDINGS, TEXT_MAX, TEXT_MIN, Decision
from stepwell_measurement.rules.suggestions import ERASED, TAKEN_UP
from stepwell_measurement.use_cases.suggestions import NO_TYPE, require_leader


@dataclass(frozen=True)
class Written:
    """What a form says, field by field."""

    fields: Mapping[str, str]

    def text(self, name: str) -> str:
        """A text of the right length. Raises FhirError BUSINESS_RULE."""
        said = self.fields.get(name, "").replace("\r\n", "\n").strip()
        if not TEXT_MIN <= len(said) <= TEXT_MAX or any(ord(letter) < 32 and letter != "\n" for letter in said):
            raise _refused(name, f"has {TEXT_MIN} to {TEXT_MAX} letters")
        return said

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        """One of some words. Raises FhirError BUSINESS_RULE."""
        said = self.fields.get(name, "")
        if said not in known:
            raise _refused(name, f"is one of {', '.join(known)}")
        return said

    def day(self, name: str, latest: date) -> date:
        """A day that is not still to come. Raises FhirError BUSINESS_RULE."""
        try:
            said = date.fromisoformat(self.fields.get(name, ""))
        except ValueError as error:
            raise _refused(name, "is a day such as 2026-05-31") from error
        if not date(2000, 1, 1) <= said <= latest:
            raise _refused(name, "is a day that was, not one to come")
        return said

    def version(self) -> int:
        """The version that was looked at; 0 for something new. Raises FhirError BUSINESS_RULE."""
        said = self.fields.get("version", "") or "0"
        if not (said.isascii() and said.isdecimal() and len(said) < 7):
            raise _refused("version", "is a number")
        return int(said)


async def decisions_of(runtime: Runtime, tenant: str) -> list[Decision]:
    """Every decision of a tenant as it stands now, the newest first."""
    found = await newest_decisions(runtime.database, tenant)
    return sorted(found, key=lambda each: (each.decided_on, each.id), reverse=True)


async def record(visit: Visit, fields: Mapping[str, str]) -> None:
    """Keeps a decision, or a new version of one; the suggestion that it answers is taken up with it.

    Raises FhirError: FORBIDDEN, BUSINESS_RULE for what cannot be kept, CONFLICT when somebody was first.
    """
    require_leader(visit)
    runtime, tenant = visit.runtime, visit.access.tenant
    written = Written(fields)
    known = {each.id: each for each in await newest_decisions(runtime.database, tenant)}
    before = known.get(fields.get("id", ""))
    if fields.get("id") and before is None:
        raise FhirError(Category.NOT_FOUND, "there is no such decision")
    suggestion = before.suggestion if before else fields.get("suggestion", "")
    decision = Decision(
        id=before.id if before else runtime.new_id(),
        version=written.version() + 1,
        said=written.text("said"),
        done=written.text("done"),
        decided_on=written.day("decided", runtime.clock().date()),
        standing=written.one_of("standing", STANDINGS),
        language=written.one_of("language", languages()),
        measure=written.one_of("measure", ("", *measures())),
        suggestion=suggestion,
        is_public=fields.get("public") == "yes",
    )
    if before is not None and decision.version != before.version + 1:
        raise _overtaken()
    effects = [decision_effect(decision), visit.record(NO_TYPE, "update" if before else "create", decision.id, 303)]
    if suggestion and before is None:
        answered = await suggestion_of(runtime.database, tenant, suggestion)
        if answered is None:
            raise _refused("suggestion", "is one that is here")
        if answered.status != ERASED:
            effects.append(suggestion_effect(answered._replace(status=TAKEN_UP)))
    try:
        await runtime.store.commit(UnitOfWork(tenant, effects=effects))
    except WriteConflictError as error:
        raise _overtaken() from error


def _overtaken() -> FhirError:
    return FhirError(Category.CONFLICT, "somebody has changed this decision: open it again")


def _refused(name: str, text: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(f"{name} {text}", "business-rule")])
