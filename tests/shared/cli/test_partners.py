"""`stepwell partner`: what it refuses in a sentence, and that pairing twice is pairing once."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from stepwell_shared.auth.clients import find_client, list_clients
from stepwell_shared.auth.keys import make_private_key, public_key_set
from stepwell_shared.auth.tenants import add_tenant
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.cli.main import application
from stepwell_shared.database.pool import Database
from stepwell_shared.events.standing import standing
from stepwell_shared.federation.cards import write_card
from stepwell_shared.federation.terms import FIGURES, Terms
from stepwell_shared.settings import SERVICES
from typer.testing import CliRunner, Result

from tests.conftest import DatabaseOf
from tests.shared.federation.pairs import hub_card, signing_key
from tests.support.runtime import NORTH, START, URLS

Command = Callable[..., Result]


@pytest.fixture
async def urls(database_of: DatabaseOf) -> DatabaseUrls:
    found = await database_of("referral")
    async with Database.open(found.runtime, connections_max=1) as database:
        await add_tenant(database, NORTH, START)
    return found


@pytest.fixture
def command(urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs `stepwell partner ...` as a terminal does, from another thread."""
    make_private_key(tmp_path / "keys" / "service-referral.jwk")
    (tmp_path / "card.json").write_bytes(write_card(hub_card()))
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    monkeypatch.setenv("STEPWELL_ISSUER_URL", "https://stepwell.example/screening/auth")
    for name in ("REFERRAL", "ISSUER"):
        monkeypatch.setenv(f"STEPWELL_{name}_DATABASE_URL", urls.runtime)
    for name in SERVICES:
        monkeypatch.setenv(f"STEPWELL_{name.upper()}_URL", URLS[name])

    def run(*arguments: str) -> Result:
        given = [str(tmp_path / "card.json") if each == "CARD" else each for each in arguments]
        return CliRunner().invoke(application(["partner"]), ["partner", *given])

    return run


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("add", "nobody", "hub", "--card", "CARD", "--we-refer"), "There is no tenant nobody"),
        (("add", NORTH, "The Hub", "--card", "CARD", "--we-refer"), "'The Hub' is no name for a partner"),
        (("add", NORTH, "hub", "--card", "CARD"), "Say who refers"),
        (("add", NORTH, "hub", "--card", "CARD", "--we-refer", "--share", "all"), "All is nothing that can be shared"),
        (("add", NORTH, "hub", "--card", "missing.json", "--we-refer"), "The card missing.json cannot be read"),
        (
            ("add", NORTH, "hub", "--card", "CARD", "--we-refer", "--take", "gifts"),
            "Gifts is nothing that can be",
        ),
        (
            ("add", NORTH, "hub", "--card", "CARD", "--we-refer", "--share", "figures"),
            "The card names no measurement service",
        ),
        (("show", NORTH, "hub"), f"The tenant {NORTH} has no partner hub"),
        (("change", NORTH, "hub", "--share", "notes"), f"The tenant {NORTH} has no partner hub"),
        (("remove", NORTH, "hub"), f"The tenant {NORTH} has no partner hub"),
    ],
)
async def test_what_cannot_be_done_is_one_sentence(command: Command, arguments: tuple[str, ...], sentence: str) -> None:
    done = await asyncio.to_thread(command, *arguments)
    assert (done.exit_code, done.output.startswith(sentence)) == (1, True), done.output


async def test_a_card_holds_what_the_other_side_needs_and_no_secret(command: Command) -> None:
    done = await asyncio.to_thread(command, "card", NORTH, "hub", "--title", "Practice Alder")
    card = orjson.loads(done.output)
    assert (card["client_id"], card["organization"]) == (f"{NORTH}.partner-hub", "Organization/partner-hub")
    assert card["notifications_url"] == URLS["referral"].replace("/fhir", "/partners/notifications")
    assert [set(key) & {"d", "k"} for key in card["jwks"]["keys"]] == [set()]


async def test_a_partner_is_added_once_shown_and_removed(command: Command, urls: DatabaseUrls) -> None:
    for _ in range(2):
        done = await asyncio.to_thread(
            command, "add", NORTH, "hub", "--card", "CARD", "--we-refer", "--share", "contact"
        )
        assert done.exit_code == 0, done.output
    listed = await asyncio.to_thread(command, "list", NORTH)
    assert listed.output.endswith("we refer to them, sharing contact\n")
    async with Database.open(urls.runtime, connections_max=1) as database:
        (client,) = await list_clients(database, NORTH)
        assert (client.client_id, str(client.scopes)) == (f"{NORTH}.partner-hub", "system/Bundle.c")
        (feed,) = await standing(database, [NORTH])
        assert (feed.endpoint, feed.internal, feed.status) == (hub_card().base_url, True, "active")
        assert (await asyncio.to_thread(command, "remove", NORTH, "hub")).exit_code == 0
        assert await find_client(database, f"{NORTH}.partner-hub") is None
        assert [each.status for each in await standing(database, [NORTH])] == ["off"]
    assert (await asyncio.to_thread(command, "list", NORTH)).output == ""


async def test_what_was_agreed_is_shown_changed_and_stands_on_the_card(command: Command) -> None:
    agreed = ("--they-refer", "--we-refer", "--share", "contact", "--take-tier", "tier-3", "--take", "referral")
    assert (await asyncio.to_thread(command, "add", NORTH, "hub", "--card", "CARD", *agreed)).exit_code == 0
    for _ in range(2):
        changed = await asyncio.to_thread(command, "change", NORTH, "hub", "--share", "least", "--take", "advice")
        assert changed.exit_code == 0, changed.output
    shown = (await asyncio.to_thread(command, "show", NORTH, "hub")).output.splitlines()
    assert shown[0] == "The hub (Organization/partner-hub): they refer to us and we refer to them"
    assert {"we take  advice: every tier", "they take  referral: every tier", "we share  the least"} <= set(shown)
    assert "heard    never" in shown
    assert [len(line.split()[1]) for line in shown if line.startswith("key ")] == [43]
    owed = [line.removeprefix("owed     0 ") for line in shown if line.startswith("owed")]
    assert owed == ["answers", "referrals", "status"]
    card = orjson.loads((await asyncio.to_thread(command, "card", NORTH, "hub", "--title", "Practice")).output)
    assert card["takes"] == {"kinds": ["advice"], "tiers": [], "programmes": []}


async def test_figures_go_and_come_only_while_that_is_agreed(
    command: Command, urls: DatabaseUrls, database_of: DatabaseOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measurement = await database_of("measurement")
    monkeypatch.setenv("STEPWELL_MEASUREMENT_DATABASE_URL", measurement.runtime)
    make_private_key(tmp_path / "keys" / "service-measurement.jwk")
    figures = ("https://hub.example.org/measurement/fhir", public_key_set([signing_key()]))
    (tmp_path / "card.json").write_bytes(write_card(hub_card(figures=figures, taken=Terms(frozenset({FIGURES})))))

    async def said(*arguments: str) -> str:
        return (await asyncio.to_thread(command, arguments[0], NORTH, "hub", *arguments[1:])).output

    async with (
        Database.open(urls.runtime, connections_max=1) as issuer,
        Database.open(measurement.runtime, connections_max=1) as database,
    ):
        await add_tenant(database, NORTH, START)
        card = orjson.loads(await said("card", "--title", "Practice Alder"))
        assert (card["figures_url"], card["figures_client_id"]) == (URLS["measurement"], f"{NORTH}.figures-hub")
        assert len(card["figures_jwks"]["keys"]) == 1

        assert "they send us figures and we send them figures" in await said(
            "add", "--card", "CARD", "--share", "figures", "--take", "figures"
        )
        (client,) = await list_clients(issuer, NORTH)
        granted = "system/MeasureReport.u?reporter=Organization/partner-hub"
        assert (client.client_id, client.roles, str(client.scopes)) == (
            f"{NORTH}.figures-hub", ("partner-figures",), granted
        )  # fmt: skip
        (feed,) = await standing(database, [NORTH])
        assert (feed.endpoint, feed.internal, feed.status) == (figures[0], True, "active")
        shown = await said("show")
        assert f"figures to    {figures[0]}\nowed     0 figures\nfigures from  none came yet\n" in shown

        await said("change", "--share", "least", "--take", "referral")
        assert await list_clients(issuer, NORTH) == []
        assert [each.status for each in await standing(database, [NORTH])] == ["off"]
        assert "figures" not in await said("show")
        assert "Figures need the card of hub" in await said("change", "--take", "figures")

        await said("add", "--card", "CARD", "--take", "figures")
        assert len(await list_clients(issuer, NORTH)) == 1
        await said("remove")
        assert await list_clients(issuer, NORTH) == []
