"""The pool as administrators change it: new rooms, and what a room is called, how many it seats, whether it is lent."""

from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1.reservation_pb2 import Room

from services.booking import models, pool, requests, states
from services.platform.data import audit
from services.platform.data.database import ConflictError, Database
from services.platform.data.rows import open_session
from services.platform.serving import errors
from services.platform.text.messages import message

MAX_NAME = 100


async def create(database: Database, request: api.CreateRoomRequest, by: audit.Caller) -> Room:
    """Raises errors.RpcError."""
    room = Room(
        room_id=requests.identifier("room_id", request.room_id),
        display_name=requests.text("display_name", request.display_name, MAX_NAME) or request.room_id,
        capacity=requests.count("capacity", request.capacity, requests.MAX_PARTICIPANTS),
        enabled=True,
    )
    entry = audit.AuditEntry(by, "room", room.room_id, detail={"capacity": room.capacity, "enabled": True})
    try:
        await database.write(audit.audited(lambda connection: add(connection, room), lambda _: entry))
    except ConflictError as error:
        words = message("there is a room {room_id} already", room_id=room.room_id)
        raise errors.failure(grpc.StatusCode.ALREADY_EXISTS, "ROOM_EXISTS", words) from error
    return room


def add(connection: Connection, room: Room) -> None:
    with open_session(connection) as session:
        session.add(models.Room(**{each.name: getattr(room, each.name) for each in Room.DESCRIPTOR.fields}))


async def update(database: Database, request: api.UpdateRoomRequest, by: audit.Caller) -> Room:
    """Raises errors.RpcError; then nothing was changed."""
    room_id, changes = requests.identifier("room_id", request.room_id), to_changes(request)
    entry = audit.AuditEntry(by, "room", room_id, detail=changes)
    return await database.write(audit.audited(lambda connection: change(connection, room_id, changes), lambda _: entry))


def to_changes(request: api.UpdateRoomRequest) -> dict[str, Any]:
    """New values by column; at least one. Raises errors.RpcError."""
    given: dict[str, Any] = {
        name: getattr(request, name) for name in ("display_name", "capacity", "enabled") if request.HasField(name)
    }
    if not given:
        raise errors.invalid(
            "display_name",
            message("give this, capacity or enabled: there is nothing to change"),
        )
    if "display_name" in given:
        given["display_name"] = requests.text("display_name", request.display_name, MAX_NAME)
        if not given["display_name"]:
            raise errors.invalid("display_name", message("must not be empty"))
    if "capacity" in given:
        requests.count("capacity", request.capacity, requests.MAX_PARTICIPANTS)
    return given


def change(connection: Connection, room_id: str, changes: dict[str, Any]) -> Room:
    """Raises errors.RpcError when there is no such room, or it would become too small for what it is reserved for."""
    wanted = models.ROOM.c.room_id == room_id
    pool.lock_changes(connection)  # first: whoever is about to take the room commits before it, or sees the change
    row = connection.execute(sa.select(models.ROOM).where(wanted)).mappings().first()
    if row is None:
        raise errors.not_found("room", message("there is no such room"))
    if "capacity" in changes:
        require_fit(connection, room_id, changes["capacity"])
    connection.execute(sa.update(models.ROOM).where(wanted).values(changes))
    return Room(**(dict(row) | changes))


def require_fit(connection: Connection, room_id: str, capacity: int) -> None:
    """Raises errors.RpcError when live reservations of the room expect more people than that."""
    c = models.RESERVATION.c
    query = sa.select(sa.func.count(), sa.func.max(c.participant_count))
    query = query.where(c.room_id == room_id, c.state.in_(states.HOLDING), c.participant_count > capacity)
    count, largest = connection.execute(query).one()
    if count:
        words = message(
            "{count} live reservations would no longer fit, the largest expects {largest} people",
            count=count,
            largest=largest,
        )
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "ROOM_TOO_SMALL", words)
