"""The notices that were sent, or could not be: all of them as a table, and those that failed on support's desk."""

from starlette.requests import Request
from yunhui.notifier.v1 import delivery_pb2 as pb
from yunhui.notifier.v1 import notifier_service_pb2 as api

from services.contracts.event_names import NAMES
from services.platform.text.messages import message
from services.portal.calls import ask, services_of
from services.portal.tables import Act, Asked, Column, Listing, Table, TableFilter
from services.portal.texts import DELIVERY_STATES, MAILS

STATES = {
    "queued": pb.DELIVERY_STATE_QUEUED,
    "sent": pb.DELIVERY_STATE_SENT,
    "failed": pb.DELIVERY_STATE_FAILED,
}
"""As the address says them."""


async def fetch(request: Request, asked: Asked) -> Listing[pb.Delivery]:
    state = STATES.get(asked.filters["state"])
    question = api.ListDeliveriesRequest(
        states=[state] if state else [],
        account_id=asked.filters["account_id"],
        page_size=asked.page_size,
        page_token=asked.page_token,
    )
    answer = await ask(request, services_of(request).notifier.ListDeliveries, question)
    return Listing(list(answer.deliveries), answer.next_page_token)


def kind(each: pb.Delivery) -> str:
    """Of a mail the notice, which may be one of several of its kind; of a webhook the event."""
    if event := NAMES.get(each.kind):
        return event.name
    return MAILS.get(each.kind.partition("-")[0], each.kind)


def said(each: pb.Delivery) -> str:
    """The server, at the last attempt."""
    return f"{each.code or ''} {each.answer}".strip()


def reservation(each: pb.Delivery) -> str:
    return f"/reservations/{each.reservation_id}" if each.reservation_id else ""


def again(each: pb.Delivery) -> str:
    return f"/support/deliveries/{each.delivery_id}" if each.resendable else ""


TABLE = Table(
    "/support/deliveries",
    message("Deliveries"),
    fetch,
    permission="notices.view_all",
    columns=[
        Column(message("When"), lambda each: each.update_time),
        Column(message("Notice"), kind, link=reservation, width="wide"),
        Column(message("State"), lambda each: DELIVERY_STATES[each.state], width="narrow"),
        Column(message("Account"), lambda each: each.account_id),
        Column(message("To"), lambda each: each.recipient),
        Column(message("Attempts"), lambda each: each.attempt_count, width="narrow"),
        Column(message("The server said"), said),
    ],
    filters=[
        TableFilter("state", message("State"), {name: DELIVERY_STATES[state] for name, state in STATES.items()}),
        TableFilter("account_id", message("Account")),
    ],
    act=Act(message("Send again"), again),
)
