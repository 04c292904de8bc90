"""One form in one browser: what its person does, decided step by step, and the page that answers it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.fhir.languages import best, in_language, languages_of
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.runtime import Runtime

from stepwell_screening.instruments import Instrument
from stepwell_screening.pages import views
from stepwell_screening.pages.layout import LANGUAGE, LARGER, NORMAL, Frame
from stepwell_screening.pages.questions import COPIES, FIELD, MORE, SHOWN, Sheet
from stepwell_screening.pages.session import Session, csrf_of
from stepwell_screening.pages.texts import LANGUAGES
from stepwell_screening.rules.form_copies import counted
from stepwell_screening.rules.form_fields import Filled, Form, fields_of, filled, form_of
from stepwell_screening.rules.second_factor import birth_date_of, is_on_record, is_proved
from stepwell_screening.use_cases import form_links
from stepwell_screening.use_cases.form_links import Link
from stepwell_screening.use_cases.forms import (
    GOES_ON,
    SENT,
    Answers,
    answers_of,
    keep_answers,
    record_shown,
    refused_places,
)

Posted = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Answer:
    """What goes back: a page, or with `is_data` what the script wants to know; the session as it is now."""

    status: int
    body: bytes
    session: Session
    is_data: bool = False


@dataclass(frozen=True)
class Filling:
    """One request of somebody who fills in a form. `now` is when."""

    runtime: Runtime
    link: Link
    instrument: Instrument
    session: Session
    frame: Frame
    door: views.Door
    now: datetime

    async def opened(self) -> Answer:
        """The form is looked at: given answers are shown only to who has proved who they are."""
        answers = await answers_of(self.runtime, self.link, self.instrument)
        if answers.is_sent:
            return self._closed("spent")
        if answers.items and not self.session.shows(self.now):
            return await self._asks_who_it_is()
        if answers.items:
            await record_shown(self.runtime, self.link)
        form, language = self._form(counted(answers.items))
        fields = fields_of(form, answers.items)
        sheet = Sheet(form, self.frame.texts, fields, filled(form, fields).enabled, language=language)
        return self._page(sheet, is_concern=bool(answers.concerns))

    async def proved(self, posted: Posted) -> Answer:
        """Somebody comes back and says what only they should know. Every try counts before it is looked at."""
        if not await form_links.count_attempt(self.runtime, self.link):
            return self._closed("locked")
        person = await self._person()
        factor = self.frame.site.second_factor
        if factor == "birth-date":
            given = birth_date_of(*(_first(posted, name) for name in ("day", "month", "year")))
        else:
            given = _first(posted, "fact")
        if not is_proved(factor, person, given):
            return Answer(422, views.verify_page(self.frame, self.door, was_wrong=True), self.session)
        await form_links.forget_attempts(self.runtime, self.link)
        return await replace(self, session=self.session.proved(self.now)).opened()

    async def filled(self, posted: Posted, act: str, *, is_data: bool) -> Answer:
        """Answers come in. They are kept first, whatever else was asked for; nobody else's are replaced."""
        form, language = self._form(_copies(posted, act))
        fields = {name.removeprefix(FIELD): values for name, values in posted.items() if name.startswith(FIELD)}
        found = filled(form, fields)
        sheet = Sheet(form, self.frame.texts, fields, found.enabled, language=language)
        if (found.items or self.link.author) and not await self._may_write():
            return Answer(403, b"{}", self.session, is_data=True) if is_data else await self._asks_who_it_is()
        kept = await self._keep(found, GOES_ON)
        if kept.is_sent:
            return self._sent(kept) if act in {views.SEND, views.SEND_ANYWAY} else self._closed("spent")
        concern = bool(kept.concerns)
        if is_data:
            return self._progress(sheet, found, is_concern=concern)
        if act in {views.SEND, views.SEND_ANYWAY}:
            return await self._send(sheet, found, posted, is_concern=concern, anyway=act == views.SEND_ANYWAY)
        return self._stopped(found, is_concern=concern) if act == views.STOP else self._page(sheet, is_concern=concern)

    async def _send(self, sheet: Sheet, found: Filled, posted: Posted, *, is_concern: bool, anyway: bool) -> Answer:
        """Sends the answers, unless something should be looked at before."""
        problems = self._problems(sheet.form, found)
        if problems:
            return self._wrong(sheet, problems, is_concern=is_concern)
        blank = found.blank(sheet.form)
        new = [each for each in blank if self._is_new(sheet.form, each, posted)]
        if new:
            return self._page(sheet, notice="more", listed=new, is_concern=is_concern)
        if blank and not anyway:
            return self._page(sheet, notice="blank", listed=blank, is_concern=is_concern)
        try:
            return self._sent(await self._keep(found, SENT))
        except FhirError as error:
            places = [each for each in refused_places(error, found.items) if each in sheet.form.questions]
            if not places:
                raise
        return self._wrong(
            sheet, dict.fromkeys(places, self.frame.texts.said("problem.refused")), is_concern=is_concern
        )

    def _is_new(self, form: Form, link_id: str, posted: Posted) -> bool:
        """Whether a question has come to be asked by the answers that were just sent."""
        return link_id in form.conditions and link_id not in posted.get(SHOWN, ())

    def _problems(self, form: Form, found: Filled) -> dict[str, str]:
        """What is wrong, by question in the order of the form, in words that help."""
        said = self.frame.texts.said
        missing, problems = found.missing(form), {}
        for link_id, question in form.questions.items():
            if link_id in found.malformed:
                kind = {"quantity": "decimal", "dateTime": "date"}.get(question.kind, question.kind)
                known = kind in {"date", "time", "integer", "decimal", "url"} and not question.options
                problems[link_id] = said(f"problem.{kind}" if known else "problem.choice")
            elif link_id in missing:
                problems[link_id] = said("problem.required")
        return problems

    def _wrong(self, sheet: Sheet, problems: Mapping[str, str], *, is_concern: bool) -> Answer:
        page = views.form_page(
            self.frame,
            self.door,
            replace(sheet, problems=problems),
            notice="problem",
            listed=list(problems),
            is_concern=is_concern,
        )
        return Answer(422, page, self.session.seen(self.now))

    def _page(self, sheet: Sheet, *, notice: str = "", listed: Sequence[str] = (), is_concern: bool) -> Answer:
        page = views.form_page(self.frame, self.door, sheet, notice=notice, listed=listed, is_concern=is_concern)
        return Answer(200, page, self.session.seen(self.now))

    def _stopped(self, found: Filled, *, is_concern: bool) -> Answer:
        page = views.stopped_page(self.frame, self.link, is_concern=is_concern, has_answers=bool(found.items))
        return Answer(200, page, replace(self.session, proved_at=None))

    def _sent(self, kept: Answers) -> Answer:
        page = views.summary_page(self.frame, is_concern=bool(kept.concerns))
        return Answer(200, page, replace(self.session, proved_at=None))

    def _progress(self, sheet: Sheet, found: Filled, *, is_concern: bool) -> Answer:
        """What the script shows after saving: counts and linkIds, no answer."""
        total = len(sheet.numbers)
        said = {
            "enabled": sorted(found.enabled),
            "counts": [self.frame.texts.said("page.number", number=n, total=total) for n in range(1, total + 1)],
            "answered": len(found.answered),
            "total": total,
            "concern": is_concern,
        }
        return Answer(200, orjson.dumps(said), self.session.seen(self.now), is_data=True)

    def _closed(self, why: str) -> Answer:
        status = {"spent": 410, "locked": 403, "unproved": 403}[why]
        return Answer(status, views.closed_page(self.frame, why), self.session)

    async def _asks_who_it_is(self) -> Answer:
        if self.link.attempts >= form_links.ATTEMPTS_MAX:
            return self._closed("locked")
        if not is_on_record(self.frame.site.second_factor, await self._person()):
            return self._closed("unproved")
        return Answer(200, views.verify_page(self.frame, self.door), self.session)

    async def _may_write(self) -> bool:
        """Whether this browser gave the first answers, or its person has proved who they are."""
        author = self.link.author or await form_links.claim(self.runtime, self.link, self.session.author)
        return author == self.session.author or self.session.proved_at is not None

    async def _keep(self, found: Filled, status: str) -> Answers:
        language = self._language()
        return await keep_answers(
            self.runtime, self.link, self.instrument, found.items, status=status, language=language
        )

    async def _person(self) -> dict[str, Any]:
        resource_type, _, id_ = self.link.subject.partition("/")
        stored = await self.runtime.store.read(self.link.tenant, resource_type, id_)
        found: dict[str, Any] = orjson.loads(stored.body) if stored is not None and stored.body else {}
        return found

    def _language(self) -> str:
        """The language of the questions: the page's where they have it, else their own."""
        offered = languages_of(self.instrument.questionnaire)
        return best(self.frame.texts.language, offered) or offered[0]

    def _form(self, counts: Mapping[str, int]) -> tuple[Form, str | None]:
        """The form in the page's language; its own language where it is another."""
        questionnaire, language = self.instrument.questionnaire, self._language()
        if language != languages_of(questionnaire)[0]:
            questionnaire = in_language(questionnaire, language)
        return form_of(questionnaire, counts), None if language == self.frame.texts.language else language


def reads_as(session: Session, act: str) -> Session:
    """The session after its person has chosen a language or a text size."""
    if act.startswith(LANGUAGE) and act.removeprefix(LANGUAGE) in LANGUAGES:
        return replace(session, language=act.removeprefix(LANGUAGE))
    if act in {LARGER, NORMAL}:
        return replace(session, is_large=act == LARGER)
    return session


def door_of(runtime: Runtime, session: Session, address: str) -> views.Door:
    """Where the forms of a page go, with what shows that they come from it."""
    return views.Door(address, csrf_of(runtime, session))


def _copies(posted: Posted, act: str) -> dict[str, int]:
    """How often the page asks each repeating group, and once more where that was wanted."""
    counts = {
        name.removeprefix(COPIES): int(values[0]) if re.fullmatch(r"[0-9]{1,3}", values[0]) else 1
        for name, values in posted.items()
        if name.startswith(COPIES)
    }
    return {link_id: count + (act == MORE + link_id) for link_id, count in counts.items()}


def _first(posted: Posted, name: str) -> str:
    return next(iter(posted.get(name, ())), "")
