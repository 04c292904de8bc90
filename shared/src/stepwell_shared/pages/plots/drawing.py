"""What every plot is drawn with: texts, lines, marks, patterns, scales, and the picture around them.

SVG 1.1 without script, style or anything from elsewhere: presentation attributes pass every Content Security Policy.
https://www.w3.org/TR/SVG11/
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from stepwell_shared.markup import Attribute, Markup, element

INK, FAINT, RULE, GRID, ACCENT, WASH, PAPER = (
    "#1f2a33",
    "#55626d",
    "#76828c",
    "#dfe5e8",
    "#14586b",
    "#e3eef1",
    "#ffffff",
)
FONT = "system-ui, sans-serif"
SIZE, SMALL = 14, 12.5
# How wide a letter is, in its size, on the average: the SVG cannot measure, so room is reckoned. Measured in Chromium.
LETTER = 0.56
TICKS = 4

Shown = Callable[[float], str]


def text(x: float, y: float, said: str, **attributes: Attribute) -> Markup:
    """A text; `text_anchor` is start (the default), middle or end."""
    return element("text", said, x=_at(x), y=_at(y), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: Attribute) -> Markup:
    """A straight line, as a path so that printers keep its ends."""
    return path(f"M{_at(x1)} {_at(y1)}L{_at(x2)} {_at(y2)}", **attributes)


def path(way: str, **attributes: Attribute) -> Markup:
    """A path that is not filled."""
    return element("path", d=way, **{"fill": "none", "stroke": INK, **attributes})


def box(x: float, y: float, width: float, height: float, **attributes: Attribute) -> Markup:
    """A rectangle."""
    return element("rect", x=_at(x), y=_at(y), width=_at(width), height=_at(height), **attributes)


def dot(x: float, y: float, *, radius: float = 4, filled: bool = True) -> Markup:
    """A round mark; an open one has the same size."""
    return element("circle", cx=_at(x), cy=_at(y), r=radius, fill=ACCENT if filled else PAPER, stroke=ACCENT,
                   stroke_width=2)  # fmt: skip


def diamond(x: float, y: float, *, radius: float = 7) -> Markup:
    """The mark of a point that stands out."""
    corners = ((x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y))
    way = f"M{'L'.join(f'{_at(across)} {_at(down)}' for across, down in corners)}Z"
    return element("path", d=way, fill=PAPER, stroke=INK, stroke_width=2.5)


def polyline(points: Sequence[tuple[float, float]], **attributes: Attribute) -> Markup:
    """Points joined by straight lines."""
    joined = " ".join(f"{_at(x)},{_at(y)}" for x, y in points)
    return element("polyline", points=joined, **{"fill": "none", "stroke": ACCENT, "stroke_width": 2, **attributes})


# Fillings that a black and white printer tells apart: full, lines across, empty, dots, lines down, a net.
FILLINGS = ("full", "across", "empty", "dots", "down", "net")
_DRAWN = {
    "across": ("M0 8 8 0M-2 2 2 -2M6 10 10 6", 1.6),
    "dots": ("M2 2h2v2h-2zM6 6h2v2h-2z", 0.8),
    "down": ("M2 0V8M6 0V8", 1.4),
    "net": ("M0 4H8M4 0V8", 1.2),
}


def value_axis(y: "Scale", left: float, right: float, shown: Shown) -> list[Markup]:
    """A light line at each round value from left to right, with the value before it."""
    drawn = []
    for tick in y.ticks():
        drawn.append(line(left, y(tick), right, y(tick), stroke=GRID))
        drawn.append(text(left - 8, y(tick) + 4, shown(tick), text_anchor="end", font_size=SMALL, fill=FAINT))
    return drawn


def count_axis(x: "Scale", bottom: float, counted: str, *, many: int = TICKS) -> list[Markup]:
    """Round numbers below a plot, and what they count."""
    below = label((x.start + x.end) / 2, bottom + 36, counted)
    return [below, *(label(x(tick), bottom + 16, f"{tick:g}") for tick in x.ticks(many))]


def label(x: float, y: float, said: str) -> Markup:
    """A small text of an axis, in the middle of its place."""
    return text(x, y, said, text_anchor="middle", font_size=SMALL, fill=FAINT)


def filling(name: str, kind: str) -> str:
    """The attribute `fill` of a filling that `patterns` of the same plot has declared."""
    return {"full": ACCENT, "empty": PAPER}.get(kind, f"url(#{name}-{kind})")


def patterns(name: str, kinds: Sequence[str]) -> Markup | None:
    """The declarations of the fillings that a plot uses; `name` keeps them apart from those of others on the page."""
    drawn = [
        element(
            "pattern",
            box(0, 0, 8, 8, fill=PAPER),
            element("path", d=_DRAWN[kind][0], stroke=ACCENT, stroke_width=_DRAWN[kind][1], fill=ACCENT),
            id=f"{name}-{kind}",
            width=8,
            height=8,
            patternUnits="userSpaceOnUse",
        )
        for kind in dict.fromkeys(kinds)
        if kind in _DRAWN
    ]
    return element("defs", drawn) if drawn else None


@dataclass(frozen=True)
class Scale:
    """From values to places along one axis."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.end - self.start)

    def ticks(self, many: int = TICKS) -> list[float]:
        """Round values within the scale."""
        step = _round_step((self.high - self.low) / many)
        first = ceil(self.low / step - 1e-9)
        return [step * each for each in range(first, floor(self.high / step + 1e-9) + 1)]


def rounded_range(values: Sequence[float], *, lowest: float | None = None, highest: float | None = None) -> tuple[
    float, float
]:  # fmt: skip
    """Round ends that hold all values, within `lowest` and `highest` where there is such an end."""
    low, high = min(values), max(values)
    step = _round_step(((high - low) or abs(high) or 1.0) / TICKS)
    low, high = step * floor(low / step + 1e-9), step * ceil(high / step - 1e-9)
    low = low if lowest is None else max(low, lowest)
    high = high if highest is None else min(high, highest)
    return (low, high) if high > low else (low, low + step)


def _round_step(step: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** floor(log10(step)) if step > 0 else 1.0
    return next((each * power for each in (1, 2, 5) if each * power >= step * (1 - 1e-9)), 10 * power)


def width_of(said: str, size: float = SIZE) -> float:
    """About how much room a text takes."""
    return len(said) * size * LETTER


def shortened(said: str, room: float, size: float = SIZE) -> str:
    """A text that fits; the table beside the plot has the whole of it."""
    letters = max(1, int(room / (size * LETTER)))
    return said if len(said) <= letters else f"{said[: letters - 1].rstrip()}…"


def picture(name: str, title: str, described: str, width: float, height: float, *drawn: object) -> Markup:
    """The whole plot. `described` says in words what it shows, for who does not see it."""
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", described, id=f"{name}-says") if described else None,
        *drawn,
        viewBox=f"0 0 {_at(width)} {_at(height)}",
        width=_at(width),
        height=_at(height),
        role="img",
        aria_labelledby=f"{name}-title {name}-says" if described else f"{name}-title",
        font_family=FONT,
        font_size=SIZE,
        fill=INK,
    )


def _at(place: float) -> str:
    """A place with one decimal: a tenth of a pixel."""
    return f"{place:.1f}".removesuffix(".0")
