"""What callers send about members, checked and made plain: every fault names its field and the way out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.directory import fields
from services.platform.serving import errors
from services.platform.text.messages import message

MAX_ACCOUNT_ID = 128
MAX_NAME = 100
MAX_DEPARTMENTS = 20
FREE, ADVANCED = pb.ACCOUNT_TYPE_FREE, pb.ACCOUNT_TYPE_ADVANCED

TEXTS: Mapping[str, Callable[[str, str], str]] = {
    "display_name": partial(fields.required_text, longest=MAX_NAME),
    "email": fields.email,
    "phone": fields.phone,
    "title": partial(fields.text, longest=100),
    "staff_id": partial(fields.text, longest=64),
    "provider_user_id": partial(fields.text, longest=128),
}
UNIQUE = ("staff_id", "provider_user_id")
MARKS = ("verified", "hidden")
PERSONAL = tuple(TEXTS)
"""What no log may repeat."""


@dataclass(frozen=True, slots=True)
class MemberInput:
    """A checked member to be added. `facts`: columns; `departments`: ids, the main one first."""

    account_id: str
    facts: dict[str, Any]
    status: str
    advanced: bool
    departments: list[str]


@dataclass(frozen=True, slots=True)
class UpdateInput:
    """A checked request for a change. `facts`: columns, those that are given; `departments`: None is unchanged."""

    account_id: str
    version: int
    facts: dict[str, Any]
    departments: list[str] | None


def to_input(member: pb.Member) -> MemberInput:
    if member.status == pb.MEMBER_STATUS_WAITING:
        raise errors.invalid("member.status", message("only who signed in unknown waits to be let in"))
    return MemberInput(
        account_id=account_id("member.account_id", member.account_id),
        facts=_facts(member, TEXTS, "member.") | {name: getattr(member, name) for name in MARKS},
        status=status_name("member.status", member.status or pb.MEMBER_STATUS_NOT_ACTIVATED),
        advanced=is_advanced("member.account_type", member.account_type or FREE),
        departments=_departments("member.memberships", member.memberships),
    )


def to_update(request: api.UpdateMemberRequest) -> UpdateInput:
    given = {each.name for each, _ in request.ListFields()} - {"account_id", "version"}
    if not given:
        raise errors.invalid("display_name", message("give what is to change"))
    facts = _facts(request, [name for name in TEXTS if name in given])
    return UpdateInput(
        account_id=account_id("account_id", request.account_id),
        version=fields.version(request.version),
        facts=facts | {name: getattr(request, name) for name in MARKS if name in given},
        departments=_departments("memberships", request.memberships.memberships) if "memberships" in given else None,
    )


def to_departments(request: api.SetMemberEnabledRequest) -> list[str] | None:
    """Ids, the main one first; None: they stay."""
    if not request.HasField("memberships"):
        return None
    if not request.enabled:
        raise errors.invalid("memberships", message("only an account that is opened is put into departments"))
    return _departments("memberships", request.memberships.memberships)


def _facts(given: pb.Member | api.UpdateMemberRequest, names: Collection[str], prefix: str = "") -> dict[str, Any]:
    """As they are stored: of what no two have the same, NULL is none."""
    checked = {name: TEXTS[name](prefix + name, getattr(given, name)) for name in names}
    return {name: (value or None) if name in UNIQUE else value for name, value in checked.items()}


def account_id(field: str, given: str) -> str:
    """Required; as the subject of a token, with which it is compared: nothing is made plain."""
    if fields.required_text(field, given, MAX_ACCOUNT_ID) != given or "@" in given:
        words = message("must be the subject of the person's token: no e-mail address, and no spaces around it")
        raise errors.invalid(field, words)
    return given


def status_name(field: str, given: int) -> str:
    """MemberStatus without its prefix."""
    if not given or given not in pb.MemberStatus.values():
        raise errors.invalid(field, message("{status} is not a status", status=given))
    return pb.MemberStatus.Name(pb.MemberStatus.ValueType(given)).removeprefix("MEMBER_STATUS_")


def is_advanced(field: str, given: int) -> bool:
    if given not in (FREE, ADVANCED):
        raise errors.invalid(field, message("{type} is not a type of account", type=given))
    return given == ADVANCED


def _departments(field: str, given: Sequence[pb.Membership]) -> list[str]:
    """Ids, the main one first."""
    if len(given) > MAX_DEPARTMENTS:
        words = message("must be at most {most} departments, are {number}", most=MAX_DEPARTMENTS, number=len(given))
        raise errors.invalid(field, words)
    ids = [fields.identifier(f"{field}[{place}].department_id", each.department_id) for place, each in enumerate(given)]
    if len({*ids}) < len(ids):
        raise errors.invalid(field, message("must name each department once"))
    main = [each.department_id for each in given if each.main] or ids[:1]
    if len(main) > 1:
        raise errors.invalid(field, message("only one department can be the main one"))
    return in_order(ids, *main)


def in_order(ids: Collection[str], main: str = "") -> list[str]:
    """The main one first; the order of the others says nothing."""
    return sorted(ids, key=lambda each: (each != main, each))
