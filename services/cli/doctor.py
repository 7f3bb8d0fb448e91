"""`yunhui doctor` looks whether all is well."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import nats.errors
import typer
from rich.table import Table
from rich.text import Text as Styled

from services.cli import client, events, moments, storage, texts
from services.cli.failures import CommandError, ExitCode
from services.cli.findings import Finding
from services.cli.terminal import Terminal
from services.installation import development_clock, health, topology
from services.installation.registry import SERVICE_NAMES
from services.installation.state import read_json
from services.platform.settings import DEVELOPMENT_ISSUER

MOST_SECONDS_APART = 2.0
WORDS = {"ok": (texts.GOOD, "green"), "warn": (texts.WARNED, "yellow"), "fail": (texts.BAD, "red")}


def doctor(terminal: Terminal) -> None:
    run = terminal.state.read_run()
    if not run:
        raise not_running(terminal)
    findings = asyncio.run(examine(terminal, run))
    healthy = all(finding.state != "fail" for finding in findings)
    rows = [row.to_json(terminal.language) for row in findings]
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
        storage.check,
        check_issuer,
        check_pages,
        check_clock,
    ]
    # one after the other: what one check keeps the processor busy with would look like a slow server to another
    return [finding for check in checks for finding in await check(terminal, run)]


async def check_services(terminal: Terminal, run: dict[str, Any]) -> list[Finding]:
    serving = await asyncio.gather(*(health.serving(str(run[name])) for name in SERVICE_NAMES))
    return [
        Finding(
            name,
            good,
            f"{run[name]} {terminal.text(texts.ANSWERS if good else texts.SILENT)}",
            texts.SEE_LOG,
            values={"log": terminal.state.log(name)},
        )
        for name, good in zip(SERVICE_NAMES, serving, strict=True)
    ]


async def check_bus(_terminal: Terminal, run: dict[str, Any]) -> list[Finding]:
    report = await health.bus_report(str(run["monitor"]), "varz")
    settings = report.get("jetstream", {}).get("config", {})
    always = bool(settings.get("sync_always"))
    return [
        Finding("nats", bool(report), f"{run['nats']} {report.get('version', '')}".strip(), texts.RESTART_UP),
        Finding(
            "JetStream sync_interval",
            always,
            "always" if always else str(settings.get("sync_interval", "?")),
            texts.SET_SYNC_ALWAYS,
        ),
        _check_time(report),
    ]


def _check_time(report: dict[str, Any]) -> Finding:
    try:
        told = datetime.fromisoformat(str(report["now"])[:23] + "+00:00")
    except (KeyError, ValueError):
        return Finding("nats time", False, "?", texts.RESTART_UP)
    apart = abs((datetime.now(UTC) - told).total_seconds())
    return Finding("nats time", apart < MOST_SECONDS_APART, f"{apart:.2f} s", texts.SET_CLOCKS)


async def check_streams(terminal: Terminal, _run: dict[str, Any]) -> list[Finding]:
    try:
        connection = await events.connect(terminal, "admin")
    except CommandError as failure:
        return [Finding("streams", False, failure.sentence(terminal.language))]
    try:
        absent = await topology.missing(connection)
        different = await topology.different(connection)
    except (nats.errors.Error, TimeoutError) as error:
        return [Finding("streams", False, type(error).__name__)]
    finally:
        await connection.close()
    details = {**different, **dict.fromkeys(absent, "?")}
    return [
        Finding(name, name not in details, details.get(name, "JetStream"), texts.RUN_BUS_SETUP)
        for name in topology.names()
    ]


async def check_mail(_terminal: Terminal, run: dict[str, Any]) -> list[Finding]:
    said = await health.hello(str(run["smtp"]))
    return [Finding("smtp", bool(said), f"{run['smtp']} {said}".strip(), texts.START_MAIL_SERVER)]


async def check_issuer(terminal: Terminal, _run: dict[str, Any]) -> list[Finding]:
    """The keys that the programs prove tokens with."""
    keys = read_json(terminal.state.public_keys).get("keys")
    number = len(keys) if isinstance(keys, list) else 0
    file = {"file": terminal.state.public_keys}
    return [Finding("issuer", number > 0, f"JWKS: {number}", texts.RENEW_KEYS, values=file)]


async def check_pages(terminal: Terminal, run: dict[str, Any]) -> list[Finding]:
    """The portal, and the issuer that people sign in at; nothing where there are no pages."""
    if "portal" not in run:
        return []
    document = f"{run['issuer_address']}/.well-known/openid-configuration"
    portal, named = await asyncio.gather(
        health.page_answers(f"{run['portal']}/health"), health.page_field(document, "issuer")
    )
    return [
        Finding("portal", portal, str(run["portal"]), texts.SEE_LOG, values={"log": terminal.state.log("portal")}),
        Finding(
            "sign-in",
            named == DEVELOPMENT_ISSUER,
            f"{document} {named}".strip(),
            texts.SEE_LOG,
            values={"log": terminal.state.log("issuer")},
        ),
    ]


async def check_clock(terminal: Terminal, _run: dict[str, Any]) -> list[Finding]:
    now = development_clock.now(terminal.state)
    return [Finding("clock", True, moments.show_moment(now, terminal.language))]


def show_findings(terminal: Terminal, findings: list[Finding]) -> None:
    table = Table(padding=(0, 1))
    table.add_column(terminal.text(texts.CHECKED), no_wrap=True)
    table.add_column(terminal.text(texts.STATE), no_wrap=True)
    table.add_column(terminal.text(texts.FOUND), overflow="fold")
    if any(finding.way_out_in(terminal.language) for finding in findings):
        table.add_column(terminal.text(texts.WAY_OUT), overflow="fold")
    for finding in findings:
        word, colour = WORDS[finding.state]
        cells = (Styled(finding.detail), Styled(finding.way_out_in(terminal.language)))
        table.add_row(finding.what, Styled(terminal.text(word), colour), *cells[: len(table.columns) - 2])
    terminal.out.print(table)
