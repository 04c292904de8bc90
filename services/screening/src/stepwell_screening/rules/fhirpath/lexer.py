"""The words of a FHIRPath expression. http://hl7.org/fhirpath/N1/grammar.html"""

import re
from typing import NamedTuple

from stepwell_screening.rules.fhirpath.budget import ExpressionError

LENGTH_MAX = 4000
_ESCAPES = {"f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LEXEME = re.compile(
    r"(?P<space>\s+|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)"
    r"|(?P<time>@T[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?)"
    r"|(?P<date>@[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?(?:T(?:[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})?)?)?)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<string>'(?:[^'\\]|\\.)*')"
    r"|(?P<name>%(?:[A-Za-z_][A-Za-z0-9_]*|`[^`]+`|'[^']+'))"
    r"|(?P<special>\$(?:this|index|total)\b)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<quoted>`[^`]+`)"
    r"|(?P<mark><=|>=|!=|!~|[<>=~()\[\]{}+\-*/&|.,])"
)


class Token(NamedTuple):
    """One word with its kind and the offset of its first character."""

    kind: str
    text: str
    position: int


def tokens(source: str) -> list[Token]:
    """Every word of the expression and an end. Raises ExpressionError with the place of what is none."""
    if len(source) > LENGTH_MAX:
        raise ExpressionError(f"an expression has at most {LENGTH_MAX} characters")
    found, position = [], 0
    while position < len(source):
        match = _LEXEME.match(source, position)
        if match is None or match.lastgroup is None:
            raise ExpressionError(f"the expression cannot be read at character {position + 1}")
        if match.lastgroup != "space":
            found.append(Token(match.lastgroup, match.group(), position))
        position = match.end()
    return [*found, Token("end", "the end", position)]


def unescaped(text: str) -> str:
    """The content of a string literal, given with its quotes."""

    def plain(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return _ESCAPES.get(match[2], match[2])

    return re.sub(r"\\(?:u([0-9A-Fa-f]{4})|(.))", plain, text[1:-1], flags=re.DOTALL)
