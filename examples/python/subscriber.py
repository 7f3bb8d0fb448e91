"""Prints each event about reservations once, in order, however often this program or the bus is restarted."""

import asyncio
import json
import os
import sqlite3
import sys
import uuid
from datetime import datetime

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

STREAM, SUBJECT = "BOOKING", "yunhui.booking.reservation.*"


async def read(jetstream, seen):
    """From the last event that was seen on, or from the first one. Raises nats.errors.Error when the bus is away."""
    last = seen.execute("SELECT max(time) FROM seen").fetchone()[0]
    start = datetime.fromisoformat(last) if last else None
    policy = DeliverPolicy.BY_START_TIME if last else DeliverPolicy.ALL
    config = ConsumerConfig(name=uuid.uuid4().hex, filter_subject=SUBJECT, deliver_policy=policy, opt_start_time=start)
    config.ack_policy, config.inactive_threshold = AckPolicy.NONE, 60  # the server forgets it a minute after we leave
    await jetstream.add_consumer(STREAM, config)
    subscription = await jetstream.pull_subscribe_bind(consumer=config.name, stream=STREAM)
    while True:
        try:
            [message] = await subscription.fetch(1, timeout=5)
        except TimeoutError:
            continue  # nothing new
        event_id = (message.headers or {}).get("ce-id")
        if not event_id:
            continue  # no event, whoever made the bus say it
        with seen:  # put what you do with an event into this transaction: then it is done once, whatever happens
            row = (event_id, message.metadata.timestamp.isoformat())
            if seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", row).rowcount:
                handle(message.subject, json.loads(message.data))


def handle(subject, event):
    about = event.get("reservation") or event["request"]
    print(subject, about.get("reservationId", "-"), about["organizer"]["accountId"], flush=True)


async def main():
    seen = sqlite3.connect("seen.db")
    seen.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, time TEXT)")
    login = {"user": "subscriber", "password": os.environ["YUNHUI_NATS_PASSWORD"], "inbox_prefix": "_INBOX_subscriber"}
    bus = await nats.connect(os.environ["YUNHUI_NATS_URL"], **login, max_reconnect_attempts=-1)
    while True:
        try:
            await read(bus.jetstream(), seen)
        except (TimeoutError, nats.errors.Error) as error:
            print("the bus is away, trying again:", error or type(error).__name__, file=sys.stderr)
            await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main())
