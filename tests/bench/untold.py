"""One service that by turns of a tenth of a second tells nothing of itself, or all of it. For the bench alone.

`python -m tests.bench.untold measurement 8009 FILE` is the service as it is, where the environment says to whom it
tells. SIGUSR1 writes what the turns took since the last one to FILE, as JSON: for each way the processor time of every
turn, and how many requests were answered in it. It is one process that counts for itself: two processes, or two
seconds of one machine, differ by more than what is looked for.

In silence a request takes the same way, with as many calls, but for what it is to tell. After a turn in which all is
recorded comes a silent one that does not count: the spans that are still on their way out would be a burden on it.
"""

import json
import signal
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from time import process_time

from stepwell_shared.app import create_app
from stepwell_shared.connections import serve
from stepwell_shared.fhir import store
from stepwell_shared.fhir.access import Share
from stepwell_shared.fhir.routes import Asked, Door
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.installed import service_named
from stepwell_shared.telemetry.tracing import Part, Tracer

HOST = "127.0.0.1"
SILENT, DEFAULT, EVERYTHING, REST = "silent", "1 in 100 recorded", "all recorded", "rest"
RATIOS = {DEFAULT: 0.01, EVERYTHING: 1.0}
ORDER = (SILENT, DEFAULT, EVERYTHING, REST, DEFAULT, SILENT, EVERYTHING, REST)
TURN_SECONDS = 0.1

_answered = Door.answer


@dataclass
class Turns:
    """Whose turn it is, and what the turns took."""

    file: Path
    order: "cycle[str]" = field(default_factory=lambda: cycle(ORDER))
    how: str = SILENT
    began: float = 0.0
    answered: int = 0
    took: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: {how: [] for how in ORDER})
    tracers: list[Tracer] = field(default_factory=list)

    def turn(self, *_: object) -> None:
        """The next way begins."""
        now = process_time()
        self.took[self.how].append((now - self.began, self.answered))
        self.how, self.began, self.answered = next(self.order), now, 0
        nothing = nullcontext()
        setattr(store, "Part", (lambda _name: nothing) if self.is_silent else Part)  # noqa: B010  mypy takes no other
        for tracer in self.tracers:
            tracer.ratio = RATIOS.get(self.how, 0.0)

    def tell(self, *_: object) -> None:
        """Writes the file as a whole, and begins anew."""
        beside = self.file.with_suffix(".new")
        beside.write_text(json.dumps(self.took), encoding="utf-8")
        beside.replace(self.file)
        for turns in self.took.values():
            turns.clear()

    @property
    def is_silent(self) -> bool:
        """Whether nothing is told in this turn."""
        return self.how not in RATIOS


async def _unwatched(door: Door, exchange: Exchange, asked: Asked) -> None:
    """What the door does, without telling."""
    held: list[Share] = []
    try:
        response, media_type = await door._answer(exchange, asked, held)
        await exchange.answer(response, media_type)
    finally:
        for share in held:
            share.give_back()


def main() -> None:
    """Serves until it is ended."""
    service, port, file = sys.argv[1:]
    turns, made = Turns(Path(file)), Tracer.__init__

    def noted(tracer: Tracer, *given: object, **named: object) -> None:
        made(tracer, *given, **named)  # type: ignore[arg-type]  # whatever it is given
        turns.tracers.append(tracer)

    async def answer(door: Door, exchange: Exchange, asked: Asked) -> None:
        await (_unwatched if turns.is_silent else _answered)(door, exchange, asked)
        turns.answered += 1

    setattr(Tracer, "__init__", noted)  # noqa: B010  mypy takes no assignment
    setattr(Door, "answer", answer)  # noqa: B010  the same
    signal.signal(signal.SIGUSR1, turns.tell)
    signal.signal(signal.SIGALRM, turns.turn)
    signal.setitimer(signal.ITIMER_REAL, TURN_SECONDS, TURN_SECONDS)
    serve(create_app(service_named(service)), host=HOST, port=int(port))


if __name__ == "__main__":
    main()
