"""`yunhui doctor` looks whether all is well."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import nats.errors
import typer
from rich.table import Table
from rich.text import Text as Styled

from services.cli import client, events, moments, storage
from services.cli.failures import CommandError, ExitCode
from services.cli.findings import Finding
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation import development_clock, health, topology
from services.installation.registry import SERVICE_NAMES
from services.installation.state import read_json
from services.platform.local import DEVELOPMENT_ISSUER
from services.platform.text.messages import message

MOST_SECONDS_APART = 2.0
WORDS = {"ok": (message("ok"), "green"), "warn": (message("warning"), "yellow"), "fail": (message("wrong"), "red")}


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
    return (
        CommandError(FailureReason.NOT_RUNNING, ExitCode.AWAY) if terminal.state.exists() else client.no_state(terminal)
    )


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
            " ".join([str(run[name]), terminal.text(message("answers") if good else message("does not answer"))]),
            message("see the log: {log}"),
            values={"log": terminal.state.log(name)},
        )
        for name, good in zip(SERVICE_NAMES, serving, strict=True)
    ]


async def check_bus(_terminal: Terminal, run: dict[str, Any]) -> list[Finding]:
    report = await health.bus_report(str(run["monitor"]), "varz")
    settings = report.get("jetstream", {}).get("config", {})
    always = bool(settings.get("sync_always"))
    return [
        Finding(
            "nats",
            bool(report),
            f"{run['nats']} {report.get('version', '')}".strip(),
            message("stop {yunhui} up and start it again"),
        ),
        Finding(
            "JetStream sync_interval",
            always,
            "always" if always else str(settings.get("sync_interval", "?")),
            message("set sync_interval: always under jetstream in the configuration of NATS, and restart NATS"),
        ),
        _check_time(report),
    ]


def _check_time(report: dict[str, Any]) -> Finding:
    try:
        told = datetime.fromisoformat(str(report["now"])[:23] + "+00:00")
    except (KeyError, ValueError):
        return Finding("nats time", False, "?", message("stop {yunhui} up and start it again"))
    apart = abs((datetime.now(UTC) - told).total_seconds())
    return Finding(
        "nats time", apart < MOST_SECONDS_APART, f"{apart:.2f} s", message("set the clocks of the machines by NTP")
    )


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
        Finding(name, name not in details, details.get(name, "JetStream"), message("run {yunhui:bus setup}"))
        for name in topology.names()
    ]


async def check_mail(_terminal: Terminal, run: dict[str, Any]) -> list[Finding]:
    said = await health.hello(str(run["smtp"]))
    return [
        Finding(
            "smtp",
            bool(said),
            f"{run['smtp']} {said}".strip(),
            message("check the address of the mail server, and that it runs"),
        )
    ]


async def check_issuer(terminal: Terminal, _run: dict[str, Any]) -> list[Finding]:
    """The keys that the programs prove tokens with."""
    keys = read_json(terminal.state.public_keys).get("keys")
    number = len(keys) if isinstance(keys, list) else 0
    file = {"file": terminal.state.public_keys}
    return [
        Finding(
            "issuer", number > 0, f"JWKS: {number}", message("restore the issuer's public keys: {file}"), values=file
        )
    ]


async def check_pages(terminal: Terminal, run: dict[str, Any]) -> list[Finding]:
    """The portal, and the issuer that people sign in at; nothing where there are no pages."""
    if "portal" not in run:
        return []
    document = f"{run['issuer_address']}/.well-known/openid-configuration"
    portal, named = await asyncio.gather(
        health.page_answers(f"{run['portal']}/health"), health.page_field(document, "issuer")
    )
    return [
        Finding(
            "portal",
            portal,
            str(run["portal"]),
            message("see the log: {log}"),
            values={"log": terminal.state.log("portal")},
        ),
        Finding(
            "sign-in",
            named == DEVELOPMENT_ISSUER,
            f"{document} {named}".strip(),
            message("see the log: {log}"),
            values={"log": terminal.state.log("issuer")},
        ),
    ]


async def check_clock(terminal: Terminal, _run: dict[str, Any]) -> list[Finding]:
    now = development_clock.now(terminal.state)
    return [Finding("clock", True, moments.show_moment(now, terminal.language))]


def show_findings(terminal: Terminal, findings: list[Finding]) -> None:
    table = Table(padding=(0, 1))
    table.add_column(terminal.text(message("checked")), no_wrap=True)
    table.add_column(terminal.text(message("state")), no_wrap=True)
    table.add_column(terminal.text(message("found")), overflow="fold")
    if any(finding.way_out_in(terminal.language) for finding in findings):
        table.add_column(terminal.text(message("way out")), overflow="fold")
    for finding in findings:
        word, colour = WORDS[finding.state]
        cells = (Styled(finding.detail), Styled(finding.way_out_in(terminal.language)))
        table.add_row(finding.what, Styled(terminal.text(word), colour), *cells[: len(table.columns) - 2])
    terminal.out.print(table)
