"""What may be published is decided beside the process that answers requests: of thousands of practices it takes a
minute of processor, and memory that is given back when the process ends.

`python -m stepwell_measurement.use_cases.deciding` is that process: it is told what was counted and nothing else, needs
no database, no file and no secret, and gives way to whatever else wants the processor.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from stepwell_measurement.data.measures import measures
from stepwell_measurement.rules.board import sheets_of
from stepwell_measurement.rules.measures.figures import Measure
from stepwell_measurement.rules.partings import Counts

GROUPS_MAX = 1000
"""So many groups of practices are decided sooner than a process starts."""
_DIFFERS = 3
_GIVES_WAY = 10
# What a process needs to find its code: no setting of the service, as those name secrets.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")

_counted = msgspec.msgpack.Decoder(tuple[str, Counts])
_bodies = msgspec.msgpack.Decoder(dict[str, str])


async def decide(counted: Sequence[tuple[Measure, Counts]]) -> dict[str, str]:
    """The sheets of `sheets_of`, as JSON by the id of the measure.

    Raises ValueError when what was counted is not about the same people.
    """
    if sum(len(tallies) for _, counts in counted for tallies in counts.practices.values()) <= GROUPS_MAX:
        return await asyncio.to_thread(_decided, counted)
    return await decide_apart(counted)


async def decide_apart(counted: Sequence[tuple[Measure, Counts]]) -> dict[str, str]:
    """`decide` in a process of its own, whose memory is given back and which no request waits for."""
    told = []
    for measure, counts in counted:
        told.append(msgspec.msgpack.encode((measure.id, counts)))
        await asyncio.sleep(0)  # requests that came meanwhile go first
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    command = (sys.executable, "-m", "stepwell_measurement.use_cases.deciding")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=environment)
    try:
        found, _ = await process.communicate(msgspec.msgpack.encode(told))
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode == _DIFFERS:
        raise ValueError("what was counted is not about the same people")
    if process.returncode:
        raise RuntimeError(f"what may be published was not decided: the process ended with {process.returncode}")
    return _bodies.decode(found)


def _decided(counted: Sequence[tuple[Measure, Counts]]) -> dict[str, str]:
    return {name: msgspec.json.encode(sheet).decode() for name, sheet in sheets_of(counted).items()}


def main() -> int:
    """Reads what was counted, and writes what may be published."""
    os.nice(_GIVES_WAY)
    told = map(_counted.decode, msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[bytes]))
    try:
        found = _decided([(measures()[name], counts) for name, counts in told])
    except ValueError:
        return _DIFFERS
    sys.stdout.buffer.write(msgspec.msgpack.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
