"""JSON Patch: add, remove, replace, move, copy and test by JSON Pointer, all or nothing.

https://www.rfc-editor.org/rfc/rfc6902, https://www.rfc-editor.org/rfc/rfc6901
"""

import re
from collections.abc import Callable
from typing import Any

from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.patch.json_tree import NODES_MAX, copied, measure, same
from stepwell_shared.fhir.validation.json_text import DEPTH_MAX

OPERATIONS_MAX = 1000
POINTER_CHARACTERS_MAX = 2000
_POINTER = re.compile(r"(?:/(?:[^/~]|~[01])*)*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_END = "-"

Tokens = tuple[str, ...]


class _RefusalError(Exception):
    """This operation cannot be applied; the text says why."""


def apply_json_patch(document: Any, operations: Any) -> Any:
    """The document after all operations, which change it in place.

    Raises FhirError INVALID when the patch is not a JSON Patch, and BUSINESS_RULE when the document is not as an
    operation expects it: then nothing of the patch may be kept.
    """
    if not isinstance(operations, list):
        raise FhirError(Category.INVALID, [Issue("a JSON Patch is a list of operations", "structure")])
    nodes, depth = measure(operations)
    if len(operations) > OPERATIONS_MAX or nodes > NODES_MAX or depth > DEPTH_MAX:
        text = f"a JSON Patch has at most {OPERATIONS_MAX} operations and {DEPTH_MAX} levels here"
        raise FhirError(Category.INVALID, [Issue(text, "too-costly")])
    patch = _Patch(document)
    for number, operation in enumerate(operations, start=1):
        name = _checked(number, operation)
        try:
            _OPERATIONS[name](patch, operation)
        except _RefusalError as refusal:
            text = f"operation {number} ({name}): {refusal}"
            raise FhirError(Category.BUSINESS_RULE, [Issue(text, "processing")]) from None
    return patch.document


def _checked(number: int, operation: Any) -> str:
    """The name of a well-formed operation."""
    name = operation.get("op") if isinstance(operation, dict) else None
    if not isinstance(name, str) or name not in _OPERATIONS:
        raise _malformed(number, f"op is one of {', '.join(_OPERATIONS)}")
    for member in ("path", "from") if name in {"move", "copy"} else ("path",):
        if not _is_pointer(operation.get(member)):
            raise _malformed(number, f"{name} needs {member}, a JSON Pointer such as /name/0/family")
    if name in {"add", "replace", "test"} and "value" not in operation:
        raise _malformed(number, f"{name} needs a value")
    return name


def _is_pointer(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= POINTER_CHARACTERS_MAX and _POINTER.fullmatch(text) is not None


def _malformed(number: int, text: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(f"operation {number}: {text}", "structure")])


def _tokens(pointer: str) -> Tokens:
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


class _Patch:
    """The document while it is changed, and how much was put into it."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self._nodes_put = 0

    def add(self, operation: dict[str, Any]) -> None:
        self._put(_tokens(operation["path"]), copied(operation["value"]))

    def remove(self, operation: dict[str, Any]) -> None:
        self._take(_tokens(operation["path"]))

    def replace(self, operation: dict[str, Any]) -> None:
        tokens, value = _tokens(operation["path"]), copied(operation["value"])
        self._find(tokens)
        owner = self._find(tokens[:-1]) if tokens else None
        if isinstance(owner, list):
            owner.pop(int(tokens[-1]))
        self._put(tokens, value)

    def move(self, operation: dict[str, Any]) -> None:
        source, target = _tokens(operation["from"]), _tokens(operation["path"])
        if len(target) > len(source) and target[: len(source)] == source:
            raise _RefusalError("nothing can be moved into itself")
        if source == target:
            self._find(source)
        else:
            self._put(target, self._take(source))

    def copy(self, operation: dict[str, Any]) -> None:
        value = self._find(_tokens(operation["from"]))
        self._require_room(value, 0)
        self._put(_tokens(operation["path"]), copied(value))

    def test(self, operation: dict[str, Any]) -> None:
        if not same(self._find(_tokens(operation["path"])), operation["value"]):
            raise _RefusalError("the value is another one")

    def _find(self, tokens: Tokens) -> Any:
        value = self.document
        for token in tokens:
            if isinstance(value, dict) and token in value:
                value = value[token]
            elif isinstance(value, list):
                value = value[_index(token, len(value) - 1)]
            else:
                raise _RefusalError("there is nothing at this address")
        return value

    def _put(self, tokens: Tokens, value: Any) -> None:
        self._require_room(value, len(tokens))
        if not tokens:
            self.document = value
            return
        owner, token = self._find(tokens[:-1]), tokens[-1]
        if isinstance(owner, list):
            owner.insert(len(owner) if token == _END else _index(token, len(owner)), value)
        elif isinstance(owner, dict):
            owner[token] = value
        else:
            raise _RefusalError("what holds this address is neither an object nor a list")

    def _take(self, tokens: Tokens) -> Any:
        value = self._find(tokens)
        if not tokens:
            self.document = None
            return value
        owner, token = self._find(tokens[:-1]), tokens[-1]
        return owner.pop(int(token) if isinstance(owner, list) else token)

    def _require_room(self, value: Any, depth: int) -> None:
        """Copies of copies double each time: what a patch puts in is bounded, and so is how deep it nests."""
        nodes, levels = measure(value)
        self._nodes_put += nodes
        if self._nodes_put > NODES_MAX or depth + levels > DEPTH_MAX:
            raise _RefusalError("the resource would become too large or nested too deep")


def _index(token: str, last: int) -> int:
    if not _INDEX.fullmatch(token) or int(token) > last:
        raise _RefusalError("the list has no such place")
    return int(token)


_OPERATIONS: dict[str, Callable[[_Patch, dict[str, Any]], None]] = {
    "add": _Patch.add,
    "remove": _Patch.remove,
    "replace": _Patch.replace,
    "move": _Patch.move,
    "copy": _Patch.copy,
    "test": _Patch.test,
}
