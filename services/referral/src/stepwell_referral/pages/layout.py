"""What all pages of the worklist have in common: where one can go, what is chosen, dates in words, and how it looks.

Nothing is said by colour alone; dark or light and more contrast follow what somebody has set for all their pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from urllib.parse import urlencode

from stepwell_shared.canonical import code_system
from stepwell_shared.fhir.concepts import NAMELESS, known_concepts
from stepwell_shared.markup import Markup, element
from stepwell_shared.pages.forms import csrf_field
from stepwell_shared.pages.layout import page_headers, whole_page

from stepwell_referral.data.worklist import knows, said
from stepwell_referral.use_cases.worklist import LISTS, Looked
from stepwell_referral.use_cases.worklist_reach import Chosen
from stepwell_referral.worklist_queries import COUNTED_MAX

ADDRESS = "/referral/worklist"
# What one can go to, in the order of a working day.
PLACES = (*LISTS, "unanswered", "queues", "load")
SITES_MAX = 300
# Where there is nothing to say.
NOTHING = "\u2013"
STYLE = Markup((files(__package__) / "worklist.css").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Frame:
    """Around a page: who looks at what, in which language, and how much there is on each list."""

    look: Looked
    language: str
    counted: Mapping[str, int]
    here: str = ""

    def said(self, name: str, /, **values: object) -> str:
        return said(name, self.language, **values)

    def address(self, *parts: str, **parameters: str) -> str:
        """An address below the worklist with what is chosen; it names nobody."""
        given = {**dict(self.look.chosen.parameters()), **parameters}
        query = urlencode([(name, value) for name, value in given.items() if value])
        path = "/".join((ADDRESS, *parts))
        return f"{path}?{query}" if query else path

    def date(self, moment: datetime | None, *, with_hour: bool = False) -> Markup | str:
        """A day as everybody reads it alike, and how far away it is in words."""
        if moment is None:
            return NOTHING
        days = (moment.date() - self.look.now.date()).days
        near = "day.today" if days == 0 else "day.in" if days > 0 else "day.ago"
        one = near + ".one" if abs(days) == 1 else near
        text = moment.strftime("%Y-%m-%d %H:%M" if with_hour else "%Y-%m-%d")
        stamp = element("time", text, class_="day", datetime=moment.isoformat(timespec="minutes"))
        return element("span", stamp, element("span", self.said(one, days=abs(days)), class_="small"))

    def due(self, moment: datetime | None) -> Markup | str:
        """The same of something that should have happened by then."""
        if moment is None or moment > self.look.now:
            return self.date(moment)
        return element("span", self.date(moment), element("span", self.said("late"), class_="mark alarm"))

    def urgency(self, code: str) -> Markup:
        kind = {"emergency": "mark alarm", "urgent": "mark warm"}.get(code, "mark")
        return element("span", self.said(f"urgency.{code}"), class_=kind)

    def named(self, system: str, code: str) -> str:
        """What a code of ours is called."""
        return known_concepts(code_system(system)).get(code, NAMELESS).display_in(self.language) or code


def page(frame: Frame, title: str, *content: object, window: str = "") -> bytes:
    """A whole page; `window` is what the browser remembers of one whose title names a person."""
    return whole_page(
        title,
        *content,
        language=frame.language,
        styles=(STYLE,),
        navigation=_navigation(frame),
        window=window,
    )


def headers(language: str) -> dict[str, str]:
    """The headers of each page."""
    return {**page_headers(STYLE, has_forms=True), "Content-Language": language}


def _navigation(frame: Frame) -> Markup:
    access = frame.look.access
    leave = element(
        "form",
        csrf_field(frame.look.runtime, access),
        element("button", frame.said("sign-out"), class_="plain"),
        method="post",
        action=f"{ADDRESS}/sign-out",
    )
    top = element(
        "div",
        element("p", element("a", frame.said("worklist"), href=frame.address(), class_="brand")),
        element("div", element("span", access.fhir_user or access.client_id), leave, class_="who"),
        class_="top",
    )
    here = {"aria_current": "page"}
    first = element(
        "li", element("a", frame.said("overview"), href=frame.address(), **(here if not frame.here else {}))
    )
    links = [
        element(
            "li",
            element(
                "a", frame.said(f"{name}.title"), _count(frame, name), href=frame.address(name, state="", sort=""),
                **(here if frame.here == name else {}),
            ),
        )
        for name in PLACES
    ]  # fmt: skip
    return Markup(top + element("nav", element("ul", first, links), aria_label=frame.said("lists")))


def _count(frame: Frame, name: str) -> Markup | None:
    number = frame.counted.get(name)
    if number is None:
        return None
    shown = f"{number - 1}+" if number >= COUNTED_MAX else str(number)
    return element("span", shown, class_="count" if number else "count none")


def filters(frame: Frame, *parts: str, sorts: Sequence[str] = (), states: Sequence[str] = ()) -> Markup:
    """What one can choose to look at, as a form that changes nothing."""
    chosen, sites = frame.look.chosen, frame.look.sites
    tiers = sorted({tier for each in sites.services.values() for tier in each.tiers})
    fields = []
    named = sorted((name, site) for site, name in sites.names.items())[:SITES_MAX]
    if len(named) > 1 or chosen.site:
        fields.append(_select(frame, "site", [(site, name) for name, site in named], chosen.site))
    if len(tiers) > 1:
        fields.append(_select(frame, "tier", [(each, frame.named("tier", each)) for each in tiers], chosen.tier))
    if frame.look.access.fhir_user:
        fields.append(_select(frame, "team", [("mine", frame.said("team.mine"))], chosen.team))
    if states:
        fields.append(_select(frame, "state", [(each, frame.said(f"status.{each}")) for each in states], chosen.state))
    if sorts:
        fields.append(_select(frame, "sort", [(each, frame.said(f"sort.{each}")) for each in sorts], chosen.sort,
                              first="sort.usual"))  # fmt: skip
    kept = element("input", type="hidden", name="service", value=chosen.service) if chosen.service else None
    undo = element("a", frame.said("filter.none"), href="/".join((ADDRESS, *parts))) if chosen.parameters() else None
    return element("form", fields, kept, element("button", frame.said("filter.show")), undo, method="get",
                   action="/".join((ADDRESS, *parts)), class_="filter", aria_label=frame.said("filter"))  # fmt: skip


def _select(frame: Frame, name: str, options: Sequence[tuple[str, str]], chosen: str, *, first: str = "all") -> Markup:
    listed = [element("option", text, value=value, selected=value == chosen) for value, text in options]
    label = element("label", frame.said(f"filter.{name}"), for_=f"filter-{name}")
    nothing = element("option", frame.said(first), value="")
    return element("div", label, element("select", nothing, listed, name=name, id=f"filter-{name}"))


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Markup:
    """A table that scrolls by itself where it is too wide, also by keyboard; the first cell of a row names it."""
    head = element("thead", element("tr", [element("th", each, scope="col") for each in heads]))
    body = element("tbody", [
        element("tr", element("th", row[0], scope="row"), [element("td", each) for each in row[1:]]) for row in rows
    ])  # fmt: skip
    content = element("table", element("caption", caption, class_="unseen"), head, body)
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=caption)


def about(frame: Frame, name: str) -> Markup | None:
    """A sentence on what a list is for."""
    return element("p", frame.said(f"{name}.about"), class_="about") if knows(f"{name}.about") else None


def chosen_in_words(frame: Frame, chosen: Chosen) -> Markup | None:
    """The service that is looked at alone, which no field names."""
    if not chosen.service:
        return None
    name = frame.look.sites.name_of(f"HealthcareService/{chosen.service}")
    return element("p", frame.said("filter.only", place=name))
