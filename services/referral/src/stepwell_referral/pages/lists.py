"""The lists of the worklist as pages: each row leads to what can be done next."""

from collections.abc import Callable, Mapping, Sequence

from stepwell_shared.markup import Markup, element

from stepwell_referral.data.loop import time_outs
from stepwell_referral.data.worklist import knows
from stepwell_referral.pages.layout import NOTHING, Frame, about, chosen_in_words, filters, page, table
from stepwell_referral.use_cases.worklist import OVERDUE_STATES, Listed, Queue, Unanswered
from stepwell_referral.use_cases.worklist_lines import Line
from stepwell_referral.use_cases.worklist_reach import SORTS, cursor_of
from stepwell_referral.worklist_queries import After, PractitionerRow, ServiceRow

Cell = Callable[[Frame, Line], object]


def overview_page(frame: Frame, lists: Sequence[Listed]) -> bytes:
    """The first few of each list; what is on none of them needs nobody now."""
    sections = [
        element(
            "section",
            element("h2", frame.said(f"{each.view}.title")),
            about(frame, each.view),
            list_table(frame, each),
            element("p", element("a", frame.said("more.all", name=frame.said(f"{each.view}.title")),
                                 href=frame.address(each.view)), class_="more") if each.after else None,
            class_="card",
        )
        for each in lists
    ]  # fmt: skip
    nothing = element("p", frame.said("overview.nothing"), class_="card") if not sections else None
    return page(frame, frame.said("overview.title"), filters(frame), chosen_in_words(frame, frame.look.chosen),
                nothing, sections)  # fmt: skip


def list_page(frame: Frame, found: Listed) -> bytes:
    """One list, a page at a time."""
    states = OVERDUE_STATES if found.view == "overdue" else ()
    empty = element("p", frame.said("nothing"), class_="card")
    return page(
        frame,
        frame.said(f"{found.view}.title"),
        about(frame, found.view),
        filters(frame, found.view, sorts=SORTS, states=states),
        chosen_in_words(frame, frame.look.chosen),
        list_table(frame, found) if found.lines else empty,
        _next(frame, found.view, found.after),
    )


def list_table(frame: Frame, found: Listed) -> Markup:
    """The rows of a list."""
    columns = COLUMNS[found.view]
    heads = [frame.said(f"head.{name}") for name in columns]
    rows = [[_CELLS[name](frame, each) for name in columns] for each in found.lines]
    return table(frame.said(f"{found.view}.caption"), heads, rows)


def unanswered_page(frame: Frame, found: Sequence[Unanswered], after: After | None) -> bytes:
    """Appointments that nobody has confirmed."""
    rows = [
        (_person_of(frame, each), frame.date(each.at, with_hour=True), each.place or NOTHING,
         frame.said(f"appointment.{each.status}"))
        for each in found
    ]  # fmt: skip
    heads = [frame.said(f"head.{name}") for name in ("person", "when", "place", "state")]
    content = table(frame.said("unanswered.caption"), heads, rows) if rows else element(
        "p", frame.said("nothing"), class_="card")  # fmt: skip
    return page(frame, frame.said("unanswered.title"), about(frame, "unanswered"), filters(frame, "unanswered"),
                content, _next(frame, "unanswered", after))  # fmt: skip


def queues_page(frame: Frame, rows: Sequence[ServiceRow]) -> bytes:
    """Every service for which somebody waits."""
    sites = frame.look.sites
    listed = []
    for each in rows:
        service = sites.services.get(each.owner)
        tier = service.tiers[0] if service is not None and service.tiers else ""
        link = element("a", sites.name_of(each.owner), href=frame.address("queues", each.owner.partition("/")[2]))
        cells = (each.waiting, each.urgent or NOTHING, _late(frame, each.late), frame.date(each.first_asked))
        listed.append((link if service is not None else sites.name_of(each.owner),
                       frame.named("tier", tier) if tier else NOTHING, *cells))  # fmt: skip
    heads = [frame.said(f"head.{name}") for name in ("service", "tier", "waiting", "urgent", "over", "first")]
    content = table(frame.said("queues.caption"), heads, listed) if listed else element(
        "p", frame.said("nothing"), class_="card")  # fmt: skip
    number = rows[0].services if rows else 0
    bound = element("p", frame.said("queues.bound", shown=len(rows), number=number), class_="about")
    return page(frame, frame.said("queues.title"), about(frame, "queues"), filters(frame, "queues", sorts=("urgency",)),
                content, bound if number > len(rows) else None)  # fmt: skip


def queue_page(frame: Frame, found: Queue) -> bytes:
    """The queue of one service in its order."""
    name = frame.look.sites.name_of(found.owner)
    rows = []
    for each in found.stood:
        line, share = each.line, each.share
        gone = element(
            "span", element("progress", max=100, value=min(round(share * 100), 100), aria_hidden="true"),
            element("span", f"{round(share * 100)} %", class_="late" if share >= 1 else None),
        )  # fmt: skip
        rows.append((
            element("span", f"{each.placed.position}. ", _person(frame, line)), frame.urgency(line.urgency),
            frame.date(each.placed.entry.entered_at), gone, _promise(frame, line), _why(frame, each.placed.rule),
            _state(frame, line),
        ))  # fmt: skip
    heads = [
        frame.said(f"head.{name}") for name in ("next", "urgency", "asked", "share", "promise", "because", "state")
    ]
    content = table(frame.said("queue.caption", place=name), heads, rows) if rows else element(
        "p", frame.said("nothing"), class_="card")  # fmt: skip
    more = None
    if found.after is not None:
        href = frame.address("queues", found.owner.partition("/")[2], **{"from": str(found.after)})
        more = element("p", element("a", frame.said("more.next"), href=href, rel="next"), class_="more")
    number = element("p", frame.said("queue.about", people=found.people), class_="about")
    return page(frame, frame.said("queue.title", place=name), number, content, more)


def load_page(frame: Frame, services: Sequence[ServiceRow], people: Sequence[PractitionerRow], days: int) -> bytes:
    """Who cares for how many, by team and by practitioner."""
    sites = frame.look.sites
    teams = [
        (sites.name_of(each.owner), each.in_care, each.waiting,
         f"{known.weekly_starts:g}" if (known := sites.services.get(each.owner)) and known.weekly_starts else NOTHING)
        for each in services
    ]  # fmt: skip
    heads = [frame.said(f"head.{name}") for name in ("service", "in-care", "waiting", "weekly")]
    of_people = [(each.practitioner.partition("/")[2], each.people, each.appointments) for each in people]
    other = [frame.said(f"head.{name}") for name in ("practitioner", "people", "appointments")]
    nothing = element("p", frame.said("nothing"), class_="card")
    return page(
        frame,
        frame.said("load.title"),
        about(frame, "load"),
        filters(frame, "load"),
        element("h2", frame.said("load.teams")),
        table(frame.said("load.teams.caption"), heads, teams) if teams else nothing,
        element("h2", frame.said("load.people")),
        table(frame.said("load.people.caption", days=days), other, of_people) if of_people else nothing,
    )


def _next(frame: Frame, view: str, after: After | None) -> Markup | None:
    if after is None:
        return None
    link = element("a", frame.said("more.next"), href=frame.address(view, after=cursor_of(after)), rel="next")
    return element("p", link, class_="more")


def _person(frame: Frame, line: Line) -> Markup:
    return element("a", line.person or frame.said("unnamed"), href=frame.address("lines", line.id))


def _person_of(frame: Frame, found: Unanswered) -> object:
    """The person, leading to the referral that the appointment is for."""
    name = found.person or frame.said("unnamed")
    return element("a", name, href=frame.address("lines", found.task_id)) if found.task_id else name


def _late(frame: Frame, number: int) -> Markup | str:
    return element("span", str(number), class_="late") if number else NOTHING


def _state(frame: Frame, line: Line) -> object:
    name = "status.missed" if line.was_missed else "status.booked" if line.is_booked else f"status.{line.status}"
    return frame.said(name)


def _why(frame: Frame, rule: str) -> str:
    return frame.said(f"rule.{rule}") if knows(f"rule.{rule}") else frame.named("queue", rule)


def _promise(frame: Frame, line: Line) -> object:
    """Median and bound as they were told."""
    if line.promised_by is None:
        return frame.said("promise.none")
    median = frame.said("promise.median", days=line.median_days) if line.median_days is not None else None
    return element("span", frame.due(line.promised_by), element("span", median, class_="small") if median else None)


def _risk(frame: Frame, line: Line) -> object:
    kept = element("span", frame.said("promise.over"), class_="mark alarm") if line.keepable is False else None
    return element("span", frame.due(line.promised_by) if line.promised_by else frame.said("promise.none"), " ", kept)


def _told(frame: Frame, line: Line) -> str:
    return ", ".join(frame.said(f"role.{each}") for each in line.told) or NOTHING


def _rests(frame: Frame, line: Line) -> object:
    state = line.state if line.state in time_outs() else line.status
    return element("span", frame.said(f"status.{state}"), element("span", frame.said(f"why.{state}"), class_="small"))


def _decide(frame: Frame, line: Line) -> object:
    return element("span", frame.said(f"kind.{line.kind}"), element("span", line.said, class_="small", lang="en"))


def _barrier(frame: Frame, line: Line) -> str:
    return frame.named("barrier", line.barrier) if line.barrier else NOTHING


def _supports(frame: Frame, line: Line) -> str:
    return ", ".join(frame.named("support", each) for each in line.supports) or NOTHING


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "messages": ("person", "urgency", "asked", "answer-by"),
    "decisions": ("person", "what", "urgency", "asked", "by"),
    "overdue": ("person", "rests", "place", "urgency", "asked", "told"),
    "promises": ("person", "place", "urgency", "asked", "promise"),
    "unbooked": ("person", "place", "urgency", "asked", "promise"),
    "missed": ("person", "since", "by", "state"),
    "barriers": ("person", "barrier", "supports", "since", "state"),
}
_CELLS: Mapping[str, Cell] = {
    "person": _person,
    "urgency": lambda frame, line: frame.urgency(line.urgency),
    "asked": lambda frame, line: frame.date(line.asked_at),
    "since": lambda frame, line: frame.date(line.asked_at),
    "answer-by": lambda frame, line: frame.due(line.answer_by),
    "by": lambda frame, line: frame.due(line.answer_by),
    "place": lambda frame, line: line.place or element("strong", frame.said("place.none")),
    "promise": _risk,
    "told": _told,
    "rests": _rests,
    "what": _decide,
    "barrier": _barrier,
    "supports": _supports,
    "state": _state,
}
