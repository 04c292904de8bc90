"""A site's own numbers: which parameters of change hold for its population, and the course that its people take.

The file of the setting `site_file` has an object for each tenant, and `*` for those that it does not name:

    {"north": {"measurement": {
        "phq-15": {"standardDeviation": "5.4", "reliability": "0.80", "source": "Own sample, 2026"},
        "gad-7": {"parameterSet": "bischoff-2020"}}}}
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator
from pydantic.alias_generators import to_camel
from stepwell_shared.runtime import Runtime

from stepwell_measurement.data import change_parameter_sets, trajectory_parameters
from stepwell_measurement.rules.progress import Expectation
from stepwell_measurement.rules.reliable_change import threshold_from_reliability
from stepwell_measurement.rules.trajectory import TrajectoryParameters

EVERYBODY, OWN_SET = "*", "site"

log = structlog.get_logger("stepwell.site")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, alias_generator=to_camel)


class ExpectedCourse(_Model):
    """The course of a site's own people: score at measure k = intercept + slope x baseline + log slope x ln(k)."""

    intercept: Decimal
    baseline_slope: Decimal
    log_measure_slope: Decimal
    interval_points: Decimal = Field(gt=0)
    people: int = Field(ge=1)
    source: str = Field(min_length=1)


class OwnNumbers(_Model):
    """What a site says of one instrument: a shipped parameter set, or its own standard deviation and reliability."""

    parameter_set: str | None = None
    standard_deviation: Decimal | None = Field(default=None, gt=0)
    reliability: Decimal | None = Field(default=None, ge=0, lt=1)
    source: str = ""
    expected_course: ExpectedCourse | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        own = self.standard_deviation is not None
        if own != (self.reliability is not None) or (own and not self.source) or (own and self.parameter_set):
            raise ValueError("standardDeviation, reliability and source belong together, without a parameterSet")
        return self


class _Site(BaseModel):
    """One tenant's object; what else it says is for other services."""

    measurement: dict[str, OwnNumbers] = Field(default_factory=dict)

    @field_validator("measurement")
    @classmethod
    def _known(cls, own: dict[str, OwnNumbers]) -> dict[str, OwnNumbers]:
        for name, numbers in own.items():
            sets = change_parameter_sets(name)  # raises KeyError, which is no finding
            if numbers.parameter_set is not None and numbers.parameter_set not in sets:
                raise ValueError(f"{name} has no parameter set {numbers.parameter_set}: {', '.join(sets)}")
        return own


_sites: TypeAdapter[dict[str, _Site]] = TypeAdapter(dict[str, _Site])

Parameters = Mapping[str, TrajectoryParameters]


def site_file(runtime: Runtime, tenant: str) -> Mapping[str, Any]:
    """What the file of the setting `site_file` says of a tenant; nothing if it cannot be read, which the log says."""
    path = runtime.settings.site_file
    if path is None:
        return {}
    try:
        said = json.loads(path.read_text(encoding="utf-8")).get(tenant, {})
    except (OSError, ValueError, AttributeError):
        log.exception("the file of STEPWELL_SITE_FILE cannot be used; nothing is published")
        return {}
    return said if isinstance(said, dict) else {}


def parameters_of(runtime: Runtime, tenant: str) -> Parameters:
    """The parameters by code of the score as they hold at a tenant's site.

    The file is read again once it has changed; of a file that is wrong the log says so, and what ships holds.
    """
    path = runtime.settings.site_file
    if path is None:
        return trajectory_parameters()
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        changed = 0
    kept = runtime.cache.get(parameters_of)
    if not isinstance(kept, tuple) or kept[0] != changed:
        kept = runtime.cache[parameters_of] = changed, _read(path)
    sites: dict[str, Parameters] = kept[1]
    return sites.get(tenant) or sites.get(EVERYBODY) or trajectory_parameters()


def parse_sites(content: Any) -> dict[str, Parameters]:
    """The parameters by tenant. Raises ValueError for numbers that cannot be, or instruments that nobody knows."""
    try:
        found = _sites.validate_python(content)
    except KeyError as error:
        raise ValueError(f"there is no instrument {error}") from error
    return {tenant: _with_own(site.measurement) for tenant, site in found.items()}


def _read(path: Any) -> dict[str, Parameters]:
    try:
        return parse_sites(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        log.exception("the file of STEPWELL_SITE_FILE cannot be used; what ships holds")
        return {}


def _with_own(own: Mapping[str, OwnNumbers]) -> Parameters:
    return {
        code: _own(parameters, own[parameters.change.instrument]) if parameters.change.instrument in own else parameters
        for code, parameters in trajectory_parameters().items()
    }


def _own(parameters: TrajectoryParameters, own: OwnNumbers) -> TrajectoryParameters:
    change = parameters.change
    if own.parameter_set is not None:
        change = change_parameter_sets(change.instrument)[own.parameter_set]
    elif own.standard_deviation is not None and own.reliability is not None:
        threshold = threshold_from_reliability(own.standard_deviation, own.reliability)
        change = replace(change, parameter_set=OWN_SET, threshold=threshold, inclusive=False, source=own.source)
    course = own.expected_course
    expectation = Expectation(**course.model_dump()) if course is not None else None
    return replace(parameters, change=change, expectation=expectation)
