"""`yunhui webhooks`: subscribers without NATS, registered by an administrator."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.notifier.v1 import notifier_service_pb2 as api

from services.cli import moments
from services.cli.client import open_notifier
from services.cli.terminal import Terminal
from services.platform.text.messages import message

Subjects = Annotated[
    str, typer.Option("--filter", help=message("only these, e.g. 'reservation.*' or yunhui.booking.>"))
]
Description = Annotated[str, typer.Option("--name", help=message("name for people"))]


def webhooks(terminal: Terminal) -> None:
    with open_notifier(terminal) as notifier:
        answer = notifier.ask(notifier.stub.ListWebhooks, api.ListWebhooksRequest())
    terminal.answer(answer, lambda to: show_webhooks(to, answer))


def add(terminal: Terminal, url: str, only: Subjects = "", name: Description = "") -> None:
    with open_notifier(terminal) as notifier:
        request = api.CreateWebhookRequest(url=url, filter=only, description=name)
        answer = notifier.ask(notifier.stub.CreateWebhook, request)
    terminal.answer(answer, lambda to: show_secret(to, answer))


def change(
    terminal: Terminal,
    webhook_id: str,
    url: Annotated[str | None, typer.Option(help=message("the new address"))] = None,
    only: Annotated[
        str | None, typer.Option("--filter", help=message("only these, e.g. 'reservation.*' or yunhui.booking.>"))
    ] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help=message("whether events are sent"))
    ] = None,
) -> None:
    with open_notifier(terminal) as notifier:
        request = api.UpdateWebhookRequest(webhook_id=webhook_id, url=url, filter=only, enabled=enabled)
        answer = notifier.ask(notifier.stub.UpdateWebhook, request)
    terminal.answer(answer, lambda to: show_webhooks(to, api.ListWebhooksResponse(webhooks=[answer.webhook])))


def remove(terminal: Terminal, webhook_id: str) -> None:
    with open_notifier(terminal) as notifier:
        answer = notifier.ask(notifier.stub.DeleteWebhook, api.DeleteWebhookRequest(webhook_id=webhook_id))
    terminal.answer(answer, lambda to: to.say(message("{id} is removed."), id=webhook_id))


def show_secret(terminal: Terminal, answer: api.CreateWebhookResponse) -> None:
    terminal.say(message("{id} is registered: {url}"), id=answer.webhook.webhook_id, url=answer.webhook.url)
    terminal.say(message("Its secret for checking signatures, shown only now; keep it safe:"))
    terminal.out.print(answer.secret, markup=False, soft_wrap=True)


def show_webhooks(terminal: Terminal, answer: api.ListWebhooksResponse) -> None:
    if not answer.webhooks:
        terminal.say(message("No webhooks."))
        return
    table = Table(padding=(0, 1))
    for text in (message("webhook"), message("address"), message("events"), message("name"), message("state")):
        table.add_column(terminal.text(text), overflow="fold")
    for each in answer.webhooks:
        cells = (Styled(each.url), Styled(each.filter), Styled(each.description), Styled(state_of(terminal, each)))
        table.add_row(each.webhook_id, *cells)
    terminal.out.print(table)


def state_of(terminal: Terminal, webhook: api.Webhook) -> str:
    if not webhook.enabled:
        return terminal.text(message("off: {reason}"), reason=webhook.reason)
    if webhook.HasField("failing_since"):
        since = moments.show(webhook.failing_since, terminal.language)
        return terminal.text(message("nothing accepted since {time}"), time=since)
    return terminal.text(message("ok"))
