"""What may be published is decided beside the process that answers requests: of thousands of practices it takes a
minute of processor, and memory that is given back when the process ends.

`python -m stepwell_measurement.use_cases.deciding` is that process: it is told what was counted and nothing else, needs
no database, no file and no secret, and gives way to whatever else wants the processor.
"""

import asyncio
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from stepwell_measurement.data.measures import measures
from stepwell_measurement.rules.board import sheets_of
from stepwell_measurement.rules.measures.figures import Measure
from stepwell_measurement.rules.partings import Counts

GROUPS_MAX = 1000
"""So many groups of practices are decided sooner than a process starts."""
_DIFFERS, _TOO_LITTLE = 3, 4
_GIVES_WAY = 10
# What a process needs to find its code: no setting of the service, as those name secrets.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")

CGROUP = Path("/sys/fs/cgroup")
# A container whose memory runs out may be killed as a whole: so much is left to the process that serves.
SPARED_BYTES = 64 * 1024 * 1024

_counted = msgspec.msgpack.Decoder(tuple[str, Counts])
_bodies = msgspec.msgpack.Decoder(dict[str, str])


class NotDecidedError(Exception):
    """What was counted could not be decided here; what was published before stays."""


def memory_left(folder: Path = CGROUP) -> int | None:
    """How many bytes a further process may use in this container; None where nothing bounds them, or nobody says so.

    https://docs.kernel.org/admin-guide/cgroup-v2.html, memory.max and `anon` of memory.stat.
    """
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        return None if limit == "max" else max(0, int(limit) - int(used["anon"]) - SPARED_BYTES)
    except (OSError, ValueError, KeyError):
        return None


async def decide(counted: Sequence[tuple[Measure, Counts]]) -> dict[str, str]:
    """The sheets of `sheets_of`, as JSON by the id of the measure.

    Raises ValueError when what was counted is not about the same people, NotDecidedError when it takes more memory than
    there is.
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
    left = memory_left()
    command = (sys.executable, "-m", "stepwell_measurement.use_cases.deciding", *(() if left is None else (str(left),)))
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
    if process.returncode in {_TOO_LITTLE, -signal.SIGKILL}:
        raise NotDecidedError("deciding takes more memory than there is")
    if process.returncode:
        raise NotDecidedError(f"the process that decides ended with {process.returncode}")
    return _bodies.decode(found)


def _decided(counted: Sequence[tuple[Measure, Counts]]) -> dict[str, str]:
    return {name: msgspec.json.encode(sheet).decode() for name, sheet in sheets_of(counted).items()}


def main() -> int:
    """Reads what was counted, and writes what may be published; with so many bytes of memory at most."""
    os.nice(_GIVES_WAY)
    for left in map(int, sys.argv[1:]):
        resource.setrlimit(resource.RLIMIT_DATA, (left, left))
    try:
        told = map(_counted.decode, msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[bytes]))
        found = msgspec.msgpack.encode(_decided([(measures()[name], counts) for name, counts in told]))
    except ValueError:
        return _DIFFERS
    except MemoryError:
        return _TOO_LITTLE
    sys.stdout.buffer.write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
