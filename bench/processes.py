"""What programs cost, from /proc: CPU time and memory of each and of the processes that it has started."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
QUIET_SHARE = 0.08  # of one core; at rest it is a fraction of that
QUIET_SECONDS = 0.5
DRAIN_SECONDS = 180.0

PARENT, CHILD_TICKS = 1, 13  # in what follows the name in /proc/PID/stat

Programs = Mapping[str, int]
"""Process ids by name. A process that one of them has started is counted with it, unless it has a name of its own."""


def cpu_seconds(programs: Programs) -> dict[str, float]:
    """CPU time of each since it began, with that of its children who have ended. Raises RuntimeError if one is gone."""
    return {name: sum(map(_cpu, pids)) for name, pids in _families(programs).items()}


def memory_mb(programs: Programs) -> tuple[float, str]:
    """Of all, in millions of bytes, and which figure: PSS (shared pages count once), or RSS if that is not told."""
    pids = [pid for family in _families(programs).values() for pid in family]
    try:
        return sum(_kilobytes(pid, "smaps_rollup", "Pss:") for pid in pids) * 1024 / 1e6, "PSS"
    except OSError:
        return sum(_kilobytes(pid, "status", "VmRSS:") for pid in pids) * 1024 / 1e6, "RSS"


def resident_mb(pid: int) -> float:
    """Of one alone, shared pages too, in millions of bytes."""
    return _kilobytes(pid, "status", "VmRSS:") * 1024 / 1e6


def cpu_share(programs: Programs, seconds: float) -> float:
    """Share of one core that all use over the next `seconds`."""
    start, before = time.perf_counter(), cpu_seconds(programs)
    time.sleep(seconds)
    return spent(before, cpu_seconds(programs)) / (time.perf_counter() - start)


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """CPU seconds of all between two readings."""
    return sum(after.values()) - sum(before.values())


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process does nothing meanwhile and then goes on."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_until_quiet(programs: Programs) -> None:
    """Until all work that was left behind is done: twice in a row next to no CPU time. Raises TimeoutError."""
    end, quiet = time.monotonic() + DRAIN_SECONDS, 0
    while quiet < 2:
        if time.monotonic() > end:
            raise TimeoutError(f"still busy after {DRAIN_SECONDS:.0f} s")
        quiet = quiet + 1 if cpu_share(programs, QUIET_SECONDS) < QUIET_SHARE else 0


def _families(programs: Programs) -> dict[str, list[int]]:
    parents = {pid: int(fields[PARENT]) for pid in _pids() if (fields := _stat(pid))}
    if gone := [name for name, pid in programs.items() if pid not in parents]:
        raise RuntimeError(f"ended while it was measured: {', '.join(gone)}")
    return {name: _family(pid, parents, set(programs.values())) for name, pid in programs.items()}


def _family(root: int, parents: Mapping[int, int], named: set[int]) -> list[int]:
    found = [root]
    for pid in found:  # grows while it is read
        found += [child for child, parent in parents.items() if parent == pid and child not in named]
    return found


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _stat(pid: int) -> list[str]:
    """Empty for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu(pid: int) -> float:
    """Seconds, of the threads that have ended too; 0 for a process that has ended.

    Its own to the nanosecond from its CPU clock (clock_getcpuclockid(3) makes the number); of ended children only the
    ticks of /proc are told.
    """
    own = 0.0
    with suppress(OSError):
        own = time.clock_gettime(~pid << 3 | 2)
    fields = _stat(pid)
    return own + sum(map(int, fields[CHILD_TICKS : CHILD_TICKS + 2])) / TICKS if fields else 0.0


def _kilobytes(pid: int, file: str, field: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    return 0
