"""Departments and members for tests, by the shortest way."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.directory import members, search
from services.directory.changes import Changes
from services.directory.models import DEPARTMENT, PURCHASE
from tests.directory.conftest import ADMIN, MONDAY


def department(connection: Connection, department_id: str, name: str, parent: str = "") -> None:
    found = connection.execute(sa.select(DEPARTMENT.c.path).where(DEPARTMENT.c.department_id == parent)).scalar()
    siblings = sa.select(sa.func.count()).select_from(DEPARTMENT).where(DEPARTMENT.c.parent_id == parent)
    position = connection.execute(siblings).scalar_one()
    row = {
        "department_id": department_id,
        "parent_id": parent,
        "display_name": name,
        "position": position,
        "version": 1,
    }
    row |= {"search_text": search.to_text([name]), "path": f"{found or ''}{department_id}/"}
    connection.execute(sa.insert(DEPARTMENT).values(**row, create_time=MONDAY, update_time=MONDAY))


def purchase(connection: Connection, count: int) -> None:
    row = {"purchase_id": "po-1", "count": count, "start_time": MONDAY, "end_time": 2 * MONDAY, "note": ""}
    connection.execute(sa.insert(PURCHASE).values(row))


async def add(changes: Changes, account_id: str, name: str = "单雄信", **more: Any) -> pb.Member:
    member = pb.Member(account_id=account_id, display_name=name, **more)
    return await members.create(changes, api.CreateMemberRequest(member=member), ADMIN)


def memberships(*ids: str, main: str = "") -> list[pb.Membership]:
    return [pb.Membership(department_id=each, main=each == main) for each in ids]
