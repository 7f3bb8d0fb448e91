"""`yunhui hand-over`: what becomes of all that an account has reserved and has not begun."""

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

import grpc
import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.policy.v1 import decision_pb2 as policy

from services.cli import moments, myself, rendering
from services.cli.client import Booking, open_booking
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.messages import Text, message

A = TypeVar("A", api.CancelComingReservationsResponse, api.HandOverReservationsResponse)


def hand_over(
    terminal: Terminal,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT")],
    to: Annotated[str, typer.Option("--to", metavar="ACCOUNT", help=message("who takes them over"))] = "",
    cancel: Annotated[bool, typer.Option("--cancel", help=message("cancel them instead"))] = False,
    note: Annotated[str, typer.Option(help=message("with --cancel: what the booker is told"))] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help=message("only say what would become of them"))] = False,
) -> None:
    if bool(to) == cancel:
        way = f"{myself.name()} hand-over --help"
        raise CommandError(FailureReason.SAY_WHAT_BECOMES, ExitCode.USAGE, way=way)
    with open_booking(terminal) as booking:
        if cancel:
            cancelling = api.CancelComingReservationsRequest(account_id=account, note=note, dry_run=dry_run)
            done: Iterable[api.ComingReservation] = every_page(
                terminal, booking, booking.stub.CancelComingReservations, cancelling, dry_run=dry_run
            ).reservations
        else:
            request = api.HandOverReservationsRequest(account_id=account, new_account_id=to, dry_run=dry_run)
            done = every_page(
                terminal, booking, booking.stub.HandOverReservations, request, dry_run=dry_run
            ).reservations
    refused = any(each.outcome == api.COMING_OUTCOME_REFUSED for each in done)
    raise typer.Exit(ExitCode.REFUSED if refused else ExitCode.OK)


def every_page(
    terminal: Terminal, booking: Booking, method: "grpc.UnaryUnaryMultiCallable[Any, A]", request: Any, *, dry_run: bool
) -> A:
    """Shown as one; also when it cannot go on, for what was done is done."""
    answer: A = booking.ask(method, request)
    whole = answer
    try:
        while answer.next_page_token:
            request.page_token = answer.next_page_token
            answer = booking.ask(method, request)
            whole.reservations.extend(answer.reservations)
            whole.next_page_token = answer.next_page_token
    finally:
        terminal.answer(whole, lambda to: show(to, whole.reservations, dry_run=dry_run))
    return whole


def show(terminal: Terminal, reservations: Iterable[api.ComingReservation], *, dry_run: bool) -> None:
    if not reservations:
        terminal.say(message("Nothing is coming: there is nothing to do."))
        return
    if dry_run:
        terminal.say(message("This is what would become of them; nothing was changed."))
    table = Table(padding=(0, 1))
    table.add_column(terminal.text(message("reservation")), overflow="fold", min_width=16)
    heading = terminal.text(message("time ({zone})"), zone=moments.zone_name(terminal.language))
    for column in (heading, *map(terminal.text, (message("subject"), message("what becomes of it"), message("why")))):
        table.add_column(column, overflow="fold")
    for each in reservations:
        table.add_row(*map(Styled, _cells(terminal, each)))
    terminal.out.print(table)


def _cells(terminal: Terminal, each: api.ComingReservation) -> list[str]:
    record = each.reservation
    return [
        record.reservation_id,
        moments.show_bare_interval(record.start_time, record.end_time, terminal.language),
        record.subject,
        terminal.text(outcome_of(each)),
        "\n".join(why(terminal, each)),
    ]


def outcome_of(each: api.ComingReservation) -> Text:
    if each.outcome == api.COMING_OUTCOME_CANCELLED:
        returned, kept = message("cancelled; the quota comes back"), message("cancelled; the quota stays used")
        return returned if each.quota_returned else kept
    return message("handed over") if each.outcome == api.COMING_OUTCOME_HANDED_OVER else message("stays as it is")


def why(terminal: Terminal, each: api.ComingReservation) -> Iterable[str]:
    yield from (rendering.localized(rule.reason, terminal.language) for rule in each.decision.rules)
    if each.outcome == api.COMING_OUTCOME_REFUSED and each.decision.effect == policy.EFFECT_ESCALATE:
        yield terminal.text(message("You have a part in it: somebody else of support has to hand it over."))
