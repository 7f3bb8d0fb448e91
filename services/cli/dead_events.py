"""`yunhui events dead`: what could not be read, and what becomes of it."""

import json
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.notifier.v1 import notifier_service_pb2 as api

from services.cli import moments
from services.cli.arguments import read_choice
from services.cli.client import open_notifier
from services.cli.terminal import Terminal
from services.platform.text.messages import message

STATES = {
    "open": (api.DEAD_EVENT_STATE_OPEN, message("open")),
    "retried": (api.DEAD_EVENT_STATE_RETRIED, message("taken in")),
    "dropped": (api.DEAD_EVENT_STATE_DROPPED, message("dropped")),
}
State = Annotated[
    str, typer.Option("--only", metavar="|".join(STATES), help=message("only in this state; open by default"))
]


def dead(
    terminal: Terminal,
    only: State = "open",
    page: Annotated[str, typer.Option(help=message("go on: the token that the page before ended with"))] = "",
) -> None:
    wanted = STATES[read_choice(only, tuple(STATES))][0]
    with open_notifier(terminal) as notifier:
        request = api.ListDeadEventsRequest(state=wanted, page_token=page)
        answer = notifier.ask(notifier.stub.ListDeadEvents, request)
    terminal.answer(answer, lambda to: show_list(to, answer))


def show(terminal: Terminal, dead_event_id: str) -> None:
    with open_notifier(terminal) as notifier:
        answer = notifier.ask(notifier.stub.GetDeadEvent, api.GetDeadEventRequest(dead_event_id=dead_event_id))
    terminal.answer(answer, lambda to: show_one(to, answer))


def retry(terminal: Terminal, dead_event_id: str) -> None:
    with open_notifier(terminal) as notifier:
        answer = notifier.ask(notifier.stub.RetryDeadEvent, api.RetryDeadEventRequest(dead_event_id=dead_event_id))
    terminal.answer(answer, lambda to: to.say(message("{id} was taken in."), id=dead_event_id))


def drop(terminal: Terminal, dead_event_id: str, note: Annotated[str, typer.Option(help=message("why"))]) -> None:
    with open_notifier(terminal) as notifier:
        request = api.DropDeadEventRequest(dead_event_id=dead_event_id, note=note)
        answer = notifier.ask(notifier.stub.DropDeadEvent, request)
    terminal.answer(
        answer, lambda to: to.say(message("{id} is dropped; the reason is on the record."), id=dead_event_id)
    )


def show_list(terminal: Terminal, answer: api.ListDeadEventsResponse) -> None:
    if not answer.dead_events:
        terminal.say(message("No such events."))
        return
    table = Table(padding=(0, 1))
    for text in (
        message("event"),
        message("time"),
        message("address"),
        message("reason"),
        message("state"),
        message("note"),
    ):
        table.add_column(terminal.text(text), overflow="fold")
    for each in answer.dead_events:
        note = ": ".join(filter(None, (each.actor, each.note)))
        table.add_row(
            Styled(each.dead_event_id),
            moments.show(each.create_time, terminal.language),
            Styled(each.subject),
            Styled(each.reason),
            state_of(terminal, each.state),
            Styled(note),
        )
    terminal.out.print(table)
    if answer.next_page_token:
        terminal.say(message("there is more: --page {page}"), page=answer.next_page_token)


def state_of(terminal: Terminal, state: int) -> str:
    return next((terminal.text(text) for number, text in STATES.values() if number == state), str(state))


def show_one(terminal: Terminal, answer: api.GetDeadEventResponse) -> None:
    show_list(terminal, api.ListDeadEventsResponse(dead_events=[answer.dead_event]))
    for name, value in sorted(answer.headers.items()):
        terminal.out.print(f"{name}: {json.dumps(value, ensure_ascii=False)}", markup=False, soft_wrap=True)
    terminal.out.print(repr(answer.payload), markup=False, soft_wrap=True)
