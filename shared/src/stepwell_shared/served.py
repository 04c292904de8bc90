"""Resource types that every service serves in the same way: Subscription, Provenance and copies of Patient."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import orjson

from stepwell_shared.auth.audit_view import audit_events
from stepwell_shared.auth.caller import Caller
from stepwell_shared.consent.sharing import Sharing
from stepwell_shared.consent.withholding import withholding
from stepwell_shared.events import operations
from stepwell_shared.events.documentation import subscription_documentation
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.filters import EngineFilters
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.subscriptions import SUBSCRIPTION_PROFILE, check_subscription, mask_headers, state_of
from stepwell_shared.events.topics import Topic, Topics
from stepwell_shared.export.exports import Exports
from stepwell_shared.export.kickoff import GROUP
from stepwell_shared.export.operations import export_operation
from stepwell_shared.export.people import PATIENT
from stepwell_shared.fhir.copies import keep_copy
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import (
    READ_ONLY,
    READ_WRITE,
    Interaction,
    Operation,
    Registry,
    ServedType,
    Write,
    served,
)
from stepwell_shared.runtime import Runtime, base_urls
from stepwell_shared.settings import Settings

# Every parameter of R4 that our types are searched by, in each service that serves them.
PATIENT_PARAMETERS = (
    *("active", "address", "address-city", "address-country", "address-postalcode", "address-state"),
    *("address-use", "birthdate", "death-date", "deceased", "email", "family", "gender"),
    *("general-practitioner", "given", "identifier", "language", "link", "name", "organization", "phone"),
    "telecom",
)
TASK_PARAMETERS = (
    *("authored-on", "based-on", "business-status", "code", "encounter", "focus", "group-identifier"),
    *("identifier", "intent", "modified", "owner", "part-of", "patient", "performer", "period", "priority"),
    *("requester", "status", "subject"),
)
SERVICE_REQUEST_PARAMETERS = (
    *("authored", "based-on", "body-site", "category", "code", "encounter", "identifier"),
    *("instantiates-canonical", "instantiates-uri", "intent", "occurrence", "patient", "performer"),
    *("performer-type", "priority", "replaces", "requester", "requisition", "specimen", "status", "subject"),
)
PROVENANCE_PARAMETERS = (
    *("agent", "agent-role", "agent-type", "entity", "location", "patient", "recorded", "signature-type"),
    *("target", "when"),
)


def shared_types(runtime: Runtime, service: str, topics: Sequence[Topic]) -> Iterator[ServedType]:
    """Subscription to this service's topics, Provenance of what it makes, and who had access."""
    known = Topics(topics)
    yield served(
        "Subscription",
        ["contact", "criteria", "payload", "status", "type", "url"],
        interactions=READ_WRITE,
        on_write=partial(_subscribe, runtime, known),
        mask=lambda body: orjson.dumps(mask_headers(orjson.loads(body))),
        operations=tuple(_operations(runtime, known)),
        profiles=(SUBSCRIPTION_PROFILE,),
        documentation=subscription_documentation(topics),
    )
    yield served("Provenance", PROVENANCE_PARAMETERS, interactions=READ_ONLY)
    yield audit_events(service)


def patient_copy() -> ServedType:
    """The read-only copy of Patient that the topic patient-changed keeps."""
    return served(
        "Patient",
        PATIENT_PARAMETERS,
        interactions=READ_ONLY,
        documentation="A copy under the id that screening gave; screening owns it.",
    )


async def _subscribe(runtime: Runtime, topics: Topics, write: Write) -> None:
    """Refuses what would never fire or what the caller may not see; the rest reaches delivery in the same commit."""
    if write.resource is None:
        previous = orjson.loads(write.previous.body) if write.previous and write.previous.body else {}
        write.unit.effects.append(state_of({**previous, "status": "off"}).effect())
        return
    filtering = EngineFilters(runtime.engine, topics)
    issues = check_subscription(write.resource, topics, endpoint_policy(runtime.settings), filtering)
    if issues:
        raise FhirError(Category.BUSINESS_RULE, issues)
    # What Consents leave of a topic is asked at each send; here it is what the token itself grants that counts.
    caller = write.access if isinstance(write.access, Caller) else None
    granted = caller.before_consent if caller is not None else None
    operations.require_topic(granted or write.access, topics.get(write.resource["criteria"]))
    actor = runtime.engine.localise(caller.actor) if caller is not None and caller.actor else ""
    write.unit.effects.append(state_of({**write.resource, "id": write.stored.id}, actor).effect())


def endpoint_policy(settings: Settings) -> EndpointPolicy:
    """Where subscriptions of this deployment may post: its own services, public hosts and configured ones."""
    hosts = {urlsplit(url).netloc for url in base_urls(settings)}
    return EndpointPolicy([*hosts, *settings.subscription_hosts_allowed])


def with_export(found: Registry, runtime: Runtime) -> Registry:
    """The registry with `$export` of the service, of its patients and of its groups, as far as it has them."""
    exports = exports_of(runtime)
    found.operations = (*found.operations, export_operation(exports, "system"))
    of_types = {PATIENT: export_operation(exports, "patient"), GROUP: export_operation(exports, "group")}
    for name, operation in of_types.items():
        if name in found.types:
            found.types[name] = replace(found.types[name], operations=(*found.types[name].operations, operation))
    return found


def exports_of(runtime: Runtime) -> Exports:
    """The exports of the process, the same for whoever asks."""
    exports = runtime.cache.setdefault(Exports, Exports(runtime))
    assert isinstance(exports, Exports)
    return exports


def _operations(runtime: Runtime, topics: Topics) -> Iterator[Operation]:
    async def status(request: Request) -> Response:
        engine = runtime.engine
        return await operations.status(runtime.database, engine.base_url, engine.clock(), request)

    async def events(request: Request) -> Response:
        engine = runtime.engine
        withhold = withholding(runtime.database, Sharing.of(engine))
        return await operations.events(runtime.database, engine.base_url, topics, engine.clock(), request, withhold)

    defined = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription"
    about_status = "How delivery stands: status, number of events so far, the last error and what is parked."
    for instance in (True, False):
        yield Operation(
            "status",
            status,
            Interaction.READ,
            about_status,
            instance=instance,
            affects_state=False,
            result="Bundle",
            definition=f"{defined}-status",
        )
    yield Operation(
        "events",
        events,
        Interaction.READ,
        "Past events by number: eventsSinceNumber and eventsUntilNumber (both included), content. An answer holds a"
        " limited number of events; ask again from the last one.",
        affects_state=False,
        result="Bundle",
        definition=f"{defined}-events",
    )


async def keep_patient(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic patient-changed: keeps the copy of Patient up to date."""
    for url, resource in received.resources.items():
        if resource["resourceType"] == "Patient":
            source = f"{url}/_history/{resource['meta']['versionId']}"
            await keep_copy(runtime.engine, tenant, resource, source)
