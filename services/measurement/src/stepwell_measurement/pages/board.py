"""The pages of the dashboards: for leaders, for a practice beside its region, for everybody, one of each measure."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial

from stepwell_shared.markup import Markup, element
from stepwell_shared.pages.layout import table, whole_page
from stepwell_shared.pages.plots.comparisons import intervals_plot
from stepwell_shared.pages.plots.figure import figure

from stepwell_measurement.data.dashboard_words import Words, languages, name_of
from stepwell_measurement.data.measures import measures
from stepwell_measurement.pages.tiles import (
    STYLE,
    Voice,
    compared,
    curves_plot,
    details,
    estimate,
    groups_plot,
    highest_of,
    mix_plot,
    months_chart,
    outcomes_plot,
    practices_plot,
    said,
    shown_value,
    tile,
)
from stepwell_measurement.rules.board import Board, Group, Sheet
from stepwell_measurement.rules.measures.figures import Measure
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW

# Which figures stand in which section, the tiles first; what has not been counted is left out.
TILES: Mapping[str, Sequence[str]] = {
    "access": ("access", "reach"),
    "waits": ("waits",),
    "outcomes": ("reliable-improvement", "reliable-recovery", "function", "reliable-deterioration", "satisfaction",
                 "cost-per-reliable-improvement"),
    "bottlenecks": ("attendance", "non-attendance", "first-to-second-contact", "time-in-tier", "finished-courses"),
    "policy": ("step-up", "step-down", "utilisation"),
}  # fmt: skip
OUTCOMES = ("reliable-improvement", "recovery", "reliable-recovery", "response", "remission", "function",
            "reliable-deterioration", "follow-up")  # fmt: skip
FOR_EVERYBODY = ("waits", "access", "reach", "attendance", "reliable-improvement", "reliable-recovery", "function")
GROUPS = ("age", "sex", "language", "ethnicity", "deprivation", "rurality")

Found = Mapping[Measure, Sheet]


def board_page(board: Board, voice: Voice, since: str = "", *, is_hub: bool = False) -> bytes:
    """For leaders: all practices together, and each beside the others; a hub also has what others send it."""
    words, found = voice.words, _found(board)
    change = _since(board, voice, since)
    sections = (
        _section("access", _tiles("access", found, voice), _access(found, voice), words),
        _section("waits", _tiles("waits", found, voice), _waits(found, voice), words),
        _section("outcomes", _tiles("outcomes", found, voice), _outcomes(found, voice), words),
        _section("equity", [], _equity(found, voice), words),
        _section("bottlenecks", _tiles("bottlenecks", found, voice), _bottlenecks(found, voice), words),
        _section("policy", _tiles("policy", found, voice), _policy(found, voice, since), words, change),
    )
    lead = element("p", words.phrase("lead-region"))
    more = _more(voice, {
        "report": "title-report", "thresholds": "title-thresholds-none", "suggestions": "title-suggestions",
        "minutes": "title-minutes",
        **({"organisations": "figures-by-state"} if is_hub else {}),
    })  # fmt: skip
    return _page(words.phrase("title-region"), voice, lead, _period(board, words), more, *sections, _reading(words))


def practice_page(board: Board, practice: str, voice: Voice) -> bytes | None:
    """For a practice: its own figures beside those of the region; None when there are none of it."""
    words = voice.words
    own = {
        measure: next((group for group in sheet.by.get("practice", ()) if group.value == practice), None)
        for measure, sheet in _found(board).items()
    }
    known = {measure: group for measure, group in own.items() if group is not None}
    if not known:
        return None
    sections = [
        _section(name, [], [_beside(measure, known[measure], board.sheets[measure.id].all, voice)
                            for measure in known if measure.id in names], words)
        for name, names in TILES.items() if any(measure.id in names for measure in known)
    ]  # fmt: skip
    title = words.phrase("title-practice", practice=words.value(practice))
    lead = element("p", words.phrase("lead-practice"))
    more = _more(voice, {f"report?practice={practice}": "title-report"})
    return _page(title, voice, lead, _period(board, words), more, *sections, _reading(words))


def public_page(board: Board, region: str, voice: Voice, more: Sequence[Markup] = ()) -> bytes:
    """For everybody: plain words, large groups, no practice by name; `more` is what else is for everybody."""
    words, found = voice.words, {m: s for m, s in _found(board).items() if m.id in FOR_EVERYBODY}
    plots = {"waits": _waits(found, voice, by_practice=False), "equity": _groups(found, "reach", voice)}
    sections = [
        _section(name, [] if name == "equity" else _tiles(name, found, voice), plots.get(name, []), words)
        for name in ("access", "waits", "outcomes", "equity", "bottlenecks")
    ]
    title = f"{words.phrase('title-public')}{': ' + region if region else ''}"
    lead = element("p", words.phrase("lead-public"))
    definitions = element(
        "section",
        element("h2", words.phrase("definitions")),
        [element("section", element("h3", voice.title(m), id=f"figure-{m.id}"), _definition(m, words)) for m in found],
    )
    return _page(title, voice, lead, _period(board, words), *sections, *more, definitions, _reading(words))


def measure_page(board: Board | None, measure: Measure, voice: Voice) -> bytes:
    """One measure: what it counts, by which source, and all of its figures."""
    words = voice.words
    sheet = board.sheets.get(measure.id) if board is not None else None
    content: list[object] = [_definition(measure, words)]
    if board is not None and sheet is not None:
        plots = [
            months_chart("months", measure, sheet, voice),
            curves_plot("curve", measure, _by_day(sheet), voice),
            practices_plot("practices", measure, sheet, voice),
            *(
                groups_plot(f"by-{name}", measure, name, groups, sheet.all, voice)
                for name, groups in sheet.by.items()
                if groups
            ),
        ]
        content += [element("h2", words.phrase("all-figures")), _period(board, words)]
        content += [element("div", tile(measure, sheet.all, voice), class_="strip")]
        content.append(element("div", [each for each in plots if each is not None], class_="plots"))
    back = element("p", element("a", words.phrase("back"), href=f"{voice.base}{voice.query}"))
    return _page(voice.title(measure), voice, back, *content, _reading(words))


def waiting_page(voice: Voice, why: str = "not-yet") -> bytes:
    """While nothing has been counted yet."""
    return _page(voice.words.phrase("title-region"), voice, element("p", voice.words.phrase(why)))


def _more(voice: Voice, pages: Mapping[str, str]) -> Markup:
    """What leads to the pages that figures are for: addresses below that of the dashboards, with their titles."""
    words = voice.words
    links = [
        element(
            "a",
            words.phrase(name),
            href=f"{voice.base}/{address}{'&' if '?' in address else '?'}language={words.language}",
        )
        for address, name in pages.items()
    ]
    listed = element("ul", [element("li", each) for each in links])
    return element("nav", listed, aria_label=words.phrase("more-pages"))


def _found(board: Board) -> dict[Measure, Sheet]:
    known = measures()
    return {known[name]: sheet for name, sheet in board.sheets.items() if name in known}


def _page(title: str, voice: Voice, *content: object) -> bytes:
    return framed_page(title, voice.words, *content)


def framed_page(title: str, words: Words, *content: object) -> bytes:
    """A page with what leads to it in the other languages."""
    links = [
        element("li", element("a", name_of(each), href=f"?language={each}", lang=each, hreflang=each))
        for each in languages()
        if each != words.language
    ]
    navigation = element("nav", element("ul", links), aria_label=words.phrase("languages"))
    return whole_page(title, *content, language=words.language, styles=[STYLE], navigation=navigation)


def _period(board: Board, words: Words) -> Markup:
    days: list[date] = [board.start, board.end, board.made_at.date()]
    start, end, made = (words.day(day) for day in days)
    return element("p", words.phrase("period", start=start, end=end, made=made), class_="faint")


def _section(
    name: str, tiles: Sequence[Markup], plots: Sequence[Markup | None], words: Words, more: Markup | None = None
) -> Markup:  # fmt: skip
    title, question = words.section(name)
    return element(
        "section",
        element("h2", title, id=name),
        element("p", question, class_="question"),
        more,
        element("div", tiles, class_="strip") if tiles else None,
        element("div", [each for each in plots if each is not None], class_="plots") if any(plots) else None,
        aria_labelledby=name,
    )


def _tiles(section: str, found: Found, voice: Voice) -> list[Markup]:
    return [tile(measure, sheet.all, voice) for measure, sheet in found.items() if measure.id in TILES[section]]


def _one(found: Found, name: str) -> tuple[Measure, Sheet] | None:
    return next(((measure, sheet) for measure, sheet in found.items() if measure.id == name), None)


def _groups(found: Found, name: str, voice: Voice) -> list[Markup | None]:
    """The groups of everything that people are told apart by, of one measure."""
    one = _one(found, name)
    if one is None:
        return []
    measure, sheet = one
    return [
        groups_plot(f"{name}-{dimension}", measure, dimension, sheet.by[dimension], sheet.all, voice)
        for dimension in GROUPS
        if len(sheet.by.get(dimension, ())) > 1
    ]


def _access(found: Found, voice: Voice) -> list[Markup | None]:
    one = _one(found, "access")
    return [] if one is None else [months_chart("access-months", *one, voice), practices_plot("access-p", *one, voice)]


def _waits(found: Found, voice: Voice, *, by_practice: bool = True) -> list[Markup | None]:
    one = _one(found, "waits")
    if one is None:
        return []
    measure, sheet = one
    plots = [curves_plot("waits-curve", measure, _by_day(sheet), voice)]
    practices = sheet.by.get("practice", ())
    if by_practice and practices:
        plots.append(groups_plot("waits-practice", measure, "practice", practices, sheet.all, voice))
    return plots


def _by_day(sheet: Sheet) -> Sequence[Group]:
    """Of whom a wait is told day by day: of several tiers, or of everybody."""
    tiers = sheet.by.get("tier", ())
    return tiers if any(each.curve for each in tiers) else [sheet.all]


def _outcomes(found: Found, voice: Voice) -> list[Markup | None]:
    shares = [one for name in OUTCOMES if (one := _one(found, name)) is not None]
    better = _one(found, "reliable-improvement")
    plots: list[Markup | None] = [outcomes_plot("outcomes-all", shares, voice)] if shares else []
    if better is not None:
        plots += [months_chart("better-months", *better, voice), practices_plot("better-p", *better, voice)]
    return plots


def _equity(found: Found, voice: Voice) -> list[Markup | None]:
    return [*_groups(found, "reach", voice), *_groups(found, "reliable-improvement", voice)]


def _bottlenecks(found: Found, voice: Voice) -> list[Markup | None]:
    missed, stays, first = _one(found, "non-attendance"), _one(found, "time-in-tier"), _one(found, "waits")
    return [
        months_chart("missed-months", *missed, voice) if missed else None,
        curves_plot("stays", stays[0], _by_day(stays[1]), voice) if stays else None,
        groups_plot("waits-tier", first[0], "tier", first[1].by.get("tier", ()), first[1].all, voice)
        if first and first[1].by.get("tier")
        else None,
    ]


def _policy(found: Found, voice: Voice, since: str) -> list[Markup | None]:
    stays = _one(found, "time-in-tier")
    mix = stays[1].mix if stays else None
    charts = [
        months_chart(f"{name}-since", *one, voice, since)
        for name in ("step-up", "step-down", "reliable-improvement", "access")
        if (one := _one(found, name)) is not None
    ]
    return [mix_plot("mix", mix, voice) if mix else None, *charts]


def _since(board: Board, voice: Voice, since: str) -> Markup:
    """In which month something changed: a form that only asks for the same page."""
    words = voice.words
    months = sorted({group.value for sheet in board.sheets.values() for group in sheet.months})
    options = [element("option", words.phrase("since-none"), value="")]
    options += [element("option", words.month(each), value=each, selected=each == since) for each in months]
    return element(
        "form",
        element("p", words.phrase("since-lead")),
        element("label", words.phrase("since-month"), for_="since"),
        element("select", options, id="since", name="since"),
        element("input", type="hidden", name="language", value=words.language),
        element("button", words.phrase("show")),
        class_="since",
        method="get",
        action=f"{voice.base}#policy",
    )


def _beside(measure: Measure, own: Group, all_: Group, voice: Voice) -> Markup:
    """A practice's figure above that of the region; what has no interval stands in a table alone."""
    words, title = voice.words, compared(measure, voice)
    both = [(words.phrase("own"), own), (words.phrase("region"), all_)]
    heads = (words.phrase("group"), words.phrase("value"), words.phrase("note"))
    told = [
        (label, said(measure, group.figure, words), "; ".join(details(measure, group.figure, words)))
        for label, group in both
    ]
    rows = [estimate(measure, group, words)._replace(label=label) for label, group in both]
    if all(row.estimate is None for row in rows):
        shown = element("div", table(title, heads, told), class_="scroll", tabindex=0, role="region", aria_label=title)
    else:
        plot = intervals_plot(f"own-{measure.id}", title, rows, None, partial(shown_value, measure, words=words),
                              lowest=0.0, highest=highest_of(measure))  # fmt: skip
        shown = figure(plot, title, heads, told, opened=words.phrase("figures", title=title))
    link = element("a", words.phrase("definition", title=title), href=voice.address(measure))
    return element("section", element("h3", title), shown, element("p", link, class_="links"))


def _definition(measure: Measure, words: Words) -> Markup:
    """What is counted, as the Measure says it, with its source."""
    rows = (
        ("purpose", measure.purpose),
        ("denominator", measure.denominator),
        ("numerator", measure.numerator),
        ("source", measure.source),
    )
    better = element("p", words.phrase(f"better-{measure.notation}")) if measure.notation else None
    note = element("p", words.phrase("in-english"), class_="faint") if words.language != "en" else None
    terms = [(element("dt", words.phrase(name)), element("dd", text, lang="en")) for name, text in rows]
    name = element("p", element("code", f"Measure/{measure.id}|{measure.version}"), class_="faint")
    return element("section", better, note, element("dl", terms), name)


def _reading(words: Words) -> Markup:
    names = ("read-interval", "read-chart", "read-funnel", "read-waits", "read-kept-back")
    return element(
        "section",
        element("h2", words.phrase("how-to-read")),
        [element("p", words.phrase(name, below=SMALL_BELOW)) for name in names],
    )
