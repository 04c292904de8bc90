"""Builds what a plan leads to: its page to print and keep, a letter to an employer, and the wish to come back.

The page is one file without a script and without anything from elsewhere, so that it reads the same offline.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from stepwell_shared.canonical import code_system, instant
from stepwell_shared.markup import Markup, element

from stepwell_routing.builders.content import CARE_TASK, TEXT, concept

Resource = dict[str, Any]

CARE_PLAN = code_system("care-plan")
STYLE = """body{font:1.1rem/1.5 sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:1.5rem}li{margin:.3rem 0;white-space:pre-wrap}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;border:1px solid #666;padding:.4rem}
.missing{color:#444;font-style:italic}.overdue{font-weight:bold}
@media print{body{margin:0;max-width:none}section,tr{break-inside:avoid}}"""
# Whatever is opened or printed later: nothing is fetched, nothing runs.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, language: str, *parts: object) -> bytes:
    """A whole HTML page that needs nothing else."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    body = element("body", element("main", element("h1", title), *parts))
    return f"<!DOCTYPE html>{element('html', head, body, lang=language)}".encode()


def plan_page(
    title: str,
    language: str,
    written: Sequence[tuple[str, Sequence[str]]],
    *,
    empty: str,
    as_of: str,
) -> bytes:
    """A plan to print: each section with the person's words, and where there are none yet, that there are none."""
    parts = [element("p", as_of)]
    for heading, words in written:
        said = (
            element("ul", [element("li", each) for each in words]) if words else element("p", empty, class_="missing")
        )
        parts.append(element("section", element("h2", heading), said))
    return page(title, language, *parts)


def page_document(body: bytes, title: str, about: str, subject: Mapping[str, Any] | None = None) -> Resource:
    """A page as FHIR carries it; it is made when it is asked for and not kept. `about` is what it was made from."""
    attachment = {"contentType": "text/html; charset=utf-8", "data": b64encode(body).decode(), "title": title}
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        **({"subject": dict(subject)} if subject is not None else {}),
        "content": [{"attachment": attachment}],
        "context": {"related": [{"reference": about}]},
    }


def employer_letter(
    plan: Mapping[str, Any],
    text: str,
    *,
    resource_id: str,
    title: str,
    language: str,
    employer: Mapping[str, Any],
    consent: str,
    author: str,
    moment: datetime,
) -> Resource:
    """A letter with what changes at work and no more; it names the Consent under which it was written."""
    attachment = {
        "contentType": TEXT,
        "language": language,
        "data": b64encode(text.encode()).decode(),
        "title": title,
        "creation": instant(moment),
    }
    return {
        "resourceType": "DocumentReference",
        "id": resource_id,
        "language": language,
        "status": "current",
        "type": {"coding": [concept(CARE_PLAN, "return-to-work")]},
        "subject": dict(plan["subject"]),
        "date": instant(moment),
        "author": [{"reference": author}],
        "content": [{"attachment": attachment}],
        "context": {
            "related": [
                {"reference": f"CarePlan/{plan['id']}/_history/{plan['meta']['versionId']}"},
                {"reference": f"Consent/{consent}"},
                dict(employer),
            ]
        },
    }


def re_entry_task(plan: Mapping[str, Any], *, resource_id: str, requester: str, moment: datetime) -> Resource:
    """Somebody asks to come back: a Task for the team, on the plan that says how."""
    return {
        "resourceType": "Task",
        "id": resource_id,
        "status": "requested",
        "intent": "order",
        "code": {"coding": [concept(CARE_TASK, "re-entry")]},
        "basedOn": [{"reference": f"CarePlan/{plan['id']}"}],
        "for": dict(plan["subject"]),
        "authoredOn": instant(moment),
        "lastModified": instant(moment),
        "requester": {"reference": requester},
    }


def letter_text(title: str, on: date, written: Sequence[tuple[str, Sequence[str]]]) -> str:
    """The words of a letter."""
    parts = [f"{heading}\n{chr(10).join(words)}" for heading, words in written if words]
    return "\n\n".join([title, on.isoformat(), *parts]) + "\n"
