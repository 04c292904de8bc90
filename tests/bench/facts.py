"""What the numbers depend on: this machine, and how long it takes until a write is on its disk."""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FSYNC_TRIALS = 50
OTHERS_MAX = 0.1
"""Cores that other programs may use before the numbers are called disturbed."""


def disturbance(others: float) -> str:
    """What other programs did to the numbers; the product, one process, suffers more than the floor's many."""
    verdict = "quiet enough" if others <= OTHERS_MAX else "DISTURBED: the ratios come out too low, measure again"
    return f"other programs used {others:.2f} of {os.cpu_count()} cores: {verdict}"


def machine_facts(data_folder: Path, server_version: str) -> dict[str, str]:
    """Name and value, in the order in which a person wants to read them."""
    return {
        "processor": f"{os.cpu_count()} x {_field('/proc/cpuinfo', 'model name') or platform.processor()}",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "PostgreSQL": f"{server_version}, embedded, Unix socket, fsync and synchronous_commit on",
        "write to disk": f"{fsync_milliseconds(data_folder):.2f} ms (median fsync of 8 KiB in {data_folder.parent})",
    }


def fsync_milliseconds(folder: Path) -> float:
    """Median time of a write of one database page that is on disk when it returns."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(FSYNC_TRIALS):
            before = time.perf_counter()
            file.write(bytes(8192))
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - before)
    return statistics.median(times) * 1000


def memory_mib(pid: int) -> float:
    """Resident memory of a process in MiB (proc_pid_status(5)); 0 where the system does not tell."""
    return float(_field(f"/proc/{pid}/status", "VmRSS").partition(" ")[0] or 0) / 1024


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far (proc_pid_stat(5)); 0 where the system does not tell."""
    fields = _stat(Path(f"/proc/{pid}"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


@dataclass(frozen=True)
class Processors:
    """How busy all processors were so far, and how much of that was ours, in seconds since they started."""

    busy: float
    ours: float
    at: float

    def others_since(self, before: "Processors") -> float:
        """Cores that programs other than ours kept busy on average."""
        taken = (self.busy - before.busy) - (self.ours - before.ours)
        return max(0.0, taken / (self.at - before.at))


def processors(*roots: int) -> Processors:
    """The processors now; ours are the processes with these numbers and all that descend from them (proc(5))."""
    ticks = _family_ticks(roots)
    try:
        user, nice, system, _idle, _wait, *rest = (
            Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:]
        )
        busy = sum(map(int, (user, nice, system, *rest[:2])))
    except OSError:
        busy = ticks
    per_second = os.sysconf("SC_CLK_TCK")
    return Processors(busy / per_second, ticks / per_second, time.monotonic())


def family_cpu_seconds(root: int) -> float:
    """Processor time so far of a process and of all that descend from it."""
    return _family_ticks((root,)) / os.sysconf("SC_CLK_TCK")


def _family_ticks(roots: Sequence[int]) -> int:
    stats = {int(path.name): _stat(path) for path in Path("/proc").glob("[0-9]*")}
    family = set(roots)
    found = -1
    while found != len(family):
        found = len(family)
        family |= {pid for pid, fields in stats.items() if fields and int(fields[1]) in family}
    # 11 to 14: user and system time of the process, and of its children that have ended.
    return sum(sum(map(int, fields[11:15])) for pid in family if (fields := stats.get(pid)))


def _stat(process: Path) -> list[str]:
    """The fields of a process behind its name, the first being its state; nothing when it has ended."""
    try:
        return (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
