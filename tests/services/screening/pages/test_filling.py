"""A person fills in a form without an account and without scripts: what is kept, what is shown, and to whom."""

from typing import Any

import httpx
import pytest
from stepwell_screening import data
from stepwell_shared.runtime import Runtime

from tests.services.screening.pages.browsing import Browser, Page, new_link
from tests.services.screening.submitting import Resource, said, score_in, the
from tests.support.runtime import NORTH, stored

QUESTIONS = [item["linkId"] for item in data.questionnaire("phq-9")["item"] if item["type"] == "choice"]
ITEM_NINE = "/44260-8"
NO, YES = "0", "1"
BIRTH = {"day": "5", "month": "3", "year": "1980"}


def all_of(number: int, **other: int) -> dict[str, str]:
    """One option for every question, but for those named by their place from 1."""
    return {each: str(other.get(f"q{place}", number)) for place, each in enumerate(QUESTIONS, 1)}


async def response(runtime: Runtime) -> Resource:
    (found,) = await stored(runtime, NORTH, "QuestionnaireResponse")
    return found


@pytest.fixture
async def opened(browser: Browser, http: httpx.AsyncClient, person: Resource) -> Browser:
    await browser.open(await new_link(http))
    return browser


async def test_nothing_is_kept_before_something_is_answered(runtime: Runtime, opened: Browser) -> None:
    await opened.press("save")
    assert await stored(runtime, NORTH, "QuestionnaireResponse") == []
    page = await opened.press("stop")
    assert "Nothing has been answered yet" in page.text


async def test_saved_answers_are_an_ordinary_response_in_progress(runtime: Runtime, opened: Browser) -> None:
    page = await opened.press("save", {QUESTIONS[0]: "2"})
    assert page.given() == {f"q.{QUESTIONS[0]}": "2"}
    kept = await response(runtime)
    assert (kept["status"], kept["subject"]) == ("in-progress", {"reference": "Patient/p1"})
    assert kept["item"][0]["answer"][0]["valueCoding"]["code"] == "LA6570-1"
    assert await said(runtime, "score-finalized") == []


async def test_sent_answers_are_scored_as_every_response_is(runtime: Runtime, opened: Browser) -> None:
    page = await opened.press("send", all_of(2, q9=0))
    assert "Your answers have arrived" in page.text
    assert (await response(runtime))["status"] == "completed"
    (event,) = await said(runtime, "score-finalized")
    assert score_in(event)["valueQuantity"]["value"] == 16


async def test_a_page_that_is_sent_twice_counts_once(runtime: Runtime, opened: Browser) -> None:
    sent = opened.data("send", all_of(1))
    answers = [await opened.client.post(opened.page.action, data=sent) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(await said(runtime, "score-finalized")) == 1
    assert len(await said(runtime, "safety-alert")) == 1


async def test_the_end_names_no_score_and_no_band(opened: Browser) -> None:
    page = await opened.press("send", all_of(3))
    bands = [band["display"].lower() for band in data.scoring("phq-9").get("bands", [])]
    words = [*bands, "27", "severe", "moderate", "depress", "phq"]
    assert [word for word in words if word in page.text.lower()] == []


class TestBlanks:
    async def test_are_asked_about_once_and_then_sent_as_they_are(self, runtime: Runtime, opened: Browser) -> None:
        answers = dict.fromkeys(QUESTIONS[:7], "1")
        page = await opened.press("send", answers)
        assert "Some questions are still blank" in page.text
        assert sum(link.startswith("#q") for link in page.links) == 3
        assert (await response(runtime))["status"] == "in-progress"
        page = await opened.press("send-anyway")
        assert "Your answers have arrived" in page.text
        kept = await response(runtime)
        assert len([item for item in kept["item"] if item.get("answer")]) == 7

    async def test_at_a_safety_question_show_help_and_open_an_alert(self, runtime: Runtime, opened: Browser) -> None:
        answers = {each: "0" for each in QUESTIONS if each != ITEM_NINE}
        await opened.press("send", answers)
        page = await opened.press("send-anyway")
        assert "You do not have to be alone" in page.text
        assert (await the(runtime, "RiskAssessment"))["reasonCode"][0]["coding"][0]["code"] == "SAF-5"


class TestSafety:
    @pytest.mark.parametrize("act", ["save", "send", "stop", "language:de", "print:large"])
    async def test_a_positive_answer_alerts_and_shows_help_whatever_is_pressed(
        self, runtime: Runtime, opened: Browser, act: str
    ) -> None:
        page = await opened.press(act, {ITEM_NINE: "1"})
        assert "help" in page.ids
        assert page.text.count("+1 555 0100") == (1 if act == "stop" else 2), "at once, and at the foot of the form"
        assert len(await said(runtime, "safety-alert")) == 1
        assert (await the(runtime, "Task"))["code"]["coding"][0]["code"] == "safety-review"

    async def test_without_one_the_contacts_stand_at_the_foot_alone(self, opened: Browser) -> None:
        page = await opened.press("save", {ITEM_NINE: "0"})
        assert "You do not have to be alone" not in page.text
        assert page.text.count("+1 555 0100") == 1

    async def test_the_end_begins_with_help(self, opened: Browser) -> None:
        page = await opened.press("send", all_of(0, q9=3))
        assert page.text.index("You do not have to be alone") < page.text.index("Your answers have arrived")

    async def test_contacts_are_named_in_the_readers_language_or_marked_as_another(self, opened: Browser) -> None:
        page = await opened.press("language:de", {ITEM_NINE: "1"})
        assert "Beispiel-Telefon" in page.text
        assert '<strong lang="en">Example Chat</strong>' in page.html


class TestLanguage:
    async def test_is_the_browsers_until_another_is_chosen_and_no_answer_is_lost(
        self, browser: Browser, http: httpx.AsyncClient, person: Resource
    ) -> None:
        page = await browser.open(await new_link(http), **{"Accept-Language": "es-MX, en;q=0.5"})
        assert (page.language, "Sus preguntas" in page.text) == ("es", True)
        page = await browser.press("language:fr", {QUESTIONS[1]: "3"})
        assert (page.language, page.given()) == ("fr", {f"q.{QUESTIONS[1]}": "3"})
        page = await browser.press("save")
        assert page.language == "fr"

    async def test_of_the_answers_is_that_of_the_questions_that_were_read(
        self, runtime: Runtime, opened: Browser
    ) -> None:
        await opened.press("save", {QUESTIONS[1]: "3"})
        assert (await response(runtime))["language"] == "en"

    async def test_large_print_stays(self, opened: Browser) -> None:
        assert '<body class="large">' in (await opened.press("print:large")).html
        assert '<body class="large">' in (await opened.press("save")).html
        assert '<body class="large">' not in (await opened.press("print:normal")).html


class TestFollowUps:
    """PC-PTSD-5: its five questions are asked of who has been through something like that."""

    FORM, EVENT = "pc-ptsd-5-1.0.0", "/pc-ptsd-5-exposure"

    @pytest.fixture
    async def page(self, browser: Browser, http: httpx.AsyncClient, person: Resource) -> Page:
        return await browser.open(await new_link(http, self.FORM))

    async def test_are_in_the_page_but_neither_seen_nor_sent_until_asked_for(self, page: Page) -> None:
        assert set(page.offered) == {f"q.{self.EVENT}"}
        assert page.html.count('<fieldset class="asked"') >= 5
        assert page.html.count("hidden disabled") >= 5

    @pytest.mark.usefixtures("page")
    async def test_come_before_the_end_without_scripts(self, runtime: Runtime, browser: Browser) -> None:
        page = await browser.press("send", {self.EVENT: YES})
        assert "A few more questions" in page.text
        assert len(page.offered) == 6
        page = await browser.press("send", {name.removeprefix("q."): NO for name in page.offered} | {self.EVENT: YES})
        assert "Your answers have arrived" in page.text
        assert (await response(runtime))["status"] == "completed"

    @pytest.mark.usefixtures("page")
    async def test_that_are_no_longer_asked_for_are_not_kept(self, runtime: Runtime, browser: Browser) -> None:
        page = await browser.press("save", {self.EVENT: YES})
        page = await browser.press("save", {name.removeprefix("q."): YES for name in page.offered})
        assert len(page.given()) == 6
        page = await browser.press("send", {self.EVENT: NO})
        assert "Your answers have arrived" in page.text
        kept = await response(runtime)
        assert [item["linkId"] for item in kept["item"] if item.get("answer")] == [self.EVENT]


class TestProblems:
    async def test_are_said_at_their_questions_and_everything_else_is_kept(
        self, runtime: Runtime, browser: Browser, http: httpx.AsyncClient, person: Resource
    ) -> None:
        questions = [item["linkId"] for item in data.questionnaire("tracker")["item"] if item["type"] != "display"]
        await browser.open(await new_link(http, "tracker-1.0.0"))
        page = await browser.press("send", {questions[0]: "3", questions[3]: "many"})
        assert (browser.answer.status_code, page.given()[f"q.{questions[3]}"]) == (422, "many")
        assert page.html.count('aria-invalid="true"') == 1
        assert "<title>Please look at this again" in page.html
        (kept,) = (await response(runtime))["item"]
        assert kept["linkId"] == questions[0]

    async def test_a_group_that_may_be_left_out_demands_nothing_while_it_is_blank(
        self, browser: Browser, http: httpx.AsyncClient, person: Resource
    ) -> None:
        await browser.open(await new_link(http, "goals-1.0.0"))
        page = await browser.press("send")
        assert (browser.answer.status_code, "still blank" in page.text) == (200, True)
        page = await browser.press("send", {"/goal-meaning": "because"})
        assert (browser.answer.status_code, "This question needs an answer" in page.text) == (422, True)


class TestRepeatingGroups:
    async def test_are_asked_as_often_as_somebody_wants_and_stand_after_each_other(
        self, runtime: Runtime, browser: Browser, other_browser: Browser, http: httpx.AsyncClient, person: Resource
    ) -> None:
        link = await new_link(http, "goals-1.0.0")
        await browser.open(link)
        page = await browser.press("more:/goal", {"/goal-words": "To swim"})
        second = [name for name, _ in page.fields if name.startswith("q./goal-words") and name != "q./goal-words"]
        assert len(second) == 1
        await browser.press("save", {second[0].removeprefix("q."): "To sing"})
        items = (await response(runtime))["item"]
        assert [item["linkId"] for item in items] == ["/goal", "/goal"]
        assert [item["item"][0]["answer"][0]["valueString"] for item in items] == ["To swim", "To sing"]
        await other_browser.open(link)
        page = await other_browser.press("verify", **BIRTH)
        assert sorted(page.given().values()) == ["To sing", "To swim"]
        await other_browser.press("send")
        await other_browser.press("send-anyway")
        assert (await response(runtime))["status"] == "completed"

    async def test_are_asked_ten_times_at_most(
        self, browser: Browser, http: httpx.AsyncClient, person: Resource
    ) -> None:
        await browser.open(await new_link(http, "goals-1.0.0"))
        page = await browser.press("save", **{"copies./goal": "999"})
        assert page.html.count("<textarea") == 20
        assert ("act", "more:/goal") not in page.buttons


async def test_what_the_script_is_told_holds_no_answer(opened: Browser) -> None:
    sent = opened.data("save", {QUESTIONS[0]: "2", ITEM_NINE: "1"})
    answer = await opened.client.post(opened.page.action, data=sent, headers={"Accept": "application/json"})
    told: dict[str, Any] = answer.json()
    assert (told["answered"], told["total"], told["concern"]) == (2, len(QUESTIONS), True)
    assert set(told) == {"enabled", "counts", "answered", "total", "concern"}
