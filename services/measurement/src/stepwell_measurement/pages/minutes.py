"""The minutes of the board for leaders: what was said, what was done, and the form that records it."""

from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.markup import Markup, element
from stepwell_shared.pages.door import Shown, Visit, led_to
from stepwell_shared.pages.forms import csrf_field
from stepwell_shared.pages.layout import page_headers

from stepwell_measurement.data.dashboard_words import Words, languages, name_of
from stepwell_measurement.data.measures import measures
from stepwell_measurement.pages.board import framed_page
from stepwell_measurement.pages.document import entry
from stepwell_measurement.pages.quarter import told_of
from stepwell_measurement.pages.tiles import STYLE, Voice
from stepwell_measurement.rules.minutes import STANDINGS, TEXT_MAX, Decision
from stepwell_measurement.use_cases.minutes import decisions_of, record
from stepwell_measurement.use_cases.suggestions import MEASURE_REPORT, require_leader


async def minutes(visit: Visit, base: str) -> Shown:
    """All decisions, and forms to record one and to change each. Raises FhirError."""
    address = f"{base}/minutes"
    if visit.exchange.path.rstrip("/") != address:
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    if visit.exchange.method == "POST":
        await record(visit, {name: values[0] for name, values in visit.posted.items()})
        return led_to(f"{address}?language={visit.language}")
    require_leader(visit)
    voice = Voice(Words(visit.language), base, f"?language={visit.language}")
    words, token = voice.words, csrf_field(visit.runtime, visit.access)
    decisions = await decisions_of(visit.runtime, visit.access.tenant)
    today = visit.runtime.clock().date()
    fresh = Decision("", 0, "", "", today, STANDINGS[0], words.language,
                     suggestion=visit.exchange.parameter("suggestion") or "")  # fmt: skip
    body = framed_page(
        words.phrase("title-minutes"),
        words,
        element("p", element("a", words.phrase("back"), href=f"{base}{voice.query}")),
        element("p", words.phrase("lead-minutes")),
        element("h2", words.phrase("minutes-new"), id="new"),
        _form(fresh, token, address, words),
        element("h2", words.phrase("minutes-all")),
        [_decision(each, token, address, words) for each in decisions] or element("p", words.phrase("none-recorded")),
    )
    headers = {**page_headers(STYLE, has_forms=True), "Content-Language": words.language}
    return Shown(body, "$minutes", MEASURE_REPORT, headers=headers)


def _decision(decision: Decision, token: Markup, address: str, words: Words) -> Markup:
    notes = [words.phrase("recorded-with-suggestion")] if decision.suggestion else []
    notes += [] if decision.is_public else [words.phrase("not-public")]
    return element(
        "article",
        entry(told_of(decision, words), words.language),
        [element("p", each, class_="faint") for each in notes],
        element("details", element("summary", words.phrase("minutes-change")), _form(decision, token, address, words)),
    )


def _form(decision: Decision, token: Markup, address: str, words: Words) -> Markup:
    own = decision.id or "new"
    figures = [("", words.phrase("no-figure")), *((m.id, words.measure(m.id, m.title)) for m in measures().values())]
    hidden = {"id": decision.id, "version": str(decision.version), "suggestion": decision.suggestion}
    return element(
        "form",
        token,
        [element("input", type="hidden", name=name, value=value) for name, value in hidden.items()],
        _text(own, "said", decision.said, words),
        _text(own, "done", decision.done, words),
        _labelled(own, "decided", words.phrase("field-decided"),
                  element("input", type="date", name="decided", id=f"{own}-decided", required=True,
                          value=decision.decided_on.isoformat())),
        _choice(own, "standing", decision.standing,
                [(each, words.phrase(f"standing-{each}")) for each in STANDINGS], words),
        _choice(own, "measure", decision.measure, figures, words),
        _choice(own, "language", decision.language, [(each, name_of(each)) for each in languages()], words),
        element("p", element("input", type="checkbox", name="public", value="yes", id=f"{own}-public",
                             checked=decision.is_public),
                element("label", f" {words.phrase('field-public')}", for_=f"{own}-public")),
        element("button", words.phrase("save")),
        method="post",
        action=f"{address}?language={words.language}",
        class_="stack",
    )  # fmt: skip


def _text(own: str, name: str, value: str, words: Words) -> Markup:
    area = element("textarea", value, id=f"{own}-{name}", name=name, rows=3, required=True, maxlength=TEXT_MAX)
    return _labelled(own, name, words.phrase(f"field-{name}"), area)


def _choice(own: str, name: str, chosen: str, known: list[tuple[str, str]], words: Words) -> Markup:
    options = [element("option", shown, value=value, selected=value == chosen) for value, shown in known]
    select = element("select", options, id=f"{own}-{name}", name=name)
    return _labelled(own, name, words.phrase(f"field-{name}"), select)


def _labelled(own: str, name: str, text: str, field: Markup) -> Markup:
    return element("p", element("label", text, for_=f"{own}-{name}"), element("br"), field)
