"""Ready-made deliveries, and the ways of a test to queue and to look at them."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from services.notifier import deliveries
from services.notifier.channels import MAIL, DeliveryClaim, SendResult, SendVerdict
from services.notifier.deliveries import ATTEMPT, TABLE, Deliveries, NewDelivery, Settlement
from services.notifier.messages import Composer
from services.platform.data.database import Database
from tests.notifier.samples import BOOKER, LETTERHEAD, SAMPLES, event

LETTER = Composer(LETTERHEAD).compose(event("reservation.confirmed", SAMPLES["reservation.confirmed"]()))[0].content
SENT = SendResult(SendVerdict.ACCEPTED, 250, "250 taken")
LATER = SendResult(SendVerdict.TEMPORARY, 451, "451 later")
NEVER = SendResult(SendVerdict.PERMANENT, 550, "550 no")


def new_delivery(event_id: str = "event-1", **changes: Any) -> NewDelivery:
    values: dict[str, Any] = {
        "event_id": event_id,
        "channel": MAIL,
        "kind": "confirmation",
        "recipient": BOOKER,
        "account_id": "account-1",
        "reservation_id": "reservation-1",
        "message_id": f"<{event_id}@example.org>",
        "content": LETTER,
    }
    return NewDelivery(**{**values, **changes})


def claim(recipient: str = BOOKER, content: bytes = LETTER, channel: str = MAIL) -> DeliveryClaim:
    return DeliveryClaim("dlv_1", 1, "event-1", channel, "confirmation", recipient, "event-1", content, 0)


async def queue(database: Database, now: int, *new_deliveries: NewDelivery) -> None:
    await database.write(lambda c: deliveries.enqueue(c, deliveries.to_rows(new_deliveries, now)))


async def claim_one(deliveries: Deliveries, channel: str = MAIL, without: Collection[str] = ()) -> DeliveryClaim | None:
    turn = await deliveries.turn(channel, wanted=1, without=without)
    return turn.claims[0] if turn.claims else None


async def settle(deliveries: Deliveries, claim: DeliveryClaim, answer: SendResult, due: int | None = None) -> None:
    await deliveries.turn(claim.channel, [Settlement(claim, answer, due)])


async def rows(database: Database) -> list[Any]:
    return await database.read(lambda c: list(c.execute(sa.select(TABLE).order_by(TABLE.c.delivery_id)).all()))


async def attempts(database: Database) -> list[tuple[Any, ...]]:
    """Number, verdict, code and answer of each, in order of time."""
    columns = (ATTEMPT.c.number, ATTEMPT.c.verdict, ATTEMPT.c.code, ATTEMPT.c.answer)
    query = sa.select(*columns).order_by(ATTEMPT.c.time, ATTEMPT.c.delivery_id, ATTEMPT.c.number)
    return await database.read(lambda c: [tuple(row) for row in c.execute(query)])
