"""`stepwell deliveries` on a real database: what waits or is parked is seen, replayed and skipped."""

import asyncio
from collections.abc import Callable

import pytest
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.cli.main import application
from stepwell_shared.database.pool import Database
from stepwell_shared.events.standing import standing
from typer.testing import CliRunner, Result

from tests.shared.events.conftest import TENANTS, Start, Subscribe
from tests.shared.events.subscriber import Subscriber, Told, announce, refusal, scored
from tests.shared.events.test_delivery import all_settled

A, _ = TENANTS
Command = Callable[..., Result]


@pytest.fixture
def command(urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `stepwell deliveries ...` as a terminal does, from another thread."""
    monkeypatch.setenv("STEPWELL_SCREENING_DATABASE_URL", urls.runtime)
    monkeypatch.setenv("STEPWELL_ROUTING_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(application(["deliveries"]), ["deliveries", *arguments])

    return run


@pytest.fixture
async def parked(database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start) -> str:
    """A subscription with numbers 1 and 3 parked and 2 sent; its id."""

    async def picky(told: Told) -> tuple[int, bytes]:
        return refusal(told) if "poison" in told.body.decode() else (200, b"")

    subscriber.answering = picky
    id_ = await subscribe(subscriber)
    await start()
    await announce(database, A, scored("poison1", "p1"), scored("r2", "p2"), scored("poison3", "p3"))
    await all_settled(database, 3)
    return id_


async def test_parked_events_are_listed_with_their_reason(command: Command, parked: str) -> None:
    listed = await asyncio.to_thread(command, "list", "--service", "screening", "--tenant", A, "--trouble")
    assert listed.exit_code == 0, listed.output
    (row,) = (line for line in listed.output.splitlines() if parked in line)
    assert row.split()[:4] == ["screening", A, parked, "score-finalized"]
    assert row.split()[-4:] == ["active", "3", "0", "2"]
    shown = await asyncio.to_thread(command, "show", "screening", A, parked)
    assert "QuestionnaireResponse/poison1" in shown.output
    assert "HTTP 422 business-rule: no" in shown.output
    assert "QuestionnaireResponse/r2" not in shown.output


async def test_replay_sends_again_and_skip_never_does(
    command: Command, parked: str, database: Database, subscriber: Subscriber
) -> None:
    subscriber.answering = subscriber.accept
    subscriber.told.clear()
    skipped = await asyncio.to_thread(command, "skip", "screening", A, parked, "3", "--reason", "entered in error")
    assert skipped.output == "1 parked event skipped.\n"
    replayed = await asyncio.to_thread(command, "replay", "screening", A, parked)
    assert replayed.output.startswith("1 parked event will be sent again")
    assert await subscriber.heard(1) == [(1, "poison1")]
    await asyncio.sleep(0.2)
    assert subscriber.events == [(1, "poison1")]
    assert (await standing(database, [A]))[0].parked == 0
    nothing = await asyncio.to_thread(command, "list", "--service", "screening", "--tenant", A, "--trouble")
    assert nothing.output == "Nothing waits, is parked or fails.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "screening", A, "unheard-of"), f"The tenant {A} has no subscription unheard-of"),
        (("show", "billing", A, "x"), "There is no service billing"),
        (("show", "routing", A, "x"), "The database does not answer"),
        (("list", "--service", "referral", "--tenant", A), "STEPWELL_REFERRAL_DATABASE_URL is not set"),
    ],
)
async def test_what_goes_wrong_is_one_sentence(command: Command, arguments: tuple[str, ...], sentence: str) -> None:
    failed = await asyncio.to_thread(command, *arguments)
    assert failed.exit_code == 1
    assert failed.output.startswith(sentence)
    assert len(failed.output.splitlines()) == 1
