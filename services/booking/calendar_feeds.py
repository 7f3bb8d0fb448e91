"""Calendar feeds: a secret address for each person who wants one. Of the secret only its SHA-256 is kept."""

import hashlib
import secrets

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import models, queries
from services.booking.models import LONGEST
from services.platform.clock import DAY, MINUTE, to_timestamp
from services.platform.data.database import Database

PAST = 30 * DAY
MOST = 500
TABLE = models.CALENDAR_FEED


def hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def create(connection: Connection, account_id: str, now: int) -> str:
    """The secret of the account's new feed, which takes the place of the one before."""
    secret = secrets.token_urlsafe(32)
    delete(connection, account_id)
    connection.execute(sa.insert(TABLE).values(account_id=account_id, secret_hash=hashed(secret), create_time=now))
    return secret


def delete(connection: Connection, account_id: str) -> None:
    connection.execute(sa.delete(TABLE).where(TABLE.c.account_id == account_id))


def get(connection: Connection, account_id: str) -> api.CalendarFeed | None:
    row = connection.execute(sa.select(TABLE).where(TABLE.c.account_id == account_id)).one_or_none()
    if row is None:
        return None
    fetched = None if row.fetch_time is None else to_timestamp(row.fetch_time)
    return api.CalendarFeed(create_time=to_timestamp(row.create_time), fetch_time=fetched)


async def fetch(database: Database, secret_hash: bytes, now: int) -> list[pb.Reservation] | None:
    """What the feed shows now. None when there is no such feed. Raises errors.RpcError."""
    mine = TABLE.c.secret_hash == secret_hash

    def read(connection: Connection) -> tuple[int, list[pb.Reservation]] | None:
        row = connection.execute(sa.select(TABLE).where(mine)).one_or_none()
        return (row.fetch_time or 0, reservations(connection, row.account_id, now)) if row else None

    found = await database.read(read)
    if found is None:
        return None
    if found[0] <= now - MINUTE:  # a calendar that asks often costs no more writes than that
        await database.write(lambda c: c.execute(sa.update(TABLE).where(mine).values(fetch_time=now)))
    return found[1]


def reservations(connection: Connection, account_id: str, now: int) -> list[pb.Reservation]:
    """The account's own that are not over for more than 30 days, in the order of their start; the last MOST of them."""
    c, since = models.RESERVATION.c, now - PAST
    # what began earlier is over for longer: so the index by account and start is all that is read
    mine = (c.account_id == account_id) & (c.start_time > since - LONGEST) & (c.end_time > since)
    return queries.read_records(connection, mine, MOST)[::-1]
