"""The log: one JSON line each, with an allow-list of fields and no words of exceptions."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import pytest
import structlog
from stepwell_shared.telemetry.logs import configure_logging
from stepwell_shared.telemetry.tracing import During, Tracer


@dataclass
class Log:
    """A configured process's logger and what it wrote."""

    stream: StringIO = field(default_factory=StringIO)
    ours: Any = None

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """What other tests log is configured as before afterwards."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    opened = Log()
    monkeypatch.setattr("sys.stderr", opened.stream)
    configure_logging("screening", "INFO")
    structlog.configure(cache_logger_on_first_use=False)
    opened.ours = structlog.get_logger("stepwell.test")
    yield opened
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def stumble() -> None:
    """Fails as a database or parser does: with the value in its words."""
    try:
        int("Jane Doe")
    except ValueError as error:
        raise LookupError("born 1980") from error


def test_a_field_that_is_not_allowed_does_not_reach_the_log(log: Log) -> None:
    log.ours.info("refused", status=404, family="Doe", body="secret", request_id="r1")
    (line,) = log.lines()
    assert (line["event"], line["service"], line["level"], line["status"]) == ("refused", "screening", "info", 404)
    assert not {"family", "body"} & set(line)


def test_an_exception_keeps_its_place_and_kind_and_none_of_its_words(log: Log) -> None:
    try:
        stumble()
    except LookupError:
        log.ours.exception("request failed", request_id="r1")
        logging.getLogger("another.library").exception("in another library")
    ours, theirs = log.lines()
    for line in (ours, theirs):
        assert line["exception"].startswith("LookupError < ValueError\n")
        assert "stumble" in line["exception"]
        assert "Jane" not in json.dumps(line)
        assert "1980" not in json.dumps(line)


def test_without_an_exception_there_is_no_such_field(log: Log) -> None:
    log.ours.warning("plain", exc_info=True)
    logging.getLogger("httpx").info("GET https://host/Patient?family=doe")
    (line,) = log.lines()
    assert "exception" not in line


def test_a_line_says_of_which_trace_it_is_whoever_writes_it_and_whether_recorded_or_not(log: Log) -> None:
    span = Tracer().begin("read Patient", f"00-{7:032x}-{8:016x}-01")
    log.ours.info("before")
    with During(span):
        log.ours.warning("ours")
        logging.getLogger("another.library").warning("theirs")
    before, *within = log.lines()
    assert "trace_id" not in before
    assert [(each["event"], each["trace_id"]) for each in within] == [("ours", f"{7:032x}"), ("theirs", f"{7:032x}")]
    assert {each["span_id"] for each in within} == {f"{span.span_id:016x}"}
    assert all({"timestamp", "level", "service", "logger", "event"} <= set(each) for each in within)
