"""A site's file: crisis contacts and second factor by tenant; what is wrong in it is named, and nothing is guessed."""

import json
from pathlib import Path
from typing import Any

import pytest
from stepwell_screening.use_cases.site import SiteFileError, crisis_contacts, parse_sites, site_of, sites_in
from stepwell_shared.cli import deployment
from stepwell_shared.runtime import Runtime

CONTACT = {"name": {"en": "Line"}, "phone": "+1 555 0100"}


@pytest.mark.parametrize(
    ("site", "place"),
    [
        ({"crisisContacts": [{"phone": "1"}]}, "north.crisisContacts.0.name"),
        ({"crisisContacts": [{"name": {}}]}, "north.crisisContacts.0.name"),
        ({"crisisContacts": [{"name": {"en": "x"}, "phone": "call us"}]}, "north.crisisContacts.0.phone"),
        ({"crisisContacts": [{"name": {"en": "x"}, "url": "javascript:alert(1)"}]}, "north.crisisContacts.0.url"),
        ({"crisisContacts": [{"name": {"en": "x"}, "fax": "1"}]}, "north.crisisContacts.0.fax"),
        ({"secondFactor": "shoe-size"}, "north.secondFactor"),
        ([], "north"),
    ],
)
def test_what_is_wrong_is_named(site: Any, place: str) -> None:
    with pytest.raises(ValueError, match=place.replace(".", r"\.")):
        parse_sites({"north": site})


@pytest.mark.parametrize("content", ["", "[]", "{", '{"north": 1}'])
def test_a_file_that_cannot_be_used_is_an_error_not_a_site_without_contacts(
    runtime: Runtime, tmp_path: Path, content: str
) -> None:
    use(runtime, tmp_path, content)
    with pytest.raises(SiteFileError, match="STEPWELL_SITE_FILE"):
        crisis_contacts(runtime, "north")


def test_a_file_that_is_not_there_is_an_error_too(runtime: Runtime, tmp_path: Path) -> None:
    runtime._settings = runtime.settings.model_copy(update={"site_file": tmp_path / "none.json"})
    with pytest.raises(SiteFileError):
        sites_in(runtime)


def test_without_a_file_nobody_has_contacts(runtime: Runtime) -> None:
    assert crisis_contacts(runtime, "north") == 0


def test_a_tenant_has_its_own_contacts_or_those_for_everybody(runtime: Runtime, tmp_path: Path) -> None:
    sites = {
        "north": {"crisisContacts": []},
        "*": {"crisisContacts": [CONTACT, CONTACT], "secondFactor": "postal-code"},
    }
    use(runtime, tmp_path, json.dumps(sites))
    assert (crisis_contacts(runtime, "north"), crisis_contacts(runtime, "south")) == (0, 2)
    assert site_of(runtime, "south").second_factor == "postal-code"


def test_a_changed_file_counts_without_a_new_start(runtime: Runtime, tmp_path: Path) -> None:
    use(runtime, tmp_path, json.dumps({"*": {}}))
    assert crisis_contacts(runtime, "north") == 0
    use(runtime, tmp_path, json.dumps({"*": {"crisisContacts": [CONTACT]}}))
    assert crisis_contacts(runtime, "north") == 1


def test_what_measurement_publishes_by_the_same_file_is_no_fault_of_it() -> None:
    """docs/dashboards.md and docs/improvement.md have this line: both services read one file."""
    sites = parse_sites({"north": {"publicDashboard": {"region": "North Valley", "suggestions": True}}})
    assert sites["north"].public_dashboard == {"region": "North Valley", "suggestions": True}


def test_the_demo_has_contacts_that_are_obviously_nobodys() -> None:
    content = Path(deployment.__file__).with_name("demo_site.json").read_text(encoding="utf-8")
    (site,) = parse_sites(json.loads(content)).values()
    assert len(site.crisis_contacts) >= 1
    for contact in site.crisis_contacts:
        assert contact.phone.startswith("+1 202 555 01")  # numbers that are kept for fiction
        assert "fictional" in contact.name["en"]
        assert set(contact.name) == {"en", "de", "es", "fr"}


def use(runtime: Runtime, folder: Path, content: str) -> None:
    path = folder / "site.json"
    path.write_text(content, encoding="utf-8")
    runtime._settings = runtime.settings.model_copy(update={"site_file": path})
