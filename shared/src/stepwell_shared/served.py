"""Resource types that every service serves in the same way: Subscription, Provenance and copies of Patient."""

from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

import orjson

from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.subscriptions import (
    SUBSCRIPTION_PROFILE,
    check_subscription,
    endpoint_policy,
    mask_headers,
    state_of,
)
from stepwell_shared.events.topics import Topic, Topics
from stepwell_shared.fhir.copies import keep_copy
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import READ_ONLY, READ_WRITE, Interaction, ServedType, Write, served
from stepwell_shared.runtime import Runtime, base_urls


def shared_types(runtime: Runtime, topics: Sequence[Topic]) -> Iterator[ServedType]:
    """Subscription to this service's topics, and Provenance of what it makes."""
    yield served(
        "Subscription",
        ["status", "type", "url", "criteria"],
        interactions=READ_WRITE,
        on_write=partial(_subscribe, runtime, Topics(topics)),
        mask=lambda body: orjson.dumps(mask_headers(orjson.loads(body))),
        profiles=(SUBSCRIPTION_PROFILE,),
        documentation="Topic-based subscriptions (R4 Backport): rest-hook, at least once, in order per patient.",
    )
    yield served("Provenance", ["target", "recorded", "agent", "entity", "patient"], interactions=READ_ONLY)


def patient_copy() -> ServedType:
    """The read-only copy of Patient that the topic patient-changed keeps."""
    return served(
        "Patient",
        ["identifier", "family", "given", "birthdate", "gender", "active"],
        interactions=READ_ONLY,
        documentation="A copy under the id that screening gave; screening owns it.",
    )


async def _subscribe(runtime: Runtime, topics: Topics, write: Write) -> None:
    """Refuses what would never fire or what the caller may not see; the rest reaches delivery in the same commit."""
    if write.resource is None:
        previous = orjson.loads(write.previous.body) if write.previous and write.previous.body else {}
        write.unit.effects.append(state_of({**previous, "status": "off"}).effect())
        return
    hosts = {urlsplit(url).netloc for url in base_urls(runtime.settings)}
    may_post = endpoint_policy([*hosts, *runtime.settings.subscription_hosts_allowed])
    issues = check_subscription(write.resource, topics, may_post)
    if issues:
        raise FhirError(Category.BUSINESS_RULE, issues)
    topic = topics.get(write.resource["criteria"])
    for resource_type in (*topic.focus_types, *topic.context_types):
        if write.access.filters(resource_type, Interaction.READ):
            text = f"a subscription to {topic.name} needs unrestricted read on {resource_type}"
            raise FhirError(Category.FORBIDDEN, text)
    write.unit.effects.append(state_of({**write.resource, "id": write.stored.id}).effect())


async def keep_patient(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic patient-changed: keeps the copy of Patient up to date."""
    for url, resource in received.resources.items():
        if resource["resourceType"] == "Patient":
            source = f"{url}/_history/{resource['meta']['versionId']}"
            await keep_copy(runtime.engine, tenant, resource, source)
