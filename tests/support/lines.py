"""What the tests of exchange need of a line between organisations, whether it is a proxy or a network of its own."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Line(Protocol):
    """How one organisation is reached: by the world at `host` and `port`, by its own people at `inside`.

    Its service is started with `within` before its command, and listens on `listens`.
    """

    port: int
    host: str
    inside: str
    listens: str

    @property
    def within(self) -> Sequence[str]:
        """What runs a command where the organisation is."""

    def cut(self) -> None:
        """From now on nobody outside reaches it."""

    def mend(self) -> None:
        """The line is there again."""

    def crossed(self) -> bytes:
        """Everything that went over it so far, both ways."""


# The port on which the organisation's service listens -> the line to it.
Lines = Callable[[int], AbstractAsyncContextManager[Line]]
