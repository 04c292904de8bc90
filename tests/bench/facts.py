"""What the numbers depend on: this machine, and how long it takes until a write is on its disk."""

import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

FSYNC_TRIALS = 50


def machine_facts(data_folder: Path, server_version: str) -> dict[str, str]:
    """Name and value, in the order in which a person wants to read them."""
    load = os.getloadavg()[0]
    return {
        "processor": f"{os.cpu_count()} x {_field('/proc/cpuinfo', 'model name') or platform.processor()}",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "PostgreSQL": f"{server_version}, embedded, Unix socket, fsync and synchronous_commit on",
        "write to disk": f"{fsync_milliseconds(data_folder):.2f} ms (median fsync of 8 KiB in {data_folder.parent})",
        "load before": f"{load:.1f} runnable processes a minute on average; more than 0.5 disturbs the numbers",
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


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far (proc_pid_stat(5)); 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
