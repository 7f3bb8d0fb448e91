"""The sample rooms of a development installation, made at the very first start."""

from yunhui.booking.v1 import booking_service_pb2 as api

from services.cli import issuer
from services.cli.client import booking_at
from services.cli.issuer import SampleAccount
from services.cli.state import State

SAMPLE_ROOMS = (
    ("room-30-a", "30-A", 30),
    ("room-30-b", "30-B", 30),
    ("room-99-a", "99-A", 99),
    ("room-99-b", "99-B", 99),
    ("room-300", "300", 300),
)


def fill(state: State, address: str) -> None:
    """Does nothing once there is a room: rooms can be taken out of use, but never deleted."""
    with booking_at(address, issuer.mint(state, SampleAccount("admin", "admin"))) as booking:
        if booking.ask(booking.stub.ListRooms, api.ListRoomsRequest()).rooms:
            return
        for room_id, name, capacity in SAMPLE_ROOMS:
            request = api.CreateRoomRequest(room_id=room_id, display_name=name, capacity=capacity)
            booking.ask(booking.stub.CreateRoom, request)
