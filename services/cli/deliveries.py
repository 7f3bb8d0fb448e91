"""`yunhui deliveries` and `yunhui preferences`: who was told what and how that went, and who wants to be told what."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.notifier.v1 import delivery_pb2 as pb
from yunhui.notifier.v1 import notifier_service_pb2 as api

from services.cli import moments, words
from services.cli.arguments import read_choice
from services.cli.client import open_notifier
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.messages import message, pmessage

STATES = {
    "queued": (pb.DELIVERY_STATE_QUEUED, message("queued")),
    "sent": (pb.DELIVERY_STATE_SENT, message("sent")),
    "failed": (pb.DELIVERY_STATE_FAILED, message("failed")),
}
VERDICTS = {
    pb.ATTEMPT_VERDICT_ACCEPTED: message("accepted"),
    pb.ATTEMPT_VERDICT_TEMPORARY: message("not now"),
    pb.ATTEMPT_VERDICT_PERMANENT: message("refused for good"),
    pb.ATTEMPT_VERDICT_AWAY: message("away"),
    pb.ATTEMPT_VERDICT_UNKNOWN: pmessage("attempt", "unknown"),
}
Reservation = Annotated[str, typer.Option(help=message("only about this reservation"))]
Account = Annotated[str, typer.Option(help=message("only about this account"))]
Kind = Annotated[str, typer.Option(help=message("only notices of this kind, e.g. confirmation"))]
State = Annotated[str, typer.Option("--only", metavar="|".join(STATES), help=message("only in this state"))]
Limit = Annotated[int, typer.Option(min=1, max=500, help=message("list at most so many"))]
Page = Annotated[str, typer.Option(help=message("go on: the token that the page before ended with"))]


def deliveries(
    terminal: Terminal,
    reservation: Reservation = "",
    account: Account = "",
    kind: Kind = "",
    only: State = "",
    limit: Limit = 50,
    page: Page = "",
) -> None:
    states = [STATES[read_choice(only, tuple(STATES))][0]] if only else []
    request = api.ListDeliveriesRequest(
        reservation_id=reservation, account_id=account, kind=kind, states=states, page_size=limit, page_token=page
    )
    with open_notifier(terminal) as notifier:
        answer = notifier.ask(notifier.stub.ListDeliveries, request)
    terminal.answer(answer, lambda to: show_deliveries(to, answer))


def show(terminal: Terminal, delivery_id: str) -> None:
    with open_notifier(terminal) as notifier:
        answer = notifier.ask(notifier.stub.GetDelivery, api.GetDeliveryRequest(delivery_id=delivery_id))
    terminal.answer(answer, lambda to: show_delivery(to, answer))


def resend(terminal: Terminal, delivery_id: str) -> None:
    with open_notifier(terminal) as notifier:
        answer = notifier.ask(notifier.stub.ResendDelivery, api.ResendDeliveryRequest(delivery_id=delivery_id))
    terminal.answer(
        answer, lambda to: to.say(message("{id} is queued and will be sent again."), id=answer.delivery.delivery_id)
    )


def show_deliveries(terminal: Terminal, answer: api.ListDeliveriesResponse) -> None:
    if not answer.deliveries:
        terminal.say(message("No deliveries."))
        return
    table = Table(padding=(0, 1))
    for text in (message("delivery"), message("time"), message("notice"), message("to"), message("state")):
        table.add_column(terminal.text(text), overflow="fold")
    table.add_column(terminal.text(message("attempts")), justify="right")
    table.add_column(terminal.text(message("the server said")), overflow="fold", ratio=1)
    for each in answer.deliveries:
        table.add_row(
            each.delivery_id,
            moments.show(each.create_time, terminal.language),
            words.notice(each.kind, terminal.language),
            Styled(each.recipient),
            state_of(terminal, each.state),
            str(each.attempt_count),
            Styled(each.answer),
        )
    terminal.out.print(table)
    if answer.next_page_token:
        terminal.say(message("there is more: --page {page}"), page=answer.next_page_token)


def state_of(terminal: Terminal, state: int) -> str:
    return next((terminal.text(text) for number, text in STATES.values() if number == state), str(state))


def show_delivery(terminal: Terminal, answer: api.GetDeliveryResponse) -> None:
    delivery = answer.delivery
    show_deliveries(terminal, api.ListDeliveriesResponse(deliveries=[delivery]))
    for text, value in (
        (message("event"), delivery.event_id),
        (message("reservation"), delivery.reservation_id),
        (message("account"), delivery.account_id),
        (message("message id"), delivery.message_id),
    ):
        terminal.out.print(f"{terminal.text(text)}: {value}", markup=False, soft_wrap=True)
    if delivery.HasField("due_time"):
        terminal.say(message("tried next: {time}"), time=moments.show(delivery.due_time, terminal.language))
    if answer.attempts:
        terminal.out.print(attempts_table(terminal, answer.attempts))


def attempts_table(terminal: Terminal, attempts: Iterable[pb.Attempt]) -> Table:
    table = Table(padding=(0, 1))
    table.add_column(terminal.text(message("attempt")), justify="right")
    for text in (message("time"), message("result"), message("the server said")):
        table.add_column(terminal.text(text), overflow="fold")
    for each in attempts:
        time = moments.show_moment(moments.to_moment(each.time), terminal.language)
        verdict = terminal.text(VERDICTS[each.verdict]) if each.verdict in VERDICTS else str(each.verdict)
        table.add_row(str(each.number), time, verdict, Styled(each.answer))
    return table


# Preferences

Whose = Annotated[str, typer.Option(help=message("of this account (admin)"))]


def preferences(terminal: Terminal, account: Whose = "") -> None:
    with open_notifier(terminal) as notifier:
        answer = notifier.ask(notifier.stub.GetPreferences, api.GetPreferencesRequest(account_id=account))
    terminal.answer(answer, lambda to: show_preferences(to, answer.notices))


def set_preferences(
    terminal: Terminal,
    wishes: Annotated[
        list[str], typer.Argument(metavar="NOTICE=on|off", help=message("e.g. reminder=off confirmation=on"))
    ],
    account: Whose = "",
) -> None:
    request = api.UpdatePreferencesRequest(account_id=account, notices=[read_wish(each) for each in wishes])
    with open_notifier(terminal) as notifier:
        answer = notifier.ask(notifier.stub.UpdatePreferences, request)
    terminal.answer(answer, lambda to: show_preferences(to, answer.notices))


def read_wish(typed: str) -> api.NoticePreference:
    notice, separator, switch = typed.partition("=")
    if not separator or switch not in ("on", "off"):
        raise CommandError(FailureReason.BAD_WISH, ExitCode.USAGE, typed=typed)
    return api.NoticePreference(notice=notice, enabled=switch == "on")


def show_preferences(terminal: Terminal, notices: Iterable[api.NoticePreference]) -> None:
    table = Table(padding=(0, 1))
    for text in (message("notice"), pmessage("whether", "sent"), message("name")):
        table.add_column(terminal.text(text), overflow="fold")
    for each in notices:
        word = message("always") if each.mandatory else message("yes") if each.enabled else message("no")
        # the name is what `set` is given: one that cannot be switched needs none
        switch = "" if each.mandatory else each.notice
        table.add_row(words.notice(each.notice, terminal.language), terminal.text(word), switch)
    terminal.out.print(table)
