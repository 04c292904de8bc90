"""Pages for case reviews: who is to be reviewed, and on one page what reviewers need to know of a person.

What is open about safety stands first; what is not known is said to be unknown. Readable on paper and without colour.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system
from stepwell_shared.markup import Markup, element, joined
from stepwell_shared.pages.layout import table, whole_page
from stepwell_shared.pages.plots.courses import course_plot

from stepwell_routing.builders.course import due_at
from stepwell_routing.rules.evidence_names import NAMES
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.use_cases.review_sheets import Sheet

UNKNOWN = "not known"
# What is asked of every person, with what it is called on the page; the groups below show all that is known beside it.
ASKED = {
    "Person": ("age", "sex"),
    "Goals": ("goals_set", "goals_reached", "goal_attainment"),
    "Wishes": ("preference", "preferred_option", "informed_choice_step", "readiness"),
    "Waiting and contacts": ("capacity", "wait_days", "attended", "missed", "contact_weeks"),
    "Other conditions and medicines": ("conditions", "medicines"),
}
LABELS = {"capacity": "people who can begin a week at the step"}

Resource = Mapping[str, Any]


def list_page(title: str, list_id: str, tasks: Sequence[Resource], told: Sequence[Resource], now: datetime) -> bytes:
    """Who is on a list, and whom rules ask to look at together; the one that is due first on top."""
    rows = [
        (
            element("a", _who(task["for"]), href=f"/routing/reviews/{list_id}/{task['id']}"),
            task["reasonCode"]["text"],
            task["authoredOn"][:10],
            _due(task, now),
        )
        for task in tasks
    ]
    others = [(_who(task["for"]), task["authoredOn"][:10], _due(task, now)) for task in told]
    return whole_page(
        title,
        table("People to be reviewed", ("Person", "Why", "Since", "Due"), rows) if rows else _nothing("Nobody waits."),
        element("h2", "Asked for by rules"),
        table("Reviews of a course that rules ask the team to look at", ("Person", "Since", "Due"), others)
        if others
        else _nothing("None."),
    )


def sheet_page(sheet: Sheet, now: datetime) -> bytes:
    """The page of one person."""
    task = sheet.task
    return whole_page(
        "Case review",
        element("p", element("strong", _who(task["for"])), f". {task['reasonCode']['text']}"),
        element("p", f"Put up on {task['authoredOn'][:10]} by {_who(task['requester'])}. Due: {_due(task, now)}."),
        _safety(sheet),
        _steps(sheet),
        _decisions(sheet.requests),
        _courses(sheet),
        [_known(title, names, sheet.values) for title, names in ASKED.items()],
        _barriers(sheet.values),
        _plans(sheet),
        _messages(sheet.messages),
    )


def _safety(sheet: Sheet) -> Markup:
    level = sheet.values.get("risk_level")
    rows = [(each, moment.date().isoformat()) for moment, each in sheet.safety]
    recorded = f"Risk level recorded last: {level}." if level is not None else "No risk level is on record."
    if not rows:
        return element("section", element("h2", "Safety"), element("p", f"Nothing is open. {recorded}"))
    return element(
        "section",
        element("h2", "Safety: open now"),
        table("Open questions, each until a clinician has answered it", ("Rule", "Since"), rows),
        element("p", recorded),
        class_="unsafe",
    )


def _steps(sheet: Sheet) -> Markup:
    said = {"step": "entered", "hold": "held", "exit": "care ended"}
    rows = [(moment.date().isoformat(), said.get(kind, kind), name) for moment, kind, name in sheet.steps]
    content = table("Steps so far", ("Day", "What", "Step"), rows) if rows else _nothing("Care has not begun.")
    return joined(element("h2", f"Steps on the pathway {sheet.pathway}"), content)


def _decisions(requests: Sequence[Resource]) -> Markup:
    """Proposals and plans, the newest first, each with its reason in words and the rules behind it."""
    rows = [
        (
            str(each.get("authoredOn", ""))[:10],
            f"{each['category'][-1]['text']} ({each['intent']}, {each['status']})",
            " ".join(note.get("text", "") for note in each.get("note", ())) or UNKNOWN,
            ", ".join(_reasons(each)),
            _who(each.get("requester", {})),
        )
        for each in requests
    ]
    heads = ("Day", "Step", "Why", "Rules and reasons", "By")
    content = table("Decisions, the newest first", heads, rows) if rows else _nothing("None.")
    return joined(element("h2", "Decisions and their reasons"), content)


def _reasons(request: Resource) -> list[str]:
    """Codes of rules; the reason of an override in words."""
    codings = [coding for each in request.get("reasonCode", ()) for coding in each.get("coding", ())]
    rule = code_system("rule")
    return [
        str(each["code"] if each.get("system") == rule else each.get("display", each.get("code"))) for each in codings
    ]


def _courses(sheet: Sheet) -> Markup:
    sections = []
    for course in sheet.courses:
        name = _label(course.name)
        rows = [(moment.date().isoformat(), value) for moment, value in course.values]
        values = [(moment, float(value)) for moment, value in course.values]
        drawn = course_plot(f"course-{course.name}", f"{name} over time", values) if len(values) > 1 else None
        sections.append(element("section", element("h3", name), drawn, table(name, ("Day", "Value"), rows)))
    return joined(element("h2", "Courses of measures"), sections or _nothing("Nothing was measured."))


def _known(title: str, names: Sequence[str], values: Mapping[str, Scalar]) -> Markup:
    rows = [(_label(name), _shown(values.get(name))) for name in names]
    return element("section", element("h2", title), table(title, ("What", "Known"), rows))


def _barriers(values: Mapping[str, Scalar]) -> Markup:
    asked = [name for name in NAMES if name.startswith("barrier_")]
    found = [_label(name.removeprefix("barrier_")) for name in asked if values.get(name) is True]
    known = any(name in values for name in (*asked, "barriers"))
    text = ", ".join(found) if found else ("None is on record." if known else f"Barriers: {UNKNOWN}.")
    return element("section", element("h2", "Barriers"), element("p", text))


def _plans(sheet: Sheet) -> Markup:
    named = [
        ", ".join(str(coding.get("code")) for each in plan.get("category", ()) for coding in each.get("coding", ()))
        for plan in sheet.plans
    ]
    listed = element("ul", [element("li", each) for each in named]) if named else _nothing("None is written.")
    return element("section", element("h2", "Plans in the person's own words"), listed)


def _messages(messages: Sequence[Resource]) -> Markup:
    rows = [
        (
            str(each.get("sent", each.get("meta", {}).get("lastUpdated", "")))[:10],
            ", ".join(str(coding.get("code")) for kind in each["category"] for coding in kind.get("coding", ())),
            " ".join(
                [
                    *(coding.get("display", "") for coding in each.get("topic", {}).get("coding", ())),
                    *(part.get("contentString", "") for part in each.get("payload", ())),
                ]
            ),
            _who(each.get("sender", {})),
        )
        for each in messages
    ]
    content = table("The newest first", ("Day", "Kind", "Words", "By"), rows) if rows else _nothing("None.")
    return joined(element("h2", "Choices of the person, questions among colleagues"), content)


def _who(reference: Resource) -> str:
    identifier = reference.get("identifier", {}).get("value")
    return str(reference.get("display") or reference.get("reference") or identifier or UNKNOWN)


def _due(task: Resource, now: datetime) -> Markup | str:
    at = due_at(task)
    day = at.date().isoformat()
    return element("strong", f"{day}, overdue") if at < now else day


def _label(name: str) -> str:
    return LABELS.get(name) or name.replace("_", " ")


def _shown(value: Scalar | None) -> str:
    if value is None:
        return UNKNOWN
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _nothing(text: str) -> Markup:
    return element("p", text)
