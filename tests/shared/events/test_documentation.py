"""What is written about topics is what the services publish, and every filter in it can be evaluated."""

from dataclasses import replace
from pathlib import Path

import pytest
from stepwell_shared.cli.deliveries import all_topics
from stepwell_shared.events.documentation import subscription_documentation
from stepwell_shared.events.filters import check_filters
from stepwell_shared.migrations import service_named
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import SERVICES

from tests.shared.events.subscriber import ALERTS, SCORES

PAGE = Path(__file__).parents[3] / "docs" / "topics.md"


def test_the_page_about_topics_is_what_the_services_publish() -> None:
    assert PAGE.read_text(encoding="utf-8") == all_topics(), "run: stepwell topics > docs/topics.md"


def test_a_topic_without_filters_and_context_says_so() -> None:
    assert subscription_documentation([SCORES, ALERTS]).endswith("Focus: Task. No filters.")


@pytest.mark.parametrize("name", SERVICES)
def test_every_declared_filter_can_be_evaluated(name: str) -> None:
    service = service_named(name)
    registry = service.resources(Runtime())
    for topic in service.topics:
        check_filters(registry, topic)


def test_a_filter_that_nothing_evaluates_cannot_be_declared() -> None:
    registry = service_named("screening").resources(Runtime())
    with pytest.raises(ValueError, match="nothing evaluates QuestionnaireResponse\\?colour"):
        check_filters(registry, replace(SCORES, filters=("patient", "colour")))
    with pytest.raises(ValueError, match="nothing evaluates"):
        check_filters(registry, replace(SCORES, focus_types=("Slot",), filters=()))
