"""A QuestionnaireResponse against its Questionnaire, compiled once per Questionnaire.

SDC 4.0 "Form validation" and https://hl7.org/fhir/R4/questionnaireresponse.html. Expects what the door lets in:
structurally valid R4 of bounded depth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepwell_screening.rules.answers import CORE, AnswerRule, extension_value
from stepwell_screening.rules.constraints import CompileExpression, Constraint, constraints_of
from stepwell_screening.rules.enable_when import EnableWhen, Scope
from stepwell_screening.rules.finding import FINISHED, Finding
from stepwell_screening.rules.value_sets import Options, contained_value_sets
from stepwell_screening.rules.weights import OptionKey

JsonObject = Mapping[str, Any]
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
UNDECIDABLE = frozenset({f"{SDC}sdc-questionnaire-enableWhenExpression"})
ROOT = "QuestionnaireResponse"


@dataclass(slots=True, eq=False)
class Node:
    """One compiled Questionnaire item; `mandatory` are those children that a finished response must answer."""

    link_id: str
    position: int
    kind: str
    repeats: bool
    required: bool
    least: int
    most: int | None
    texts: frozenset[str]
    rule: AnswerRule | None = None
    enable: EnableWhen | None = None
    constraints: tuple[Constraint, ...] = ()
    children: dict[str, "Node"] = field(default_factory=dict)
    mandatory: list["Node"] = field(default_factory=list)


class Checker:
    """Call it with a QuestionnaireResponse to get every problem at once; an empty list means it conforms.

    `completed` and `amended` are held to everything; `in-progress` and `stopped` only to structure: known items in
    their places, of the right type and among the options. What is `entered-in-error` is not held to anything.
    """

    def __init__(self, questionnaire: JsonObject, means: "_Means") -> None:
        self._root = Node("", 0, "group", repeats=False, required=False, least=0, most=1, texts=frozenset())
        self._root.constraints = constraints_of(questionnaire, means.expressions)
        self._known: set[str] = set()
        _compile_children(self._root, questionnaire, means, self._known)
        _refuse_unknown_questions(self._root, self._known)

    def __call__(self, response: JsonObject) -> list[Finding]:
        status = response.get("status")
        if status == "entered-in-error":
            return []
        run = _Run(self._known, response, finished=status in FINISHED)
        run.level(self._root, response.get("item", ()), ROOT, None, None)
        run.hold(self._root, response, ROOT)
        return run.findings


@dataclass(frozen=True, slots=True)
class _Means:
    """What a Questionnaire is compiled with: further codes and the codes of value sets, and FHIRPath."""

    accepted: Mapping[str, Sequence[JsonObject]]
    value_sets: Mapping[str, Options]
    expressions: CompileExpression | None


def compile_questionnaire(
    questionnaire: JsonObject,
    accepted_answers: Mapping[tuple[str, OptionKey], OptionKey] | None = None,
    *,
    value_sets: Mapping[str, Options] | None = None,
    expressions: CompileExpression | None = None,
) -> Checker:
    """Compile a Questionnaire; `accepted_answers` are the further codes of a scoring definition.

    `value_sets` are the options of value sets by canonical, beside those that the Questionnaire contains;
    `expressions` compiles the FHIRPath of its constraints. Raises ValueError when a linkId is used twice, a condition
    names no question, or a construct is used that this checker cannot decide (a value set that is not listed,
    enableWhenExpression, a constraint without `expressions`), so that nothing is accepted unchecked.
    """
    accepted: dict[str, list[JsonObject]] = {}
    for link_id, (system, code) in accepted_answers or {}:
        accepted.setdefault(link_id, []).append({"valueCoding": {"system": system, "code": code}})
    listed = {**(value_sets or {}), **contained_value_sets(questionnaire)}
    return Checker(questionnaire, _Means(accepted, listed, expressions))


class _Run:
    """One response on its way through the compiled Questionnaire."""

    __slots__ = ("findings", "finished", "known", "response")

    def __init__(self, known: set[str], response: JsonObject, *, finished: bool) -> None:
        self.known = known
        self.response = response
        self.finished = finished
        self.findings: list[Finding] = []

    def add(self, code: str, text: str, path: str) -> None:
        self.findings.append(Finding(code, text, path))

    def hold(self, node: Node, item: JsonObject, path: str) -> None:
        """Ask the rules that the Questionnaire gives this item, or itself."""
        for rule in node.constraints if self.finished else ():
            if not rule.holds(self.response, item):
                self.add("invariant", f"{rule.key}: {rule.human}", path)

    def level(
        self,
        parent: Node,
        items: Sequence[JsonObject],
        path: str,
        owner: JsonObject | None,
        above: Scope | None,
    ) -> None:
        """Check the items below one parent: `owner` is the response item that holds them, in the scope `above`."""
        last = -1
        children = parent.children
        scope = Scope(items, 0, owner, above)
        for index, item in enumerate(items):
            node = children.get(item.get("linkId", ""))
            if node is None:
                self._stranger(item, f"{path}.item[{index}].linkId")
                continue
            if node.position <= last:
                self._out_of_turn(node, last, f"{path}.item[{index}].linkId")
            last = max(last, node.position)
            self._item(node, item, path, index, scope)
            if node.constraints:
                self.hold(node, item, f"{path}.item[{index}]")
        if self.finished and parent.mandatory:
            for node in parent.mandatory:
                if node.enable is None or node.enable(scope.at(_place(node, children, items))):
                    self._mandatory(node, items, path)

    def _stranger(self, item: JsonObject, path: str) -> None:
        if item.get("linkId") in self.known:
            self.add("structure", "This item stands at another place in the Questionnaire.", path)
        else:
            self.add("structure", "The Questionnaire has no item with this linkId.", path)

    def _out_of_turn(self, node: Node, last: int, path: str) -> None:
        if node.position < last:
            if self.finished:
                self.add("structure", "Items keep the order of the Questionnaire.", path)
        elif node.kind != "group":
            self.add("structure", "A question is one item, with all its answers in it.", path)
        elif not node.repeats:
            self.add("structure", "This group does not repeat.", path)

    def _item(self, node: Node, item: JsonObject, path: str, index: int, scope: Scope) -> None:
        text = item.get("text")
        if text is not None and text not in node.texts and node.texts:
            self.add("value", "The text differs from the Questionnaire's.", f"{path}.item[{index}].text")
        if node.enable is not None and self.finished and not node.enable(scope.at(index)):
            self.add("business-rule", "This item is not enabled by the other answers.", f"{path}.item[{index}]")
        if node.rule is not None:
            self._question(node, node.rule, item, f"{path}.item[{index}]", scope.at(index))
        elif "answer" in item:
            self.add("structure", "This item takes no answer.", f"{path}.item[{index}].answer")
        elif node.kind == "group":
            self.level(node, item.get("item", ()), f"{path}.item[{index}]", item, scope.at(index))
        elif "item" in item:
            self.add("structure", "This item holds no other items.", f"{path}.item[{index}].item")

    def _question(self, node: Node, rule: AnswerRule, item: JsonObject, path: str, place: Scope) -> None:
        answers = item.get("answer", ())
        if "item" in item:
            self._items_beside_answers(answers, path)
        problems = rule.structure(answers)
        if self.finished:
            problems += rule.content(answers)
        for suffix, (code, text) in problems:
            self.add(code, text, f"{path}{suffix}")
        for position, answer in enumerate(answers):
            if node.children or "item" in answer:
                self.level(node, answer.get("item", ()), f"{path}.answer[{position}]", item, place)

    def _items_beside_answers(self, answers: Sequence[JsonObject], path: str) -> None:
        if answers:
            self.add("invariant", "Nested items stand either in the item or in its answers, not in both (qrs-1).", path)
        else:
            self.add("structure", "The items below a question stand in its answer.", f"{path}.item")

    def _mandatory(self, node: Node, items: Sequence[JsonObject], path: str) -> None:
        own = [item for item in items if item.get("linkId") == node.link_id]
        filled = [item for item in own if _answered(item)]
        if node.required and not filled:
            self.add("required", f"The item {node.link_id} needs an answer.", path)
        elif node.kind == "group" and filled and len(own) < node.least:
            self.add("business-rule", f"The group {node.link_id} stands at least {node.least} times.", path)
        elif node.most is not None and len(own) > node.most:
            self.add("business-rule", f"The group {node.link_id} stands at most {node.most} times.", path)


def _place(node: Node, siblings: Mapping[str, Node], items: Sequence[JsonObject]) -> int:
    """Where this item stands among the items given, or would stand if it were there."""
    known = [siblings[item["linkId"]].position for item in items if item.get("linkId") in siblings]
    return sum(1 for position in known if position < node.position)


def _answered(item: JsonObject) -> bool:
    for answer in item.get("answer", ()):
        if any(key.startswith("value") for key in answer):
            return True
        if any(_answered(child) for child in answer.get("item", ())):
            return True
    return any(_answered(child) for child in item.get("item", ()))


def _compile_children(parent: Node, element: JsonObject, means: _Means, known: set[str]) -> None:
    for position, item in enumerate(element.get("item", ())):
        link_id = item["linkId"]
        if link_id in known:
            raise ValueError(f"linkId {link_id} stands twice in the Questionnaire (que-2)")
        known.add(link_id)
        node = _compile_item(item, position, means)
        parent.children[link_id] = node
        if node.required or (node.kind == "group" and (node.least > 1 or node.most is not None)):
            parent.mandatory.append(node)
        _compile_children(node, item, means, known)


def _refuse_unknown_questions(node: Node, known: set[str]) -> None:
    """Raises ValueError for a condition on a question that there is none of: it could never be met."""
    for child in node.children.values():
        for question in child.enable.questions if child.enable is not None else ():
            if question not in known:
                raise ValueError(f"item {child.link_id} depends on an item that the Questionnaire does not have")
        _refuse_unknown_questions(child, known)


def _compile_item(item: JsonObject, position: int, means: _Means) -> Node:
    for extension in item.get("extension", ()):
        if extension.get("url") in UNDECIDABLE:
            raise ValueError(f"item {item['linkId']} uses {extension['url']}, which this checker cannot decide")
    kind = item["type"]
    group, takes_answers = kind == "group", kind not in {"group", "display"}
    return Node(
        link_id=item["linkId"],
        position=position,
        kind=kind,
        repeats=bool(item.get("repeats")),
        required=bool(item.get("required")),
        least=extension_value(item, f"{CORE}questionnaire-minOccurs") or 0,
        most=extension_value(item, f"{CORE}questionnaire-maxOccurs") if group else None,
        texts=_texts(item),
        rule=AnswerRule(item, means.accepted.get(item["linkId"], ()), means.value_sets) if takes_answers else None,
        enable=EnableWhen(item) if item.get("enableWhen") else None,
        constraints=constraints_of(item, means.expressions),
    )


def _texts(item: JsonObject) -> frozenset[str]:
    """The item's wording in every language that the Questionnaire carries (extension translation)."""
    texts = {item["text"]} if "text" in item else set()
    for extension in item.get("_text", {}).get("extension", ()):
        if extension.get("url") == f"{CORE}translation":
            texts.update(part["valueString"] for part in extension.get("extension", ()) if part.get("url") == "content")
    return frozenset(texts)
