"""One service that tells nothing of itself, or all of it, to see what telling costs. Nothing but the bench runs it.

`python -m tests.bench.untold measurement 8009 silent`: requests are neither timed nor traced. With `telling` it is the
service as it is, and the environment says what is recorded.
"""

import sys
from contextlib import nullcontext

from stepwell_shared.app import create_app
from stepwell_shared.connections import serve
from stepwell_shared.fhir import store
from stepwell_shared.fhir.routes import Door
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.installed import service_named

HOST = "127.0.0.1"
SILENT, TELLING = "silent", "telling"


def main() -> None:
    """Serves until it is ended."""
    service, port, how = sys.argv[1:]
    if how == SILENT:
        _be_silent()
    serve(create_app(service_named(service)), host=HOST, port=int(port))


def _be_silent() -> None:
    answered = Door._answer

    async def answer(door: Door, exchange: Exchange, asked: object) -> None:
        await answered(door, exchange, asked)  # type: ignore[arg-type]  # it is what the routes give to the door

    nothing = nullcontext()
    setattr(Door, "answer", answer)  # noqa: B010  a method is replaced, which the type checker does not take
    setattr(store, "Part", lambda _name: nothing)  # noqa: B010  the same


if __name__ == "__main__":
    main()
