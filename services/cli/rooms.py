"""`yunhui rooms`: the pool, and adding to it."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.booking.v1 import booking_service_pb2 as api

from services.cli import texts
from services.cli.client import open_booking
from services.cli.terminal import Terminal


def rooms(terminal: Terminal) -> None:
    with open_booking(terminal) as booking:
        answer = booking.ask(booking.stub.ListRooms, api.ListRoomsRequest())
    terminal.answer(answer, lambda to: show_rooms(to, answer))


def add(
    terminal: Terminal,
    room_id: str,
    capacity: Annotated[int, typer.Option(min=1, help=texts.OPTION_CAPACITY.help)],
    name: Annotated[str, typer.Option(help=texts.OPTION_NAME.help)] = "",
) -> None:
    with open_booking(terminal) as booking:
        request = api.CreateRoomRequest(room_id=room_id, display_name=name, capacity=capacity)
        answer = booking.ask(booking.stub.CreateRoom, request)
    room = answer.room
    terminal.answer(answer, lambda to: to.say(texts.ROOM_ADDED, id=room.room_id, capacity=room.capacity))


def show_rooms(terminal: Terminal, answer: api.ListRoomsResponse) -> None:
    if not answer.rooms:
        terminal.say(texts.NO_ROOMS)
        return
    table = Table()
    for text in (texts.ROOM, texts.NAME):
        table.add_column(terminal.text(text), overflow="fold")
    table.add_column(terminal.text(texts.CAPACITY), justify="right")
    table.add_column(terminal.text(texts.ENABLED))
    for room in answer.rooms:
        enabled = terminal.text(texts.YES if room.enabled else texts.NO)
        table.add_row(Styled(room.room_id), Styled(room.display_name), str(room.capacity), enabled)
    terminal.out.print(table)
