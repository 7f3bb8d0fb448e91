// Prints each event about reservations once, in order, however often this program or the bus is restarted.

import { randomUUID } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { AckPolicy, DeliverPolicy, jetstreamManager } from "@nats-io/jetstream";
import { connect, nanos } from "@nats-io/transport-node";

const STREAM = "BOOKING";
const SUBJECT = "yunhui.booking.reservation.*";
const SEEN = "seen.txt"; // one line an event: its id, and when it reached the stream

const lines = existsSync(SEEN) ? readFileSync(SEEN, "utf8").split("\n").filter((line) => line.endsWith("Z")) : [];
const seen = new Set(lines.map((line) => line.split(" ")[0]));
let last = lines.at(-1)?.split(" ")[1];

const bus = await connect({
  servers: process.env.YUNHUI_NATS_URL,
  user: "subscriber",
  pass: process.env.YUNHUI_NATS_PASSWORD,
  inboxPrefix: "_INBOX_subscriber",
  maxReconnectAttempts: -1,
});

const manager = await jetstreamManager(bus, { checkAPI: false }); // subscribers may not ask for the account's limits

while (true) {
  try {
    await read();
  } catch (error) {
    console.error("the bus is away, trying again:", error.message);
    await sleep(1000);
  }
}

// From the last event that was seen on, or from the first one. Throws when the stream or our consumer is gone.
// An "ordered" consumer would go on by number, and miss events when the stream was built again from nothing.
async function read() {
  const start = last ? { deliver_policy: DeliverPolicy.StartTime, opt_start_time: last } : { deliver_policy: DeliverPolicy.All };
  const name = randomUUID(); // the server forgets it a minute after we leave
  const config = { name, filter_subject: SUBJECT, ack_policy: AckPolicy.None, inactive_threshold: nanos(60_000), ...start };
  await manager.consumers.add(STREAM, config);
  const consumer = await manager.jetstream().consumers.get(STREAM, name);
  for await (const message of await consumer.consume({ abort_on_missing_resource: true })) {
    const id = message.headers?.get("ce-id");
    if (!id || seen.has(id)) continue; // without an id it is no event, whoever made the bus say it
    handle(message.subject, message.json());
    last = message.time.toISOString();
    seen.add(id);
    appendFileSync(SEEN, `${id} ${last}\n`); // after the work: killed between the two, it is done again
  }
}

function handle(subject, event) {
  const about = event.reservation ?? event.request;
  console.log(subject, about.reservationId ?? "-", about.organizer.accountId);
}
