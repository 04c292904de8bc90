"""`stepwell serve`: runs one service. What is imported here stays in memory for as long as the service runs."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Annotated

import typer

from stepwell_shared.settings import ATTACHED, SERVICES, Settings

# What libraries load where it is installed: fifteen megabytes that a service has no use for. httpx, structlog and
# opentelemetry have the first three for terminals and machines; structlog, Starlette and FastAPI would know what comes
# of greenlets, of forms in parts and of models of pydantic 1, none of which comes here.
_UNUSED = ("rich", "pygments", "psutil", "greenlet", "python_multipart", "multipart", "pydantic.v1")


def add_serve_command(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(serve)


def serve(
    service: Annotated[str, typer.Argument(help=f"one of {', '.join(SERVICES)}", envvar="STEPWELL_SERVICE")],
    port: Annotated[int, typer.Option(help="TCP port")] = 8000,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    *,
    attached: Annotated[bool, typer.Option(help="stop in order once standard input ends", envvar=ATTACHED)] = False,
) -> None:
    """Run one service; its settings come from the environment (STEPWELL_...)."""
    if attached:
        end_with_input()
    with _without(*_UNUSED):  # here and not above: half of what a command takes to start, and no other needs it
        from stepwell_shared.app import create_app  # noqa: PLC0415
        from stepwell_shared.connections import serve as serve_application  # noqa: PLC0415
        from stepwell_shared.installed import service_named  # noqa: PLC0415

        application = create_app(service_named(service), settings := Settings())  # type: ignore[call-arg]  # environment
        is_https = settings.url_of(service).startswith("https:")
        serve_application(application, host=host, port=port, is_https=is_https, drain_seconds=settings.drain_seconds)


def end_with_input() -> None:
    """From now on this process is told to stop when whoever holds the other end of its standard input is gone."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, name="standard input", daemon=True).start()


@contextmanager
def _without(*packages: str) -> Iterator[None]:
    """Inside, what is imported finds none of these packages and does without, unless they are loaded already."""
    hidden = {name: None for name in packages if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]  # None says so: docs.python.org/3/reference/import.html
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
