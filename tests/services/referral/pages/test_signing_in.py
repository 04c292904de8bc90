"""Promises of signing in with a browser: a link opens one session and once, and a session ends when it should."""

from datetime import timedelta
from typing import Any

import pytest
from stepwell_shared.auth.ended_rights import SESSION_LIVES, end_rights
from stepwell_shared.pages import sign_in
from stepwell_shared.pages.sign_in import IDLE_MAX, LINK_LIVES
from stepwell_shared.runtime import Runtime

from tests.services.referral.pages.visiting import WORKLIST, at_work, browser, form_of, put_on, signed_in
from tests.support.runtime import NORTH, SOUTH, START, Clock

COOKIE = "__Secure-stepwell-staff"
BEARER = {"Authorization": "Bearer x"}


def later(runtime: Runtime, by: timedelta) -> None:
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now += by


async def link(client: Any) -> str:
    asked = await client.post(f"{WORKLIST}/sign-in", headers=BEARER)
    assert asked.status_code == 200, asked.text
    return str(asked.json()["link"])


async def test_no_link_without_a_token_nor_for_who_is_no_staff(runtime: Runtime) -> None:
    async with browser(runtime, None) as client:
        assert (await client.post(f"{WORKLIST}/sign-in")).status_code == 401
    outside: list[dict[str, Any]] = [{"role": "patient", "patient": "p1"},
                                     {"role": "related-person", "fhir_user": "RelatedPerson/r"}]  # fmt: skip
    for who in outside:
        async with browser(runtime, at_work(**who)) as client:
            assert (await client.post(f"{WORKLIST}/sign-in", headers=BEARER)).status_code == 403
    async with browser(runtime, at_work(scopes="user/Patient.rs")) as client:
        assert (await client.post(f"{WORKLIST}/sign-in", headers=BEARER)).status_code == 403
    async with browser(runtime, at_work()) as client:
        refused = await client.get(f"{WORKLIST}/sign-in", headers=BEARER)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")


async def test_a_link_opens_once_soon_and_only_if_it_is_ours(runtime: Runtime) -> None:
    async with browser(runtime, at_work()) as client:
        address = await link(client)
        for changed in (
            f"{address}x",
            address.replace("/open/", "/open/e"),
            f"{WORKLIST}/open/",
            f"{WORKLIST}/open/a.b",
        ):
            assert (await client.get(changed)).status_code == 401
        ahead = await client.head(address)  # whoever looks ahead neither uses it up nor is let in
        assert (ahead.status_code, "Set-Cookie" in ahead.headers) == (303, False)
        assert (await client.get(address)).status_code == 303
        assert (await client.get(WORKLIST)).status_code == 200
    async with browser(runtime, at_work()) as other:
        used = await other.get(address)
        assert (used.status_code, "Set-Cookie" in used.headers) == (401, False)
        assert (await other.get(WORKLIST)).status_code == 401
        late = await link(other)
        later(runtime, LINK_LIVES)
        assert (await other.get(late)).status_code == 401


async def test_the_cookie_is_for_the_browser_and_these_pages_alone(runtime: Runtime) -> None:
    async with browser(runtime, at_work()) as client:
        opened = await client.get(await link(client))
        name, *attributes = opened.headers["Set-Cookie"].split("; ")
        assert name.startswith(f"{COOKIE}=")
        assert attributes == [f"Path={WORKLIST}", "HttpOnly", "SameSite=Lax", "Secure"]
        assert (opened.headers["Location"], opened.headers["Referrer-Policy"]) == (WORKLIST, "no-referrer")
        text = name.partition("=")[2]
        # What is in the cookie is no token, however it is sent.
        assert (await client.get(WORKLIST, headers={"Authorization": f"Bearer {text}"})).status_code == 401
        client.cookies.clear()
        # Nor does one count that could have been put in without https.
        assert (await client.get(WORKLIST, headers={"Cookie": f"stepwell-staff={text}"})).status_code == 401
        for forged in (text[:-2] + "AA", text.partition(".")[0], "x", ""):
            assert (await client.get(WORKLIST, headers={"Cookie": f"{COOKIE}={forged}"})).status_code == 401
        assert (await client.get(WORKLIST, headers={"Authorization": f"Session {text}"})).status_code == 401


async def test_who_signs_out_is_out_also_with_a_copy_of_the_cookie(runtime: Runtime) -> None:
    await put_on(runtime, "a")
    async with signed_in(runtime, at_work()) as client:
        page = await client.get(f"{WORKLIST}/lines/a")
        copy = client.cookies.get(COOKIE)
        assert (await client.post(f"{WORKLIST}/sign-out", data={"csrf": "x"})).status_code == 403
        assert (await client.get(WORKLIST)).status_code == 200
        left = await client.post(f"{WORKLIST}/sign-out", data={"csrf": form_of(page, "begin")["csrf"]})
        assert left.status_code == 401
        assert "signed out" in left.text
        assert client.cookies.get(COOKIE) is None
        again = await client.get(WORKLIST, headers={"Cookie": f"{COOKIE}={copy}"})
        assert again.status_code == 401


@pytest.mark.parametrize(
    ("steps", "status"),
    [([IDLE_MAX], 401), ([IDLE_MAX * 0.9] * 3, 200), ([IDLE_MAX * 0.9] * 12, 401)],
    ids=["idle", "at work", "after a working day"],
)
async def test_a_session_ends_when_nobody_is_there_and_after_a_working_day(
    runtime: Runtime, steps: list[timedelta], status: int
) -> None:
    assert sum(steps, timedelta()) > SESSION_LIVES or len(steps) < 12
    async with signed_in(runtime, at_work()) as client:
        answer = None
        for each in steps:
            later(runtime, each)
            answer = await client.get(f"{WORKLIST}/messages")
        assert answer is not None
        assert answer.status_code == status


@pytest.mark.parametrize("whose", [{"client_id": "north.client"}, {"person": "Practitioner/nurse-1"}], ids=str)
async def test_who_loses_rights_loses_the_session_at_once_and_may_sign_in_again(
    runtime: Runtime, whose: dict[str, str]
) -> None:
    async with signed_in(runtime, at_work()) as client, signed_in(runtime, at_work(tenant=SOUTH)) as south:
        await end_rights(runtime.database, NORTH, START - timedelta(days=1), **whose)
        for others in ({"client_id": "north.other"}, {"person": "Practitioner/nurse-2"}):
            await end_rights(runtime.database, NORTH, runtime.clock(), **others)
        assert (await client.get(WORKLIST)).status_code == 200
        waiting = await link(client)
        await end_rights(runtime.database, NORTH, runtime.clock(), **whose)
        assert (await client.get(WORKLIST)).status_code == 401
        assert (await client.get(waiting)).status_code == 303
        assert (await client.get(WORKLIST)).status_code == 401
        assert (await south.get(WORKLIST)).status_code == 200
        assert (await client.get(await link(client))).status_code == 303
        assert (await client.get(WORKLIST)).status_code == 200


async def test_a_session_may_what_its_token_may_and_is_on_record_as_it(runtime: Runtime) -> None:
    async with signed_in(runtime, at_work(scopes="user/Task.rs")) as client:
        assert (await client.get(WORKLIST)).status_code == 200
    async with browser(runtime, at_work("analyst")) as client:
        assert (await client.post(f"{WORKLIST}/sign-in", headers=BEARER)).status_code == 403
    async with runtime.database.transaction(NORTH) as connection:
        rows = await connection.fetch("SELECT interaction, client_id, token_id, status FROM audit ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("$sign-in", "north.client", "token-1", 200),
        ("search-type", "north.client", "token-1", 200),
    ]


async def test_scopes_that_no_browser_could_keep_are_refused(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "COOKIE_CHARACTERS_MAX", 100)
    async with browser(runtime, at_work()) as client:
        assert (await client.post(f"{WORKLIST}/sign-in", headers=BEARER)).status_code == 422
