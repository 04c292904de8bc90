"""Bars: how many there are of each, and how a whole divides. Each has its number in words beside it."""

from collections.abc import Sequence
from typing import NamedTuple

from stepwell_shared.markup import Markup
from stepwell_shared.pages.plots.drawing import (
    FILLINGS,
    INK,
    PAPER,
    SMALL,
    box,
    filling,
    patterns,
    picture,
    shortened,
    text,
    width_of,
)

WIDTH, BAR, GAP, LABEL_MAX = 480, 22, 8, 180


class Bar(NamedTuple):
    """One bar: its label, how long it is, what is said at its end, and its filling. None is not known."""

    label: str
    value: float | None
    said: str
    kind: str = "full"


class Whole(NamedTuple):
    """One bar that stands for a whole: its label, and the share of each part (None where it is not published)."""

    label: str
    shares: Sequence[float | None]
    said: Sequence[str]


def bars_plot(name: str, title: str, bars: Sequence[Bar], *, width: float = WIDTH) -> Markup:
    """Horizontal bars from zero."""
    most = max((each.value or 0 for each in bars), default=0) or 1
    left = _room_for([each.label for each in bars])
    right = max((width_of(each.said) for each in bars), default=0) + 12
    drawn = []
    for index, each in enumerate(bars):
        top = GAP + index * (BAR + GAP)
        length = (width - left - right) * (each.value or 0) / most
        drawn += [
            text(left - 8, top + BAR - 6, shortened(each.label, left - 12), text_anchor="end"),
            box(left, top, length, BAR, fill=filling(name, each.kind), stroke=INK) if each.value is not None else "",
            text(left + length + 6, top + BAR - 6, each.said),
        ]
    described = "; ".join(f"{each.label}: {each.said}" for each in bars)
    height = len(bars) * (BAR + GAP) + GAP
    return picture(name, title, described, width, height, patterns(name, [each.kind for each in bars]), *drawn)


def shares_plot(
    name: str, title: str, parts: Sequence[str], wholes: Sequence[Whole], *, width: float = WIDTH
) -> Markup:
    """Wholes that divide into the same parts, one below the other; the parts differ by filling and are named above."""
    left = _room_for([each.label for each in wholes])
    key, top = _key(name, parts, width)
    drawn: list[object] = [key]
    for index, whole in enumerate(wholes):
        y = top + index * (BAR + 2 * GAP)
        drawn.append(text(left - 8, y + BAR - 6, shortened(whole.label, left - 12), text_anchor="end"))
        drawn += _parts(name, whole, left, y, width - left - 8)
    height = top + len(wholes) * (BAR + 2 * GAP)
    described = "; ".join(
        f"{whole.label}: " + ", ".join(f"{part} {said}" for part, said in zip(parts, whole.said, strict=True))
        for whole in wholes
    )
    return picture(name, title, described, width, height, patterns(name, FILLINGS[: len(parts)]), *drawn)


def _parts(name: str, whole: Whole, left: float, top: float, room: float) -> list[Markup]:
    drawn: list[Markup] = []
    if any(share is None for share in whole.shares):
        return [text(left, top + BAR - 6, ", ".join(whole.said), font_size=SMALL)]
    x = left
    for share, said, kind in zip(whole.shares, whole.said, FILLINGS, strict=False):
        length = room * (share or 0)
        drawn.append(box(x, top, length, BAR, fill=filling(name, kind), stroke=INK))
        taken = width_of(said, SMALL) + 6
        if length > taken:
            middle = x + length / 2
            drawn.append(box(middle - taken / 2, top + 3, taken, BAR - 6, fill=PAPER, rx=3))
            drawn.append(text(middle, top + BAR - 6.5, said, text_anchor="middle", font_size=SMALL))
        x += length
    return drawn


def _key(name: str, parts: Sequence[str], width: float) -> tuple[list[Markup], float]:
    """What each filling stands for, in as many lines as it takes, and how high it is."""
    drawn: list[Markup] = []
    x, y = 8.0, 6.0
    for part, kind in zip(parts, FILLINGS, strict=False):
        room = 28 + width_of(part, SMALL)
        if x > 8 and x + room > width:
            x, y = 8.0, y + 22
        drawn += [box(x, y, 16, 14, fill=filling(name, kind), stroke=INK), text(x + 22, y + 12, part, font_size=SMALL)]
        x += room + 10
    return drawn, y + 28


def _room_for(labels: Sequence[str]) -> float:
    return min(LABEL_MAX, max((width_of(each) for each in labels), default=0)) + 14
