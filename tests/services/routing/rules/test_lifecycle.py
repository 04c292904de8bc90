"""The life of a version: nothing is skipped, nothing goes back, and what left draft does not change."""

from typing import Any

import pytest
from stepwell_routing.rules.lifecycle import EVERYWHERE, Life, base_of, check_move, life_of, site_of
from stepwell_routing.rules.reading import DocumentError
from stepwell_routing.rules.settings import settings_of

from tests.services.routing.rules.policy_documents import C, extension

STATES: dict[Life, dict[str, Any]] = {
    Life.DRAFT: {"status": "draft"},
    Life.SHADOW: {"status": "active", "experimental": True},
    Life.ACTIVE: {"status": "active", "experimental": False},
    Life.RETIRED: {"status": "retired", "experimental": False},
}
ALLOWED = {
    (None, Life.DRAFT),
    (None, Life.SHADOW),
    (Life.DRAFT, Life.SHADOW),
    (Life.DRAFT, Life.RETIRED),
    (Life.SHADOW, Life.ACTIVE),
    (Life.SHADOW, Life.RETIRED),
    (Life.ACTIVE, Life.RETIRED),
    *((life, life) for life in Life),
}


@pytest.mark.parametrize("end", Life)
@pytest.mark.parametrize("start", [None, *Life])
def test_a_version_goes_from_draft_over_shadow_into_force_and_out_of_use(start: Life | None, end: Life) -> None:
    before = None if start is None else {**STATES[start], "title": "x"}
    assert (check_move(before, {**STATES[end], "title": "x"}) == []) == ((start, end) in ALLOWED)


@pytest.mark.parametrize("life", [Life.SHADOW, Life.ACTIVE, Life.RETIRED])
@pytest.mark.parametrize("name", ["title", "_title", "action", "extension", "url", "version"])
def test_what_left_draft_never_changes(life: Life, name: str) -> None:
    before = {**STATES[life], name: "one"}
    changed = check_move(before, {**before, name: "other"})
    assert [finding.path for finding in changed] == [f"PlanDefinition.{name}"]
    assert check_move(before, {**before, "date": "2026-12-01", "meta": {}}) == []


def test_a_draft_is_its_authors_to_change() -> None:
    assert check_move({"status": "draft", "title": "one"}, {"status": "draft", "title": "other"}) == []


def test_an_unknown_status_is_refused() -> None:
    assert life_of({"status": "unknown"}) is None
    assert [finding.path for finding in check_move(None, {"status": "unknown"})] == ["PlanDefinition.status"]


def test_the_site_is_the_venue_it_is_for() -> None:
    venue = {"code": "venue"}
    assert site_of({}) == EVERYWHERE
    assert site_of({"useContext": [{"code": {"code": "age"}, "valueCodeableConcept": {"text": "x"}}]}) == EVERYWHERE
    assert site_of({"useContext": [{"code": venue, "valueReference": {"reference": "Location/1"}}]}) == "Location/1"
    assert site_of({"useContext": [{"code": venue, "valueCodeableConcept": {"coding": [{"code": "a"}]}}]}) == "a"


def test_only_what_has_no_rules_of_its_own_derives_from_another() -> None:
    derived = {"relatedArtifact": [{"type": "derived-from", "resource": "https://x.example/p|1"}]}
    assert base_of(derived) == "https://x.example/p|1"
    assert base_of({**derived, "action": [{}]}) is None


def test_a_sites_value_has_its_reason() -> None:
    good = extension("policy-setting", ("parameter", "a"), ("value", 3), ("reason", "agreed"))
    assert settings_of({"extension": [good]}, C) == {"a": 3}
    for broken in ([], [good, good], [extension("policy-setting", ("parameter", "a"), ("value", 3))]):
        with pytest.raises(DocumentError):
            settings_of({"extension": broken}, C)
