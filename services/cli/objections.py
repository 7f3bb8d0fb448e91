"""`yunhui object`, `objections` and `dismiss`: what is said against a violation, and support's answer."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.cli import moments
from services.cli.client import Booking, open_booking
from services.cli.standing import OBJECTIONS
from services.cli.terminal import Terminal
from services.platform.text.messages import message

PAGE = 100


def object_to(
    terminal: Terminal,
    violation_id: str,
    because: Annotated[str, typer.Option(help=message("why the violation is wrong, at most 1,000 characters"))],
) -> None:
    request = api.ObjectToViolationRequest(violation_id=violation_id, text=because)
    with open_booking(terminal) as booking:
        answer = booking.ask(booking.stub.ObjectToViolation, request)
    terminal.answer(
        answer,
        lambda to: to.say(
            message("Objected to violation {id}; the answer comes by mail."), id=answer.violation.violation_id
        ),
    )


def dismiss(
    terminal: Terminal,
    violation_id: str,
    note: Annotated[str, typer.Option(help=message("what the booker is told"))],
) -> None:
    request = api.DismissObjectionRequest(violation_id=violation_id, note=note)
    with open_booking(terminal) as booking:
        answer = booking.ask(booking.stub.DismissObjection, request)
    terminal.answer(
        answer,
        lambda to: to.say(message("The objection to violation {id} is dismissed."), id=answer.violation.violation_id),
    )


def objections(
    terminal: Terminal,
    answered: Annotated[bool, typer.Option("--answered", help=message("answered ones, too"))] = False,
) -> None:
    outcomes = () if answered else (pb.OBJECTION_OUTCOME_OPEN,)
    with open_booking(terminal) as booking:
        answer = every_page(booking, api.ListObjectionsRequest(outcomes=outcomes, page_size=PAGE))
    terminal.answer(answer, lambda to: show_objections(to, answer))


def every_page(booking: Booking, request: api.ListObjectionsRequest) -> api.ListObjectionsResponse:
    answer = booking.ask(booking.stub.ListObjections, request)
    whole = api.ListObjectionsResponse(objections=answer.objections)
    while answer.next_page_token:
        request.page_token = answer.next_page_token
        answer = booking.ask(booking.stub.ListObjections, request)
        whole.objections.extend(answer.objections)
    return whole


def show_objections(terminal: Terminal, answer: api.ListObjectionsResponse) -> None:
    if not answer.objections:
        terminal.say(message("No open objections."))
        return
    table = Table(padding=(0, 1))
    for text in (message("violation"), message("account"), message("time"), message("objection"), message("state")):
        table.add_column(terminal.text(text), overflow="fold")
    for each in answer.objections:
        violation, objection = each.violation, each.violation.objection
        when = moments.show(violation.violation_time, terminal.language)
        table.add_row(violation.violation_id, Styled(violation.account_id), when, *_said(terminal, objection))
    terminal.out.print(table)


def _said(terminal: Terminal, objection: pb.Objection) -> tuple[Styled, str]:
    """As it is: square brackets in it are no markup."""
    return Styled(objection.text), terminal.text(OBJECTIONS[objection.outcome])
