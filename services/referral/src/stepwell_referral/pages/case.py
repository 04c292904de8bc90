"""One line of the worklist as a page: what is known, and each thing that can be done next as a form of its own."""

from collections.abc import Sequence

from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.markup import Markup, element
from stepwell_shared.pages.forms import csrf_field

from stepwell_referral.builders import coordination
from stepwell_referral.data.loop import reasons
from stepwell_referral.pages.layout import ADDRESS, NOTHING, Frame, page, table
from stepwell_referral.rules.loop import TRANSFERRED
from stepwell_referral.use_cases.worklist_acts import ASKS, NOTE, PLACE, REASON, TIME, WORDS, WORDS_MAX, Given
from stepwell_referral.use_cases.worklist_appointments import TARGETS
from stepwell_referral.use_cases.worklist_case import Case, FreeTime, Meeting


def case_page(frame: Frame, case: Case, *, done: str = "", refused: FhirError | None = None, given: Given | None = None
              ) -> bytes:  # fmt: skip
    """The page of one line. `done` is the act that has just been done; `refused` why one was not, with what was
    `given`."""
    line = case.line
    return page(
        frame,
        line.person or frame.said("unnamed"),
        _problem(frame, refused) if refused is not None else _done(frame, done) if done else None,
        _message(frame, case),
        element(
            "div",
            element("section", element("h2", frame.said("case.known")), _facts(frame, case), class_="card"),
            element("section", element("h2", frame.said("case.next")), _acts(frame, case, given), class_="card"),
            class_="two",
        ),
        _appointments(frame, case),
        _beside(frame, case),
        window=frame.said("worklist"),
    )


def _problem(frame: Frame, refused: FhirError) -> Markup:
    """Why it was not done, in the words of the rule that refused it."""
    said = [element("li", issue.diagnostics, lang="en") for issue in refused.issues]
    head = element("h2", frame.said("problem.title"))
    return element("div", head, element("p", frame.said("problem.about")), element("ul", said),
                   class_="notice alarm", role="alert", tabindex=-1, autofocus=True)  # fmt: skip


def _done(frame: Frame, act: str) -> Markup | None:
    if act not in {*ASKS, *TARGETS, "acknowledge", "begin", "take", "start", "resume", "ask"}:
        return None
    text = f"{frame.said('done')}: {frame.said(f'act.{act}')}."
    return element("p", text, class_="notice", role="status", tabindex=-1, autofocus=True)


def _facts(frame: Frame, case: Case) -> Markup:
    line = case.line
    state = "status.missed" if line.was_missed else "status.booked" if line.is_booked else f"status.{line.status}"
    facts: list[tuple[str, object]] = [
        ("what", frame.said(f"kind.{line.kind}")),
        ("state", frame.said(state)),
        ("urgency", frame.urgency(line.urgency)),
        ("place", line.place or (frame.said("place.none") if line.kind == "tier-referral" else "")),
        ("tier", frame.named("tier", line.tier) if line.tier else ""),
        ("asked", frame.date(line.asked_at)),
        ("promise", _promise(frame, case)),
        ("by", frame.due(line.answer_by) if line.kind not in {"tier-referral", "partial-referral"} else ""),
        ("barrier", frame.named("barrier", line.barrier) if line.barrier else ""),
        ("supports", ", ".join(frame.named("support", each) for each in line.supports)),
        ("phone", [element("a", each, href=f"tel:{_dialled(each)}") for each in case.phones]),
        ("told", ", ".join(frame.said(f"role.{each}") for each in line.told)),
        ("said", element("span", line.said, lang="en") if line.kind not in {"tier-referral", "answer-message"} else ""),
        ("wait", case.wait),
    ]
    return element(
        "dl", [(element("dt", frame.said(f"head.{name}")), element("dd", value)) for name, value in facts if value]
    )


def _promise(frame: Frame, case: Case) -> object:
    line = case.line
    if line.promised_by is None or not line.is_open:
        return ""
    median = frame.said("promise.median", days=line.median_days) if line.median_days is not None else None
    over = element("span", frame.said("promise.over"), class_="mark alarm") if line.keepable is False else None
    return [frame.due(line.promised_by), element("span", median, class_="small") if median else None, over]


def _dialled(phone: str) -> str:
    return "".join(character for character in phone if character.isdigit() or character == "+")


def _acts(frame: Frame, case: Case, given: Given | None) -> Markup:
    if not case.acts:
        return element("p", frame.said("case.nothing"))
    return element("div", [_act(frame, case, each, given) for each in case.acts], class_="acts")


def _act(frame: Frame, case: Case, act: str, given: Given | None) -> Markup:
    """One thing that can be done: at once, or with what it asks for behind its name."""
    is_again = given is not None and given.act == act
    fields = _fields(frame, case, act, given if is_again else None)
    label = frame.said("act.answer" if act == "message" and case.line.kind == "answer-message" else f"act.{act}")
    hidden = [
        csrf_field(frame.look.runtime, frame.look.access),
        element("input", type="hidden", name="act", value=act),
        element("input", type="hidden", name="version", value=case.line.version),
    ]
    target = f"{ADDRESS}/lines/{case.line.id}/act"
    if not fields:
        what = element("p", frame.said(f"act.{act}.about"), class_="what")
        kind = None if act == case.acts[0] else "plain"
        return element(
            "form", hidden, what, element("button", label, class_=kind), method="post", action=target, class_="at-once"
        )
    form = element("form", hidden, fields, element("button", label), method="post", action=target)
    is_open = is_again or (act == case.acts[0] and act in {"book", "message"})
    return element("details", element("summary", label), form, open=is_open)


def _fields(frame: Frame, case: Case, act: str, given: Given | None) -> list[Markup]:
    asks = ASKS.get(act, "")
    if asks == REASON:
        coded = [(each, frame.named("decline-reason", each)) for each in reasons() if each != TRANSFERRED]
        return [_select(frame, act, "reason", coded, given.reason if given else ""), _words(frame, act, given)]
    if asks == PLACE:
        places = [(each.owner, each.name) for each in case.places]
        return [_select(frame, act, "place", places, given.place if given else ""), _words(frame, act, given)]
    if asks == TIME:
        return _booking(frame, case, given)
    found = [_words(frame, act, given, must=asks == WORDS)] if asks in {WORDS, NOTE} else []
    if act == "done" and case.line.kind == coordination.ARRANGE_SUPPORT:
        found.insert(0, _supports(frame, case))
    return found


def _words(frame: Frame, act: str, given: Given | None, *, must: bool = False) -> Markup:
    name = f"words.{act}" if act in {"message", "book"} else "words.must" if must else "words"
    label = element("label", frame.said(name), for_=f"{act}-words")
    area = element("textarea", given.words if given else "", name="words", id=f"{act}-words", maxlength=WORDS_MAX,
                   required=must, rows=3)  # fmt: skip
    return element("div", label, area, class_="field")


def _select(frame: Frame, act: str, name: str, options: Sequence[tuple[str, str]], chosen: str, *, must: bool = True
            ) -> Markup:  # fmt: skip
    listed = [element("option", text, value=value, selected=value == chosen) for value, text in options]
    nothing = element("option", frame.said("choose" if must else "choose.none"), value="")
    label = element("label", frame.said(f"field.{name}"), for_=f"{act}-{name}")
    select = element("select", nothing, listed, name=name, id=f"{act}-{name}", required=must)
    return element("div", label, select, class_="field")


def _booking(frame: Frame, case: Case, given: Given | None) -> list[Markup]:
    if not case.times:
        return [element("p", frame.said("times.none"))]
    times = [
        element(
            "label",
            element("input", type="radio", name="slot", value=each.slot, required=True,
                    checked=given is not None and given.slot == each.slot),
            element("span", _time(frame, each)),
            class_="choice",
        )
        for each in case.times
    ]  # fmt: skip
    passing = [(each, frame.named("queue", each)) for each in case.overtaking]
    fields = [element("fieldset", element("legend", frame.said("field.slot")), times)]
    if any(each.is_remote for each in case.times):
        box = element("input", type="checkbox", name="private-space", value="yes")
        fields.append(element("label", box, element("span", frame.said("field.private-space")), class_="choice"))
    fields.append(_select(frame, "book", "overtaking", passing, given.overtaking if given else "", must=False))
    return [*fields, _words(frame, "book", given)]


def _time(frame: Frame, time: FreeTime) -> str:
    remote = f" ({frame.said('time.remote')})" if time.is_remote else ""
    return f"{time.start:%Y-%m-%d}, {time.start:%H:%M} - {time.end:%H:%M} {time.start:%Z}{remote}"


def _supports(frame: Frame, case: Case) -> Markup:
    boxes = [
        element("label", element("input", type="checkbox", name="support", value=each),
                element("span", frame.named("support", each)), class_="choice")
        for each in case.line.supports
    ]  # fmt: skip
    return element("fieldset", element("legend", frame.said("field.support")), boxes)


def _message(frame: Frame, case: Case) -> Markup | None:
    if not case.message:
        return None
    return element("section", element("h2", frame.said("case.message")), element("p", case.message, class_="said"),
                   class_="card")  # fmt: skip


def _appointments(frame: Frame, case: Case) -> Markup | None:
    rows = [
        (
            frame.date(each.start, with_hour=True),
            frame.said(f"appointment.{each.status}"),
            element("div", [_meeting_act(frame, case, each, act) for act in each.acts], class_="acts"),
        )
        for each in case.appointments
    ]
    if not rows:
        return None
    heads = [frame.said(f"head.{name}") for name in ("when", "state", "todo")]
    return element("section", element("h2", frame.said("case.appointments")),
                   table(frame.said("case.appointments.caption"), heads, rows), class_="card")  # fmt: skip


def _meeting_act(frame: Frame, case: Case, meeting: Meeting, act: str) -> Markup:
    """What can be done with an appointment: at once, or with a reason behind its name."""
    label = frame.said(f"act.{act}")
    hidden = [
        csrf_field(frame.look.runtime, frame.look.access),
        *(
            element("input", type="hidden", name=name, value=value)
            for name, value in (("act", act), ("version", meeting.version), ("appointment", meeting.id))
        ),
    ]
    target = f"{ADDRESS}/lines/{case.line.id}/act"
    if act != "cancel":
        return element("form", hidden, element("button", label, class_="plain"), method="post", action=target)
    place = f"cancel-{meeting.id}"
    words = element("div", element("label", frame.said("words.must"), for_=place),
                    element("textarea", name="words", id=place, maxlength=WORDS_MAX, required=True, rows=2),
                    class_="field")  # fmt: skip
    form = element("form", hidden, words, element("button", label), method="post", action=target)
    return element("details", element("summary", label), form)


def _beside(frame: Frame, case: Case) -> Markup | None:
    rows = [
        (
            element("a", frame.said(f"kind.{each.kind}"), href=frame.address("lines", each.id)),
            each.place or (frame.named("barrier", each.barrier) if each.barrier else NOTHING),
            frame.said(f"status.{each.status}"),
            frame.date(each.asked_at),
        )
        for each in case.beside
        if each.kind
    ]
    if not rows:
        return None
    heads = [frame.said(f"head.{name}") for name in ("what", "about", "state", "asked")]
    return element("section", element("h2", frame.said("case.beside")),
                   table(frame.said("case.beside.caption"), heads, rows), class_="card")  # fmt: skip
