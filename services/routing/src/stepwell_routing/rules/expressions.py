"""The subset of FHIRPath in which policies state their conditions, compiled to closures when a policy is published.

Subset of http://hl7.org/fhirpath/N1: literals, `%names`, `+ - * /`, comparison, `= !=`, `and or implies`, `.not()`,
`.exists()`, `.empty()` and parentheses over single values. A name that nothing is known about is the empty
collection (None here), which FHIRPath carries through: missing evidence is never zero and never false.
Everything else, and everything of the wrong type, is refused with its place.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

from stepwell_routing.rules import closures
from stepwell_routing.rules.certainty import UNKNOWN, Certain, asked, both, certain, joined

LENGTH_MAX = 2000
DEPTH_MAX = 40

Scalar = int | Decimal | str | bool
Environment = Mapping[str, Scalar]
Run = Callable[[Environment], Any]


class Kind(Enum):
    """What a value can be; dates, quantities and collections are outside the subset."""

    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"


_KINDS = {bool: Kind.BOOLEAN, str: Kind.STRING, int: Kind.NUMBER, Decimal: Kind.NUMBER}


class ExpressionError(ValueError):
    """The text is outside the subset; `position` is the offset of the first character that cannot be read."""

    def __init__(self, position: int, message: str) -> None:
        self.position = position
        super().__init__(f"{message} (at character {position + 1})")


class Threshold(NamedTuple):
    """A named value compared with a constant: the places where an answer can flip."""

    name: str
    constant: int | Decimal


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled condition: `run(environment)` gives a value, or None when what is known does not decide it.

    `names` are the evidence it asks for with its `kinds`, `texts` the literals that it compares texts with. When it is
    true, `known_if_true` are certainly known.
    """

    source: str
    kind: Kind
    names: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    run: Run
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    known_if_true: frozenset[str] = frozenset()


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


class _Node(NamedTuple):
    kind: Kind
    run: Run
    name: str | None = None
    constant: Scalar | None = None
    known: Certain = UNKNOWN


_LEXEME = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<string>'(?:[^'\\]|\\['\\])*')"
    r"|(?P<name>%[A-Za-z_][A-Za-z0-9_]*)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark><=|>=|!=|[<>=()+\-*/.])"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EQUAL: dict[str, Callable[[Any, Any], bool]] = {"=": operator.eq, "!=": operator.ne}
_SUM: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub}
_PRODUCT: dict[str, Callable[[Any, Any], Any]] = {
    "*": operator.mul,
    "/": closures.divided,
}
_FUNCTIONS: dict[str, Callable[[Run, str | None], Run]] = {
    "exists": closures.exists,
    "empty": closures.empty,
    "not": lambda operand, _: closures.negated(operand),
}


def compile_expression(
    source: str,
    names: Mapping[str, Kind],
    constants: Mapping[str, Scalar] | None = None,
    implied: Callable[[str], str | None] = lambda _: None,
) -> Expression:
    """Parse, type-check and compile one expression.

    `names` are the evidence it may use, `constants` the parameters whose value is fixed here; `implied` says which
    other name is known whenever one is.
    Raises ExpressionError for anything outside the subset, unknown names and type errors.
    """
    if len(source) > LENGTH_MAX:
        raise ExpressionError(LENGTH_MAX, f"an expression has at most {LENGTH_MAX} characters")
    parser = _Parser(source, names, constants or {}, implied)
    node = parser.parse()
    used = tuple(sorted(parser.used))
    kinds = {name: names[name] for name in used}
    found = tuple(parser.thresholds), node.run, kinds, tuple(parser.texts), node.known.if_true
    return Expression(source, node.kind, used, *found)


def kind_of(value: Scalar) -> Kind:
    """The kind of a value; a binary float is refused because 0.1 would not be 0.1."""
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    raise TypeError("evidence is an integer, a Decimal, a text or a boolean")


def _tokens(source: str) -> list[_Token]:
    tokens, position = [], 0
    while position < len(source):
        match = _LEXEME.match(source, position)
        if match is None or match.lastgroup is None:
            raise ExpressionError(position, f"cannot read {source[position]!r}")
        if match.lastgroup != "space":
            tokens.append(_Token(match.lastgroup, match.group(), position))
        position = match.end()
    return [*tokens, _Token("end", "the end", position)]


class _Parser:
    """Recursive descent in the precedence of the FHIRPath grammar, compiling as it reads."""

    def __init__(
        self,
        source: str,
        names: Mapping[str, Kind],
        constants: Mapping[str, Scalar],
        implied: Callable[[str], str | None],
    ) -> None:
        self.tokens = _tokens(source)
        self.index = 0
        self.depth = 0
        self.names = names
        self.constants = constants
        self.implied = implied
        self.used: set[str] = set()
        self.thresholds: list[Threshold] = []
        self.texts: list[str] = []

    def parse(self) -> _Node:
        node = self.implies()
        self.expect("end")
        return node

    @property
    def token(self) -> _Token:
        return self.tokens[self.index]

    def take(self) -> _Token:
        token = self.token
        self.index += 1
        return token

    def expect(self, text: str) -> _Token:
        if text not in (self.token.text, self.token.kind):
            raise ExpressionError(self.token.position, f"expected {text}, found {self.token.text}")
        return self.take()

    def implies(self) -> _Node:
        return self.logic(("implies",), self.disjunction)

    def disjunction(self) -> _Node:
        return self.logic(("or",), self.conjunction)

    def conjunction(self) -> _Node:
        return self.logic(("and",), self.equality)

    def logic(self, words: tuple[str, ...], operand: Callable[[], _Node]) -> _Node:
        """Operands that one word joins are one closure, however many; `implies` joins two at a time."""
        node = operand()
        joined_runs = [node.run]
        while self.token.kind == "word" and self.token.text in words:
            token = self.take()
            right = operand()
            self.need(token, Kind.BOOLEAN, node, right)
            joined_runs.append(right.run)
            if token.text == "implies":
                run = closures.implies(node.run, right.run)
            else:
                run = (closures.all_of if token.text == "and" else closures.any_of)(tuple(joined_runs))
            node = _Node(Kind.BOOLEAN, run, known=joined(token.text, node.known, right.known))
        return node

    def equality(self) -> _Node:
        node = self.inequality()
        while self.token.text in _EQUAL:
            token = self.take()
            right = self.inequality()
            if node.kind is not right.kind:
                raise ExpressionError(token.position, f"cannot compare {node.kind.value} with {right.kind.value}")
            node = self.compare(node, right, token.text)
        return node

    def inequality(self) -> _Node:
        node = self.sum()
        while self.token.text in _COMPARE:
            token = self.take()
            right = self.sum()
            self.need(token, Kind.NUMBER, node, right)
            node = self.compare(node, right, token.text)
        return node

    def compare(self, left: _Node, right: _Node, sign: str) -> _Node:
        for name, constant in ((left.name, right.constant), (right.name, left.constant)):
            if name is not None and isinstance(constant, int | Decimal) and not isinstance(constant, bool):
                self.thresholds.append(Threshold(name, constant))
        if left.name is not None and right.constant is not None:
            run = closures.AGAINST_CONSTANT[sign](left.name, right.constant)
        else:
            run = closures.strict(left.run, right.run, (_COMPARE | _EQUAL)[sign])
        return _Node(Kind.BOOLEAN, run, known=both(left.known, right.known))

    def sum(self) -> _Node:
        return self.arithmetic(_SUM, self.product)

    def product(self) -> _Node:
        return self.arithmetic(_PRODUCT, self.unary)

    def arithmetic(self, functions: dict[str, Callable[[Any, Any], Any]], operand: Callable[[], _Node]) -> _Node:
        node = operand()
        while self.token.text in functions:
            token = self.take()
            right = operand()
            self.need(token, Kind.NUMBER, node, right)
            run = closures.strict(node.run, right.run, functions[token.text])
            node = _Node(Kind.NUMBER, run, known=both(node.known, right.known))
        return node

    def unary(self) -> _Node:
        if self.token.text not in ("-", "+"):
            return self.invocation()
        token = self.take()
        node = self.deeper(self.unary, token)
        self.need(token, Kind.NUMBER, node)
        if token.text == "+":
            return node
        constant = -node.constant if isinstance(node.constant, int | Decimal) else None
        run = closures.strict(closures.constant(0), node.run, operator.sub)
        return _Node(Kind.NUMBER, run, constant=constant, known=node.known)

    def invocation(self) -> _Node:
        node = self.term()
        while self.token.text == ".":
            self.take()
            token = self.take()
            function = _FUNCTIONS.get(token.text)
            if function is None:
                raise ExpressionError(token.position, f"{token.text} is not one of exists(), empty() and not()")
            self.expect("(")
            self.expect(")")
            if token.text == "not":
                self.need(token, Kind.BOOLEAN, node)
            node = _Node(Kind.BOOLEAN, function(node.run, node.name), known=asked(token.text, node.known))
        return node

    def term(self) -> _Node:
        token = self.take()
        if token.text == "(":
            node = self.deeper(self.implies, token)
            self.expect(")")
            return node
        if token.kind == "number":
            return _literal(Decimal(token.text) if "." in token.text else int(token.text))
        if token.kind == "string":
            self.texts.append(re.sub(r"\\(.)", r"\1", token.text[1:-1]))
            return _literal(self.texts[-1])
        if token.text in ("true", "false"):
            return _literal(token.text == "true")
        if token.kind == "name":
            return self.named(token)
        raise ExpressionError(token.position, f"expected a value, found {token.text}")

    def named(self, token: _Token) -> _Node:
        name = token.text[1:]
        if name in self.constants:
            return _literal(self.constants[name])
        if name not in self.names:
            raise ExpressionError(token.position, f"%{name} is neither evidence nor a parameter of this policy")
        self.used.add(name)
        found = certain(name, self.implied(name))
        return _Node(self.names[name], closures.named(name), name, known=found)

    def deeper(self, rule: Callable[[], _Node], token: _Token) -> _Node:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise ExpressionError(token.position, f"nested deeper than {DEPTH_MAX}")
        node = rule()
        self.depth -= 1
        return node

    @staticmethod
    def need(token: _Token, kind: Kind, *nodes: _Node) -> None:
        for node in nodes:
            if node.kind is not kind:
                message = f"{token.text} needs a {kind.value}, not a {node.kind.value}"
                raise ExpressionError(token.position, message)


def _literal(value: Scalar) -> _Node:
    return _Node(kind_of(value), closures.constant(value), constant=value)
