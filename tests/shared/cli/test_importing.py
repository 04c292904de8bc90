"""Importing a file: what is refused is said, what was taken is not sent again, and nothing counts twice."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from stepwell_shared.cli import importing
from stepwell_shared.cli.asking import PatientClient
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.importing import Import

ADDRESS = "https://stepwell.example/screening/fhir/QuestionnaireResponse"
OUTCOME = {"issue": [{"code": "business-rule", "expression": ["QuestionnaireResponse.item[0]"], "diagnostics": "no"}]}

Answering = Callable[[httpx.Request], httpx.Response]


async def token() -> str:
    return "token"


def written(folder: Path, lines: list[bytes]) -> Path:
    path = folder / "responses.ndjson"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def numbered(count: int) -> list[bytes]:
    return [json.dumps({"resourceType": "QuestionnaireResponse", "n": n}).encode() for n in range(1, count + 1)]


async def sent(path: Path, answering: Answering, patience_seconds: float = 0.0) -> Import:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answering)) as client:
        job = Import(path, PatientClient(client, token, patience_seconds), ADDRESS)
        async for _ in job.run():
            pass
        return job


def report_of(job: Import) -> list[dict[str, object]]:
    return [json.loads(line) for line in job.report.read_text().splitlines()]


async def test_a_refused_line_is_listed_with_its_number_and_the_place_of_the_fault_but_not_with_what_it_says(
    tmp_path: Path,
) -> None:
    def answering(request: httpx.Request) -> httpx.Response:
        return httpx.Response(422, json=OUTCOME) if json.loads(request.content)["n"] == 2 else httpx.Response(201)

    job = await sent(written(tmp_path, numbered(3)), answering)
    assert (job.kept.stored, job.kept.known, job.kept.refused) == (2, 0, 1)
    issue = {"code": "business-rule", "expression": ["QuestionnaireResponse.item[0]"], "text": "no"}
    assert report_of(job) == [{"line": 2, "status": 422, "issue": [issue]}]


async def test_a_client_that_is_not_let_in_stops_at_once(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="does not let this client in"):
        await sent(written(tmp_path, numbered(3)), lambda _: httpx.Response(403, json=OUTCOME), patience_seconds=60)


async def test_a_line_that_is_too_long_is_refused_without_being_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "LINE_BYTES_MAX", 100)
    seen: list[bytes] = []

    def answering(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(201)

    lines = [b"{}", b'"%b"' % (b"x" * 1_000), b"[]"]
    job = await sent(written(tmp_path, lines), answering)
    assert sorted(seen) == [b"[]", b"{}"]
    assert report_of(job)[0]["line"] == 2
    assert job.kept.offset == job.kept.size


async def test_an_answer_without_an_outcome_is_reported_as_such(tmp_path: Path) -> None:
    job = await sent(written(tmp_path, numbered(1)), lambda _: httpx.Response(404, text="not here"))
    assert "without an OperationOutcome" in job.report.read_text()


async def test_a_service_that_comes_back_in_time_gets_everything(tmp_path: Path) -> None:
    tries: Counter[bytes] = Counter()

    def answering(request: httpx.Request) -> httpx.Response:
        tries[request.content] += 1
        if tries[request.content] == 1:
            raise httpx.ConnectError("away")
        return httpx.Response(503 if tries[request.content] == 2 else 201)

    job = await sent(written(tmp_path, numbered(5)), answering, patience_seconds=30)
    assert job.kept.stored == 5
    assert set(tries.values()) == {3}


async def test_stopped_anywhere_it_goes_on_and_counts_every_line_once(tmp_path: Path) -> None:
    path, left = written(tmp_path, numbered(60)), 25
    keys: dict[str, bytes] = {}

    def answering(request: httpx.Request) -> httpx.Response:
        nonlocal left
        left -= 1
        if left < 0:
            raise httpx.ConnectError("away")
        keys.setdefault(request.headers["idempotency-key"], request.content)
        return httpx.Response(422, json=OUTCOME) if json.loads(request.content)["n"] % 10 == 0 else httpx.Response(201)

    stops = 0
    while True:
        try:
            job = await sent(path, answering)
            break
        except SetupError as error:
            assert "goes on where it was" in str(error)  # noqa: PT017  how often it stops is not known beforehand
            left, stops = 25, stops + 1
    assert stops > 1
    assert (job.kept.lines, job.kept.stored, job.kept.refused) == (60, 54, 6)
    assert [each["line"] for each in report_of(job)] == [10, 20, 30, 40, 50, 60]
    assert sorted(keys.values()) == sorted(numbered(60))


async def test_a_cancelled_import_keeps_what_it_has(tmp_path: Path) -> None:
    path, slow = written(tmp_path, numbered(40)), asyncio.Event()

    async def answering(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["n"] > 20:
            slow.set()
            await asyncio.sleep(60)
        return httpx.Response(201)

    task = asyncio.create_task(sent(path, answering))  # type: ignore[arg-type]  # httpx takes both kinds of handler
    await slow.wait()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    job = await sent(path, lambda _: httpx.Response(200))
    assert (job.kept.lines, job.kept.stored + job.kept.known) == (40, 40)
    assert job.kept.stored > 0


async def test_a_finished_import_sends_nothing_again_until_the_file_is_another(tmp_path: Path) -> None:
    path = written(tmp_path, numbered(3))
    await sent(path, lambda _: httpx.Response(201))

    def never(_: httpx.Request) -> httpx.Response:
        raise AssertionError("sent again")

    assert (await sent(path, never)).kept.stored == 3
    path.write_bytes(b"\n".join(numbered(4)) + b"\n")
    assert (await sent(path, lambda _: httpx.Response(200))).kept.known == 4


async def test_empty_lines_are_passed_over_and_an_import_without_refusals_leaves_no_report(tmp_path: Path) -> None:
    job = await sent(written(tmp_path, [b"", b"{}", b"  ", b""]), lambda _: httpx.Response(201))
    assert job.kept.stored == 1
    assert not job.report.exists()
