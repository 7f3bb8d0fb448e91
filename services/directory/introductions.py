"""Somebody signs in whom no program knows: what the directory makes of them (`directory.introduce` on the bus)."""

from sqlalchemy.engine import Connection
from yunhui.access.v1 import access_pb2 as pb
from yunhui.directory.v1 import organization_pb2

from services.contracts import subjects
from services.directory import departments, grants, joining, member_queries, member_requests, members
from services.directory import organization as organizations
from services.directory.changes import Changes, Outcome, Steps, Work
from services.directory.member_requests import MemberInput
from services.directory.models import DEPARTMENT
from services.directory.scopes import Actor
from services.platform.messaging.replies import Replies
from services.platform.serving import errors
from services.platform.settings import Settings

METHOD = subjects.INTRODUCE


def replies(settings: Settings, changes: Changes) -> Replies:
    """Serve them. One after the other: changes take turns anyway."""

    async def on_introduce(asked: pb.IntroduceRequest) -> pb.IntroduceResponse:
        return await introduce(changes, asked)

    return Replies(settings, "directory introductions", {METHOD: (pb.IntroduceRequest, on_introduce)})


async def introduce(made: Changes, asked: pb.IntroduceRequest) -> pb.IntroduceResponse:
    """However often and by whomever the same account is introduced, it becomes one member."""
    try:
        member_requests.account_id("account_id", asked.account_id)
    except errors.RpcError:
        return pb.IntroduceResponse(impossible=True)
    return await made.make(introducing(asked))


def introducing(asked: pb.IntroduceRequest) -> Work[pb.IntroduceResponse]:
    def work(connection: Connection, now: int) -> Outcome[pb.IntroduceResponse]:
        setting = joining.of(organizations.read(connection))
        if setting.mode == organization_pb2.JOINING_MODE_OFF:
            return Outcome(pb.IntroduceResponse(), (), ())  # it was changed a moment ago
        steps, wanted = Steps(connection, now), asked.account_id
        if not _was_member(connection, wanted):
            steps.take(_adding(setting, asked))
            grants.mark(connection, [wanted])
        else:
            grants.mark_once(connection, [wanted])
        return steps.outcome(pb.IntroduceResponse(grant=grants.compute(connection, [wanted])[wanted]))

    return work


def _was_member(connection: Connection, account_id: str) -> bool:
    """Or is one. Who was removed does not come back by themselves."""
    known = member_queries.version_of(connection, account_id) is not None
    return known or account_id in member_queries.last_numbers(connection, [account_id])


def _adding(setting: organization_pb2.Joining, asked: pb.IntroduceRequest) -> Work[object]:
    # they add themselves: it is their name that stands in the audit log
    by = Actor(asked.account_id, frozenset(), METHOD, {members.PERMISSION: frozenset()})

    def work(connection: Connection, now: int) -> Outcome[object]:
        let_in = joining.department_for(connection, setting, asked)
        department_id = let_in or _named(connection, asked.department)
        given = MemberInput(
            account_id=asked.account_id,
            facts=_facts(asked),
            status="ENABLED" if let_in else "WAITING",
            advanced=False,
            departments=[department_id] if department_id else [],
        )
        done = members.add(connection, given, by, now)
        return Outcome(done.answer, done.events, done.entries)

    return work


def _facts(asked: pb.IntroduceRequest) -> dict[str, object]:
    """As far as the token says them and they can be kept."""
    return {
        **dict.fromkeys(("phone", "title"), ""),
        **dict.fromkeys(member_requests.UNIQUE),
        "display_name": _kept("display_name", asked.display_name) or asked.account_id[: member_requests.MAX_NAME],
        "email": _kept("email", asked.email),
        "verified": False,
    }


def _kept(name: str, said: str) -> str:
    try:
        return member_requests.TEXTS[name](name, said)
    except errors.RpcError:
        return ""


def _named(connection: Connection, said: str) -> str:
    """The department with this path, or the only one with this name; "" for none, and for several."""
    way = tuple(part.strip() for part in said.split("/"))
    found = departments.names_from_top(connection, DEPARTMENT.c.display_name == way[-1])
    right = [each for each, names in found.items() if names == way] or [
        each for each, names in found.items() if len(way) == 1 and names[-1:] == way
    ]
    return right[0] if len(right) == 1 and right[0] else ""
