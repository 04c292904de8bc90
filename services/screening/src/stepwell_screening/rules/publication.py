"""When a Questionnaire may be published, what may still change afterwards, and which version is the newest.

SDC 4.0, "Versioning" and "Form validation". The R4 invariants que-0 to que-13 are held to every Questionnaire that is
stored, drafts included, by the validation of FHIR itself; here stands what only this product can know.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stepwell_screening.rules.answers import AnswerRule
from stepwell_screening.rules.circles import in_circles
from stepwell_screening.rules.enable_when import EnableWhen
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.responses import UNDECIDABLE
from stepwell_screening.rules.value_sets import Options, contained_value_sets
from stepwell_screening.rules.written_expressions import check_expressions

JsonObject = Mapping[str, Any]
PUBLISHED = frozenset({"active", "retired"})
"""Statuses of a version that answers may be bound to; R4 publication-status."""
CHANGEABLE = frozenset({"id", "meta", "status", "date"})
"""What may change once a version is published: whether it is in use, and since when."""
ITEMS_MAX = 1_000
_VERSION = re.compile(r"[^\s|#]{1,64}")
_NUMBER = re.compile(r"[0-9]+")


def newest(versions: Sequence[str]) -> str:
    """The last of these versions; their numbers compare as numbers, so that 1.10 follows 1.9.

    Of equal numbers the one without further text is the last (`2.0.0` after `2.0.0-draft`), as in semantic versioning.
    Raises ValueError when there are none.
    """
    return max(versions, key=_order)


def _order(version: str) -> tuple[list[int], bool, str]:
    core, dash, rest = version.partition("-")
    return [int(number) for number in _NUMBER.findall(core)], not dash, rest


def check_publication(
    questionnaire: JsonObject,
    *,
    safety_items: bool,
    crisis_contacts: int,
    value_sets: Mapping[str, Options] | None = None,
) -> list[Finding]:
    """Everything that stands in the way of publishing a structurally valid Questionnaire, each with its place.

    `safety_items` says whether an answer may call for a person at once, `crisis_contacts` how many the site has to show
    then; `value_sets` are the options of value sets beside those that the Questionnaire contains.
    """
    findings = [*_check_identity(questionnaire), *_check_size(questionnaire)]
    if safety_items and crisis_contacts < 1:
        text = "This form has questions whose answers may call for help at once: set the site's crisis contacts first."
        findings.append(Finding("business-rule", text, "Questionnaire"))
    known = {item["linkId"]: item for item, _ in placed_items(questionnaire)}
    listed = {**(value_sets or {}), **contained_value_sets(questionnaire)}
    for item, path in placed_items(questionnaire):
        findings += _check_item(item, path, known, listed)
    findings += _check_conditions_end(questionnaire)
    return [*findings, *check_expressions(questionnaire)]


def check_revision(before: JsonObject, after: JsonObject) -> list[Finding]:
    """What a new state of a published version must not do: change anything but its status and date."""
    changed = sorted(
        name for name in {*before, *after} - CHANGEABLE if name[0] != "_" and before.get(name) != after.get(name)
    )
    changed += sorted(name for name in {*before, *after} if name[0] == "_" and before.get(name) != after.get(name))
    text = "A published version never changes, but for its status and date: publish another version."
    findings = [Finding("business-rule", text, f"Questionnaire.{name}") for name in changed]
    if after.get("status") not in PUBLISHED:
        text = "A published version stays published: it is active, or retired once it is no longer to be used."
        findings.append(Finding("business-rule", text, "Questionnaire.status"))
    return findings


def placed_items(questionnaire: JsonObject) -> Iterator[tuple[JsonObject, str]]:
    """Every item at any depth in document order, with its place such as `Questionnaire.item[0].item[2]`."""
    yield from _placed(questionnaire, "Questionnaire")


def _placed(element: JsonObject, path: str) -> Iterator[tuple[JsonObject, str]]:
    for index, item in enumerate(element.get("item", ())):
        place = f"{path}.item[{index}]"
        yield item, place
        yield from _placed(item, place)


def _check_identity(questionnaire: JsonObject) -> Iterator[Finding]:
    url, version = questionnaire.get("url"), questionnaire.get("version")
    if url is None or "://" not in url or "|" in url or "#" in url:
        text = "A published Questionnaire has an absolute url of its own, by which answers name it."
        yield Finding("required" if url is None else "value", text, "Questionnaire.url")
    if version is None or _VERSION.fullmatch(version) is None:
        text = "A published Questionnaire has a version, of at most 64 characters without blanks, | and #."
        yield Finding("required" if version is None else "value", text, "Questionnaire.version")


def _check_size(questionnaire: JsonObject) -> Iterator[Finding]:
    count = sum(1 for _ in placed_items(questionnaire))
    if not count:
        yield Finding("required", "A published Questionnaire asks something.", "Questionnaire.item")
    if count > ITEMS_MAX:
        yield Finding("too-long", f"A Questionnaire has at most {ITEMS_MAX} items.", "Questionnaire.item")


def _check_item(
    item: JsonObject, path: str, known: Mapping[str, JsonObject], value_sets: Mapping[str, Options]
) -> Iterator[Finding]:
    for index, extension in enumerate(item.get("extension", ())):
        if extension.get("url") in UNDECIDABLE:
            text = "This cannot be decided here; say it with enableWhen."
            yield Finding("not-supported", text, f"{path}.extension[{index}]")
    if item["type"] not in {"group", "display"}:
        try:
            AnswerRule(item, (), value_sets)
        except ValueError as error:
            yield Finding("not-supported", _sentence(error), path)
    if item.get("enableWhen"):
        try:
            EnableWhen(item)
        except ValueError as error:
            yield Finding("invariant", _sentence(error), f"{path}.enableWhen")
    for index, condition in enumerate(item.get("enableWhen", ())):
        yield from _check_condition(condition, f"{path}.enableWhen[{index}]", known)


def _check_condition(condition: JsonObject, path: str, known: Mapping[str, JsonObject]) -> Iterator[Finding]:
    question = known.get(condition["question"])
    if question is None:
        yield Finding("not-found", "There is no item with this linkId.", f"{path}.question")
    elif question["type"] in {"group", "display"}:
        yield Finding("value", "This item is no question: it is never answered.", f"{path}.question")


def _check_conditions_end(questionnaire: JsonObject) -> Iterator[Finding]:
    """An item that is enabled by its own answer, directly or through others, could never be reached."""
    above: dict[str, set[str]] = {}
    for item, _ in placed_items(questionnaire):
        needs = {condition["question"] for condition in item.get("enableWhen", ())}
        above.setdefault(item["linkId"], set()).update(needs)
        for child in item.get("item", ()):
            above.setdefault(child["linkId"], set()).add(item["linkId"])
    circular = in_circles(above)
    for item, path in placed_items(questionnaire):
        if item["linkId"] in circular and item.get("enableWhen"):
            yield Finding(
                "business-rule", "The condition of this item depends on the item itself.", f"{path}.enableWhen"
            )


def _sentence(error: ValueError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
