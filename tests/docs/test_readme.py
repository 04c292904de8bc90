"""The README's tour and the guides do what they say, in a suite started as a newcomer starts it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.newcomer import STEPWELL, Installation


def test_the_tour_answers_as_the_readme_says(installation: Installation) -> None:
    assert installation.hold_to(Path("README.md")) >= 5


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", ["guides/integrator", "guides/clinical-lead", "guides/operator", "worklist"])
def test_a_newcomer_who_follows_the_guide_to_the_letter_gets_where_it_leads(
    page: str, installation: Installation
) -> None:
    assert installation.hold_to(Path(f"docs/{page}.md")) >= 2


def test_a_page_that_says_what_does_not_come_is_found_out(tmp_path: Path, installation: Installation) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\necho yes\n```\n\n```\nno\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="answered\nyes"):
        installation.hold_to(page)
    page.write_text("```sh\nfalse\n```\n\n```sh\necho never\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        installation.hold_to(page)


def test_the_journey_is_told_in_plain_words(installation: Installation) -> None:
    story = installation.told
    for words in ("Moderately severe", "FLOOR-PHQ9-T3", "We suggest", "Half of the people", "Until then", "reliable"):
        assert words in story
    assert "stepwell token" in story


def test_a_taken_port_gets_a_sentence_that_names_it(tmp_path: Path, installation: Installation) -> None:
    argv = [*STEPWELL.split(), "run", "--first-port", str(installation.first_port)]
    environment = {**os.environ, "STEPWELL_HOME": str(tmp_path / "home")}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"port {installation.first_port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_stops_everything_and_a_second_run_keeps_the_data(installation: Installation) -> None:
    before = patients(installation)
    assert int(before) >= 1
    assert installation.stop() == 0
    for folder in installation.home.glob("postgres*"):
        assert not list(folder.rglob("postmaster.pid"))
    installation.start("--no-journey")
    assert patients(installation) == before


def patients(installation: Installation) -> str:
    """How many the demonstration's clinic has."""
    done = installation.run(
        'curl -s -H "Authorization: Bearer $(.venv/bin/stepwell token demo.clinic)" '
        '"http://127.0.0.1:8001/screening/fhir/Patient?_summary=count"'
    )
    (found,) = re.findall(r'"total":(\d+)', done.stdout)
    return str(found)
