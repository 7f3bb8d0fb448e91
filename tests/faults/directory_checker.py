"""Looks for breaches of the directory's promises in what is stored, on the stream and in the bucket of grants."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from yunhui.access.v1 import access_pb2

from services.directory import grants
from services.directory.models import MEMBER_GRANT
from services.platform.data.database import Database
from services.platform.messaging.grants_line import STREAM, to_subject
from services.platform.serving.permissions import SUPER_ADMINISTRATOR
from tests.faults.staff import BOSS, IMPORTED, LICENCES, Staff, imported

EVENTS = "DIRECTORY"


def check(rows: Mapping[str, Sequence[Any]], staff: Staff) -> Iterator[str]:
    """`rows` by table."""
    yield from _places(rows)
    yield from _people(rows, staff)
    yield from _events(rows)


def _places(rows: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    paths = {row.department_id: row.path.split("/")[:-1] for row in rows["department"]}
    below = defaultdict[str, set[str]](set)
    mains = {row.account_id: row.main_department_id for row in rows["member"]}
    for row in rows["membership"]:
        for each in paths[row.department_id]:
            below[each].add(row.account_id)
        if (row.main_department_id, row.main) != (mains[row.account_id], row.department_id == mains[row.account_id]):
            yield f"{row.account_id}: another main department is said than is stored"
    for row in rows["department"]:
        if row.member_count_below != len(below[row.department_id]):
            there = len(below[row.department_id])
            yield f"{row.department_id}: {row.member_count_below} are counted below, there are {there}"


def _people(rows: Mapping[str, Sequence[Any]], staff: Staff) -> Iterator[str]:
    there = {row.account_id: row for row in rows["member"]}
    if missing := staff.members - there.keys():
        yield f"answered and gone: {missing}"
    if (given := sum(row.licence_assign_time is not None for row in there.values())) > LICENCES:
        yield f"{given} licences are given of {LICENCES}"
    held = defaultdict[str, set[str]](set)
    for row in rows["binding"]:
        held[row.account_id].add(row.role_id)
    if not any(SUPER_ADMINISTRATOR in some and there[each].status != "DISABLED" for each, some in held.items()):
        yield "no super administrator is left"
    for account_id, roles in staff.roles.items():
        if held[account_id] != roles:
            yield f"{account_id} has {held[account_id]}, and was told {roles}"
    for account_id, import_id in staff.imports.items():
        if import_id and (number := sum(each in there for each in imported(account_id))) != IMPORTED:
            yield f"of {account_id}'s table {number} people are there"
    states = Counter(row.state for row in rows["import"] if row.import_id in staff.imports.values())
    if states.keys() - {"APPLIED"}:
        yield f"imports that did not end: {states}"


def _events(rows: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    numbers = defaultdict[str, list[int]](list)
    for row in sorted(rows["outbox"], key=lambda row: row.seq):
        numbers[row.entity_id].append(row.entity_seq)
    for entity_id, found in numbers.items():
        if found != [*range(1, len(found) + 1)]:
            yield f"events of {entity_id} are numbered {found}"
    for row in (*rows["member"], *rows["department"]):
        own = row[0]
        if len(numbers[own]) != row.version:
            yield f"{own} has version {row.version}, and {len(numbers[own])} events"
    if [row.number for row in sorted(rows["audit"], key=lambda row: row.number)] != [*range(1, len(rows["audit"]) + 1)]:
        yield "the audit log has gaps"


async def check_bus(database: Database, bus: Client, stored: Sequence[Any]) -> list[str]:
    """`stored`: the outbox."""
    breaches, stream = [], bus.jetstream()
    last = (await stream.stream_info(EVENTS)).state.last_seq
    told = [(await stream.get_msg(EVENTS, seq)).headers or {} for seq in range(1, last + 1)]
    by_entity, wanted = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for headers in told:
        by_entity[headers["ce-subject"]].append(headers["ce-id"])
    for row in sorted(stored, key=lambda row: row.seq):
        wanted[row.entity_id].append(row.event_id)
    if by_entity != wanted:
        breaches.append(f"{len(told)} events are on the stream, {len(stored)} in the outbox, or not in their order")
    accounts = await database.read(lambda c: c.scalars(sa.select(MEMBER_GRANT.c.account_id)).all())
    computed = await database.read(lambda c: grants.compute(c, accounts))
    for account_id, grant in computed.items():
        try:
            found = await stream.get_msg(STREAM, subject=to_subject(account_id))
        except NotFoundError:
            breaches.append(f"{account_id} has no grant in the bucket")
        else:
            if access_pb2.Grant.FromString(found.data or b"") != grant:
                breaches.append(f"{account_id} has another grant in the bucket than the tables say")
    assert BOSS in computed
    return breaches
