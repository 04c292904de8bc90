"""The threshold review as a page and as a file: by numbers, by capacity, and by outcome near the cut-off."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from urllib.parse import urlencode

from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.markup import Markup, element
from stepwell_shared.pages.door import Shown, Visit
from stepwell_shared.pages.layout import page_headers

from stepwell_measurement.data.dashboard_words import Words
from stepwell_measurement.pages.board import framed_page
from stepwell_measurement.pages.document import Document, Figures, Part, Row, marked_up
from stepwell_measurement.pages.improvement import PDF, format_of
from stepwell_measurement.pages.pdf import pdf_of
from stepwell_measurement.pages.quarter import difference_said
from stepwell_measurement.pages.tiles import STYLE, Voice
from stepwell_measurement.rules.measures.figures import Figure, Measure
from stepwell_measurement.rules.quarters import difference
from stepwell_measurement.rules.thresholds import LEAST_PEOPLE, ROUND_TO, Load, Trial, rounded
from stepwell_measurement.use_cases.thresholds import MEASURE_REPORT, Outcomes, outcomes_near, trials_for

Trials = Mapping[tuple[str, str], Sequence[Trial]]


async def thresholds(visit: Visit, base: str) -> Shown:
    """The review of one cut-off, or that nothing was tried yet. Raises FhirError."""
    address = f"{base}/thresholds"
    if visit.exchange.path.rstrip("/") != address:
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    media_type = format_of(visit.exchange)
    voice = Voice(Words(visit.language), base, f"?language={visit.language}")
    trials = await trials_for(visit)
    chosen = _chosen(visit, trials)
    headers = {**page_headers(STYLE), "Content-Language": visit.language}
    if chosen is None:
        words = voice.words
        text = element("p", words.phrase("thresholds-none"))
        body = framed_page(words.phrase("title-thresholds-none"), words, _links(trials, voice), text)
        return Shown(body, "$thresholds", MEASURE_REPORT, headers=headers)
    found = await outcomes_near(visit.runtime, visit.access.tenant, chosen[0].tried)
    document = review(chosen, found, voice)
    if media_type != PDF:
        body = framed_page(document.title, voice.words, _links(trials, voice), *marked_up(document))
        return Shown(body, "$thresholds", MEASURE_REPORT, headers=headers)
    made = visit.runtime.clock()
    file = await asyncio.to_thread(pdf_of, document, made, voice.words.phrase("letters-missing"))
    disposition = {"Content-Disposition": 'attachment; filename="stepwell-thresholds.pdf"'}
    return Shown(file, "$thresholds", MEASURE_REPORT, media_type=PDF, headers={**headers, **disposition})


def review(trials: Sequence[Trial], outcomes: Outcomes | None, voice: Voice) -> Document:
    """What is known of one cut-off; the trials are of the same people, in order of value."""
    words, first = voice.words, trials[0]
    start, end = (words.day(date.fromisoformat(each)) for each in (first.start, first.end))
    lead = [words.phrase("lead-thresholds", policy=first.tried.policy, start=start, end=end)]
    lead += [words.phrase("thresholds-synthetic")] if first.is_synthetic else []
    lead += [
        f"{_value(each, words)}: {words.phrase('thresholds-broken', count=each.promises_broken)}"
        for each in trials
        if each.promises_broken
    ]
    lead.append(words.phrase("thresholds-rounded", round=ROUND_TO, least=LEAST_PEOPLE))
    return Document(
        words.language,
        words.phrase("title-thresholds", parameter=first.tried.parameter),
        tuple(lead),
        (_people(trials, words), _capacity(trials, words), _outcomes(outcomes, voice)),
        lambda page, pages: words.phrase("page-of", page=page, pages=pages),
    )


def _people(trials: Sequence[Trial], words: Words) -> Part:
    steps = list(dict.fromkeys(step for each in trials for step, _ in each.steps))
    heads = (words.phrase("cut-off"), *(words.value(step) for step in steps), words.phrase("more-care"),
             words.phrase("less-care"))  # fmt: skip
    rows = [
        Row(
            (
                _value(each, words),
                *(_count(dict(each.steps).get(step), words) for step in steps),
                _moved(each, each.more_care, words),
                _moved(each, each.less_care, words),
            )
        )
        for each in trials
    ]
    title = words.phrase("thresholds-people")
    return Part("people", title, (words.phrase("thresholds-people-said"), Figures(title, heads, tuple(rows))))


def _moved(trial: Trial, count: int, words: Words) -> str:
    told = words.number(count)
    return words.phrase("at-least", count=told) if trial.hides_moves else told


def _capacity(trials: Sequence[Trial], words: Words) -> Part:
    steps = list(dict.fromkeys(load.step for each in trials for load in each.loads))
    heads = (words.phrase("cut-off"), *(words.phrase("a-week", step=words.value(step)) for step in steps))
    rows = []
    for each in trials:
        loads = {load.step: load for load in each.loads}
        rows.append(Row((_value(each, words), *(_load(loads.get(step), words) for step in steps))))
    title = words.phrase("thresholds-capacity")
    return Part("capacity", title, (words.phrase("thresholds-capacity-said"), Figures(title, heads, tuple(rows))))


def _outcomes(outcomes: Outcomes | None, voice: Voice) -> Part:
    words, title = voice.words, voice.words.phrase("thresholds-outcome")
    if outcomes is None:
        return Part("outcome", title, (words.phrase("thresholds-no-outcome"),))
    start, end = words.day(outcomes.start), words.day(outcomes.end)
    said = words.phrase("thresholds-outcome-said", start=start, end=end, low=outcomes.low, high=outcomes.high)
    heads = (words.phrase("outcome"), words.phrase("below-cut-off"), words.phrase("at-cut-off"),
             words.phrase("difference"))  # fmt: skip
    rows = [
        Row(
            (
                voice.title(each.measure),
                _share(each.measure, each.below, words),
                _share(each.measure, each.above, words),
                difference_said(difference(each.measure, each.above, each.below), words),
            )
        )
        for each in outcomes.found
    ]
    warning, reading = words.phrase("thresholds-warning"), words.phrase("read-difference")
    return Part("outcome", title, (warning, said, Figures(title, heads, tuple(rows)), reading))


def _share(measure: Measure, found: Figure, words: Words) -> str:
    """A share with its interval, of about how many people, and of how many of those it is known."""
    if found.score is None or found.followed is None:
        return words.phrase("kept-back")
    value, low, high = (words.percent(each) for each in found.score)
    told = [words.phrase("interval", value=value, low=low, high=high)]
    told.append(words.phrase("about-people", count=words.number(rounded(found.followed))))
    if found.completeness is not None and measure.criteria.followed:
        told.append(words.phrase("known-of", share=words.percent(found.completeness.estimate)))
    return "; ".join(told)


def _value(trial: Trial, words: Words) -> str:
    value = trial.tried.value
    return words.phrase("in-force", value=value) if value == trial.tried.in_force else str(value)


def _count(count: int | None, words: Words) -> str:
    return words.phrase("kept-back") if count is None else words.number(count)


def _load(load: Load | None, words: Words) -> str:
    if load is None or load.arrivals is None:
        return words.phrase("kept-back")
    arrivals = words.number(load.arrivals, 1)
    if load.use is None or load.wait_weeks is None:
        return arrivals
    use, weeks = words.percent(load.use / 100), words.number(load.wait_weeks, 1)
    return words.phrase("with-use", arrivals=arrivals, use=use, weeks=weeks)


def _chosen(visit: Visit, trials: Trials) -> Sequence[Trial] | None:
    """The cut-off that is asked for, or the one that was tried last. Raises FhirError NOT_FOUND."""
    parameter = visit.exchange.parameter("parameter")
    policy = visit.exchange.parameter("policy")
    found = [
        each
        for key, each in trials.items()
        if each and (policy is None or key[0] == policy) and (parameter is None or key[1] == parameter)
    ]
    if not found and (policy is not None or parameter is not None):
        raise FhirError(Category.NOT_FOUND, "nothing was tried of this cut-off")
    return max(found, key=lambda each: max(trial.made for trial in each), default=None)


def _links(trials: Trials, voice: Voice) -> Markup:
    words = voice.words

    def link(policy: str, parameter: str) -> Markup:
        query = urlencode({"policy": policy, "parameter": parameter, "language": words.language})
        return element("li", element("a", f"{policy}: {parameter}", href=f"{voice.base}/thresholds?{query}"))

    back = element("li", element("a", words.phrase("back"), href=f"{voice.base}{voice.query}"))
    return element("nav", element("ul", back, [link(*key) for key in sorted(trials)]),
                   aria_label=words.phrase("thresholds-others"))  # fmt: skip
