"""The page on which everybody can suggest something without saying who they are, and the one on which leaders read."""

from collections.abc import Mapping

from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.markup import Markup, element
from stepwell_shared.pages.door import Shown, Visit, language_of, led_to
from stepwell_shared.pages.forms import csrf_field, posted
from stepwell_shared.pages.layout import page_headers
from stepwell_shared.runtime import Runtime

from stepwell_measurement.data.dashboard_words import Words, languages
from stepwell_measurement.pages.board import framed_page
from stepwell_measurement.pages.tiles import STYLE, Voice
from stepwell_measurement.rules.suggestions import ERASED, NEW, STATUSES, TEXT_MAX, TEXT_MIN
from stepwell_measurement.use_cases.suggestions import (
    MEASURE_REPORT,
    Came,
    CrisisContact,
    crisis_contacts,
    form_token,
    is_open,
    sort_out,
    suggest,
    suggestions_for,
)

ADDRESS = "/measurement/suggestions/"
BYTES_MAX = 64 * 1024
_STATUS_OF: Mapping[Came, int] = {Came.LENGTH: 422, Came.AGAIN: 403, Came.BUSY: 429}


async def suggesting(runtime: Runtime, exchange: Exchange) -> Shown:
    """The page for everybody, of a tenant that asks. Raises FhirError."""
    tenant = exchange.path.removeprefix(ADDRESS)
    if not is_open(runtime, tenant):
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    language = language_of(exchange, languages())
    words, text, came = Words(language), "", None
    if exchange.method == "POST":
        fields = await _fields(exchange)
        text = fields.get("text", "")
        came = await suggest(runtime, tenant, text, language, fields.get("form", ""))
        if came is Came.KEPT:
            return led_to(f"{exchange.path}?sent=yes&language={language}")
    is_sent = exchange.parameter("sent") == "yes" and came is None
    body = _suggesting_page(words, crisis_contacts(runtime, tenant), form_token(runtime, tenant), text, came, is_sent)
    headers = {**page_headers(STYLE, has_forms=True), "Content-Language": language}
    more = {"Retry-After": "60"} if came is Came.BUSY else {}
    return Shown(body, status=200 if came is None else _STATUS_OF[came], headers={**headers, **more})


async def _fields(exchange: Exchange) -> dict[str, str]:
    """The fields of the form. Raises FhirError TOO_LARGE for more than any suggestion needs."""
    length = exchange.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > BYTES_MAX:
        raise FhirError(Category.TOO_LARGE, f"a suggestion has {BYTES_MAX} bytes at most, and says how many")
    return {name: values[0] for name, values in (await posted(exchange)).items()}


def _suggesting_page(
    words: Words, contacts: list[CrisisContact], token: str, text: str, came: Came | None, is_sent: bool
) -> bytes:  # fmt: skip
    lengths = {"least": TEXT_MIN, "most": TEXT_MAX}
    told = None
    if is_sent:
        told = element("p", words.phrase("suggest-thanks"), role="status")
    elif came is not None:
        told = element("p", words.phrase(f"suggest-{came}", **lengths), role="alert", class_="unsafe")
    form = element(
        "form",
        element("label", words.phrase("suggest-field", **lengths), for_="text"),
        element("textarea", text[: 2 * TEXT_MAX], id="text", name="text", rows=8, required=True, maxlength=TEXT_MAX),
        element("input", type="hidden", name="form", value=token),
        element("p", words.phrase("suggest-unanswered"), class_="faint"),
        element("button", words.phrase("suggest-send")),
        method="post",
        class_="stack",
    )
    lead = element("p", words.phrase("lead-suggest"))
    return framed_page(words.phrase("title-suggest"), words, told, _crisis(words, contacts), lead, form)


def _crisis(words: Words, contacts: list[CrisisContact]) -> Markup:
    """Whom to turn to at once: somebody may write of danger, and nobody reads that at once."""
    listed = [element("li", _contact(each, words.language)) for each in contacts]
    return element(
        "section",
        element("h2", words.phrase("crisis-title"), id="crisis"),
        element("p", words.phrase("crisis")),
        element("ul", listed) if listed else None,
        aria_labelledby="crisis",
        class_="unsafe",
    )


def _contact(contact: CrisisContact, language: str) -> list[Markup]:
    name, hours = (said.get(language) or next(iter(said.values()), "") for said in (contact.name, contact.hours))
    ways = [("tel:" + contact.phone.replace(" ", ""), contact.phone)] if contact.phone else []
    ways += [(contact.url, contact.url)] if contact.url.startswith("https://") else []
    links = [element("span", " ", element("a", shown, href=address)) for address, shown in ways]
    return [element("strong", str(name)), element("span", f" {hours}"), *links]


async def suggestions(visit: Visit, base: str) -> Shown:
    """What was suggested, for leaders: read, and sorted by a form. Raises FhirError."""
    address = f"{base}/suggestions"
    if visit.exchange.path.rstrip("/") != address:
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    if visit.exchange.method == "POST":
        fields = {name: values[0] for name, values in visit.posted.items()}
        await sort_out(visit, fields.get("id", ""), fields.get("status", ""))
        return led_to(f"{address}?language={visit.language}")
    voice = Voice(Words(visit.language), base, f"?language={visit.language}")
    words, found = voice.words, await suggestions_for(visit)
    token = csrf_field(visit.runtime, visit.access)
    told = [
        element(
            "section",
            element("h2", words.phrase("suggestion-on", day=words.day(each.received_on)), id=f"s-{each.id}"),
            element("p", words.phrase(f"status-{each.status}"), class_="faint"),
            element("p", words.phrase("suggestion-erased"))
            if each.status == ERASED
            else element("p", each.text, lang=each.language, class_="said"),
            None if each.status == ERASED else _sorting(each.id, each.status, address, token, voice),
            aria_labelledby=f"s-{each.id}",
        )
        for each in found
    ]
    fresh = sum(each.status == NEW for each in found)
    waiting = words.phrase("suggestions-waiting", count=fresh) if found else words.phrase("nothing-suggested")
    lead = [element("p", words.phrase("lead-suggestions")), element("p", waiting)]
    body = framed_page(words.phrase("title-suggestions"), words, _back(voice), *lead, *told)
    headers = {**page_headers(STYLE, has_forms=True), "Content-Language": words.language}
    return Shown(body, "$suggestions", MEASURE_REPORT, headers=headers)


def _sorting(id_: str, status: str, address: str, token: Markup, voice: Voice) -> Markup:
    words = voice.words
    options = [
        element("option", words.phrase(f"status-{each}"), value=each, selected=each == status)
        for each in STATUSES
        if each != NEW
    ]
    minutes = f"{voice.base}/minutes?suggestion={id_}&language={words.language}#new"
    return element(
        "form",
        token,
        element("input", type="hidden", name="id", value=id_),
        element("label", words.phrase("field-status"), for_=f"status-{id_}"),
        element("select", options, id=f"status-{id_}", name="status"),
        element("button", words.phrase("save")),
        element("a", words.phrase("suggestion-answer"), href=minutes),
        method="post",
        action=f"{address}?language={words.language}",
        class_="since",
    )


def _back(voice: Voice) -> Markup:
    return element("p", element("a", voice.words.phrase("back"), href=f"{voice.base}{voice.query}"))
