"""One version of a referral Task on its way to the store: what it changes, and the event that goes with it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
from stepwell_shared.canonical import derived_id
from stepwell_shared.database.functions import Effect
from stepwell_shared.events.outbox import event
from stepwell_shared.federation.partners import organization_of
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.registry import Reader
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral.rules.interim import InterimOffer
from stepwell_referral.subscriptions import INTERIM_CHANGED, REFERRAL_CHANGED

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource, float_hook=Decimal)
_PARTNER = organization_of("")


@dataclass(frozen=True)
class Progress:
    """`before` is the version that `task` replaces, `stored` the one that it becomes, `request` our copy of the
    ServiceRequest behind it, `interim` the support that is offered until care begins, where that is known."""

    runtime: Runtime
    unit: UnitOfWork
    before: Resource | None
    task: Resource
    stored: Stored
    request: Stored | None
    now: datetime
    interim: InterimOffer | None = None

    @property
    def tenant(self) -> str:
        return self.unit.tenant

    @property
    def subject_key(self) -> str:
        """What names the person."""
        return subject_key(self.runtime, self.task["for"])

    @property
    def request_id(self) -> str:
        """The id of the ServiceRequest that the Task is about."""
        return str(self.task["focus"]["reference"].rpartition("/")[2])

    @property
    def reference(self) -> str:
        """This version of the Task."""
        return f"Task/{self.stored.id}/_history/{self.stored.version}"

    @property
    def is_of_partner(self) -> bool:
        """Whether a partner organisation has asked: it looks after the person's way, and is told by events."""
        return str(self.task.get("requester", {}).get("reference", "")).startswith(_PARTNER)

    @property
    def has_own_request(self) -> bool:
        """Whether the ServiceRequest was sent here, and is no copy of what routing or a partner owns."""
        reference = str(self.task["focus"]["reference"])
        is_here = "://" not in reference or reference.startswith(f"{self.runtime.engine.base_url}/")
        return is_here and not self.is_of_partner

    def id_of(self, *cause: str) -> str:
        """The id of what this cause leads to, here and in this tenant."""
        return derived_id(self.runtime.engine.base_url, self.tenant, *cause)

    async def read(self, resource_type: str, id_: str) -> tuple[Stored, Resource] | None:
        """The current version of a resource with its content."""
        stored = await self.runtime.store.read(self.tenant, resource_type, id_)
        return None if stored is None or stored.body is None else (stored, content(stored))

    def put(self, resource: Resource, previous: Stored | None = None) -> Stored:
        """Adds the next version of a resource to the unit of work."""
        version = 1 if previous is None else previous.version + 1
        change = built(self.runtime.engine, resource, self.now, version=version)
        self.unit.changes.append(change)
        return change.stored

    def announce(self, stored: Stored, task: Resource) -> None:
        """Adds the event of a referral Task that follows from this one, with what authorises it."""
        context = [] if self.request is None else [context_of(self.runtime, task, self.request)]
        self.unit.effects.append(referral_changed(self.runtime, stored, task, context, self.now))

    def announce_support(self, task: Stored, request: Stored | None) -> None:
        """Adds the event of support while waiting."""
        base_url, focus = self.runtime.engine.base_url, f"Task/{task.id}"
        entries = [(f"{base_url}/{each.resource_type}/{each.id}", each) for each in (task, request) if each is not None]
        self.unit.effects.append(event(INTERIM_CHANGED.canonical, self.subject_key, focus, entries, self.now))


def referral_changed(
    runtime: Runtime, stored: Stored, task: Resource, context: list[tuple[str, Stored]], now: datetime
) -> Effect:
    """The event that goes with this version of the Task."""
    focus = f"Task/{stored.id}"
    entries = [(f"{runtime.engine.base_url}/{focus}", stored), *context]
    return event(REFERRAL_CHANGED.canonical, subject_key(runtime, task["for"]), focus, entries, now)


def context_of(runtime: Runtime, task: Resource, request: Stored) -> tuple[str, Stored]:
    """Our copy of the ServiceRequest as subscribers get it: under the address of its owner, or ours when that is us."""
    url = str(task["focus"]["reference"])
    return (url if ":" in url else f"{runtime.engine.base_url}/{url}"), request


def subject_key(runtime: Runtime, subject: Resource) -> str:
    """What names a person in events: the local reference, the absolute URL, or the identifier."""
    if "reference" in subject:
        return runtime.engine.localise(subject["reference"])
    identifier = subject["identifier"]
    return f"{identifier.get('system', '')}|{identifier['value']}"


async def request_of(read: Reader, task: Resource) -> Stored | None:
    """Our copy of the ServiceRequest that the Task is about; None where it names none."""
    id_ = task.get("focus", {}).get("reference", "").rpartition("/")[2]
    stored = await read("ServiceRequest", id_) if id_ else None
    return None if stored is None or stored.body is None else stored


def content(stored: Stored | None) -> Resource:
    """What a stored version says; nothing for one that is deleted or not there."""
    found: Resource = _resource.decode(stored.body) if stored is not None and stored.body else {}
    return found


async def referral_with_request(
    runtime: Runtime, unit: UnitOfWork, before: Resource, task: Resource, now: datetime
) -> Progress:
    """Adds the next version of a referral Task to the unit of work, with its event.

    It is the version after the one that `before` says it is, so that what somebody wrote since is not overwritten.
    """
    change = built(runtime.engine, task, now, version=int(before["meta"]["versionId"]) + 1)
    unit.changes.append(change)
    request = await request_of(partial(runtime.store.read, unit.tenant), task)
    progress = Progress(runtime, unit, before, task, change.stored, request, now)
    progress.announce(change.stored, task)
    return progress
