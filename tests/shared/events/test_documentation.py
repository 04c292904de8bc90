"""What is written about topics is what the services publish, and every filter in it can be evaluated."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from stepwell_shared.cli.deliveries import all_topics
from stepwell_shared.events.documentation import subscription_documentation
from stepwell_shared.events.filters import check_filters
from stepwell_shared.events.subscriptions import SUBSCRIPTION_PROFILE
from stepwell_shared.fhir.capability import TOPIC_EXTENSION, capability_statement
from stepwell_shared.installed import service_named
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


PROMISED = {
    *(
        "score-finalized",
        "review-due",
        "safety-plan-changed",
        "advice-changed",
        "appointment-changed",
        "episode-changed",
        "safety-alert",
        "glass-broken",
        "patient-changed",
        "consent-changed",
        "tier-assigned",
        "tier-overridden",
    ),
    *("referral-changed", "capacity-changed", "trajectory-changed", "measure-report-ready"),
    *("questionnaire-changed", "communication-changed", "interim-changed", "preference-changed", "review-asked"),
}
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport"


def test_every_promised_topic_is_published_by_some_service_once() -> None:
    assert sorted(topic.name for name in SERVICES for topic in service_named(name).topics) == sorted(PROMISED)


@pytest.mark.parametrize("name", SERVICES)
def test_metadata_claims_the_backport_server_and_names_topics_profile_and_operations(name: str) -> None:
    service = service_named(name)
    topics = [topic.canonical for topic in service.topics]
    statement = capability_statement(
        service.resources(Runtime()),
        title=service.title,
        description=service.description,
        base_url=f"https://stepwell.example/{name}/fhir",
        topics=topics,
        released=datetime(2026, 11, 21, tzinfo=UTC),
    )
    assert statement["instantiates"] == [f"{BACKPORT}/CapabilityStatement/backport-subscription-server-r4"]
    (declared,) = [each for each in statement["rest"][0]["resource"] if each["type"] == "Subscription"]
    assert declared["extension"] == [{"url": TOPIC_EXTENSION, "valueCanonical": topic} for topic in topics]
    assert declared["supportedProfile"] == [SUBSCRIPTION_PROFILE]
    operations = {each["name"]: each["definition"] for each in declared["operation"]}
    assert {each: operations[each] for each in ("status", "events")} == {
        each: f"{BACKPORT}/OperationDefinition/backport-subscription-{each}" for each in ("status", "events")
    }
    assert all(topic in declared["documentation"] for topic in topics)
