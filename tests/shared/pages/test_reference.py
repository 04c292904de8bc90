"""The reference page asks nobody but its own host."""

import re

import pytest
from stepwell_shared.pages.reference import Part, reference


@pytest.fixture(scope="module")
def parts() -> dict[str, Part]:
    return {each.path: each for each in reference("screening", "Screening & more")}


def test_nothing_that_the_page_loads_comes_from_elsewhere(parts: dict[str, Part]) -> None:
    page = parts["/screening/docs"].read().decode()
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert {f"/screening/{each}" for each in loaded} == {
        *(parts.keys() - {"/screening/docs"}),
        "/screening/openapi.json",
    }
    assert "Screening &amp; more" in page
    assert "<script>" not in page


def test_a_browser_is_told_to_run_and_to_ask_its_own_host_alone(parts: dict[str, Part]) -> None:
    for part in parts.values():
        policy = dict(each.split(" ", 1) for each in part.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert (policy["script-src"], policy["connect-src"], policy["form-action"]) == ("'self'", "'self'", "'none'")


def test_whoever_made_the_link_cannot_choose_the_document(parts: dict[str, Part]) -> None:
    start = parts["/screening/docs/start.js"].read().decode()
    assert 'url: "openapi.json"' in start
    assert "queryConfigEnabled" not in start  # off unless it is asked for
    assert "validatorUrl: null" in start


def test_the_files_of_the_page_are_there_to_be_read_when_somebody_asks(parts: dict[str, Part]) -> None:
    assert all(part.read() for part in parts.values())
