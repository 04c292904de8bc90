"""A modular Questionnaire made whole: SDC's `$assemble` puts the items of its parts where they are named.

https://hl7.org/fhir/uv/sdc/modular.html. Everything that stands in the way is found at once; a Questionnaire that
cannot be assembled in full is not assembled at all.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from stepwell_screening.rules.answers import CORE
from stepwell_screening.rules.expressions import FINDINGS_MAX, SDC, VARIABLE, Evaluator, Place
from stepwell_screening.rules.fhirpath import Budget, Collection, Item, Run
from stepwell_screening.rules.finding import Finding

JsonObject = Mapping[str, Any]
PARTS_MAX = 50
DEPTH_MAX = 10
ITEMS_MAX = 5000
PREFIX = "linkIdPrefix"
SUB = f"{SDC}subQuestionnaire"
ASSEMBLE_CONTEXT = f"{SDC}assembleContext"
EXPECTATION = f"{SDC}assemble-expectation"
ASSEMBLED_FROM = f"{SDC}assembledFrom"
LAUNCH_CONTEXT = f"{SDC}launchContext"
_TO_ROOT = frozenset({LAUNCH_CONTEXT, f"{CORE}cqf-library"})
_TO_HOLDER = frozenset({VARIABLE, f"{CORE}targetConstraint"})
_NOT_ON_A_PART = frozenset(
    f"{SDC}{name}"
    for name in (
        *("definitionExtract", "itemExtractionContext", "itemPopulationContext", "observationExtract"),
        *("observation-extract-category", "observationLinkPeriod", "preferredTerminologyServer", "templateExtract"),
        *("templateExtractContext", "questionnaireAdaptive"),
    )
)
_ALIGNED = (f"{SDC}endpoint", f"{SDC}entryMode", f"{SDC}performerType", f"{SDC}rendering-criticalExtension")
_NAMING = frozenset({VARIABLE, f"{SDC}itemPopulationContext"})
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Assembled:
    """The whole Questionnaire, with what its author should know; `refused` says why there is none."""

    questionnaire: dict[str, Any]
    warnings: list[Finding]
    refused: list[Finding]


def references(questionnaire: JsonObject) -> list[str]:
    """The canonicals of the parts that a Questionnaire names, each once."""
    found = [canonical for item in _items(questionnaire) if (canonical := _sub(item)) is not None]
    return list(dict.fromkeys(found))


def assemble(questionnaire: JsonObject, parts: Mapping[str, JsonObject]) -> Assembled:
    """The Questionnaire with its parts in place; `parts` are those that were found, by the canonical that names them.

    Keeps url and version. Raises TooCostlyError when the expressions of prefixes take too much work.
    """
    run = _Assembly(parts)
    whole = {name: value for name, value in questionnaire.items() if name not in {"id", "item", "contained", "meta"}}
    meta = {
        name: value for name, value in questionnaire.get("meta", {}).items() if name not in {"versionId", "lastUpdated"}
    }
    if meta:
        whole["meta"] = meta
    whole["extension"] = list(questionnaire.get("extension", ()))
    run.contained = {each["id"]: each for each in questionnaire.get("contained", ()) if "id" in each}
    run.root = whole
    names = {*_launched(questionnaire), *_declared(questionnaire)}
    here = _Here(str(questionnaire.get("url", "")), whole, frozenset(names), links=run.prefix(questionnaire, None, ""))
    items = run.items(questionnaire.get("item", ()), here, "Questionnaire")
    if items:
        whole["item"] = items
    if run.contained:
        whole["contained"] = list(run.contained.values())
    _settle(whole, run.used)
    run.refuse_repeated(whole)
    order = [name for name in ("resourceType", "meta", "language", "contained", "extension") if name in whole]
    return Assembled(
        {name: whole[name] for name in dict.fromkeys([*order, *whole])}, run.evaluator.findings, run.refused
    )


@dataclass(frozen=True, slots=True)
class _Here:
    """A place on the way down: the Questionnaires that led here, the element that holds the items, names in scope.

    `prefix` goes before the linkIds of the Questionnaire that is being read, `links` before those of parts.
    """

    url: str
    holder: dict[str, Any]
    names: frozenset[str]
    chain: tuple[str, ...] = ()
    prefix: str = ""
    links: str | None = None


@dataclass
class _Assembly:
    parts: Mapping[str, JsonObject]
    evaluator: Evaluator = field(default_factory=lambda: Evaluator(Run(Budget(), datetime(1970, 1, 1, tzinfo=UTC))))
    refused: list[Finding] = field(default_factory=list)
    contained: dict[str, JsonObject] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    root: dict[str, Any] = field(default_factory=dict)
    count: int = 0

    def refuse(self, code: str, text: str, path: str) -> None:
        if len(self.refused) < FINDINGS_MAX:
            self.refused.append(Finding(code, text, path))

    def items(self, items: Sequence[JsonObject], here: _Here, path: str) -> list[dict[str, Any]]:
        """The items of one level, with parts in the place of the items that name them."""
        found: list[dict[str, Any]] = []
        for index, item in enumerate(items):
            where = f"{path}.item[{index}]"
            self.count += 1
            if self.count > ITEMS_MAX:
                if self.count == ITEMS_MAX + 1:
                    text = f"an assembled Questionnaire has at most {ITEMS_MAX} items"
                    self.refused.insert(0, Finding("too-costly", text, where))
                return found
            canonical = _sub(item)
            if canonical is not None:
                found += self.included(canonical, item, here, where)
                continue
            made = _prefixed(item, here.prefix)
            below = replace(
                here,
                holder=made,
                names=here.names | _declared(item),
                links=self.prefix(item, here.links, where),
            )
            if "item" in item:
                made["item"] = self.items(item["item"], below, where)
                if not made["item"]:
                    del made["item"]
            found.append(made)
        return found

    def included(self, canonical: str, item: JsonObject, here: _Here, path: str) -> list[dict[str, Any]]:
        """The items of a part, its extensions and contained resources brought along."""
        part, url = self.parts.get(canonical), canonical.partition("|")[0]
        if item.get("type") != "display":
            self.refuse("business-rule", "only an item of type display stands for a part", f"{path}.type")
        if url in {here.url, *here.chain} or len(here.chain) >= DEPTH_MAX:
            self.refuse("business-rule", f"the part {canonical} contains itself, or parts lie too deep", path)
            return []
        if part is None:
            self.refuse("not-found", f"the part {canonical} is not known here", path)
            return []
        if "|" not in canonical:
            self.evaluator.say("business-rule", f"the part {canonical} is named without its version", path)
        self.check(part, here, path)
        prefix = here.links or ""
        if prefix and _ignores_prefix(part):
            text = f"expressions of {canonical} look for linkIds without %linkIdPrefix, and find nothing under a prefix"
            self.evaluator.say("business-rule", text, path)
        for each in part.get("contained", ()):
            self.contain(each, prefix, path)
        self.propagate(part, here, path)
        version = part.get("version")
        self.used.append(f"{part.get('url', url)}|{version}" if version else url)
        below = _Here(
            url=here.url,
            holder=here.holder,
            names=here.names | _declared(part) | _launched(part),
            chain=(*here.chain, url),
            prefix=prefix,
            links=self.prefix(part, here.links, path),
        )
        return self.items(part.get("item", ()), below, path)

    def check(self, part: JsonObject, here: _Here, path: str) -> None:
        """What SDC asks of a part before it may be included."""
        name = part.get("url", "a part")
        if "modifierExtension" in part:
            self.refuse("not-supported", f"{name} has modifier extensions", path)
        for extension in part.get("extension", ()):
            if extension.get("url") in _NOT_ON_A_PART:
                text = f"{name} has {extension['url']} at its root; a group of its own may have it"
                self.refuse("business-rule", text, path)
            elif extension.get("url") == ASSEMBLE_CONTEXT and extension.get("valueString") not in here.names:
                text = f"{name} needs %{extension.get('valueString')}, which nothing defines where it is included"
                self.refuse("business-rule", text, path)
            elif extension.get("url") in _ALIGNED and extension not in self.root["extension"]:
                self.refuse("business-rule", f"{name} differs from its parent in {extension['url']}", path)
        for element in ("language", "implicitRules"):
            if element in part and part[element] != self.root.get(element):
                self.refuse("business-rule", f"{name} differs from its parent in {element}", path)
        security = self.root.get("meta", {}).get("security", ())
        if any(label not in security for label in part.get("meta", {}).get("security", ())):
            self.refuse("security", f"{name} has a security label that its parent has not", path)

    def contain(self, resource: JsonObject, prefix: str, path: str) -> None:
        id_ = f"{prefix}{resource.get('id', '')}"
        made = {**_rewritten(resource, prefix), "id": id_}
        if not _ID.fullmatch(id_):
            self.refuse("value", "the prefix makes an id of a contained resource that is none", path)
        elif id_ in self.contained and self.contained[id_] != made:
            self.refuse("duplicate", f"two parts contain a resource {id_}; they need a linkIdPrefix", path)
        else:
            self.contained[id_] = made

    def propagate(self, part: JsonObject, here: _Here, path: str) -> None:
        """Extensions of the part's root that go with it: to the whole, or to the element that holds its items."""
        for extension in part.get("extension", ()):
            url = extension.get("url")
            if url in _TO_ROOT and not _has(self.root, extension):
                self.root["extension"].append(extension)
            elif url in _TO_HOLDER:
                kept = here.holder.setdefault("extension", [])
                if extension in kept:
                    continue
                names = {_name(each) for each in kept if each.get("url") == VARIABLE}
                if url == VARIABLE and _name(extension) in names:
                    self.refuse("duplicate", f"the variable {_name(extension)} is declared twice in one place", path)
                kept.append(extension)

    def prefix(self, element: JsonObject, above: str | None, path: str) -> str | None:
        """The linkIdPrefix in scope below an element."""
        for extension in element.get("extension", ()):
            if extension.get("url") == VARIABLE and _name(extension) == PREFIX:
                names: dict[str, Collection] = {} if above is None else {PREFIX: [Item(above, "string")]}
                found = self.evaluator.value(extension.get("valueExpression"), Place([], names), path)
                if len(found) == 1 and isinstance(found[0].value, str):
                    return str(found[0].value)
                self.refuse("value", "a linkIdPrefix is a text that does not depend on answers", path)
        return above

    def refuse_repeated(self, questionnaire: JsonObject) -> None:
        seen: set[str] = set()
        for item in _items(questionnaire):
            link_id = item.get("linkId", "")
            if link_id in seen:
                text = (
                    f"the linkId {link_id} stands twice in the assembled Questionnaire; a linkIdPrefix tells them apart"
                )
                self.refuse("duplicate", text, "Questionnaire.item")
            seen.add(link_id)


def _items(element: JsonObject) -> Iterator[JsonObject]:
    pending = list(reversed(element.get("item", ())))
    while pending:
        item = pending.pop()
        yield item
        pending.extend(reversed(item.get("item", ())))


def _sub(item: JsonObject) -> str | None:
    for extension in item.get("extension", ()):
        if extension.get("url") == SUB:
            canonical = extension.get("valueCanonical")
            return canonical if isinstance(canonical, str) else None
    return None


def _name(extension: JsonObject) -> str | None:
    expression = extension.get("valueExpression")
    return expression.get("name") if isinstance(expression, Mapping) else None


def _declared(element: JsonObject) -> frozenset[str]:
    """The variables that an element brings into being for what is below it."""
    found = (_name(each) for each in element.get("extension", ()) if each.get("url") in _NAMING)
    return frozenset(name for name in found if name is not None)


def _launched(questionnaire: JsonObject) -> frozenset[str]:
    return frozenset(name for each in questionnaire.get("extension", ()) if (name := launch_name(each)) is not None)


def launch_name(extension: JsonObject) -> str | None:
    """The name of a launch context; None for other extensions."""
    if extension.get("url") != LAUNCH_CONTEXT:
        return None
    for part in extension.get("extension", ()):
        if part.get("url") == "name":
            coding = part.get("valueCoding")
            name = coding.get("code") if isinstance(coding, Mapping) else part.get("valueId")
            return name if isinstance(name, str) else None
    return None


def _has(root: JsonObject, extension: JsonObject) -> bool:
    name = launch_name(extension)
    return any(each == extension or (name is not None and launch_name(each) == name) for each in root["extension"])


def _ignores_prefix(node: Any) -> bool:
    """Whether an expression of a part names linkIds as they are in the part alone."""
    if isinstance(node, list):
        return any(_ignores_prefix(each) for each in node)
    if not isinstance(node, Mapping):
        return False
    expression = node.get("expression")
    if isinstance(expression, str) and "linkId" in expression and f"%{PREFIX}" not in expression:
        return True
    return any(_ignores_prefix(each) for each in node.values())


def _prefixed(item: JsonObject, prefix: str) -> dict[str, Any]:
    """The item with a prefix before its linkId, the linkIds that it depends on and what it refers to as contained."""
    if not prefix:
        return dict(item)
    made: dict[str, Any] = _rewritten({name: value for name, value in item.items() if name != "item"}, prefix)
    made["linkId"] = f"{prefix}{item['linkId']}"
    for condition in made.get("enableWhen", ()):
        condition["question"] = f"{prefix}{condition['question']}"
    return made


def _rewritten(value: Any, prefix: str) -> Any:
    """A copy in which references to contained resources carry the prefix of their ids."""
    if isinstance(value, Mapping):
        return {name: _rewritten(each, prefix) for name, each in value.items()}
    if isinstance(value, list):
        return [_rewritten(each, prefix) for each in value]
    is_contained = isinstance(value, str) and value.startswith("#") and _ID.fullmatch(value[1:])
    return f"#{prefix}{value[1:]}" if is_contained else value


def _settle(whole: dict[str, Any], used: Sequence[str]) -> None:
    """Says what the whole was made of, and that it needs no assembly any more."""
    settled = []
    for extension in whole["extension"]:
        code = str(extension.get("valueCode", ""))
        if extension.get("url") != EXPECTATION:
            settled.append(extension)
        elif code not in {"assemble-root", ""}:
            settled.append({**extension, "valueCode": code.replace("assemble-", "independent-", 1)})
    settled += [{"url": ASSEMBLED_FROM, "valueCanonical": canonical} for canonical in dict.fromkeys(used)]
    whole["extension"] = settled
    if not settled:
        del whole["extension"]
