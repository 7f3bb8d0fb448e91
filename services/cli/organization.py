"""`yunhui organization`: what this installation works for, and who is told of what concerns it (support, admin)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api

from services.cli import moments, myself, rendering
from services.cli.arguments import in_choices, read_named
from services.cli.client import Directory, open_directory
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.messages import Text, message, pmessage

EDITION = "EDITION_"
TOPIC = "NOTICE_TOPIC_"
EDITIONS: Mapping[int, Text] = {
    pb.EDITION_UNSPECIFIED: pmessage("edition", "not said"),
    pb.EDITION_FREE: pmessage("edition", "free"),
    pb.EDITION_EDUCATION: pmessage("edition", "education"),
    pb.EDITION_ENTERPRISE: pmessage("edition", "enterprise"),
}
TOPICS: Mapping[int, Text] = {
    pb.NOTICE_TOPIC_LICENCES: pmessage("topic", "licences"),
    pb.NOTICE_TOPIC_BILLING: pmessage("topic", "orders and invoices"),
    pb.NOTICE_TOPIC_SECURITY: pmessage("topic", "security"),
    pb.NOTICE_TOPIC_SERVICE: pmessage("topic", "faults and maintenance"),
}
MODES: Mapping[int, Text] = {
    pb.JOINING_MODE_UNSPECIFIED: message("the sign-in service alone decides"),
    pb.JOINING_MODE_OFF: message("the sign-in service alone decides"),
    pb.JOINING_MODE_APPROVAL: message("they wait until an administrator lets them in"),
    pb.JOINING_MODE_MAIL_DOMAIN: message("they join by the domain of their verified mail; others wait"),
}
"""What becomes of somebody unknown who signs in."""
EDITION_CHOICES = "|".join(in_choices(name, EDITION) for name in pb.Edition.keys()[1:])
TOPIC_CHOICES = "|".join(in_choices(name, TOPIC) for name in pb.NoticeTopic.keys()[1:])


def show(terminal: Terminal) -> None:
    with open_directory(terminal) as directory:
        answer = api.GetOrganizationResponse(organization=get(directory))
    terminal.answer(answer, lambda to: show_organization(to, answer.organization))


def update(
    terminal: Terminal,
    name: Annotated[str | None, typer.Option(help=message("name for people"))] = None,
    provider: Annotated[str | None, typer.Option(help=message("who sold the meeting service"))] = None,
    provider_organization: Annotated[
        str | None, typer.Option("--provider-organization", help=message("the id at the meeting provider"))
    ] = None,
    edition: Annotated[
        str | None, typer.Option(metavar=EDITION_CHOICES, help=message("what the organization has bought"))
    ] = None,
) -> None:
    request = api.UpdateOrganizationRequest(
        display_name=name,
        provider_name=provider,
        provider_organization_id=provider_organization,
        edition=pb.Edition.Value(read_named(edition, pb.Edition.keys(), EDITION)) if edition else None,
    )
    if not request.ListFields():
        raise CommandError(FailureReason.SAY_WHAT, ExitCode.USAGE, way=f"{myself.name()} organization update --help")
    with open_directory(terminal) as directory:
        request.version = get(directory).version
        answer = directory.ask(directory.stub.organization.UpdateOrganization, request)
    terminal.answer(answer, lambda to: show_organization(to, answer.organization))


def contacts(terminal: Terminal) -> None:
    with open_directory(terminal) as directory:
        answer = api.Contacts(contacts=get(directory).contacts)
    terminal.answer(answer, lambda to: show_contacts(to, answer.contacts))


def add_contact(
    terminal: Terminal,
    email: Annotated[str, typer.Argument(metavar="EMAIL")],
    name: Annotated[str, typer.Option(help=message("name for people"))],
    topic: Annotated[
        list[str], typer.Option("--topic", metavar=TOPIC_CHOICES, help=message("told of this; repeatable"))
    ],
    phone: Annotated[str, typer.Option(help=message("phone number, such as +8613800138000"))] = "",
) -> None:
    """Whoever has that address already is changed."""
    topics = [pb.NoticeTopic.Value(read_named(typed, pb.NoticeTopic.keys(), TOPIC)) for typed in topic]
    with open_directory(terminal) as directory:
        before = get(directory)
        added = pb.Contact(display_name=name, email=email, phone=phone, topics=topics)
        after = [added if is_at(each, email) else each for each in before.contacts]
        answer = put_contacts(directory, before, after if added in after else [*after, added])
    terminal.answer(answer, lambda to: show_contacts(to, answer.contacts))


def delete_contact(terminal: Terminal, email: Annotated[str, typer.Argument(metavar="EMAIL")]) -> None:
    with open_directory(terminal) as directory:
        before = get(directory)
        others = [each for each in before.contacts if not is_at(each, email)]
        if len(others) == len(before.contacts):
            raise CommandError(FailureReason.NO_SUCH_CONTACT, ExitCode.NOT_FOUND, email=email)
        answer = put_contacts(directory, before, others)
    terminal.answer(answer, lambda to: show_contacts(to, answer.contacts))


def is_at(contact: pb.Contact, email: str) -> bool:
    return contact.email.casefold() == email.strip().casefold()


def get(directory: Directory) -> pb.Organization:
    return directory.ask(directory.stub.organization.GetOrganization, api.GetOrganizationRequest()).organization


def put_contacts(directory: Directory, before: pb.Organization, given: Iterable[pb.Contact]) -> api.Contacts:
    request = api.UpdateOrganizationRequest(version=before.version, contacts=api.Contacts(contacts=given))
    after = directory.ask(directory.stub.organization.UpdateOrganization, request).organization
    return api.Contacts(contacts=after.contacts)


def show_organization(terminal: Terminal, organization: pb.Organization) -> None:
    rendering.show_facts(terminal, organization_facts(terminal, organization))
    if organization.contacts:
        show_contacts(terminal, organization.contacts)


def organization_facts(terminal: Terminal, organization: pb.Organization) -> Iterator[tuple[Text, str]]:
    yield message("organization"), organization.display_name or "–"
    yield message("edition"), terminal.text(EDITIONS[organization.edition])
    if organization.provider_name:
        yield message("provider"), organization.provider_name
    if organization.provider_organization_id:
        yield message("id at the provider"), organization.provider_organization_id
    if organization.joining.mode not in (pb.JOINING_MODE_UNSPECIFIED, pb.JOINING_MODE_OFF):
        yield message("somebody unknown signs in"), terminal.text(MODES[organization.joining.mode])
    if organization.HasField("update_time"):
        yield message("last change"), moments.show(organization.update_time, terminal.language)


def show_contacts(terminal: Terminal, listed: Iterable[pb.Contact]) -> None:
    table = Table(padding=(0, 1))
    for text in (message("contact"), message("e-mail"), message("phone"), message("told of")):
        table.add_column(terminal.text(text), overflow="fold")
    for each in listed:
        topics = terminal.text(pmessage("list", ", ")).join(terminal.text(TOPICS[topic]) for topic in each.topics)
        table.add_row(*map(Styled, (each.display_name, each.email, each.phone or "–", topics)))
    if table.row_count:
        terminal.out.print(table)
    else:
        terminal.say(message("No contacts."))
