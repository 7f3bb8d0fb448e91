"""`yunhui watch`: changes of reservations as they happen, as whoever is signed in may see them."""

import contextlib
import signal
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToJson
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.cli import moments, rendering
from services.cli.client import open_booking
from services.cli.terminal import Terminal
from services.platform.text.messages import message


def watch(
    terminal: Terminal,
    account: Annotated[str, typer.Option("--account", help=message("of this account (support, admin)"))] = "",
) -> None:
    request = api.WatchReservationsRequest(account_id=account)
    with open_booking(terminal) as booking, contextlib.suppress(KeyboardInterrupt):
        for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with SIGINT ignored
            signal.signal(number, signal.default_int_handler)
        for change in booking.follow(booking.stub.WatchReservations, request, lambda: say_waiting(terminal)):
            show_change(terminal, change)


def say_waiting(terminal: Terminal) -> None:
    terminal.err.print(terminal.text(message("waiting for changes ... (Ctrl-C ends)")), style="dim")


def show_change(terminal: Terminal, change: api.WatchReservationsResponse) -> None:
    if terminal.json:
        # flushed: a reader at the other end of a pipe waits for this line, and may wait long for the next
        print(MessageToJson(change, indent=None, ensure_ascii=False), flush=True)
    else:
        terminal.out.print(to_line(terminal, change.reservation), markup=False, soft_wrap=True)


def to_line(terminal: Terminal, record: pb.Reservation) -> str:
    """When it changed, into what, and which reservation it is."""
    cells = (
        moments.show(record.update_time, terminal.language),
        terminal.text(rendering.STATES[record.state]),
        record.reservation_id,
        moments.show_bare_interval(record.start_time, record.end_time, terminal.language),
        record.room.room_id or "–",
        record.organizer.account_id,
        record.subject,
    )
    return "  ".join(cells)
