"""One-time links: who may ask for one, what it opens, whom it shows answers to, and when it ends."""

import logging
from datetime import timedelta
from typing import Any

import httpx
import pytest
from stepwell_shared.runtime import Runtime

from tests.services.screening.pages.browsing import PHQ_9, Browser, link_for, new_link
from tests.services.screening.pages.conftest import SITE, SiteFile
from tests.services.screening.pages.test_filling import BIRTH, ITEM_NINE, QUESTIONS, all_of
from tests.services.screening.submitting import CLINICIAN, EHR, Resource, patient
from tests.support.runtime import NORTH, SOUTH, Clock, stored, token

ANALYST = token(NORTH, "analyst")
FIRST = QUESTIONS[0]


async def kept_answers(runtime: Runtime) -> list[Resource]:
    found = await stored(runtime, NORTH, "QuestionnaireResponse")
    return found[0]["item"] if found else []


class TestAsking:
    @pytest.mark.parametrize(
        ("more", "status"),
        [
            ({"subject": None}, 400),
            ({"subject": {"valueReference": {"reference": "Patient/nobody"}}}, 404),
            ({"subject": {"valueReference": {"reference": "Practitioner/dr-1"}}}, 400),
            ({"subject": {"valueReference": {"identifier": {"value": "1"}}}}, 400),
            ({"task": {"valueReference": {"reference": "Task/none"}}}, 404),
            ({"expires": {"valueInstant": "2026-11-20T00:00:00Z"}}, 422),
            ({"expires": {"valueInstant": "2027-11-20T00:00:00Z"}}, 422),
            ({"colour": {"valueString": "red"}}, 400),
        ],
    )
    async def test_for_what_makes_no_sense_is_refused(
        self, http: httpx.AsyncClient, site: SiteFile, more: dict[str, Any], status: int
    ) -> None:
        assert (await link_for(http, **more)).status_code == status

    async def test_for_a_form_that_is_not_there_is_refused(self, http: httpx.AsyncClient, site: SiteFile) -> None:
        assert (await link_for(http, "nothing")).status_code == 404

    async def test_takes_the_right_to_create_responses(self, http: httpx.AsyncClient, site: SiteFile) -> None:
        assert (await link_for(http, headers=ANALYST)).status_code == 403
        assert (await link_for(http, headers=CLINICIAN)).status_code == 200

    async def test_for_a_person_of_another_tenant_is_refused(self, http: httpx.AsyncClient, site: SiteFile) -> None:
        other: Any = {"subject": {"valueReference": {"reference": "Patient/south-only"}}}
        assert (await link_for(http, **other)).status_code == 404

    async def test_is_refused_for_a_safety_item_while_the_site_has_no_crisis_contacts(
        self, http: httpx.AsyncClient, site: SiteFile
    ) -> None:
        site({"*": {}})
        assert (await link_for(http)).status_code == 422
        assert (await link_for(http, "gad-7-1.0.0")).status_code == 200

    async def test_gives_a_link_that_names_neither_person_nor_form(
        self, http: httpx.AsyncClient, site: SiteFile
    ) -> None:
        answer = await link_for(http)
        link = await new_link(http)
        assert answer.headers["cache-control"] == "no-store"
        assert link.startswith("https://stepwell.example/screening/forms/open/north.")
        assert not any(word in link for word in ("Patient", "phq-9", "/p1"))

    async def test_is_on_record(self, runtime: Runtime, http: httpx.AsyncClient, site: SiteFile) -> None:
        await link_for(http)
        async with runtime.database.transaction(NORTH) as connection:
            found = await connection.fetchval("SELECT count(*) FROM audit WHERE interaction = '$form-link'")
        assert found == 1


class TestForgeries:
    @pytest.mark.parametrize("token_", ["", "x", "north", "north.abc.def", "north..", "a.b.c.d", "%00.x.y", "é.x.y"])
    async def test_open_nothing(self, browser: Browser, token_: str) -> None:
        await browser.open(f"/screening/forms/open/{token_}")
        assert browser.answer.status_code == 404

    async def test_a_changed_signature_opens_nothing(self, browser: Browser, http: httpx.AsyncClient) -> None:
        link = await new_link(http)
        await browser.open(link[:-2] + ("A" if link[-2] != "A" else "B") + link[-1])
        assert browser.answer.status_code == 404

    @pytest.mark.parametrize(
        ("column", "value"),
        [("subject", "'Patient/other'"), ("questionnaire_id", "'gad-7-1.0.0'"), ("expires_at", "now() + '1 year'")],
    )
    async def test_a_changed_row_opens_nothing(
        self, runtime: Runtime, browser: Browser, http: httpx.AsyncClient, column: str, value: str
    ) -> None:
        link = await new_link(http)
        async with runtime.database.transaction(NORTH) as connection:
            await connection.execute(f"UPDATE form_link SET {column} = {value}")
        await browser.open(link)
        assert browser.answer.status_code == 404

    async def test_a_link_does_not_open_another_tenant(self, browser: Browser, http: httpx.AsyncClient) -> None:
        await browser.open((await new_link(http)).replace("/north.", "/south."))
        assert browser.answer.status_code == 404

    async def test_a_post_from_elsewhere_changes_nothing(
        self, runtime: Runtime, browser: Browser, http: httpx.AsyncClient, person: Resource
    ) -> None:
        page = await browser.open(await new_link(http))
        for csrf in ("", "x", page.fields[0][1][:-1]):
            await browser.client.post(page.action, data={f"q.{FIRST}": "1", "act": "save", "csrf": csrf})
        assert await kept_answers(runtime) == []

    async def test_a_form_without_a_link_opens_nothing(self, browser: Browser) -> None:
        for address in (f"/screening/forms/{PHQ_9}", "/screening/forms/", "/screening/forms/a/b/c"):
            page = await browser.open(address)
            assert (browser.answer.status_code, page.action) == (404, "")
        assert (await browser.client.put(f"/screening/forms/{PHQ_9}")).status_code == 404


class TestComingBack:
    @pytest.fixture
    async def link(self, browser: Browser, http: httpx.AsyncClient, person: Resource) -> str:
        """A form in which the first question was answered."""
        link = await new_link(http)
        await browser.open(link)
        await browser.press("save", {FIRST: "2"})
        return link

    async def test_never_shows_given_answers_to_who_only_has_the_link(
        self, browser: Browser, other_browser: Browser, link: str
    ) -> None:
        for each in (browser, other_browser):
            page = await each.open(link)
            assert "Welcome back" in page.text
            assert page.offered == {}

    async def test_not_even_to_the_browser_that_gave_them(self, browser: Browser, link: str) -> None:
        page = await browser.open(browser.page.action)
        assert "Welcome back" in page.text

    async def test_goes_on_for_who_knows_what_the_site_asks(
        self, other_browser: Browser, runtime: Runtime, link: str
    ) -> None:
        await other_browser.open(link)
        page = await other_browser.press("verify", **BIRTH)
        assert page.given() == {f"q.{FIRST}": "2"}
        async with runtime.database.transaction(NORTH) as connection:
            shown = "SELECT count(*) FROM audit WHERE interaction = 'read' AND client_id = 'form-page'"
            assert await connection.fetchval(shown) == 1
        await other_browser.press("send", all_of(1))
        assert other_browser.answer.status_code == 200
        assert [each["status"] for each in await stored(runtime, NORTH, "QuestionnaireResponse")] == ["completed"]

    async def test_choosing_a_language_first_asks_the_same(self, other_browser: Browser, link: str) -> None:
        await other_browser.open(link)
        page = await other_browser.press("language:de")
        assert "Willkommen zurück" in page.text
        assert page.offered == {}

    async def test_is_shut_after_five_wrong_tries_even_for_the_right_one(
        self, other_browser: Browser, browser: Browser, link: str
    ) -> None:
        await other_browser.open(link)
        for _ in range(5):
            page = await other_browser.press("verify", **{**BIRTH, "year": "1981"})
            assert "not what your care team has on record" in page.text
            assert "This link is locked" not in page.text
        for each in (other_browser, browser):
            await each.open(link)
            assert "This link is locked" in each.page.text
        page = await other_browser.open(link)
        assert "1980" not in page.html

    async def test_tries_at_one_moment_are_counted_one_by_one(
        self, runtime: Runtime, other_browser: Browser, link: str
    ) -> None:
        await other_browser.open(link)
        wrong = other_browser.data("verify", **{**BIRTH, "year": "1981"})
        for _ in range(8):
            await other_browser.client.post(other_browser.page.action, data=wrong)
        async with runtime.database.transaction(NORTH) as connection:
            assert await connection.fetchval("SELECT attempts FROM form_link") == 5

    async def test_somebody_elses_answers_never_replace_given_ones(
        self, runtime: Runtime, http: httpx.AsyncClient, browser: Browser, other_browser: Browser, person: Resource
    ) -> None:
        link = await new_link(http)
        await other_browser.open(link)  # while it was blank
        await browser.open(link)
        await browser.press("save", {FIRST: "2"})
        before = await kept_answers(runtime)
        for answers in ({FIRST: "0"}, {}):
            page = await other_browser.press("send", answers)
            assert "Welcome back" in page.text
            await other_browser.open(link)
        assert await kept_answers(runtime) == before

    async def test_what_was_proved_is_forgotten_after_a_while(
        self, runtime: Runtime, other_browser: Browser, link: str
    ) -> None:
        await other_browser.open(link)
        page = await other_browser.press("verify", **BIRTH)
        assert isinstance(runtime.clock, Clock)
        runtime.clock.now += timedelta(minutes=21)
        page = await other_browser.open(page.action)
        assert "Welcome back" in page.text

    @pytest.mark.parametrize(
        ("factor", "right", "wrong"), [("postal-code", "ab-12", "AB 13"), ("phone-digits", "4567", "5551")]
    )
    async def test_asks_what_the_site_has_chosen(
        self, site: SiteFile, other_browser: Browser, link: str, factor: str, right: str, wrong: str
    ) -> None:
        site({"north": {**SITE["north"], "secondFactor": factor}})
        await other_browser.open(link)
        assert (await other_browser.press("verify", fact=wrong)).given() == {}
        assert (await other_browser.press("verify", fact=right)).given() == {f"q.{FIRST}": "2"}

    async def test_asks_for_a_new_link_where_nothing_is_on_record(
        self, http: httpx.AsyncClient, other_browser: Browser, link: str
    ) -> None:
        await http.put("Patient/p1", json=patient(birthDate="1980"), headers=EHR)
        page = await other_browser.open(link)
        assert "ask for a new link" in page.text
        await other_browser.open(page.action)
        assert other_browser.page.offered == {}


class TestTheEnd:
    async def test_a_spent_link_shows_nothing_and_takes_nothing(
        self, runtime: Runtime, browser: Browser, other_browser: Browser, http: httpx.AsyncClient, person: Resource
    ) -> None:
        link = await new_link(http)
        await browser.open(link)
        sent = browser.data("save", all_of(0, q9=1))
        await browser.press("send", all_of(1))
        before = await kept_answers(runtime)
        for each in (browser, other_browser):
            page = await each.open(link)
            assert (each.answer.status_code, page.offered) == (410, {})
        await browser.client.post(f"/screening/forms/{PHQ_9}", data=sent)
        assert await kept_answers(runtime) == before

    async def test_an_expired_link_opens_nothing_but_who_is_there_can_still_send(
        self, runtime: Runtime, browser: Browser, other_browser: Browser, http: httpx.AsyncClient, person: Resource
    ) -> None:
        link = await new_link(http, expires={"valueInstant": "2026-11-21T10:00:00Z"})
        await browser.open(link)
        assert isinstance(runtime.clock, Clock)
        runtime.clock.now += timedelta(hours=1)
        await other_browser.open(link)
        assert (other_browser.answer.status_code, "expired" in other_browser.page.text) == (410, True)
        await browser.press("send", all_of(1))
        assert "Your answers have arrived" in browser.page.text
        runtime.clock.now += timedelta(hours=2)
        await browser.open(f"/screening/forms/{PHQ_9}")
        assert browser.answer.status_code == 410

    async def test_two_links_are_two_responses(
        self, runtime: Runtime, browser: Browser, http: httpx.AsyncClient, person: Resource
    ) -> None:
        for _ in range(2):
            await browser.open(await new_link(http))
            await browser.press("send", all_of(0))
        assert len(await stored(runtime, NORTH, "QuestionnaireResponse")) == 2
        assert len(await stored(runtime, SOUTH, "QuestionnaireResponse")) == 1


class TestPrivacy:
    async def test_every_page_keeps_itself_to_itself(
        self, browser: Browser, http: httpx.AsyncClient, person: Resource
    ) -> None:
        link = await new_link(http)
        steps = [await browser.client.get(link), (await browser.client.get(link, follow_redirects=True))]
        await browser.open(link)
        await browser.press("send", all_of(1))
        steps += [browser.answer, await browser.client.get("/screening/forms/nothing")]
        for answer in steps:
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy

    async def test_the_link_leaves_the_address_bar_and_the_cookie_says_nothing(
        self, browser: Browser, http: httpx.AsyncClient, person: Resource
    ) -> None:
        answer = await browser.client.get(await new_link(http))
        assert (answer.status_code, answer.headers["location"]) == (303, f"/screening/forms/{PHQ_9}")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Secure-stepwell-form=")
        assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=Lax", f"Path=/screening/forms/{PHQ_9}"))
        assert not any(word in cookie for word in ("Patient", "p1.", "1980"))

    async def test_neither_link_nor_answers_are_logged(
        self,
        browser: Browser,
        http: httpx.AsyncClient,
        person: Resource,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        link = await new_link(http)
        with caplog.at_level(logging.DEBUG, logger="stepwell"):
            await browser.open(link)
            await browser.press("send", {ITEM_NINE: "3"})
            await browser.open(f"{link}x")
        printed = capsys.readouterr()
        said = caplog.text + printed.out + printed.err
        assert not any(word in said for word in (link.rpartition("/")[2], "44260", "LA6571"))

    async def test_what_is_typed_never_becomes_markup(self, browser: Browser) -> None:
        page = await browser.open("/screening/forms/<script>alert(1)</script>")
        assert "<script>alert" not in page.html

    async def test_a_parameter_in_the_address_changes_nothing(self, browser: Browser) -> None:
        await browser.open(f"/screening/forms/{PHQ_9}?_pretty=true&lang=de")
        assert browser.answer.status_code == 404


async def test_a_link_is_a_link_in_another_process_too(
    runtime: Runtime, browser: Browser, http: httpx.AsyncClient, person: Resource
) -> None:
    link = await new_link(http)
    runtime.cache.clear()  # all that a process knows beside its database and its key file
    await browser.open(link)
    assert browser.page.offered
