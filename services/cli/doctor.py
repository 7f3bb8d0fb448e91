"""`yunhui doctor` looks whether all is well."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import nats.errors
import typer
from rich.table import Table
from rich.text import Text as Styled

from services.cli import client, development_clock, events, health, moments, texts, topology
from services.cli.failures import CommandError, ExitCode
from services.cli.terminal import Terminal

FULL = 2  # PRAGMA synchronous
MOST_SECONDS_APART = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    what: str
    good: bool
    detail: str


def doctor(terminal: Terminal) -> None:
    run = terminal.state.read_run()
    if not run:
        raise not_running(terminal)
    findings = asyncio.run(examine(terminal, run))
    healthy = all(finding.good for finding in findings)
    rows = [{"check": row.what, "ok": row.good, "detail": row.detail} for row in findings]
    terminal.print_json({"ok": healthy, "checks": rows})
    if not terminal.json:
        show_findings(terminal, findings)
    raise typer.Exit(ExitCode.OK if healthy else ExitCode.OTHER)


def not_running(terminal: Terminal) -> CommandError:
    return CommandError(texts.NOT_RUNNING, ExitCode.AWAY) if terminal.state.exists() else client.no_state(terminal)


async def examine(terminal: Terminal, run: dict[str, Any]) -> list[Finding]:
    checks: list[Callable[[Terminal, dict[str, Any]], Awaitable[list[Finding]]]] = [
        check_services,
        check_bus,
        check_streams,
        check_mail,
        check_database,
        check_clock,
    ]
    return [finding for found in await asyncio.gather(*(check(terminal, run) for check in checks)) for finding in found]


async def check_services(_terminal: Terminal, run: dict[str, Any]) -> list[Finding]:
    names = ("booking", "policy", "meetings", "notifier")
    serving = await asyncio.gather(*(health.serving(str(run[name])) for name in names))
    return [
        Finding(name, good, f"{run[name]} {'SERVING' if good else 'NOT_SERVING'}")
        for name, good in zip(names, serving, strict=True)
    ]


async def check_bus(_terminal: Terminal, run: dict[str, Any]) -> list[Finding]:
    report = await health.bus_report(str(run["monitor"]), "varz")
    settings = report.get("jetstream", {}).get("config", {})
    always = bool(settings.get("sync_always"))
    return [
        Finding("nats", bool(report), f"{run['nats']} {report.get('version', '')}".strip()),
        Finding("JetStream sync_interval", always, "always" if always else str(settings.get("sync_interval", "?"))),
        _check_time(report),
    ]


def _check_time(report: dict[str, Any]) -> Finding:
    try:
        told = datetime.fromisoformat(str(report["now"])[:23] + "+00:00")
    except (KeyError, ValueError):
        return Finding("nats time", False, "?")
    apart = abs((datetime.now(UTC) - told).total_seconds())
    return Finding("nats time", apart < MOST_SECONDS_APART, f"{apart:.2f} s")


async def check_streams(terminal: Terminal, _run: dict[str, Any]) -> list[Finding]:
    try:
        connection = await events.connect(terminal, "admin")
    except CommandError as failure:
        return [Finding("streams", False, failure.sentence(terminal.language))]
    try:
        absent = await topology.missing(connection)
    except (nats.errors.Error, TimeoutError) as error:
        return [Finding("streams", False, type(error).__name__)]
    finally:
        await connection.close()
    return [Finding(name, name not in absent, "JetStream") for name in topology.names()]


async def check_mail(_terminal: Terminal, run: dict[str, Any]) -> list[Finding]:
    return [Finding("smtp", await health.greets(str(run["smtp"])), str(run["smtp"]))]


async def check_database(terminal: Terminal, _run: dict[str, Any]) -> list[Finding]:
    """Through the same function that the programs use: what they set is what is read here."""
    from services.database import MINIMUM_SQLITE, create_engine  # half a second that no other command should pay

    engine = create_engine(f"sqlite:///{terminal.state.database('booking')}")
    try:
        with engine.connect() as connection:
            version = str(connection.exec_driver_sql("SELECT sqlite_version()").scalar())
            synchronous = int(connection.exec_driver_sql("PRAGMA synchronous").scalar() or 0)
            journal = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())
    finally:
        engine.dispose()
    recent = tuple(int(part) for part in version.split(".")) >= MINIMUM_SQLITE
    return [
        Finding("SQLite", recent, version),
        Finding("SQLite journal_mode", journal == "wal", journal),
        Finding("SQLite synchronous", synchronous >= FULL, "FULL" if synchronous >= FULL else str(synchronous)),
    ]


async def check_clock(terminal: Terminal, _run: dict[str, Any]) -> list[Finding]:
    now = development_clock.now(terminal.state)
    return [Finding("clock", True, moments.show_moment(now, terminal.language))]


def show_findings(terminal: Terminal, findings: list[Finding]) -> None:
    table = Table(padding=(0, 1))
    table.add_column(terminal.text(texts.CHECKED), no_wrap=True)
    table.add_column(terminal.text(texts.STATE), no_wrap=True)
    table.add_column(terminal.text(texts.FOUND), overflow="fold")
    for finding in findings:
        word = Styled(terminal.text(texts.GOOD), "green") if finding.good else Styled(terminal.text(texts.BAD), "red")
        table.add_row(finding.what, word, Styled(finding.detail))
    terminal.out.print(table)
