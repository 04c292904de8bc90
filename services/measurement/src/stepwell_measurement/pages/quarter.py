"""The quarterly report: the figures of a quarter beside the one before, what they count, and what was done."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stepwell_shared.markup import element
from stepwell_shared.pages.layout import whole_page
from stepwell_shared.proportions import Interval

from stepwell_measurement.data.dashboard_words import Words
from stepwell_measurement.data.measures import measures
from stepwell_measurement.pages.board import TILES
from stepwell_measurement.pages.document import Document, Entry, Figures, Part, Row, marked_up
from stepwell_measurement.pages.tiles import STYLE, Voice, comparable, compared, details, said, shown_value
from stepwell_measurement.rules.board import Board, Group
from stepwell_measurement.rules.measures.figures import Kind, Measure
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW
from stepwell_measurement.rules.minutes import Decision
from stepwell_measurement.rules.quarters import difference, first_day, last_day, quarter_before, whole_quarters

# Which figures of which section; the outcomes that only a plot of the dashboards has stand here as rows as well.
SECTIONS: Mapping[str, Sequence[str]] = {
    **TILES,
    "outcomes": ("reliable-improvement", "recovery", "reliable-recovery", "response", "response-anxiety", "remission",
                 "function", "reliable-deterioration", "follow-up", "satisfaction", "cost-per-reliable-improvement"),
}  # fmt: skip
READING = ("read-interval", "read-difference", "read-late", "read-waits", "read-kept-back")


class Asked(NamedTuple):
    """Which report is asked for: of a quarter, of everybody or (`practice`) of one practice."""

    quarter: str
    practice: str = ""


class _Beside(NamedTuple):
    """One figure of a quarter, of the one before, and (of a practice) of the region."""

    measure: Measure
    now: Group
    before: Group | None
    region: Group | None


def quarters_of(board: Board) -> tuple[str, ...]:
    """The quarters that a report can be made of, in order of time."""
    return whole_quarters(board.start, board.end)


def is_told(board: Board, asked: Asked) -> bool:
    """Whether there is any figure for this report: there is none of a practice that is not there."""
    return bool(_found(board, asked))


def quarterly(board: Board, asked: Asked, decisions: Sequence[Decision], voice: Voice) -> Document:
    """The report as it may be published: every figure is one of the board's own."""
    words = voice.words
    found = _found(board, asked)
    parts = [_section(name, [found[each] for each in names if each in found], asked, voice)
             for name, names in SECTIONS.items() if any(each in found for each in names)]  # fmt: skip
    reach = _reach(board, asked, voice)
    done = done_part(decisions, words) if decisions else _nothing(words)
    reading = Part("reading", words.phrase("how-to-read"),
                   tuple(words.phrase(each, below=SMALL_BELOW) for each in READING))  # fmt: skip
    quarter = words.quarter(asked.quarter)
    title = words.phrase("title-quarter", quarter=quarter)
    if asked.practice:
        title = words.phrase("title-quarter-practice", quarter=quarter, practice=words.value(asked.practice))
    start, end, known, made = (
        words.day(day) for day in (first_day(asked.quarter), last_day(asked.quarter), board.end, board.made_at.date())
    )
    lead = (words.phrase("lead-quarter"), words.phrase("as-known", start=start, end=end, known=known, made=made))
    defined = _definitions([each.measure for each in found.values()], voice)
    return Document(
        words.language,
        title,
        lead,
        (*parts, *reach, done, defined, reading),
        lambda page, pages: words.phrase("page-of", page=page, pages=pages),
    )


def report_page(document: Document, voice: Voice, quarters: Sequence[str], asked: Asked) -> bytes:
    """The report as a page, with what leads to the file and to the other quarters."""
    words = voice.words
    own = {"practice": asked.practice} if asked.practice else {}

    def link(text: str, **more: str) -> object:
        query = "&".join(f"{name}={value}" for name, value in {**own, **more, "language": words.language}.items())
        return element("li", element("a", text, href=f"{voice.base}/report?{query}"))

    links = [link(words.phrase("as-pdf"), quarter=asked.quarter, _format="pdf")]
    links += [link(words.quarter(each), quarter=each) for each in quarters if each != asked.quarter]
    back = element("li", element("a", words.phrase("back"), href=f"{voice.base}{voice.query}"))
    navigation = element("nav", element("ul", [back, *links]), aria_label=words.phrase("other-quarters"))
    return whole_page(
        document.title, *marked_up(document), language=words.language, styles=[STYLE], navigation=navigation
    )


def done_part(decisions: Sequence[Decision], words: Words) -> Part:
    """ "You said, we did", as decisions say it."""
    told = tuple(told_of(each, words) for each in decisions)
    return Part("done", words.phrase("you-said-we-did"), (words.phrase("you-said-lead"), *told))


def told_of(decision: Decision, words: Words) -> Entry:
    """One decision, in the language in which it was written."""
    standing = words.phrase(f"standing-{decision.standing}")
    title = f"{words.phrase('decided-on', day=words.day(decision.decided_on))}: {standing}"
    about = measures().get(decision.measure)
    more = () if about is None else ((words.phrase("measure"), words.measure(about.id, about.title)),)
    said_and_done = ((words.phrase("you-said"), decision.said), (words.phrase("we-did"), decision.done))
    return Entry(title, (*said_and_done, *more), decision.language)


def _nothing(words: Words) -> Part:
    return Part("done", words.phrase("you-said-we-did"), (words.phrase("nothing-said"),))


def _found(board: Board, asked: Asked) -> dict[str, _Beside]:
    """The figures of the quarter, by Measure."""
    before = quarter_before(asked.quarter)
    has_before = before in quarters_of(board)
    found = {}
    for name, measure in measures().items():
        sheet = board.sheets.get(name)
        if sheet is None:
            continue
        whole = {each.value: each for each in sheet.quarters}
        if asked.practice:
            own = {
                quarter: group
                for quarter, groups in sheet.practices.items()
                for group in groups
                if group.value == asked.practice
            }
        else:
            own = whole
        if asked.quarter in own:
            region = whole.get(asked.quarter) if asked.practice else None
            found[name] = _Beside(measure, own[asked.quarter], own.get(before) if has_before else None, region)
    return found


def _section(name: str, found: Sequence[_Beside], asked: Asked, voice: Voice) -> Part:
    words = voice.words
    title, question = words.section(name)
    heads = [words.phrase("measure"), words.quarter(asked.quarter), words.quarter(quarter_before(asked.quarter)),
             words.phrase("difference"), words.phrase("region" if asked.practice else "rests")]  # fmt: skip
    caption = words.phrase("figures-of", title=title, quarter=words.quarter(asked.quarter))
    rows = [row for each in found for row in _rows(each, asked, voice)]
    return Part(name, title, (question, Figures(caption, tuple(heads), tuple(rows))))


def _rows(each: _Beside, asked: Asked, voice: Voice) -> list[Row]:
    """One figure; of waits the share within the first limit as well, which counts the open ones."""
    words, measure = voice.words, each.measure
    last = _value(measure, each.region, words) if asked.practice else _rests(measure, each.now, words)
    cells = (
        voice.title(measure),
        _value(measure, each.now, words),
        _value(measure, each.before, words),
        _difference(each, words),
        last,
    )
    rows = [Row(cells, f"figure-{measure.id}")]
    if measure.kind is Kind.WAITS and measure.within_days:
        limits = [_within(measure, group, words) for group in (each.now, each.before, each.region)]
        more = limits[2] if asked.practice else ""
        rows.append(Row((compared(measure, voice), *limits[:2], words.phrase("not-comparable"), more)))
    return rows


def _value(measure: Measure, group: Group | None, words: Words) -> str:
    """A figure with its interval, and of how many of its people it is known."""
    if group is None:
        return words.phrase("unknown")
    value = said(measure, group.figure, words)
    complete = group.figure.completeness
    if group.figure.score is None or complete is None or not measure.criteria.followed:
        return value
    return f"{value}; {words.phrase('known-of', share=words.percent(complete.estimate))}"


def _within(measure: Measure, group: Group | None, words: Words) -> str:
    found = comparable(measure, group.figure) if group is not None else None
    if found is None:
        is_kept_back = group is not None and group.figure.is_withheld
        return words.phrase("kept-back" if is_kept_back else "unknown")
    value, low, high = (shown_value(measure, limit, words) for limit in found)
    return words.phrase("interval", value=value, low=low, high=high)


def _rests(measure: Measure, group: Group, words: Words) -> str:
    return "; ".join(each.rstrip(".") for each in details(measure, group.figure._replace(score=None), words))


def _difference(each: _Beside, words: Words) -> str:
    found = None if each.before is None else difference(each.measure, each.now.figure, each.before.figure)
    return difference_said(found, words)


def difference_said(found: Interval | None, words: Words) -> str:
    """A difference of shares in points, and whether it is more than chance."""
    if found is None:
        return words.phrase("not-comparable")
    value, low, high = (_points(limit, words) for limit in found)
    told = words.phrase("difference-said", value=value, low=low, high=high)
    return words.phrase("difference-signal", said=told) if _is_signal(found) else told


def _is_signal(found: Interval) -> bool:
    return found.low > 0 or found.high < 0


def _points(share: float, words: Words) -> str:
    """Percentage points with their sign."""
    rounded = round(100 * share)
    sign = "+" if rounded > 0 else "\u2212" if rounded < 0 else ""
    return f"{sign}{words.number(abs(rounded))}"


def _reach(board: Board, asked: Asked, voice: Voice) -> list[Part]:
    """Who was reached is known of the year alone: it counts people, who come in more than one quarter."""
    words, measure, sheet = voice.words, measures()["reach"], board.sheets.get("reach")
    if sheet is None or asked.practice:
        return []
    start, end = (words.day(day) for day in (board.start, board.end))
    row = Row((voice.title(measure), _value(measure, sheet.all, words), _rests(measure, sheet.all, words)),
              "figure-reach")  # fmt: skip
    title = words.phrase("over-a-year")
    heads = (words.phrase("measure"), words.phrase("value"), words.phrase("rests"))
    period = words.phrase("period", start=start, end=end, made=words.day(board.made_at.date()))
    return [Part("year", title, (period, Figures(voice.title(measure), heads, (row,))))]


def _definitions(found: Sequence[Measure], voice: Voice) -> Part:
    """What each figure counts, as its Measure says it."""
    words = voice.words
    reach = [measures()["reach"]]
    content: list[str | Figures | Entry] = []
    if words.language != "en":
        content.append(words.phrase("in-english"))
    for measure in [*found, *(each for each in reach if each not in found)]:
        pairs = (("purpose", measure.purpose), ("denominator", measure.denominator), ("numerator", measure.numerator),
                 ("source", measure.source))  # fmt: skip
        told = tuple((words.phrase(name), text) for name, text in pairs)
        content.append(Entry(voice.title(measure), told, "en", f"figure-{measure.id}"))
    return Part("definitions", words.phrase("definitions"), tuple(content))
