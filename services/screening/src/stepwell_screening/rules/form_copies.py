"""Groups that repeat, asked as often as somebody wants: in the form each copy has linkIds of its own, in the response
all of them have the group's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JsonObject = Mapping[str, Any]
COPIES_MAX = 10


@dataclass
class Copies:
    """How often each repeating group is asked, and which linkId a copy's linkId stands for."""

    counts: Mapping[str, int] = field(default_factory=dict)
    originals: dict[str, str] = field(default_factory=dict)

    def original(self, link_id: str) -> str:
        """The linkId in the Questionnaire."""
        return self.originals.get(link_id, link_id)

    def is_last(self, link_id: str) -> bool:
        """Whether this is the last copy of a repeating group."""
        original = self.original(link_id)
        return link_id == copy_id(original, count_of(self.counts, original))


def copy_id(link_id: str, number: int) -> str:
    """The linkId of a copy; the first one keeps its own."""
    return link_id if number == 1 else f"{link_id}~copy-{number}"


def count_of(counts: Mapping[str, int], link_id: str) -> int:
    """How often a group is asked: at least once."""
    return min(max(counts.get(link_id, 1), 1), COPIES_MAX)


def is_repeating(item: JsonObject) -> bool:
    """Whether it is a group that may be answered several times."""
    return bool(item.get("type") == "group" and item.get("repeats"))


def unrolled(node: JsonObject, copies: Copies) -> dict[str, Any]:
    """The Questionnaire, or an item of it, with the copies of its repeating groups after each other."""
    items: list[dict[str, Any]] = []
    for item in node.get("item", ()):
        if is_repeating(item):
            numbers = range(1, count_of(copies.counts, item["linkId"]) + 1)
            items += [_copied(item, number, copies) for number in numbers]
        else:
            items.append(unrolled(item, copies))
    return {**node, "item": items} if items else dict(node)


def rolled(items: Sequence[JsonObject], copies: Copies) -> list[dict[str, Any]]:
    """The items of a response with the linkIds of the Questionnaire."""
    return [
        {
            **item,
            "linkId": copies.original(item["linkId"]),
            **({"item": rolled(item["item"], copies)} if "item" in item else {}),
            **({"answer": [_rolled_answer(each, copies) for each in item["answer"]]} if "answer" in item else {}),
        }
        for item in items
    ]


def counted(items: Sequence[JsonObject]) -> dict[str, int]:
    """How often each item stands in a response: for a repeating group, how many copies it has."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item["linkId"]] = counts.get(item["linkId"], 0) + 1
        for link_id, count in counted(item.get("item", ())).items():
            counts[link_id] = max(counts.get(link_id, 0), count)
    return counts


def numbered(items: Sequence[JsonObject], repeating: frozenset[str], number: int = 1) -> list[dict[str, Any]]:
    """The items of a response with the linkIds of the copies that `unrolled` makes; the reverse of `rolled`."""
    seen: dict[str, int] = {}
    found = []
    for item in items:
        link_id = item["linkId"]
        seen[link_id] = seen.get(link_id, 0) + 1
        own = seen[link_id] if link_id in repeating else number
        built = {**item, "linkId": copy_id(link_id, own)}
        if "item" in item:
            built["item"] = numbered(item["item"], repeating, own)
        if "answer" in item:
            built["answer"] = [
                {**each, "item": numbered(each["item"], repeating, own)} if "item" in each else each
                for each in item["answer"]
            ]
        found.append(built)
    return found


def repeating_groups(node: JsonObject) -> frozenset[str]:
    """The linkIds of all groups that repeat; one inside another is asked once in each."""
    found: set[str] = set()
    for item in node.get("item", ()):
        found |= {item["linkId"]} if is_repeating(item) else repeating_groups(item)
    return frozenset(found)


def _copied(item: JsonObject, number: int, copies: Copies) -> dict[str, Any]:
    """One copy of a group; conditions on its own questions are on the copy's."""
    return _renamed(item, number, frozenset(_link_ids(item)), copies)


def _renamed(item: JsonObject, number: int, own: frozenset[str], copies: Copies) -> dict[str, Any]:
    link_id = copy_id(item["linkId"], number)
    copies.originals[link_id] = item["linkId"]
    built = {**item, "linkId": link_id}
    if "enableWhen" in item:
        built["enableWhen"] = [
            {**each, "question": copy_id(each["question"], number)} if each["question"] in own else each
            for each in item["enableWhen"]
        ]
    if "item" in item:
        built["item"] = [_renamed(child, number, own, copies) for child in item["item"]]
    return built


def _link_ids(item: JsonObject) -> list[str]:
    return [item["linkId"], *(each for child in item.get("item", ()) for each in _link_ids(child))]


def _rolled_answer(answer: JsonObject, copies: Copies) -> dict[str, Any]:
    below = {"item": rolled(answer["item"], copies)} if "item" in answer else {}
    return {**answer, **below}
