"""The compiled expressions of search parameters, with fhirpathpy as the oracle on official examples."""

import re
from decimal import Decimal
from typing import Any

import orjson
import pytest
from fhirpathpy import compile as compile_fhirpath
from fhirpathpy.models import models
from stepwell_shared.fhir import definitions
from stepwell_shared.fhir.parameters import Storage, search_parameter
from stepwell_shared.fhir.paths import UnsupportedPathError, compile_path, filtered_targets
from stepwell_shared.fhir.registry import Registry
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import SERVICES

from tests.shared.fhir.validation.samples import SAMPLES

SERVED = sorted(
    {
        (served_type.name, name)
        for service in SERVICES
        for served_type in service_named(service).resources(Runtime())
        for name in served_type.parameters
        # the oracle cannot resolve; TestExtraction covers that filter
        if "resolve()" not in definitions.search_parameter(served_type.name, name).expression
        # what others answer for extracts nothing itself
        and served_type.parameters[name].storage not in {Storage.ANY_OF, Storage.ALL_OF}
    }
)


def no_choice(path: str) -> list[str]:
    return []


class TestRefusals:
    @pytest.mark.parametrize(
        "expression",
        [
            "Patient.name", "Observation.component.where(code = 'x')", "Observation.value.exists()",
            "Observation.referenceRange[0]", "(Observation.value as Quantity).value.x()", "Observation", "", "status",
        ],
    )  # fmt: skip
    def test_what_is_not_in_the_subset_is_refused(self, expression: str) -> None:
        with pytest.raises(UnsupportedPathError):
            compile_path("Observation", expression, no_choice)


class TestExtraction:
    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("Observation.status", ["final"]),
            ("Observation.nothing", []),
            ("Observation.code.coding.code", ["a", "b"]),
            ("Patient.id | Observation.status | Observation.code.coding.code", ["final", "a", "b"]),
            ("Observation.subject.where(resolve() is Patient)", [{"reference": "Patient/1"}]),
            ("Observation.performer.where(resolve() is Patient)", [{"type": "Patient", "identifier": {"value": "1"}}]),
            ("Observation.status.deeper", []),
        ],
    )
    def test_members_unions_and_types(self, expression: str, expected: list[Any]) -> None:
        resource = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"code": "a"}, {"code": "b"}]},
            "subject": {"reference": "Patient/1"},
            "performer": [
                {"reference": "https://x.org/fhir/Practitioner/1"},
                {"type": "Patient", "identifier": {"value": "1"}},
                {"reference": "Patient"},
            ],
        }
        extract, _ = compile_path("Observation", expression, no_choice)
        assert extract(resource) == expected

    def test_a_choice_is_read_in_every_type_or_in_the_one_that_is_asked_for(self) -> None:
        def types(path: str) -> list[str]:
            return ["Quantity", "string"] if path == "Observation.value" else []

        every, _ = compile_path("Observation", "Observation.value", types)
        one, _ = compile_path("Observation", "(Observation.value as string)", types)
        same, _ = compile_path("Observation", "Observation.value.ofType(string)", types)
        for resource in ({"valueQuantity": {"value": 1}}, {"valueString": "x"}):
            assert every(resource) == list(resource.values())
            assert one(resource) == same(resource) == ([resource["valueString"]] if "valueString" in resource else [])

    def test_only_a_filter_in_every_branch_narrows_the_targets(self) -> None:
        narrowed = "Observation.subject.where(resolve() is Patient)"
        assert filtered_targets("Observation", narrowed) == ("Patient",)
        assert filtered_targets("Observation", f"{narrowed} | Observation.performer") == ()
        assert filtered_targets("Observation", f"Task.owner | {narrowed}") == ("Patient",)


class TestOracle:
    @pytest.mark.parametrize(("resource_type", "name"), SERVED)
    def test_every_served_parameter_extracts_what_fhirpath_finds(self, resource_type: str, name: str) -> None:
        expression = definitions.search_parameter(resource_type, name).expression
        if expression == "Resource.meta.profile":
            expression = f"{resource_type}.meta.profile"  # the oracle does not know that a resource is a Resource
        # ... nor the function, which says the same: https://hl7.org/fhir/R4/fhirpath.html#functions
        expression = re.sub(r"hasExtension\(('[^']+')\)", r"extension.where(url = \1).exists()", expression)
        extract = search_parameter(resource_type, name).extract
        oracle: Any = compile_fhirpath(expression, models["r4"])
        for sample in SAMPLES:
            if sample["resourceType"] == resource_type:
                found = [getattr(each, "data", each) for each in oracle(orjson.loads(orjson.dumps(sample)))]
                assert extract(sample) == [float(each) if isinstance(each, Decimal) else each for each in found]


def test_a_type_is_registered_once() -> None:
    registry = Registry("screening")
    patient = next(iter(service_named("screening").resources(Runtime())))
    registry.add(patient)
    with pytest.raises(ValueError, match="registered twice"):
        registry.add(patient)
