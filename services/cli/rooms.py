"""`yunhui rooms` and `yunhui free`: the pool, changing it, and when its rooms are free."""

from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.booking.v1 import booking_service_pb2 as api

from services.cli import moments
from services.cli.arguments import read_moment
from services.cli.client import open_booking
from services.cli.terminal import Terminal
from services.installation import development_clock
from services.platform.text.messages import message

SEARCHED = timedelta(days=1)


def rooms(terminal: Terminal) -> None:
    with open_booking(terminal) as booking:
        answer = booking.ask(booking.stub.ListRooms, api.ListRoomsRequest())
    terminal.answer(answer, lambda to: show_rooms(to, answer))


def add(
    terminal: Terminal,
    room_id: str,
    capacity: Annotated[int, typer.Option(min=1, help=message("most people that fit"))],
    name: Annotated[str, typer.Option(help=message("name for people"))] = "",
) -> None:
    with open_booking(terminal) as booking:
        request = api.CreateRoomRequest(room_id=room_id, display_name=name, capacity=capacity)
        answer = booking.ask(booking.stub.CreateRoom, request)
    room = answer.room
    terminal.answer(
        answer,
        lambda to: to.say(message("Room {id} added, {capacity} seats."), id=room.room_id, capacity=room.capacity),
    )


def change(
    terminal: Terminal,
    room_id: str,
    name: Annotated[str | None, typer.Option(help=message("name for people"))] = None,
    capacity: Annotated[int | None, typer.Option(help=message("most people that fit"))] = None,
    enabled: Annotated[
        bool | None,
        typer.Option("--enabled/--disabled", help=message("whether it may be reserved; what is reserved stays")),
    ] = None,
) -> None:
    with open_booking(terminal) as booking:
        request = api.UpdateRoomRequest(room_id=room_id, display_name=name, capacity=capacity, enabled=enabled)
        answer = booking.ask(booking.stub.UpdateRoom, request)
    terminal.answer(answer, lambda to: show_rooms(to, api.ListRoomsResponse(rooms=[answer.room])))


def free(
    terminal: Terminal,
    start: Annotated[str | None, typer.Option(help=message("from when on; now by default"))] = None,
    end: Annotated[str | None, typer.Option(help=message("until when, at most 31 days; a day by default"))] = None,
    people: Annotated[int, typer.Option(min=0, help=message("people expected"))] = 0,
) -> None:
    now = development_clock.now(terminal.state).replace(microsecond=0)
    first = read_moment(start, now) if start else now
    last = read_moment(end, now) if end else first + SEARCHED
    request = api.SearchAvailabilityRequest(
        start_time=moments.to_timestamp(first), end_time=moments.to_timestamp(last), participant_count=people
    )
    with open_booking(terminal) as booking:
        answer = booking.ask(booking.stub.SearchAvailability, request)
    terminal.answer(answer, lambda to: show_free(to, answer))


def show_free(terminal: Terminal, answer: api.SearchAvailabilityResponse) -> None:
    if not answer.intervals:
        terminal.say(message("No room is free."))
        return
    table = Table()
    table.add_column(terminal.text(message("room")), overflow="fold")
    table.add_column(terminal.text(message("seats")), justify="right")
    heading = terminal.text(message("time ({zone})"), zone=moments.zone_name(terminal.language))
    table.add_column(heading, overflow="fold")
    for each in answer.intervals:
        interval = moments.show_bare_interval(each.start_time, each.end_time, terminal.language)
        table.add_row(Styled(each.room.room_id), str(each.room.capacity), interval)
    terminal.out.print(table)


def show_rooms(terminal: Terminal, answer: api.ListRoomsResponse) -> None:
    if not answer.rooms:
        terminal.say(message("There are no rooms yet."))
        return
    table = Table()
    for text in (message("room"), message("name")):
        table.add_column(terminal.text(text), overflow="fold")
    table.add_column(terminal.text(message("seats")), justify="right")
    table.add_column(terminal.text(message("available")))
    for room in answer.rooms:
        enabled = terminal.text(message("yes") if room.enabled else message("no"))
        table.add_row(Styled(room.room_id), Styled(room.display_name), str(room.capacity), enabled)
    terminal.out.print(table)
