"""Topics as their readers meet them: in the CapabilityStatement of each service and in docs/topics.md."""

from collections.abc import Iterable, Iterator, Sequence

from stepwell_shared.events.topics import Topic

PROMISE = (
    "Topic-based subscriptions (R4 Backport): rest-hook; at least once, in order per patient, numbered without a gap;"
    " heartbeats, timeouts and batches as the subscription asks; $status tells how delivery stands, $events repeats"
    " by number."
)


def subscription_documentation(topics: Sequence[Topic]) -> str:
    """The documentation of Subscription in a CapabilityStatement (markdown)."""
    return "\n\n".join([PROMISE, *(f"**{topic.name}** ({topic.canonical}): {_sentences(topic)}" for topic in topics)])


def _sentences(topic: Topic) -> str:
    context = f" Context: {', '.join(topic.context_types)}." if topic.context_types else ""
    filters = f" Filters: {', '.join(topic.declared_filters)}." if topic.filters else " No filters."
    return f"{topic.description} Focus: {', '.join(topic.focus_types)}.{context}{filters}"


def topics_page(services: Iterable[tuple[str, Sequence[Topic]]]) -> str:
    """The page about all topics, by service, as Markdown."""
    return "\n".join(_page(services)) + "\n"


def _page(services: Iterable[tuple[str, Sequence[Topic]]]) -> Iterator[str]:
    yield "# Topics"
    yield ""
    yield "What each service announces, and how a Subscription asks for it. Written by `stepwell topics`."
    yield ""
    yield PROMISE
    yield ""
    yield "A filter stands in the extension `backport-filter-criteria` of `criteria`; several are joined by AND."
    yield "`patient` and `subject` name the person that the event is about; any other filter is evaluated like the"
    yield "search parameter of the same name on the focus, modifiers included."
    for service, topics in services:
        if not topics:
            continue
        yield ""
        yield f"## {service}"
        for topic in topics:
            yield ""
            yield from _section(topic)


def _section(topic: Topic) -> Iterator[str]:
    yield f"### {topic.name}"
    yield ""
    yield topic.description
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| Topic | `{topic.canonical}` |"
    yield f"| Focus | {', '.join(topic.focus_types)} |"
    yield f"| Context | {', '.join(topic.context_types) or 'none'} |"
    yield f"| Filters | {', '.join(f'`{each}`' for each in topic.declared_filters) or 'none'} |"
