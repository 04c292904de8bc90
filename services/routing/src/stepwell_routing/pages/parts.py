"""How the pages name what is published together."""

from collections.abc import Sequence

WIDTH = 640
"""Of plots on these pages, which have one column."""


def said(labels: Sequence[str]) -> str:
    """Labels that are published together."""
    return " or ".join(labels)
