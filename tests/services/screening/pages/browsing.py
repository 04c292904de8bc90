"""A browser without scripts: follows links, keeps cookies, fills in the form of a page and presses its buttons."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any

import httpx

from tests.services.screening.submitting import EHR
from tests.support.runtime import URLS

PHQ_9 = "phq-9-1.0.0"


class Page(HTMLParser):
    """One page: its words, its form's fields as they would be sent, and the ids and links in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.words: list[str] = []
        self.fields: list[tuple[str, str]] = []
        self.offered: dict[str, list[str]] = {}
        self.buttons: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.action = ""
        self.language = ""
        self._off = 0
        self._open: list[tuple[str, bool]] = []
        self._area: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        off = "hidden" in has
        if tag not in {"input", "link", "meta", "br"}:
            self._open.append((tag, off))
            self._off += off
        if "id" in has:
            self.ids.append(has["id"])
        if tag == "html":
            self.language = has["lang"]
        if tag == "form":
            self.action = has["action"]
        if tag == "a":
            self.links.append(has["href"])
        if not self._off:
            self._field(tag, has)

    def _field(self, tag: str, has: dict[str, str]) -> None:
        if tag == "textarea":
            self._area = has["name"]
            self.fields.append((has["name"], ""))
        elif tag == "button":
            self.buttons.append((has["name"], has["value"]))
        elif tag == "input" and has.get("type") in {"radio", "checkbox"}:
            self.offered.setdefault(has["name"], []).append(has["value"])
            if "checked" in has:
                self.fields.append((has["name"], has["value"]))
        elif tag == "input":
            self.fields.append((has["name"], has.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        _, off = self._open.pop()
        self._off -= off
        self._area = None if tag == "textarea" else self._area

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.fields[-1] = (self._area, self.fields[-1][1] + data)
        elif not self._off:
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader sees."""
        return " ".join(self.words)

    def given(self) -> dict[str, str]:
        """The answers that are filled in on the page."""
        return {name: value for name, value in self.fields if name.startswith("q.") and value}


class Browser:
    """One browser; `answer` is the last answer and `page` what it shows."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.answer = httpx.Response(204)
        self.page = Page("")

    @classmethod
    @asynccontextmanager
    async def at(cls, application: Any) -> AsyncIterator["Browser"]:
        """A browser that reaches this application."""
        transport = httpx.ASGITransport(application)
        base = URLS["screening"].removesuffix("/screening/fhir")
        async with httpx.AsyncClient(transport=transport, base_url=base, headers={"Accept-Language": "en"}) as client:
            yield cls(client)

    async def open(self, address: str, **headers: str) -> Page:
        """Opens an address as a click does."""
        return self._show(await self.client.get(address, headers=headers, follow_redirects=True))

    async def press(self, act: str, answers: dict[str, str] | None = None, /, **fields: str) -> Page:
        """Fills in answers by linkId, and other fields by name, and presses the button `act`."""
        data = self.data(act, answers, **fields)
        return self._show(await self.client.post(self.page.action, data=data))

    def data(self, act: str, answers: dict[str, str] | None = None, /, **fields: str) -> dict[str, list[str]]:
        """What pressing the button sends."""
        wanted = {**{f"q.{link_id}": value for link_id, value in (answers or {}).items()}, **fields}
        data: dict[str, list[str]] = {}
        for name, value in self.page.fields:
            if name not in wanted:
                data.setdefault(name, []).append(value)
        return {**data, **{name: [value] for name, value in wanted.items()}, "act": [act]}

    def _show(self, answer: httpx.Response) -> Page:
        self.answer = answer
        self.page = Page(answer.text)
        return self.page


async def link_for(
    http: httpx.AsyncClient, questionnaire: str = PHQ_9, headers: dict[str, str] = EHR, **more: Any
) -> httpx.Response:
    """Asks for a link for Patient/p1."""
    given = {"subject": {"valueReference": {"reference": "Patient/p1"}}, **more}
    parameters = [{"name": name, **value} for name, value in given.items() if value is not None]
    body = {"resourceType": "Parameters", "parameter": parameters}
    return await http.post(f"Questionnaire/{questionnaire}/$form-link", json=body, headers=headers)


async def new_link(http: httpx.AsyncClient, questionnaire: str = PHQ_9, **more: Any) -> str:
    """A link for Patient/p1, as they get it."""
    answer = await link_for(http, questionnaire, **more)
    assert answer.status_code == 200, answer.text
    return str(next(each["valueUrl"] for each in answer.json()["parameter"] if each["name"] == "link"))
