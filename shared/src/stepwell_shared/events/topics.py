"""Topics: the named kinds of event that a service publishes, each with the filters that it can evaluate.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/components.html (R4 has no SubscriptionTopic resource)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stepwell_shared.canonical import topic as topic_canonical
from stepwell_shared.fhir.outcome import Category, FhirError, Issue

# Both ask for the person that the event is about, which every outbox row carries.
SUBJECT_FILTERS = frozenset({"patient", "subject"})


@dataclass(frozen=True, slots=True)
class Topic:
    """One kind of event: its name, the resource types it is about, and the filters a subscriber may use.

    A filter is `patient`, `subject` or a search parameter of the focus; at start a service refuses a topic with a
    filter that it could not evaluate, so that no subscription is accepted that ignores one.
    """

    name: str
    focus_types: tuple[str, ...]
    filters: tuple[str, ...]
    description: str
    # types that come beside the focus: a subscriber must be allowed to read them too
    context_types: tuple[str, ...] = ()

    @property
    def canonical(self) -> str:
        """The URL by which Subscription.criteria names the topic."""
        return topic_canonical(self.name)

    @property
    def declared_filters(self) -> list[str]:
        """Each filter as it is written in a Subscription, without a value."""
        return [f"{focus_type}?{name}" for focus_type in self.focus_types for name in self.filters]


class Topics:
    """The topics that one service publishes; the same one twice fails at start."""

    def __init__(self, topics: Iterable[Topic]) -> None:
        self._by_canonical: dict[str, Topic] = {}
        for topic in topics:
            if topic.canonical in self._by_canonical:
                raise ValueError(f"topic {topic.name} is registered twice")
            self._by_canonical[topic.canonical] = topic

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._by_canonical.values())

    def __contains__(self, canonical: object) -> bool:
        return canonical in self._by_canonical

    def get(self, canonical: str) -> Topic:
        """The topic of this canonical URL; FhirError 422 when this service does not publish it."""
        topic = self._by_canonical.get(canonical)
        if topic is None:
            known = ", ".join(sorted(self._by_canonical)) or "none"
            issue = Issue(f"unknown topic; this service publishes: {known}", "not-supported", "Subscription.criteria")
            raise FhirError(Category.BUSINESS_RULE, [issue])
        return topic
