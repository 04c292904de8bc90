"""Promises of a site's own numbers: they hold for its tenant alone, and wrong ones never replace what ships."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import structlog
from stepwell_measurement.data import trajectory_parameters
from stepwell_measurement.use_cases.site import parameters_of, parse_sites
from stepwell_shared.runtime import Runtime

from tests.services.measurement.scoring import NORTH, finalized, hear
from tests.services.measurement.test_trajectories import results

PHQ9, GAD7, PHQ15 = "44261-6", "70274-6", "70273-8"
OWN = {"standardDeviation": "5.4", "reliability": "0.80", "source": "Own sample, 2026"}
COURSE = {
    "intercept": "3", "baselineSlope": "0.7", "logMeasureSlope": "-2", "intervalPoints": "5", "people": 812,
    "source": "Own courses, 2025",
}  # fmt: skip


def site(**measurement: Any) -> dict[str, Any]:
    return {NORTH: {"name": "Practice", "measurement": measurement}}


@pytest.mark.parametrize(
    "numbers",
    [
        {"standardDeviation": "5.4"},
        {"standardDeviation": "5.4", "reliability": "0.8"},
        {**OWN, "reliability": "1"},
        {**OWN, "standardDeviation": "0"},
        {**OWN, "parameterSet": "bischoff-2020"},
        {"parameterSet": "nobody-2020"},
        {"threshold": "3"},
        {"expectedCourse": {**COURSE, "source": ""}},
        {"expectedCourse": {**COURSE, "intervalPoints": "0"}},
    ],
)
def test_numbers_that_cannot_be_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        parse_sites(site(**{"gad-7": numbers}))


def test_an_unknown_instrument_is_refused() -> None:
    with pytest.raises(ValueError, match="no instrument"):
        parse_sites(site(**{"phq-99": OWN}))


def test_a_site_has_its_own_threshold_set_and_course_and_the_rest_as_it_ships() -> None:
    given = site(**{"phq-15": OWN, "gad-7": {"parameterSet": "bischoff-2020"}, "phq-9": {"expectedCourse": COURSE}})
    found = parse_sites(given)[NORTH]
    threshold = found[PHQ15].change.threshold
    assert threshold is not None
    assert float(threshold) == pytest.approx(1.96 * 2**0.5 * 5.4 * 0.2**0.5)
    assert (found[PHQ15].change.inclusive, found[PHQ15].change.parameter_set) == (False, "site")
    assert found[GAD7].change.parameter_set == "bischoff-2020"
    expectation = found[PHQ9].expectation
    assert expectation is not None
    assert (expectation.people, expectation.at(found[PHQ9].highest, 1)) == (812, 3 + found[PHQ9].highest * 7 / 10)
    assert found["wsas"] == trajectory_parameters()["wsas"]


async def test_the_file_is_read_again_and_a_wrong_one_changes_nothing(runtime: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    assert runtime._settings is not None
    runtime._settings = runtime._settings.model_copy(update={"site_file": path})
    assert parameters_of(runtime, NORTH)[PHQ15].change.threshold is None
    path.write_text(json.dumps(site(**{"phq-15": OWN})))
    assert parameters_of(runtime, "elsewhere")[PHQ15].change.threshold is None
    await hear(runtime, finalized("r1", 20, instrument="phq-15"), finalized("r2", 4, week=4, instrument="phq-15"))
    (result,) = (await results(runtime)).values()
    assert result["valueCodeableConcept"]["coding"][0]["code"] == "improvement"
    assert (result["method"]["coding"][0]["code"], result["method"]["text"]) == ("site", "Own sample, 2026")
    path.write_text("{")
    os.utime(path, ns=(1, 1))
    with structlog.testing.capture_logs() as logged:
        assert parameters_of(runtime, NORTH)[PHQ15].change.threshold is None
        parameters_of(runtime, NORTH)
    assert [each["log_level"] for each in logged] == ["error"]
