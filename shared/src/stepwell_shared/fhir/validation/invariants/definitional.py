"""Invariants of definitions: questionnaires, measures, value sets, code systems and capability statements.

https://hl7.org/fhir/R4/questionnaire.html, measure.html, valueset.html, codesystem.html, capabilitystatement.html
"""

from collections.abc import Iterator

from stepwell_shared.fhir.validation.invariants.nodes import Node, Rules, distinct, has, has_any

_WITH_OPTIONS = {
    "choice", "open-choice", "decimal", "integer", "date", "dateTime", "time", "string", "quantity",
}  # fmt: skip
_WITH_LENGTH = {"boolean", "decimal", "integer", "string", "text", "url", "open-choice"}


def _descendants(node: Node, name: str) -> Iterator[Node]:
    for child in node.get(name, ()):
        yield child
        yield from _descendants(child, name)


def _is_display(item: Node) -> bool:
    return item.get("type") == "display"


def _items_fit_the_type(item: Node) -> bool:
    if item.get("type") == "group":
        return "item" in item
    return not _is_display(item) or "item" not in item


def _has_options(item: Node) -> bool:
    return "answerOption" in item or has(item, "answerValueSet")


def _stratifiers_are_one_kind(measure: Node) -> bool:
    stratifiers = [each for group in measure.get("group", ()) for each in group.get("stratifier", ())]
    return all(has_any(each, "code", "description", "criteria") != ("component" in each) for each in stratifiers)


def _strata_are_one_kind(report: Node) -> bool:
    strata = [
        stratum
        for group in report.get("group", ())
        for stratifier in group.get("stratifier", ())
        for stratum in stratifier.get("stratum", ())
    ]
    return all(("value" in each) != ("component" in each) for each in strata)


def _documents_are_distinct(statement: Node) -> bool:
    pairs = [(each.get("profile"), each.get("mode")) for each in statement.get("document", ())]
    return len(pairs) == len(set(pairs))


def _is_kind(statement: Node, kind: str) -> bool:
    return statement.get("kind") == kind


RULES: Rules = {
    "que-1": _items_fit_the_type,
    "que-2": lambda form: distinct(_descendants(form, "item"), "linkId"),
    "que-3": lambda item: not _is_display(item) or "code" not in item,
    "que-4": lambda item: "answerOption" not in item or not has(item, "answerValueSet"),
    "que-5": lambda item: item.get("type") in _WITH_OPTIONS or not _has_options(item),
    "que-6": lambda item: not _is_display(item) or not has_any(item, "required", "repeats"),
    "que-7": lambda rule: rule.get("operator") != "exists" or has(rule, "answerBoolean"),
    "que-8": lambda item: item.get("type") not in {"group", "display"} or "initial" not in item,
    "que-9": lambda item: not _is_display(item) or not has(item, "readOnly"),
    "que-10": lambda item: item.get("type") in _WITH_LENGTH or not has(item, "maxLength"),
    "que-11": lambda item: "answerOption" not in item or "initial" not in item,
    "que-12": lambda item: len(item.get("enableWhen", ())) < 2 or has(item, "enableBehavior"),
    "que-13": lambda item: item.get("repeats") is True or len(item.get("initial", ())) <= 1,
    "mea-1": _stratifiers_are_one_kind,
    "mrp-1": lambda report: report.get("type") != "data-collection" or "group" not in report,
    "mrp-2": _strata_are_one_kind,
    "csd-1": lambda system: distinct(_descendants(system, "concept"), "code"),
    "vsd-1": lambda include: has_any(include, "valueSet", "system"),
    "vsd-2": lambda include: not has_any(include, "concept", "filter") or has(include, "system"),
    "vsd-3": lambda include: not ("concept" in include and "filter" in include),
    "vsd-6": lambda contains: has_any(contains, "code", "display"),
    "vsd-9": lambda contains: has(contains, "code") or contains.get("abstract") is True,
    "vsd-10": lambda contains: not has(contains, "code") or has(contains, "system"),
    "cpb-1": lambda statement: has_any(statement, "rest", "messaging", "document"),
    "cpb-2": lambda statement: has_any(statement, "description", "software", "implementation"),
    "cpb-3": lambda statement: (
        not any("endpoint" in each for each in statement.get("messaging", ())) or _is_kind(statement, "instance")
    ),
    "cpb-7": _documents_are_distinct,
    "cpb-9": lambda rest: distinct(rest.get("resource", ()), "type"),
    "cpb-12": lambda resource: distinct(resource.get("searchParam", ()), "name"),
    "cpb-14": lambda statement: not _is_kind(statement, "instance") or "implementation" in statement,
    "cpb-15": lambda statement: (
        not _is_kind(statement, "capability") or ("software" in statement and "implementation" not in statement)
    ),
    "cpb-16": lambda statement: (
        not _is_kind(statement, "requirements") or not has_any(statement, "software", "implementation")
    ),
}
