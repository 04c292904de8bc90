"""Logs that can be searched and hold no patient data: JSON lines with an allow-list of fields."""

import logging
import sys
import traceback
from typing import Any

import structlog

from stepwell_shared.telemetry.tracing import current

CAUSES_MAX = 8
# A field that is not named here does not reach the log: identifiers, names, queries and bodies never do.
FIELDS_ALLOWED = frozenset(
    {
        "event",
        "level",
        "logger",
        "timestamp",
        "service",
        "tenant",
        "client",
        "interaction",
        "status",
        "request_id",
        "topic",
        "subscription",
        "attempt",
        "reason",
        "what",
        "timers",
        "exception",
        "trace_id",
        "span_id",
    }
)


def configure_logging(service: str, level: str) -> None:
    """Sends every log line of this process to standard error, as one JSON object each."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _logger, _name, line: {**line, "service": service},
        _with_trace,
        _exception_without_words,
        _only_allowed,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # The client names the URL of every request, and a URL can name a person.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _with_trace(_logger: object, _name: str, line: Any) -> Any:
    """What is being done: the same numbers in every service that has a part in it, recorded or not."""
    span = current()
    if span is not None:
        line["trace_id"], line["span_id"] = f"{span.trace_id:032x}", f"{span.span_id:016x}"
    return line


def _exception_without_words(_logger: object, _name: str, line: Any) -> Any:
    """Where an exception came from and of which kinds it and its causes are.

    Its words stay out of the log: PostgreSQL and parsers quote the values that they stumbled over.
    """
    given = line.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if not isinstance(error, BaseException):
        return line
    kinds: list[str] = []
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    cause: BaseException | None = error
    while cause is not None and len(kinds) < CAUSES_MAX:
        state = getattr(cause, "sqlstate", None)
        kinds.append(type(cause).__qualname__ + (f" (SQLSTATE {state})" if state else ""))
        cause = cause.__cause__ or cause.__context__
    return {**line, "exception": f"{' < '.join(kinds)}\n" + "\n".join(frames)}


def _only_allowed(_logger: object, _name: str, line: Any) -> Any:
    return {name: value for name, value in line.items() if name in FIELDS_ALLOWED or name.startswith("_")}
