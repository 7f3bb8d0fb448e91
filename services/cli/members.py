"""`yunhui members`: the people of the organization (support), their accounts and licences (admin)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.cli import departments, moments, myself, rendering
from services.cli.arguments import confirm, in_choices, read_named
from services.cli.client import Directory, open_directory
from services.cli.departments import Yes
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.messages import Text, message, pmessage

PAGE = 500
STATUS = "MEMBER_STATUS_"
TYPE = "ACCOUNT_TYPE_"
STATUSES: Mapping[int, Text] = {
    pb.MEMBER_STATUS_ENABLED: pmessage("account", "enabled"),
    pb.MEMBER_STATUS_NOT_ACTIVATED: pmessage("account", "not activated"),
    pb.MEMBER_STATUS_DISABLED: pmessage("account", "disabled"),
    pb.MEMBER_STATUS_WAITING: pmessage("account", "waits to be let in"),
}
TYPES: Mapping[int, Text] = {
    pb.ACCOUNT_TYPE_FREE: message("free account"),
    pb.ACCOUNT_TYPE_ADVANCED: message("advanced account"),
}

StatusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        metavar="|".join(in_choices(name, STATUS) for name in pb.MemberStatus.keys()[1:]),
        help=message("only in this state; repeatable"),
    ),
]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT")]
Name = Annotated[str | None, typer.Option(help=message("name for people"))]
Email = Annotated[str | None, typer.Option(help=message("e-mail address"))]
Phone = Annotated[str | None, typer.Option(help=message("phone number, such as +8613800138000"))]
Title = Annotated[str | None, typer.Option(help=message("what the person is in the organization"))]
StaffId = Annotated[str | None, typer.Option("--staff", help=message("the organization's own number of the person"))]
ProviderId = Annotated[str | None, typer.Option("--provider-user", help=message("the id at the meeting provider"))]
Verified = Annotated[
    bool | None, typer.Option("--verified/--unverified", help=message("whether the identity was checked"))
]
Hidden = Annotated[
    bool | None, typer.Option("--hidden/--not-hidden", help=message("whether the address book hides the person"))
]
DepartmentsOption = Annotated[
    list[str] | None,
    typer.Option("--department", help=message("path or number; repeatable, the first is the main one")),
]


def list_(
    terminal: Terminal,
    text: Annotated[
        str, typer.Argument(help=message("part of the name, pinyin, initials, account, e-mail, staff number or phone"))
    ] = "",
    status: StatusOption = None,
    free: Annotated[
        bool | None, typer.Option("--free/--advanced", help=message("only free, or only advanced accounts"))
    ] = None,
    department: Annotated[str, typer.Option(help=message("of this department, by path or number"))] = "",
    below: Annotated[bool, typer.Option("--below", help=message("and of those below it"))] = False,
    no_department: Annotated[bool, typer.Option("--no-department", help=message("without a department"))] = False,
    verified: Verified = None,
    hidden: Hidden = None,
    newest: Annotated[bool, typer.Option("--newest", help=message("the newest first; else by name"))] = False,
    limit: Annotated[int, typer.Option(min=1, help=message("list at most so many"))] = 50,
) -> None:
    types = {None: (), True: (pb.ACCOUNT_TYPE_FREE,), False: (pb.ACCOUNT_TYPE_ADVANCED,)}
    request = api.ListMembersRequest(
        query=text,
        statuses=[pb.MemberStatus.Value(read_named(typed, pb.MemberStatus.keys(), STATUS)) for typed in status or ()],
        account_types=types[free],
        below=below,
        without_department=no_department,
        verified=verified,
        hidden=hidden,
        order=api.MEMBER_ORDER_NEWEST if newest else api.MEMBER_ORDER_NAME,
        page_size=min(limit, PAGE),
    )
    with open_directory(terminal) as directory:
        if department:
            request.department_id = departments.find(directory, department).department_id
        answer = first_pages(directory, request, limit)
    terminal.answer(answer, lambda to: show_list(to, answer))


def first_pages(directory: Directory, request: api.ListMembersRequest, limit: int) -> api.ListMembersResponse:
    """As one, of at most so many members."""
    answer = directory.ask(directory.stub.members.ListMembers, request)
    whole = api.ListMembersResponse(members=answer.members, total_count=answer.total_count, as_of=answer.as_of)
    while answer.next_page_token and len(whole.members) < limit:
        request.page_token = answer.next_page_token
        answer = directory.ask(directory.stub.members.ListMembers, request)
        whole.members.extend(answer.members)
    del whole.members[limit:]
    return whole


def show(terminal: Terminal, account: Account) -> None:
    with open_directory(terminal) as directory:
        answer = api.GetMemberResponse(member=find(directory, account))
    terminal.answer(answer, lambda to: show_member(to, answer.member))


def add(
    terminal: Terminal,
    account: Account,
    name: Annotated[str, typer.Option(help=message("name for people"))],
    email: Email = None,
    phone: Phone = None,
    title: Title = None,
    staff: StaffId = None,
    provider_user: ProviderId = None,
    verified: Annotated[bool, typer.Option("--verified", help=message("the identity was checked"))] = False,
    department: DepartmentsOption = None,
    enabled: Annotated[
        bool, typer.Option("--enabled", help=message("the account may be used; else it is not activated yet"))
    ] = False,
    advanced: Annotated[bool, typer.Option("--advanced", help=message("with a licence"))] = False,
) -> None:
    member = pb.Member(
        account_id=account,
        display_name=name,
        email=email or "",
        phone=phone or "",
        title=title or "",
        staff_id=staff or "",
        provider_user_id=provider_user or "",
        verified=verified,
        status=pb.MEMBER_STATUS_ENABLED if enabled else pb.MEMBER_STATUS_NOT_ACTIVATED,
        account_type=pb.ACCOUNT_TYPE_ADVANCED if advanced else pb.ACCOUNT_TYPE_FREE,
    )
    with open_directory(terminal) as directory:
        member.memberships.extend(to_memberships(directory, department or ()))
        answer = directory.ask(directory.stub.members.CreateMember, api.CreateMemberRequest(member=member))
    terminal.answer(answer, lambda to: show_member(to, answer.member))


def update(
    terminal: Terminal,
    account: Account,
    name: Name = None,
    email: Email = None,
    phone: Phone = None,
    title: Title = None,
    staff: StaffId = None,
    provider_user: ProviderId = None,
    verified: Verified = None,
    hidden: Hidden = None,
    department: Annotated[
        list[str] | None,
        typer.Option(
            "--department", help=message("all from now on, the first is the main one; '' for none; repeatable")
        ),
    ] = None,
) -> None:
    request = api.UpdateMemberRequest(
        account_id=account,
        display_name=name,
        email=email,
        phone=phone,
        title=title,
        staff_id=staff,
        provider_user_id=provider_user,
        verified=verified,
        hidden=hidden,
    )
    if len(request.ListFields()) == 1 and not department:
        raise CommandError(FailureReason.SAY_WHAT, ExitCode.USAGE, way=f"{myself.name()} members update --help")
    with open_directory(terminal) as directory:
        request.version = find(directory, account).version
        if department:
            memberships = api.Memberships(memberships=to_memberships(directory, department))
            request.memberships.CopyFrom(memberships)
        answer = directory.ask(directory.stub.members.UpdateMember, request)
    terminal.answer(answer, lambda to: show_member(to, answer.member))


def enable(terminal: Terminal, account: Account, department: DepartmentsOption = None) -> None:
    said = message("{account} ({name}) may be used.")
    set_enabled(terminal, account, said, enabled=True, department=department or ())


def disable(terminal: Terminal, account: Account) -> None:
    set_enabled(terminal, account, message("{account} ({name}) is closed."), enabled=False)


def set_enabled(terminal: Terminal, account: str, said: Text, *, enabled: bool, department: Sequence[str] = ()) -> None:
    """`department`: all from now on; without any they stay."""
    with open_directory(terminal) as directory:
        version = find(directory, account).version
        request = api.SetMemberEnabledRequest(account_id=account, enabled=enabled, version=version)
        if department:
            request.memberships.memberships.extend(to_memberships(directory, department))
        answer = directory.ask(directory.stub.members.SetMemberEnabled, request)
    terminal.answer(answer, lambda to: to.say(said, account=account, name=answer.member.display_name))


def give(terminal: Terminal, account: Account) -> None:
    member = set_type(terminal, account, pb.ACCOUNT_TYPE_ADVANCED)
    until = moments.show(member.licence_lock_time, terminal.language)
    said = message("{account} has a licence. It can be taken back until {time}.")
    terminal.say(said, account=account, time=until)


def take(terminal: Terminal, account: Account) -> None:
    set_type(terminal, account, pb.ACCOUNT_TYPE_FREE)
    terminal.say(message("{account} has no licence any more."), account=account)


def set_type(terminal: Terminal, account: str, account_type: pb.AccountType.ValueType) -> pb.Member:
    with open_directory(terminal) as directory:
        version = find(directory, account).version
        request = api.SetAccountTypeRequest(account_id=account, account_type=account_type, version=version)
        answer = directory.ask(directory.stub.members.SetAccountType, request)
    terminal.answer(answer, lambda _: None)
    return answer.member


def delete(terminal: Terminal, account: Account, yes: Yes = False) -> None:
    with open_directory(terminal) as directory:
        member = find(directory, account)
        question = message("Delete {account} ({name}) and all that is known of them?")
        confirm(terminal, question, yes=yes, account=account, name=member.display_name)
        request = api.DeleteMemberRequest(account_id=account, version=member.version)
        answer = directory.ask(directory.stub.members.DeleteMember, request)
    terminal.answer(answer, lambda to: to.say(message("{account} is deleted."), account=account))


def find(directory: Directory, account: str) -> pb.Member:
    """Raises CommandError."""
    return directory.ask(directory.stub.members.GetMember, api.GetMemberRequest(account_id=account)).member


def to_memberships(directory: Directory, typed: Sequence[str]) -> Iterator[pb.Membership]:
    """The first is the main one; an empty word names none."""
    for index, department in enumerate(filter(None, typed)):
        found = departments.find(directory, department)
        yield pb.Membership(department_id=found.department_id, main=index == 0)


def show_list(terminal: Terminal, answer: api.ListMembersResponse) -> None:
    if not answer.members:
        terminal.say(message("No members."))
        return
    table = Table(padding=(0, 1))
    for text in (message("account"), pmessage("person", "name"), message("department")):
        table.add_column(terminal.text(text), overflow="fold")
    for text in (message("state"), message("type")):
        table.add_column(terminal.text(text))
    for each in answer.members:
        main = next((membership.path for membership in each.memberships), "–")
        states = (terminal.text(STATUSES[each.status]), terminal.text(TYPES[each.account_type]))
        table.add_row(Styled(each.account_id), Styled(each.display_name), Styled(main), *states)
    terminal.out.print(table)
    rendering.show_rest(terminal, len(answer.members), answer.total_count)


def show_member(terminal: Terminal, member: pb.Member) -> None:
    rendering.show_facts(terminal, member_facts(terminal, member))


def member_facts(terminal: Terminal, member: pb.Member) -> Iterator[tuple[Text, str]]:
    """What is not known is left out."""
    language = terminal.language
    yield message("account"), member.account_id
    yield pmessage("person", "name"), member.display_name
    yield message("state"), terminal.text(STATUSES[member.status])
    yield message("type"), terminal.text(TYPES[member.account_type])
    if member.HasField("licence_assign_time"):
        yield message("licence since"), moments.show(member.licence_assign_time, language)
        yield message("licence stays from"), moments.show(member.licence_lock_time, language)
    paths = "\n".join(each.path for each in member.memberships)
    yield message("departments"), paths or terminal.text(pmessage("department", "none"))
    known = (
        (message("e-mail"), member.email),
        (message("phone"), member.phone),
        (message("title"), member.title),
        (message("staff number"), member.staff_id),
        (message("id at the provider"), member.provider_user_id),
    )
    yield from ((text, value) for text, value in known if value)
    yield message("identity checked"), terminal.text(message("yes") if member.verified else message("no"))
    if member.hidden:
        yield message("address book"), terminal.text(message("hidden from others"))
    if member.HasField("last_sign_in_time"):
        yield message("last sign-in"), moments.show(member.last_sign_in_time, language)
    yield message("added"), moments.show(member.create_time, language)
    yield message("last change"), moments.show(member.update_time, language)
