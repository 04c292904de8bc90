"""FHIRPath compiled to closures, by precedence climbing. http://hl7.org/fhirpath/N1/grammar.html"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from stepwell_screening.rules.fhirpath import operators
from stepwell_screening.rules.fhirpath.budget import ExpressionError
from stepwell_screening.rules.fhirpath.functions import FUNCTIONS, Argument, Step, of_type
from stepwell_screening.rules.fhirpath.items import Collection, Item, is_a, members
from stepwell_screening.rules.fhirpath.lexer import Token, tokens, unescaped
from stepwell_screening.rules.fhirpath.moments import CALENDAR
from stepwell_screening.rules.fhirpath.scope import Run, Scope

DEPTH_MAX = 40
OPERATIONS_MAX = 500
UCUM = "http://unitsofmeasure.org"
Evaluate = Callable[[Scope], Collection]
Infix = Callable[[Scope, Evaluate, Evaluate], Collection]


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; it may be evaluated any number of times. `names` are the variables that it uses."""

    source: str
    evaluate: Evaluate
    names: frozenset[str] = frozenset()

    def __call__(self, run: Run, focus: Collection, names: Mapping[str, Collection]) -> Collection:
        """What the expression makes of a focus. Raises ExpressionError, and TooCostlyError once the budget is spent."""
        try:
            return self.evaluate(Scope(run, focus, names))
        except RecursionError:
            raise ExpressionError("an expression has too many steps in a row") from None


@lru_cache(maxsize=1024)
def compile_path(source: str) -> Expression:
    """Raises ExpressionError, with the place, for what is no FHIRPath or uses what is left out here."""
    parser = _Parser(source)
    return Expression(source, parser.parse(), frozenset(parser.names))


def _truths(combine: Callable[[bool | None, Callable[[], bool | None]], bool | None]) -> Infix:
    def run(scope: Scope, left: Evaluate, right: Evaluate) -> Collection:
        return operators.boolean(combine(operators.truth(left(scope)), lambda: operators.truth(right(scope))))

    return run


def _ordered(holds: Callable[[int], bool]) -> Infix:
    return lambda scope, left, right: operators.ordered(left(scope), right(scope), holds, scope.run.budget)


def _equality(*, is_wanted: bool) -> Infix:
    def run(scope: Scope, left: Evaluate, right: Evaluate) -> Collection:
        found = operators.equal(left(scope), right(scope), scope.run.budget)
        return operators.boolean(None if found is None else found is is_wanted)

    return run


def _likeness(*, is_wanted: bool) -> Infix:
    return lambda scope, left, right: operators.boolean(
        operators.alike(left(scope), right(scope), scope.run.budget) is is_wanted
    )


def _membership(scope: Scope, item: Collection, collection: Collection) -> Collection:
    wanted = operators.single(item)
    return [] if wanted is None else operators.boolean(operators.has(collection, wanted, scope.run.budget))


def _joined(scope: Scope, left: Evaluate, right: Evaluate) -> Collection:
    """`&`: texts put together, where an empty side is the empty text."""
    texts = []
    for side in (left(scope), right(scope)):
        item = operators.single(side)
        if item is not None and not isinstance(item.value, str):
            raise ExpressionError("an expression uses & on what is no text")
        texts.append("" if item is None else item.value)
    return [Item(scope.run.budget.text("".join(texts)), "string")]


def _sum(sign: int) -> Infix:
    return lambda scope, left, right: operators.add(left(scope), right(scope), sign, scope.run.budget)


def _product(mark: str) -> Infix:
    return lambda scope, left, right: operators.arithmetic(mark, left(scope), right(scope))


def _union(scope: Scope, left: Evaluate, right: Evaluate) -> Collection:
    found: Collection = []
    for item in [*left(scope), *right(scope)]:
        if not operators.has(found, item, scope.run.budget):
            found.append(item)
    return found


# What binds tighter has the greater number; `is` and `as` (9) take a type on their right.
_INFIX: dict[str, tuple[int, Infix]] = {
    "implies": (1, _truths(operators.implies)),
    "or": (2, _truths(operators.either)),
    "xor": (2, _truths(operators.differ)),
    "and": (3, _truths(operators.both)),
    "in": (4, lambda scope, left, right: _membership(scope, left(scope), right(scope))),
    "contains": (4, lambda scope, left, right: _membership(scope, right(scope), left(scope))),
    "=": (5, _equality(is_wanted=True)),
    "!=": (5, _equality(is_wanted=False)),
    "~": (5, _likeness(is_wanted=True)),
    "!~": (5, _likeness(is_wanted=False)),
    "<": (6, _ordered(lambda order: order < 0)),
    "<=": (6, _ordered(lambda order: order <= 0)),
    ">": (6, _ordered(lambda order: order > 0)),
    ">=": (6, _ordered(lambda order: order >= 0)),
    "|": (7, _union),
    "+": (10, _sum(1)),
    "-": (10, _sum(-1)),
    "&": (10, _joined),
    "*": (11, _product("*")),
    "/": (11, _product("/")),
    "div": (11, _product("div")),
    "mod": (11, _product("mod")),
}
_TYPE_LEVEL = 9
_WORDS = frozenset({"and", "or", "xor", "implies", "in", "div", "mod", "is", "as", "contains"})


class _Parser:
    """Reads one expression and compiles as it reads."""

    def __init__(self, source: str) -> None:
        self.tokens = tokens(source)
        self.index = 0
        self.depth = 0
        self.operations = 0
        self.names: set[str] = set()

    def parse(self) -> Evaluate:
        found = self.expression(0)
        self.expect("end")
        return found

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def take(self) -> Token:
        token = self.token
        self.index += 1
        return token

    def count(self) -> None:
        """One more operator or step. Raises ExpressionError when there are too many to evaluate one in another."""
        self.operations += 1
        if self.operations > OPERATIONS_MAX:
            raise ExpressionError(f"an expression has at most {OPERATIONS_MAX} operators and steps")

    def expect(self, text: str) -> Token:
        if text not in (self.token.text, self.token.kind):
            raise ExpressionError(f"expected {text} at character {self.token.position + 1}")
        return self.take()

    def expression(self, level: int) -> Evaluate:
        """Everything that binds tighter than the level."""
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise ExpressionError(f"an expression is nested at most {DEPTH_MAX} deep")
        left = self.prefix()
        while True:
            self.count()
            token = self.token
            if token.kind == "word" and token.text in {"is", "as"} and level < _TYPE_LEVEL:
                self.take()
                left = _of_type(left, self.type_name(), keeps=token.text == "as")
                continue
            if token.kind not in {"mark", "word"} or token.text not in _INFIX:
                break
            binding, infix = _INFIX[token.text]
            if binding <= level:
                break
            self.take()
            left = _infix(infix, left, self.expression(binding))
        self.depth -= 1
        return left

    def prefix(self) -> Evaluate:
        if self.token.kind == "mark" and self.token.text in {"-", "+"}:
            sign = self.take().text
            operand = self.expression(11)
            return operand if sign == "+" else _negative(operand)
        return self.path()

    def path(self) -> Evaluate:
        found = self.term()
        while self.token.text in {".", "["} and self.token.kind == "mark":
            self.count()
            if self.take().text == ".":
                found = _then(found, self.invocation())
            else:
                place = self.expression(0)
                self.expect("]")
                found = _indexed(found, place)
        return found

    def term(self) -> Evaluate:
        token = self.token
        if token.kind in {"word", "quoted"} and token.text not in {"true", "false"}:
            return _from_this(self.invocation(is_first=True))
        self.take()
        if token.text == "(" and token.kind == "mark":
            found = self.expression(0)
            self.expect(")")
            return found
        if token.text == "{" and token.kind == "mark":
            self.expect("}")
            return lambda scope: []
        if token.kind == "special":
            return _SPECIAL[token.text]
        if token.kind == "name":
            self.names.add(token.text[1:].strip("`'"))
            return _named(token.text[1:].strip("`'"))
        literal = self.literal(token)
        if literal is None:
            raise ExpressionError(f"expected a value at character {token.position + 1}")
        return lambda scope: [literal]

    def literal(self, token: Token) -> Item | None:
        if token.kind == "number":
            return self.number(token)
        if token.kind == "date":
            return Item(token.text[1:].removesuffix("T"), "dateTime" if "T" in token.text else "date")
        made = {
            "string": lambda text: Item(unescaped(text), "string"),
            "word": lambda text: Item(text == "true", "boolean"),
            "time": lambda text: Item(text[2:], "time"),
        }
        return made[token.kind](token.text) if token.kind in made else None

    def number(self, token: Token) -> Item:
        """A number, or a quantity when a unit follows."""
        value: int | Decimal = Decimal(token.text) if "." in token.text else int(token.text)
        after = self.token
        if after.kind == "string":
            unit = unescaped(self.take().text)
            return Item({"value": value, "unit": unit, "system": UCUM, "code": unit}, "Quantity")
        if after.kind == "word" and after.text.removesuffix("s") in CALENDAR:
            return Item({"value": value, "unit": self.take().text.removesuffix("s")}, "Quantity")
        return Item(value, "decimal" if isinstance(value, Decimal) else "integer")

    def invocation(self, *, is_first: bool = False) -> Step:
        """A member or a function, asked of what stands before it."""
        token = self.take()
        if token.kind == "special" and not is_first:
            raise ExpressionError(f"{token.text} stands alone (character {token.position + 1})")
        if token.kind not in {"word", "quoted"}:
            raise ExpressionError(f"expected a name at character {token.position + 1}")
        name = token.text.strip("`")
        if self.token.text != "(" or self.token.kind != "mark":
            if is_first and name in _WORDS and token.kind == "word":
                raise ExpressionError(f"expected a value at character {token.position + 1}")
            return _member(name, is_first=is_first)
        self.take()
        if name in {"ofType", "is", "as"}:
            kind = self.type_name()
            self.expect(")")
            return of_type(kind, name)
        return self.call(token, name)

    def call(self, token: Token, name: str) -> Step:
        """A function with its arguments."""
        arguments: list[Argument] = []
        while self.token.text != ")" or self.token.kind != "mark":
            if arguments:
                self.expect(",")
            arguments.append(self.expression(0))
        self.take()
        found = FUNCTIONS.get(name)
        if found is None:
            raise ExpressionError(f"the function {name}() is not known here (character {token.position + 1})")
        if not found.least <= len(arguments) <= found.most:
            raise ExpressionError(f"{name}() has another number of arguments (character {token.position + 1})")
        function = found.run

        def run(scope: Scope, given: Collection) -> Collection:
            scope.run.budget.spend()
            return function(scope, given, arguments)

        return run

    def type_name(self) -> str:
        parts = [self.expect("word" if self.token.kind == "word" else "quoted").text.strip("`")]
        while self.token.text == "." and self.token.kind == "mark" and self.tokens[self.index + 1].kind == "word":
            # A type with its namespace, as in System.String; a function that follows has a bracket.
            if self.tokens[self.index + 2].text == "(":
                break
            self.take()
            parts.append(self.take().text)
        return ".".join(parts)


def _infix(run: Infix, left: Evaluate, right: Evaluate) -> Evaluate:
    def paid(scope: Scope) -> Collection:
        scope.run.budget.spend()
        return run(scope, left, right)

    return paid


def _negative(operand: Evaluate) -> Evaluate:
    return _infix(_product("*"), operand, lambda scope: [Item(-1, "integer")])


def _of_type(left: Evaluate, name: str, *, keeps: bool) -> Evaluate:
    def run(scope: Scope) -> Collection:
        scope.run.budget.spend()
        item = operators.single(left(scope))
        if item is None:
            return []
        found = is_a(item, name)
        return ([item] if found else []) if keeps else operators.boolean(found)

    return run


def _then(first: Evaluate, step: Step) -> Evaluate:
    return lambda scope: step(scope, first(scope))


def _from_this(step: Step) -> Evaluate:
    return lambda scope: step(scope, scope.this)


def _indexed(collection: Evaluate, place: Evaluate) -> Evaluate:
    def run(scope: Scope) -> Collection:
        scope.run.budget.spend()
        found, index = collection(scope), operators.single(place(scope))
        if index is None or isinstance(index.value, bool) or not isinstance(index.value, int):
            return []
        return found[index.value : index.value + 1] if index.value >= 0 else []

    return run


def _member(name: str, *, is_first: bool) -> Step:
    is_type = is_first and name[:1].isupper()

    def run(scope: Scope, given: Collection) -> Collection:
        scope.run.budget.spend(1 + len(given))
        if is_type:
            return [item for item in given if is_a(item, name)]
        found = [child for item in given for child in members(item, name)]
        scope.run.budget.spend(len(found))
        return found

    return run


def _named(name: str) -> Evaluate:
    def run(scope: Scope) -> Collection:
        found = scope.names.get(name)
        if found is None:
            raise ExpressionError(f"an expression uses %{name}, which nothing defines here")
        return found

    return run


def _numbered(scope: Scope) -> Collection:
    return [] if scope.index is None else [Item(scope.index, "integer")]


_SPECIAL: dict[str, Evaluate] = {
    "$this": lambda scope: scope.this,
    "$index": _numbered,
    "$total": lambda scope: scope.total or [],
}
