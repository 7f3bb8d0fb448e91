"""The sample rooms of a development installation, made at the very first start."""

import grpc
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1.booking_service_pb2_grpc import BookingServiceStub

from services.installation import issuer
from services.installation.issuer import SampleAccount
from services.installation.state import State

SAMPLE_ROOMS = (
    ("room-30-a", "30-A", 30),
    ("room-30-b", "30-B", 30),
    ("room-99-a", "99-A", 99),
    ("room-99-b", "99-B", 99),
    ("room-300", "300", 300),
)
PATIENCE_SECONDS = 10.0


def fill(state: State, address: str) -> None:
    """Does nothing once there is a room: rooms can be taken out of use, but never deleted.

    `address` is booking's, host:port on this machine. Raises grpc.RpcError.
    """
    admin = (("authorization", f"Bearer {issuer.mint(state, SampleAccount('admin', 'admin'))}"),)
    with grpc.insecure_channel(address) as channel:
        booking = BookingServiceStub(channel)
        if booking.ListRooms(api.ListRoomsRequest(), metadata=admin, timeout=PATIENCE_SECONDS).rooms:
            return
        for room_id, name, capacity in SAMPLE_ROOMS:
            room = api.CreateRoomRequest(room_id=room_id, display_name=name, capacity=capacity)
            booking.CreateRoom(room, metadata=admin, timeout=PATIENCE_SECONDS)
