"""Handing the organization over: a super administrator begins it, the successor accepts within a week."""

from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import events_pb2
from yunhui.directory.v1 import organization_service_pb2 as api
from yunhui.directory.v1 import role_pb2 as pb

from services.directory import bindings, changes, fields, member_queries
from services.directory.changes import Changes, Outcome
from services.directory.member_requests import account_id
from services.directory.models import SHUT_OUT, TRANSFER
from services.directory.scopes import Actor
from services.platform.clock import DAY, to_timestamp
from services.platform.data import audit
from services.platform.ids import new_id
from services.platform.messaging.bus import Event
from services.platform.serving import errors
from services.platform.serving.permissions import SUPER_ADMINISTRATOR
from services.platform.text.messages import message

LASTS = 7 * DAY
PERMISSION = "organization.transfer"
ADMINISTRATOR = "admin"

c = TRANSFER.c


async def begin(made: Changes, request: api.BeginTransferRequest, by: Actor) -> pb.Transfer:
    """Raises errors.RpcError; then nothing was changed, here and below."""
    successor = account_id("account_id", request.account_id)
    if successor == by.account_id:
        raise errors.invalid("account_id", message("must be another member"))

    def work(connection: Connection, now: int) -> Outcome[pb.Transfer]:
        _check_can_begin(connection, by.account_id, successor)
        if row := _open(connection, now):
            if (row.from_account_id, row.to_account_id) == (by.account_id, successor):
                return Outcome(_to_message(row), (), ())
            words = message("the organization is being handed over already: give that up first")
            raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "TRANSFER_OPEN", words)
        connection.execute(sa.delete(TRANSFER))
        accounts = {"from_account_id": by.account_id, "to_account_id": successor}
        times = {"create_time": now, "end_time": now + LASTS}
        connection.execute(sa.insert(TRANSFER).values(**accounts, **times, transfer_id=new_id("trf")))
        row = _load(connection, now)
        return Outcome(_to_message(row), [_event("begun", row, 1, by, now)], [_entry(row, by)])

    return await made.make(work)


async def get(made: Changes, by: Actor) -> pb.Transfer:
    def work(connection: Connection) -> pb.Transfer:
        row = _load(connection, made.clock.now())
        if by.account_id not in (row.from_account_id, row.to_account_id) and by.scope(PERMISSION) is not None:
            raise _none()
        return _to_message(row)

    return await made.database.read(work)


async def accept(made: Changes, request: api.AcceptTransferRequest, by: Actor) -> None:
    transfer_id = fields.identifier("transfer_id", request.transfer_id)

    def work(connection: Connection, now: int) -> Outcome[None]:
        row = _load(connection, now, transfer_id)
        held = _roles_everywhere(connection, row.from_account_id)
        still_may = SUPER_ADMINISTRATOR in held and not _is_shut_out(connection, row.from_account_id)
        if row.to_account_id != by.account_id or not still_may:
            raise _none()
        connection.execute(sa.delete(TRANSFER))
        events = [
            _event("accepted", row, 2, by, now),
            *bindings.remove(connection, [held[SUPER_ADMINISTRATOR]], by, now),
            *_add_missing(connection, row.from_account_id, ADMINISTRATOR, by, now),
            *_add_missing(connection, row.to_account_id, SUPER_ADMINISTRATOR, by, now),
        ]
        return Outcome(None, events, [_entry(row, by)])

    await made.make(work)


async def cancel(made: Changes, request: api.CancelTransferRequest, by: Actor) -> None:
    transfer_id = fields.identifier("transfer_id", request.transfer_id)

    def work(connection: Connection, now: int) -> Outcome[None]:
        row = _load(connection, now, transfer_id)
        connection.execute(sa.delete(TRANSFER))
        return Outcome(None, [_event("cancelled", row, 2, by, now)], [_entry(row, by)])

    await made.make(work)


def forget(connection: Connection, account_id: str, by: Actor, now: int) -> list[Event]:
    """When a member is removed: who comes later under the same account id is not meant."""
    row = _open(connection, now)
    if row is None or account_id not in (row.from_account_id, row.to_account_id):
        return []
    connection.execute(sa.delete(TRANSFER))
    return [_event("cancelled", row, 2, by, now)]


def _check_can_begin(connection: Connection, account_id: str, successor: str) -> None:
    if SUPER_ADMINISTRATOR not in _roles_everywhere(connection, account_id):
        words = message("only a member with the role super_admin can hand the organization over: give the role instead")
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "NOT_SUPER_ADMINISTRATOR", words)
    if _is_shut_out(connection, successor):
        words = message("this account may do nothing: enable it first, or choose another member")
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "MEMBER_DISABLED", words)


def _is_shut_out(connection: Connection, account_id: str) -> bool:
    """Raises NOT_FOUND."""
    return member_queries.find(connection, account_id)["status"] in SHUT_OUT


def _roles_everywhere(connection: Connection, account_id: str) -> dict[str, sa.Row[Any]]:
    rows = bindings.of_member(connection, account_id)
    return {row.role_id: row for row in rows if not row.department_id}


def _add_missing(connection: Connection, account_id: str, role_id: str, by: Actor, now: int) -> list[Event]:
    if role_id in _roles_everywhere(connection, account_id):
        return []
    return bindings.add(connection, [{"account_id": account_id, "role_id": role_id, "department_id": ""}], by, now)


def _open(connection: Connection, now: int) -> sa.Row[Any] | None:
    return connection.execute(sa.select(TRANSFER).where(c.end_time > now)).one_or_none()


def _load(connection: Connection, now: int, transfer_id: str | None = None) -> sa.Row[Any]:
    """Raises NOT_FOUND; also when it is another than that one."""
    row = _open(connection, now)
    if row is None or transfer_id not in (None, row.transfer_id):
        raise _none()
    return row


def _none() -> errors.RpcError:
    return errors.not_found("transfer", message("there is no such handing over, or it has ended"))


def _to_message(row: sa.Row[Any]) -> pb.Transfer:
    return pb.Transfer(
        transfer_id=row.transfer_id,
        from_account_id=row.from_account_id,
        to_account_id=row.to_account_id,
        create_time=to_timestamp(row.create_time),
        end_time=to_timestamp(row.end_time),
    )


def _entry(row: sa.Row[Any], by: Actor) -> audit.AuditEntry:
    detail = {"from": row.from_account_id, "to": row.to_account_id}
    return audit.AuditEntry(by, "transfer", row.transfer_id, row.to_account_id, detail=detail)


def _event(what: str, row: sa.Row[Any], number: int, by: Actor, now: int) -> Event:
    told = events_pb2.OrganizationEvent(transfer=_to_message(row), actor=by.account_id)
    return changes.event(f"organization.transfer_{what}", row.transfer_id, number, told, now)
