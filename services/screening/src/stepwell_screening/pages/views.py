"""Every page that a person can see, from what it is made of: questions, what is missing, the way back, the end."""

from collections.abc import Sequence
from dataclasses import dataclass

from stepwell_shared.markup import Markup, element, joined

from stepwell_screening.pages.layout import ACT, FORM, Frame, concern, page, reading_settings
from stepwell_screening.pages.questions import Sheet, label_of, place_of, questions
from stepwell_screening.use_cases.form_links import Link

CSRF = "csrf"
AT = "at"
SAVE, SEND, SEND_ANYWAY, STOP, VERIFY = "save", "send", "send-anyway", "stop", "verify"


@dataclass(frozen=True)
class Door:
    """Where the page's form goes and what shows that it comes from us."""

    address: str
    csrf: str


def form_page(
    frame: Frame, door: Door, sheet: Sheet, *, notice: str = "", listed: Sequence[str] = (), is_concern: bool = False
) -> bytes:
    """The questions. `notice` is `problem`, `blank` or `more`; `listed` the questions that it is about."""
    texts = frame.texts
    has_error = notice == "problem"
    form = element(
        "form",
        _hidden(door),
        # What the return key does in a field: keep the answers, never send them.
        element(
            "button", texts.said("notice.saved"), name=ACT, value=SAVE, class_="unseen", tabindex=-1, aria_hidden="true"
        ),
        reading_settings(frame),
        element("p", texts.said("page.intro")),
        element("p", texts.said("page.saves"), class_="quiet"),
        element("p", texts.said("page.only_in"), class_="quiet") if sheet.language else None,
        _progress(sheet),
        questions(sheet),
        _buttons(frame, notice),
        method="post",
        action=door.address,
        novalidate=True,
        id=FORM,
        data_saved=texts.said("notice.saved"),
        data_saving=texts.said("notice.saving"),
        data_trouble=texts.said("notice.not_saved"),
        data_over=texts.said("notice.page_over"),
        data_progress=texts.said("page.progress", answered="{answered}", total="{total}"),
    )
    status = element("p", "", id="status", role="status", class_="status")
    help_ = concern(frame, hidden=not is_concern)
    return page(
        frame,
        texts.said("page.title"),
        help_ if is_concern else None,
        _notice(sheet, notice, listed) if notice else None,
        form,
        status,
        None if is_concern else help_,
        _about(frame, sheet),
        has_error=has_error,
    )


def _hidden(door: Door) -> Markup:
    return element("input", type="hidden", name=CSRF, value=door.csrf)


def _progress(sheet: Sheet) -> Markup:
    """How far it is; the words say it too."""
    asked = sheet.numbers
    answered = sum(1 for each in asked if any(value for value in sheet.values.get(each, ())))
    words = sheet.texts.said("page.progress", answered=answered, total=len(asked))
    return element(
        "div",
        element("label", words, for_="progress", id="progress-words"),
        element("progress", words, id="progress", value=answered, max=max(len(asked), 1)),
        class_="progress",
    )


def _buttons(frame: Frame, notice: str) -> Markup:
    texts = frame.texts
    send = element("button", texts.said("page.send"), name=ACT, value=SEND, class_="main")
    anyway = element("button", texts.said("page.send_anyway"), name=ACT, value=SEND_ANYWAY)
    stop = element("button", texts.said("page.stop"), name=ACT, value=STOP)
    return element("div", send, anyway if notice == "blank" else None, stop, class_="buttons")


def _notice(sheet: Sheet, notice: str, listed: Sequence[str]) -> Markup:
    """What to look at, as links to the questions. It takes the focus, so that it is read first."""
    texts = sheet.texts
    title, text = (
        ("problem.title", "problem.intro") if notice == "problem" else (f"notice.{notice}_title", f"notice.{notice}")
    )
    links = [element("li", _link_to(sheet, link_id)) for link_id in listed]
    return element(
        "section",
        element("h2", texts.said(title), id="notice-title"),
        element("p", texts.said(text)),
        element("ul", links),
        id="notice",
        class_="notice wrong" if notice == "problem" else "notice",
        tabindex=-1,
        aria_labelledby="notice-title",
        data_focus=True,
    )


def _link_to(sheet: Sheet, link_id: str) -> Markup:
    words = element("span", label_of(sheet, link_id), lang=sheet.language)
    problem = sheet.problems.get(link_id)
    count = sheet.texts.said("page.number", number=sheet.numbers.get(link_id, ""), total=len(sheet.numbers))
    return joined(
        element("a", count, ": ", words, href=f"#{place_of(sheet, link_id)}"),
        element("span", " ", problem) if problem else None,
    )


def _about(frame: Frame, sheet: Sheet) -> Markup | None:
    """What the form is and whose it is, for who wants to know."""
    questionnaire = sheet.form.questionnaire
    said = [questionnaire.get(name) for name in ("title", "copyright")]
    rows = [element("p", each, lang=sheet.language, dir="auto") for each in said if each]
    return (
        element("details", element("summary", frame.texts.said("page.about")), rows, class_="about") if rows else None
    )


def verify_page(frame: Frame, door: Door, *, was_wrong: bool = False) -> bytes:
    """Asks somebody who comes back for the fact that the site has chosen."""
    texts, factor = frame.texts, frame.site.second_factor
    problem = (
        element("p", texts.said("verify.wrong"), id="wrong", class_="problem", role="alert") if was_wrong else None
    )
    described = "wrong" if was_wrong else None
    if factor == "birth-date":
        parts = [_date_part(frame, name, described) for name in ("day", "month", "year")]
        legend = element("legend", texts.said(f"verify.{factor}"))
        fields = element("fieldset", legend, problem, element("div", parts, class_="date"), class_="question")
    else:
        label = element("label", texts.said(f"verify.{factor}"), for_="fact")
        field = element(
            "input",
            type="text",
            name="fact",
            id="fact",
            required=True,
            autocomplete="off",
            inputmode="numeric" if factor == "phone-digits" else None,
            aria_describedby=described,
            aria_invalid="true" if was_wrong else None,
        )
        fields = element("div", label, problem, field, class_="question")
    button = element("button", texts.said("verify.go_on"), name=ACT, value=VERIFY, class_="main")
    form = element(
        "form",
        _hidden(door),
        element("input", type="hidden", name=AT, value=VERIFY),
        element("p", texts.said("verify.text")),
        fields,
        element("div", button, class_="buttons"),
        reading_settings(frame),
        method="post",
        action=door.address,
        novalidate=True,
    )
    return page(frame, texts.said("verify.title"), form, has_error=was_wrong)


def _date_part(frame: Frame, name: str, described: str | None) -> Markup:
    field = element(
        "input",
        type="text",
        name=name,
        id=name,
        inputmode="numeric",
        maxlength=4 if name == "year" else 2,
        autocomplete=f"bday-{name}",
        aria_describedby=described,
        aria_invalid="true" if described else None,
        class_=name,
    )
    return element("div", element("label", frame.texts.said(f"verify.{name}"), for_=name), field)


def summary_page(frame: Frame, *, is_concern: bool) -> bytes:
    """The kind end: what happens next, without a score and without a name for it; the help text first where needed."""
    texts = frame.texts
    said = [element("p", texts.said(f"summary.{name}")) for name in ("arrived", "next", "close")]
    help_ = concern(frame) if is_concern else None
    return page(frame, texts.said("summary.title"), help_, said, has_contacts=not is_concern)


def stopped_page(frame: Frame, link: Link, *, is_concern: bool, has_answers: bool) -> bytes:
    """Answers are kept; how to go on."""
    texts = frame.texts
    until = texts.date(link.expires_at)
    if not has_answers:
        return page(frame, texts.said("stopped.title"), element("p", texts.said("stopped.nothing", date=until)))
    said = [element("p", texts.said("stopped.text", date=until)), element("p", texts.said("stopped.verify"))]
    help_ = concern(frame) if is_concern else None
    return page(frame, texts.said("stopped.title"), help_, said, has_contacts=not is_concern)


def closed_page(frame: Frame, why: str) -> bytes:
    """Why there is no form here, and what to do: `unknown`, `expired`, `spent`, `locked`, `unproved`, `session` or
    `away`."""
    texts = frame.texts
    return page(frame, texts.said(f"closed.{why}_title"), element("p", texts.said(f"closed.{why}")))
