"""That somebody has signed in: when they last did, and that an account which never was used is in use from then on."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.directory import members
from services.directory.changes import Changes
from services.directory.models import MEMBER
from services.directory.scopes import Actor
from services.platform.clock import MINUTE

c = MEMBER.c


async def record(made: Changes, by: Actor) -> None:
    """Nothing for who is no member. Raises errors.RpcError."""
    mine, now = c.account_id == by.account_id, made.clock.now()
    earlier = mine & (c.sign_in_time.is_(None) | (c.sign_in_time < now - MINUTE))

    def look(connection: Connection) -> tuple[str | None, bool]:
        status = connection.scalar(sa.select(c.status).where(mine))
        return status, connection.scalar(sa.select(c.status).where(earlier)) is not None

    status, is_news = await made.database.read(look)
    if status == "NOT_ACTIVATED":
        await made.make(members.activating(by))
    elif is_news:  # the time is no change of the member: nobody who is editing them is in the way
        stamp = sa.update(MEMBER).where(earlier).values(sign_in_time=now)
        await made.database.write(lambda connection: connection.execute(stamp))
