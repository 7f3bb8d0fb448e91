"""The `yunhui` command: all it can do. A new command is entered in panels.py, too: who needs it."""

from collections.abc import Callable

import typer

from services.cli import (
    account,
    audit,
    backup,
    bus,
    clock,
    dead_events,
    deliveries,
    demo,
    doctor,
    events,
    mail,
    meetings,
    objections,
    outbox,
    policy,
    reservations,
    reserve,
    rooms,
    standin,
    standing,
    texts,
    up,
    watch,
    webhooks,
)
from services.cli.terminal import Terminal, command, group
from services.cli.texts import Text
from services.cli.usage import Command, Group, Root

app = typer.Typer(
    cls=Root, help=texts.HELP.help, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
app.callback()(group())


def add(name: str, text: Text, function: Callable[..., None], to: typer.Typer = app) -> None:
    to.command(name, cls=Command, help=text.help)(command(function))


def add_group(
    name: str, text: Text, alone: Callable[[Terminal], None] | None = None, to: typer.Typer = app
) -> typer.Typer:
    """`alone` is what the group does when no command is named; help is shown when there is none."""
    made = typer.Typer(cls=Group, no_args_is_help=alone is None, invoke_without_command=alone is not None)
    made.callback()(group(alone))
    to.add_typer(made, name=name, help=text.help)
    return made


add("up", texts.HELP_UP, up.up)
add("demo", texts.HELP_DEMO, demo.demo)
add("doctor", texts.HELP_DOCTOR, doctor.doctor)
add("login", texts.HELP_LOGIN, account.login)
add("logout", texts.HELP_LOGOUT, account.logout)
add("whoami", texts.HELP_WHOAMI, account.whoami)
add("query", texts.HELP_QUERY, meetings.query)
add("reserve", texts.HELP_RESERVE, reserve.reserve)
add("check", texts.HELP_CHECK, reserve.check)
add("show", texts.HELP_SHOW, reservations.show)
add("change", texts.HELP_CHANGE, reservations.change)
add("cancel", texts.HELP_CANCEL, reservations.cancel)
add("end", texts.HELP_END, reservations.end)
add("approve", texts.HELP_APPROVE, reservations.approve)
add("decline", texts.HELP_DECLINE, reservations.decline)
add("mine", texts.HELP_MINE, reservations.mine)
add("entered", texts.HELP_ENTERED, reservations.entered)
add("watch", texts.HELP_WATCH, watch.watch)
add("quota", texts.HELP_QUOTA, standing.quota)
add("object", texts.HELP_OBJECT, objections.object_to)
add("objections", texts.HELP_OBJECTIONS, objections.objections)
add("waive", texts.HELP_WAIVE, reservations.waive)
add("dismiss", texts.HELP_DISMISS, objections.dismiss)

add("backup", texts.HELP_BACKUP, backup.backup)
add("restore", texts.HELP_RESTORE, backup.restore)

rooms_app = add_group("rooms", texts.HELP_ROOMS, rooms.rooms)
add("add", texts.HELP_ROOMS_ADD, rooms.add, rooms_app)
add("set", texts.HELP_ROOMS_SET, rooms.change, rooms_app)
add("free", texts.HELP_FREE, rooms.free)

simulate_app = add_group("simulate", texts.HELP_SIMULATE)
add("meeting", texts.HELP_SIMULATE_MEETING, meetings.make, simulate_app)
add("enter", texts.HELP_SIMULATE_ENTER, meetings.enter, simulate_app)
add("leave", texts.HELP_SIMULATE_LEAVE, meetings.leave, simulate_app)
add("wait", texts.HELP_SIMULATE_WAIT, meetings.wait, simulate_app)
add("end", texts.HELP_SIMULATE_END, meetings.end, simulate_app)
add("cancel", texts.HELP_SIMULATE_CANCEL, meetings.cancel, simulate_app)
add("move", texts.HELP_SIMULATE_MOVE, meetings.move, simulate_app)
add("standin", texts.HELP_STANDIN, standin.standin)

policy_app = add_group("policy", texts.HELP_POLICY, policy.versions)
add("list", texts.HELP_POLICY_LIST, policy.versions, policy_app)
add("show", texts.HELP_POLICY_SHOW, policy.show, policy_app)
add("test", texts.HELP_POLICY_TEST, policy.run_tests, policy_app)
add("publish", texts.HELP_POLICY_PUBLISH, policy.publish, policy_app)
add("rollback", texts.HELP_POLICY_ROLLBACK, policy.rollback, policy_app)
add("explain", texts.HELP_POLICY_EXPLAIN, policy.explain, policy_app)
add("simulate", texts.HELP_POLICY_SIMULATE, policy.simulate, policy_app)

clock_app = add_group("clock", texts.HELP_CLOCK, clock.show)
add("advance", texts.HELP_CLOCK_ADVANCE, clock.advance, clock_app)
add("set", texts.HELP_CLOCK_SET, clock.set_to, clock_app)

mail_app = add_group("mail", texts.HELP_MAIL, mail.mails)
add("show", texts.HELP_MAIL_SHOW, mail.show, mail_app)

events_app = add_group("events", texts.HELP_EVENTS)
add("tail", texts.HELP_EVENTS_TAIL, events.tail, events_app)

outbox_app = add_group("outbox", texts.HELP_OUTBOX, outbox.status)
add("status", texts.HELP_OUTBOX_STATUS, outbox.status, outbox_app)
add("replay", texts.HELP_OUTBOX_REPLAY, outbox.replay, outbox_app)
dead_app = add_group("dead", texts.HELP_DEAD, dead_events.dead, to=events_app)
add("list", texts.HELP_DEAD_LIST, dead_events.dead, dead_app)
add("show", texts.HELP_DEAD_SHOW, dead_events.show, dead_app)
add("retry", texts.HELP_DEAD_RETRY, dead_events.retry, dead_app)
add("drop", texts.HELP_DEAD_DROP, dead_events.drop, dead_app)

deliveries_app = add_group("deliveries", texts.HELP_DELIVERIES, deliveries.deliveries)
add("list", texts.HELP_DELIVERIES_LIST, deliveries.deliveries, deliveries_app)
add("show", texts.HELP_DELIVERIES_SHOW, deliveries.show, deliveries_app)
add("resend", texts.HELP_DELIVERIES_RESEND, deliveries.resend, deliveries_app)

preferences_app = add_group("preferences", texts.HELP_PREFERENCES, deliveries.preferences)
add("show", texts.HELP_PREFERENCES_SHOW, deliveries.preferences, preferences_app)
add("set", texts.HELP_PREFERENCES_SET, deliveries.set_preferences, preferences_app)

webhooks_app = add_group("webhooks", texts.HELP_WEBHOOKS, webhooks.webhooks)
add("list", texts.HELP_WEBHOOKS_LIST, webhooks.webhooks, webhooks_app)
add("add", texts.HELP_WEBHOOKS_ADD, webhooks.add, webhooks_app)
add("set", texts.HELP_WEBHOOKS_SET, webhooks.change, webhooks_app)
add("remove", texts.HELP_WEBHOOKS_REMOVE, webhooks.remove, webhooks_app)

audit_app = add_group("audit", texts.HELP_AUDIT, audit.entries)
add("list", texts.HELP_AUDIT_LIST, audit.entries, audit_app)
add("verify", texts.HELP_AUDIT_VERIFY, audit.verify, audit_app)
add("export", texts.HELP_AUDIT_EXPORT, audit.export, audit_app)

bus_app = add_group("bus", texts.HELP_BUS)
add("setup", texts.HELP_BUS_SETUP, bus.setup, bus_app)
