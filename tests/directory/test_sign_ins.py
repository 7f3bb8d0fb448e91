"""Who signs in: when they did last, and that an account which was never used is in use from then on."""

import asyncio

import sqlalchemy as sa
from yunhui.directory.v1 import member_pb2 as pb

from services.directory import member_queries, sign_ins
from services.directory.changes import Changes
from services.directory.models import MEMBER
from services.directory.scopes import Actor
from services.platform.clock import MINUTE
from services.platform.data import audit
from services.platform.messaging import outbox
from tests.directory.conftest import METHOD, MONDAY, ManualClock
from tests.directory.people import add

ANNA = Actor("anna", frozenset(), METHOD)


async def anna(changes: Changes) -> pb.Member:
    [row] = await changes.database.read(
        lambda c: c.execute(sa.select(MEMBER).where(MEMBER.c.account_id == "anna")).mappings().all()
    )
    return member_queries.to_message(row, ())


async def told(changes: Changes) -> list[str]:
    subjects = sa.select(outbox.TABLE.c.subject).order_by(outbox.TABLE.c.seq)
    found = await changes.database.read(lambda c: c.scalars(subjects).all())
    return [each.removeprefix("yunhui.directory.member.") for each in found]


async def test_the_first_sign_in_activates_the_account(changes: Changes) -> None:
    """As a change of the member, made by themselves; of two at once, one does."""
    await add(changes, "anna")
    assert not (await anna(changes)).HasField("last_sign_in_time")
    await asyncio.gather(*(sign_ins.record(changes, ANNA) for _ in range(2)))
    after = await anna(changes)
    assert (after.status, after.version) == (pb.MEMBER_STATUS_ENABLED, 2)
    assert after.last_sign_in_time.ToMilliseconds() == MONDAY
    assert await told(changes) == ["created", "enabled"]
    entries = sa.select(audit.TABLE.c.actor).order_by(audit.TABLE.c.number)
    assert await changes.database.read(lambda c: c.scalars(entries).all()) == ["admin", "anna"]


async def test_a_later_sign_in_changes_only_the_time(changes: Changes, clock: ManualClock) -> None:
    """At most once a minute: whoever is editing the member meets no other version."""
    await add(changes, "anna", status=pb.MEMBER_STATUS_ENABLED)
    seen = []
    for time in (MONDAY, MONDAY + MINUTE, MONDAY + MINUTE + 1):
        clock.time = time
        await sign_ins.record(changes, ANNA)
        seen.append((await anna(changes)).last_sign_in_time.ToMilliseconds() - MONDAY)
    assert seen == [0, 0, MINUTE + 1]
    assert ((await anna(changes)).version, await told(changes)) == (1, ["created"])


async def test_nothing_happens_for_who_is_no_member(changes: Changes) -> None:
    await sign_ins.record(changes, ANNA)
    assert await told(changes) == []
