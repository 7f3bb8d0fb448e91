"""What is seen to when the program starts: that an organization gets its first super administrator."""

import logging
from typing import Any

from sqlalchemy.engine import Connection
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.directory import bindings, member_queries, members
from services.directory.changes import Changes, Outcome, has_super_administrator
from services.directory.member_requests import to_input
from services.directory.scopes import Actor
from services.platform.data import audit
from services.platform.serving.permissions import BUILT_IN, SUPER_ADMINISTRATOR

log = logging.getLogger(__name__)

PROGRAM = Actor(
    "directory", frozenset({"service"}), "start", dict.fromkeys(BUILT_IN[SUPER_ADMINISTRATOR], frozenset[str]())
)


async def ensure_super_administrator(made: Changes, account_id: str) -> None:
    """The account of the settings becomes one when there is none, and a member if it is not one yet."""

    def work(connection: Connection, now: int) -> Outcome[None]:
        if not account_id or has_super_administrator(connection):
            return Outcome(None, (), ())
        key = {"account_id": account_id, "role_id": SUPER_ADMINISTRATOR, "department_id": ""}
        status = member_queries.status_of(connection, account_id)
        if status == "DISABLED":
            log.error("YUNHUI_SUPER_ADMINISTRATOR: this account is disabled: name another one")
            return Outcome(None, (), ())
        added: Outcome[Any] = Outcome(None, (), ())
        if status == "WAITING":
            version = member_queries.version_of(connection, account_id)
            let_in = api.SetMemberEnabledRequest(account_id=account_id, enabled=True, version=version or 0)
            added = members.enabling(let_in, PROGRAM)(connection, now)
        if status is None:
            added = members.add(
                connection, to_input(pb.Member(account_id=account_id, display_name=account_id)), PROGRAM, now
            )
        events = bindings.add(connection, [key], PROGRAM, now)
        entry = audit.AuditEntry(PROGRAM, "member", account_id, account_id, detail={"role_id": SUPER_ADMINISTRATOR})
        return Outcome(None, [*added.events, *events], [*added.entries, entry])

    await made.make(work)
