"""One person's results as a picture that reads without colour, with its words in it for who does not see it.

SVG 1.1 without script, style or anything from elsewhere; https://www.w3.org/TR/SVG11/struct.html#DescElement
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from textwrap import wrap

from stepwell_shared.markup import Markup, element, joined

from stepwell_measurement.data import words
from stepwell_measurement.rules.compact import Point
from stepwell_measurement.rules.gains import Direction
from stepwell_measurement.use_cases.viewing import View, Way

WIDTH, LEFT, RIGHT, PLOT, LINE = 640, 56, 600, 150, 20
LABELLED_MAX = 12
SENTENCE_MAX, HEADING_MAX = 78, 66
INK, FAINT, PAPER = "#1f2a33", "#5a6670", "#ffffff"


def trajectory_svg(view: View, language: str) -> bytes:
    """The whole picture: what function and symptoms say together, then one plot for each instrument."""
    title = words.phrase("title", language)
    said = _sentences(view, language)
    top = 40
    drawn: list[Markup] = [_text(16, 26, title, font_size=20, font_weight="bold")]
    for line in _wrapped(said):
        drawn.append(_text(16, top + 8, line))
        top += LINE
    for way in view.ways:
        panel, height = _panel(way, language, top + LINE)
        drawn.append(panel)
        top += height + LINE
    height = top + LINE
    described = element("desc", _description(view, language, said), id="description")
    picture = element(
        "svg",
        element("title", title, id="title"),
        described,
        element("rect", width=WIDTH, height=height, fill=PAPER),
        drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=WIDTH,
        height=height,
        role="img",
        lang=language,
        aria_labelledby="title description",
        font_family="system-ui, sans-serif",
        font_size=14,
        fill=INK,
    )
    return str(picture).encode()


def _sentences(view: View, language: str) -> str:
    if not view.ways:
        return words.phrase("none", language)
    if view.function is Direction.BETTER and view.symptoms is Direction.BETTER:
        return words.phrase("both-gain", language)
    if view.function is Direction.BETTER and view.symptoms is Direction.SAME:
        return words.phrase("function-gains", language)
    return ""


def _description(view: View, language: str, said: str) -> str:
    """All that the picture shows, to be read out."""
    parts = [said] if said else []
    for way in view.ways:
        shown = [_said_value(point, language) for point in way.points]
        line = way.parameters.caseness_at_least
        if line is not None:
            shown.append(words.phrase("line", language, value=_number(line)))
        parts.append(f"{_heading(way, language)}. {_standing(way, language)} {'; '.join(shown)}.")
    return " ".join(parts)


def _said_value(point: Point, language: str) -> str:
    date = words.date(point.score.effective, language)
    text = words.phrase("on", language, value=_number(point.score.value), date=date)
    return f"{text} ({words.phrase('incomplete', language)})" if point.score.prorated else text


def _heading(way: Way, language: str) -> str:
    parameters = way.parameters
    better = "lower-better" if parameters.change.higher_is_worse else "higher-better"
    scale = words.phrase("scale", language, lowest=_number(parameters.lowest), highest=_number(parameters.highest))
    about = words.domain(parameters.domain, language)
    return f"{about} ({parameters.title}, {scale}). {words.phrase(better, language)}"


def _standing(way: Way, language: str) -> str:
    return words.standing(way.path.standing, language) if way.path else words.standing("not-available", language)


def _panel(way: Way, language: str, top: int) -> tuple[Markup, int]:
    """Heading, sentence and plot of one instrument, and how high they are together."""
    drawn: list[Markup] = []
    y = top + 16
    for line in wrap(_heading(way, language), HEADING_MAX):
        drawn.append(_text(16, y, line, font_weight="bold"))
        y += LINE
    for line in _wrapped(_standing(way, language)):
        drawn.append(_text(16, y, line))
        y += LINE
    y += 4
    drawn += [_axis(way, y), *_line(way, y), _way(way, y), *_dates(way, language, y)]
    bottom = y + PLOT + LINE
    if any(point.score.prorated for point in way.points):
        drawn += [_dot(LEFT, bottom + 8, False), _text(LEFT + 12, bottom + 13, words.phrase("incomplete", language))]
        bottom += LINE
    return element("g", *drawn), bottom - top


def _axis(way: Way, top: int) -> Markup:
    """The ends of the scale, and the lines at them."""
    lines = [
        joined(
            element("path", d=f"M{LEFT} {_y(way, value, top)}H{RIGHT}", stroke=FAINT, fill="none"),
            _text(LEFT - 8, _y(way, value, top) + 5, _number(value), text_anchor="end"),
        )
        for value in (way.parameters.lowest, way.parameters.highest)
    ]
    return element("g", *lines, fill=FAINT)


def _line(way: Way, top: int) -> list[Markup]:
    value = way.parameters.caseness_at_least
    if value is None:
        return []
    y = _y(way, value, top)
    return [
        element("path", d=f"M{LEFT} {y}H{RIGHT}", stroke=INK, stroke_dasharray="6 5", fill="none"),
        _text(LEFT - 8, y + 5, _number(value), text_anchor="end"),
    ]


def _way(way: Way, top: int) -> Markup:
    """The scores that count, joined by a line; each with its number, where there is room for all."""
    places = _places(way)
    counted = [(place, point) for place, point in zip(places, way.points, strict=True) if not point.score.prorated]
    path = " ".join(f"{x},{_y(way, point.score.value, top)}" for x, point in counted)
    drawn = [element("polyline", points=path, stroke=INK, stroke_width=2, fill="none")] if len(counted) > 1 else []
    shown = way.points if len(way.points) <= LABELLED_MAX else _ends(way)
    for place, point in zip(places, way.points, strict=True):
        y = _y(way, point.score.value, top)
        drawn.append(_dot(place, y, not point.score.prorated))
        if point in shown:
            drawn.append(_text(place, y - 9, _number(point.score.value), text_anchor="middle", font_weight="bold"))
    return element("g", *drawn)


def _ends(way: Way) -> Sequence[Point]:
    """First, best and last of a long way."""
    path = way.path
    if path is None:
        return (way.points[0], way.points[-1])
    return tuple(point for point in way.points if point.score in (path.baseline, path.best, path.last))


def _dates(way: Way, language: str, top: int) -> list[Markup]:
    places, y = _places(way), top + PLOT + 16
    first, last = way.points[0], way.points[-1]
    began = f"{words.phrase('began', language)}, {words.date(first.score.effective, language)}"
    drawn = [_text(max(places[0] - 12, 16), y, began)]
    if places[-1] != places[0]:
        drawn.append(_text(places[-1] + 12, y, words.date(last.score.effective, language), text_anchor="end"))
    return drawn


def _places(way: Way) -> list[int]:
    """Where each score stands from left to right, by its time."""
    times: list[datetime] = [point.score.effective for point in way.points]
    span = times[-1] - times[0]
    if not span:
        return [LEFT + 40 for _ in times]
    return [LEFT + 24 + round((RIGHT - LEFT - 48) * ((each - times[0]) / span)) for each in times]


def _y(way: Way, value: Decimal, top: int) -> int:
    """The height of a value: the highest end of the scale is at the top."""
    lowest, highest = way.parameters.lowest, way.parameters.highest
    return top + 12 + round((PLOT - 24) * float((highest - value) / (highest - lowest)))


def _dot(x: int, y: int, filled: bool) -> Markup:
    return element("circle", cx=x, cy=y, r=5, fill=INK if filled else PAPER, stroke=INK, stroke_width=2)


def _wrapped(text: str) -> list[str]:
    return wrap(text, SENTENCE_MAX)


def _number(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _text(x: int, y: int, text: str, **attributes: str | int) -> Markup:
    return element("text", text, x=x, y=y, **attributes)
