"""How much work the expressions of one request may do together, and the error when one cannot be used."""

STEPS_MAX = 100_000
TEXT_CHARACTERS_MAX = 100_000
CHARACTERS_PER_STEP = 50


class ExpressionError(ValueError):
    """An expression that cannot be read or does not fit its data. The words never quote data, only the expression."""


class TooCostlyError(ExpressionError):
    """The expressions of a request take more work than a request may."""


class Budget:
    """Counts steps: an element looked at, a comparison, some fifty characters of text made."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS_MAX) -> None:
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Raises TooCostlyError once more is spent than there was."""
        self.left -= steps
        if self.left < 0:
            raise TooCostlyError("the expressions take more work than one request may")

    def text(self, text: str) -> str:
        """The text, once it is paid for. Raises TooCostlyError when it is too long for any answer."""
        if len(text) > TEXT_CHARACTERS_MAX:
            raise TooCostlyError(f"an expression makes a text of more than {TEXT_CHARACTERS_MAX} characters")
        self.spend(1 + len(text) // CHARACTERS_PER_STEP)
        return text
