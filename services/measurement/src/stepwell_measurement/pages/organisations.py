"""What practices that run Stepwell themselves have sent of a quarter, added up, and of whom more is awaited."""

from collections import Counter
from collections.abc import Sequence

from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.markup import element
from stepwell_shared.pages.door import Shown, Visit
from stepwell_shared.pages.layout import page_headers, table

from stepwell_measurement.data.dashboard_words import Words
from stepwell_measurement.data.measures import measures
from stepwell_measurement.pages.board import framed_page
from stepwell_measurement.pages.tiles import STYLE, Voice, tile
from stepwell_measurement.rules.board import Group
from stepwell_measurement.rules.region import Part, State, newest_part, part_named, parts_due
from stepwell_measurement.use_cases.dashboards import period_of
from stepwell_measurement.use_cases.evaluating import Question
from stepwell_measurement.use_cases.pooling import Region, region_of
from stepwell_measurement.use_cases.region import schedule_of

MEASURE_REPORT = "MeasureReport"


async def organisations(visit: Visit, base: str) -> Shown:
    """The page of a quarter or month; without one of the last that is due. Raises FhirError."""
    if visit.exchange.path.rstrip("/") != f"{base}/organisations":
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    visit.access.require_unrestricted(MEASURE_REPORT, Interaction.SEARCH_TYPE)
    part = _asked(visit)
    asked = visit.exchange.parameter("language")
    voice = Voice(Words(visit.language), base, f"?language={asked}" if asked else "")
    found = [
        await region_of(visit.runtime, visit.access.tenant, Question(measure.id, part.start, part.end))
        for measure in measures().values()
        if measure.criteria.on
    ]
    headers = {**page_headers(STYLE), "Content-Language": voice.words.language}
    return Shown(_page(found, part, voice), "$organisations", MEASURE_REPORT, headers=headers)


def _asked(visit: Visit) -> Part:
    wanted = visit.exchange.parameter("part") or ""
    if not wanted:
        schedule, today = schedule_of(visit.runtime, visit.access.tenant), visit.runtime.clock().date()
        due = parts_due(schedule, *period_of(today), today)
        return due[-1] if due else newest_part(schedule, today)
    part = part_named(wanted)
    if part is None:
        raise FhirError(Category.INVALID, "part is a quarter or a month, such as 2026-Q3 or 2026-09")
    return part


def _page(found: Sequence[Region], part: Part, voice: Voice) -> bytes:
    words = voice.words
    name = words.quarter(part.name) if "Q" in part.name else words.month(part.name)
    title = words.phrase("title-organisations", part=name)
    lead = element("p", words.phrase("lead-organisations"))
    states = _states(found)
    if not states:
        return framed_page(title, words, lead, element("p", words.phrase("no-organisations")))
    heads = [words.phrase("organisation"), *(words.phrase(f"state-{each.value}") for each in State)]
    rows = [(name, *(words.number(counted[each]) for each in State)) for name, counted in states.items()]
    caption = words.phrase("figures-by-state")
    listed = element("div", table(caption, heads, rows), class_="scroll", tabindex=0, role="region", aria_label=caption)
    tiles = [tile(each.measure, Group("", each.report().whole), voice) for each in found if each.tallies]
    return framed_page(title, words, lead, listed, element("div", tiles, class_="strip") if tiles else None)


def _states(found: Sequence[Region]) -> dict[str, Counter[State]]:
    """Of how many figures it stands how with each organisation, by its title."""
    states: dict[str, Counter[State]] = {}
    for region in found:
        for each in region.standing:
            states.setdefault(each.title, Counter())[each.state] += 1
    return dict(sorted(states.items()))
