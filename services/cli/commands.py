"""The `yunhui` command: all it can do. A new command is entered in panels.py, too: who needs it."""

from collections.abc import Callable

import typer

from services.cli import (
    account,
    audit,
    backup,
    bus,
    clock,
    colleagues,
    dead_events,
    deliveries,
    demo,
    departments,
    doctor,
    events,
    handovers,
    joining,
    licences,
    mail,
    meeting_control,
    meetings,
    member_imports,
    members,
    objections,
    organization,
    organization_meetings,
    outbox,
    policy,
    recordings,
    reservations,
    reserve,
    role_holders,
    roles,
    rooms,
    scim_tokens,
    simulated_people,
    standin,
    standing,
    transfer,
    up,
    visibility,
    watch,
    webhooks,
)
from services.cli.terminal import Terminal, command, group
from services.cli.usage import Command, Group, Root
from services.platform.text.messages import Text, message

app = typer.Typer(
    cls=Root,
    help=message("Yunhui hands out cloud meeting rooms fairly."),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.callback()(group())


def add(name: str, text: Text, function: Callable[..., None], to: typer.Typer = app) -> None:
    to.command(name, cls=Command, help=text)(command(function))


def add_group(
    name: str, text: Text, alone: Callable[[Terminal], None] | None = None, to: typer.Typer = app
) -> typer.Typer:
    """`alone` is what the group does when no command is named; help is shown when there is none."""
    made = typer.Typer(cls=Group, no_args_is_help=alone is None, invoke_without_command=alone is not None)
    made.callback()(group(alone))
    to.add_typer(made, name=name, help=text)
    return made


add("up", message("start everything on this machine (development)"), up.up)
add("demo", message("play the tutorial's rules on real processes"), demo.demo)
add("doctor", message("check that all is well"), doctor.doctor)
add("login", message("sign in as a sample account (development)"), account.login)
add("logout", message("sign out"), account.logout)
add("whoami", message("who is signed in"), account.whoami)
add("query", message("look a meeting up by its number (step 1 of the tutorial)"), meetings.query)
add("reserve", message("reserve a room"), reserve.reserve)
add("check", message("ask what a reservation would come to; nothing is stored"), reserve.check)
add("show", message("show one reservation"), reservations.show)
add("change", message("change the time or the number of people"), reservations.change)
add("cancel", message("cancel a reservation"), reservations.cancel)
add("end", message("end early and give the rest back"), reservations.end)
add("approve", message("approve an escalation (support)"), reservations.approve)
add("decline", message("decline an escalation (support)"), reservations.decline)
add(
    "hand-over",
    message("hand all that an account has coming over to another, or cancel it (support)"),
    handovers.hand_over,
)
add("mine", message("list my reservations"), reservations.mine)
add(
    "entered",
    message("report that somebody is inside (role service); before the start it is only noted"),
    reservations.entered,
)
add("watch", message("follow changes of reservations as they happen"), watch.watch)
add("quota", message("quota, violations and suspension"), standing.quota)
add("object", message("object to a violation of yours"), objections.object_to)
add("objections", message("list open objections (support)"), objections.objections)
add("waive", message("waive a violation (support)"), reservations.waive)
add("dismiss", message("dismiss an objection (support)"), objections.dismiss)

add("backup", message("back up the data of this machine, also while it runs"), backup.backup)
add("restore", message("restore a backup into an empty state directory"), backup.restore)

rooms_app = add_group("rooms", message("the pool of rooms; administrators add and change them"), rooms.rooms)
add("add", message("add a room (role admin)"), rooms.add, rooms_app)
add("set", message("change a room (role admin)"), rooms.change, rooms_app)
add("free", message("when rooms are free"), rooms.free)

simulate_app = add_group("simulate", message("play what happens in the meeting client (development)"))
add("meeting", message("make a simulated meeting"), meetings.make, simulate_app)
add("enter", message("somebody enters"), simulated_people.enter, simulate_app)
add("leave", message("somebody leaves"), simulated_people.leave, simulate_app)
add("wait", message("somebody comes into the waiting room, which is not entering"), simulated_people.wait, simulate_app)
add("stop-waiting", message("somebody leaves the waiting room"), simulated_people.stop_waiting, simulate_app)
add("microphone", message("somebody turns the microphone on or off"), simulated_people.microphone, simulate_app)
add("camera", message("somebody turns the camera on or off"), simulated_people.camera, simulate_app)
add("share", message("somebody shares a screen, or no longer"), simulated_people.share, simulate_app)
add("connection", message("somebody's connection becomes bad or good"), simulated_people.connection, simulate_app)
add("record", message("a host begins to record it"), simulated_people.record, simulate_app)
add("stop-recording", message("a host ends the recording"), simulated_people.stop_recording, simulate_app)
add("populate", message("fill a meeting with many people"), simulated_people.populate, simulate_app)
add("end", message("the host ends it"), meetings.end, simulate_app)
add("cancel", message("its creator cancels it"), meetings.cancel, simulate_app)
add("move", message("its creator moves it"), meetings.move, simulate_app)
add("standin", message("a local stand-in for Tencent's cloud (development)"), standin.standin)

meetings_app = add_group("meetings", message("meetings of the organization: see them, and steer those that run"))
add("list", message("list coming, running or ended meetings"), organization_meetings.list_, meetings_app)
add("show", message("show one of them"), organization_meetings.show, meetings_app)
add("watch", message("follow what changes"), organization_meetings.watch, meetings_app)
add("people", message("who is inside, and who waits"), organization_meetings.people, meetings_app)
add("visits", message("who was in when"), organization_meetings.visits, meetings_app)
add("quality", message("how well people were connected"), organization_meetings.quality, meetings_app)
add("acts", message("what was done to it (support, admin)"), meeting_control.acts, meetings_app)
add("mute", message("mute somebody, or no longer (admin)"), meeting_control.mute, meetings_app)
add("stop-video", message("turn somebody's camera off (admin)"), meeting_control.stop_video, meetings_app)
add("stop-sharing", message("end the sharing of somebody's screen (admin)"), meeting_control.stop_sharing, meetings_app)
add("co-host", message("make somebody co-host, or no longer (admin)"), meeting_control.co_host, meetings_app)
add("rename", message("show somebody under another name (admin)"), meeting_control.rename, meetings_app)
add("admit", message("let people in from the waiting room (admin)"), meeting_control.admit, meetings_app)
add("wait", message("send people into the waiting room (admin)"), meeting_control.put_in_waiting_room, meetings_app)
add("turn-away", message("send people away from the waiting room (admin)"), meeting_control.turn_away, meetings_app)
add("remove", message("remove people from the meeting (admin)"), meeting_control.remove, meetings_app)
add("invite", message("invite members (admin)"), meeting_control.invite, meetings_app)
add("set", message("change what the meeting is like (admin)"), meeting_control.change, meetings_app)
add("end", message("end it for everybody (admin)"), meeting_control.end, meetings_app)

recordings_app = add_group("recordings", message("what was recorded of meetings: find, play, share and delete it"))
add("list", message("list recordings, one's own or all"), recordings.list_, recordings_app)
add("show", message("show one of them, and what was done to it"), recordings.show, recordings_app)
add("links", message("where it can be played and downloaded just now"), recordings.links, recordings_app)
add("share", message("say who may see it"), recordings.share, recordings_app)
add("delete", message("delete it for good, or one of its files"), recordings.delete, recordings_app)

policy_app = add_group(
    "policy", message("the rules: show, test, publish, roll back, explain, simulate"), policy.versions
)
add("list", message("list the published versions"), policy.versions, policy_app)
add("show", message("show the source of a version"), policy.show, policy_app)
add("test", message("run the test table of a policy"), policy.run_tests, policy_app)
add("publish", message("publish a new version (admin)"), policy.publish, policy_app)
add("rollback", message("go back to an earlier version (admin)"), policy.rollback, policy_app)
add("explain", message("explain a decision, and decide it again from its facts"), policy.explain, policy_app)
add("simulate", message("try a draft on what was really asked (admin)"), policy.simulate, policy_app)

clock_app = add_group("clock", message("the development clock: look, or move it forward"), clock.show)
add("advance", message("move forward by, for example, 45m"), clock.advance, clock_app)
add("set", message("move forward to a moment"), clock.set_to, clock_app)

mail_app = add_group("mail", message("mail that the development sink received"), mail.mails)
add("show", message("show one mail"), mail.show, mail_app)

events_app = add_group("events", message("events: follow them, settle those that could not be read"))
add("tail", message("show events: those that were, and those that come"), events.tail, events_app)

outbox_app = add_group("outbox", message("the outbox: publication of events (role admin)"), outbox.status)
add("status", message("how far publication has come"), outbox.status, outbox_app)
add("replay", message("rebuild a lost stream from the outbox"), outbox.replay, outbox_app)
dead_app = add_group("dead", message("events that could not be read (admin)"), dead_events.dead, to=events_app)
add("list", message("list them"), dead_events.dead, dead_app)
add("show", message("show all of one"), dead_events.show, dead_app)
add("retry", message("take it in again"), dead_events.retry, dead_app)
add("drop", message("settle it without effect, with the reason on the record"), dead_events.drop, dead_app)

deliveries_app = add_group(
    "deliveries", message("who was told what, and how that went (support)"), deliveries.deliveries
)
add("list", message("list deliveries, newest first"), deliveries.deliveries, deliveries_app)
add("show", message("show a delivery and each of its attempts"), deliveries.show, deliveries_app)
add("resend", message("send it again"), deliveries.resend, deliveries_app)

preferences_app = add_group("preferences", message("which notices one gets"), deliveries.preferences)
add("show", message("show which notices are sent"), deliveries.preferences, preferences_app)
add("set", message("switch notices on or off, e.g. reminder=off"), deliveries.set_preferences, preferences_app)

webhooks_app = add_group("webhooks", message("webhooks (admin)"), webhooks.webhooks)
add("list", message("list the webhooks"), webhooks.webhooks, webhooks_app)
add("add", message("register a webhook; its secret is shown once"), webhooks.add, webhooks_app)
add("set", message("change it, switch it off or on again"), webhooks.change, webhooks_app)
add("remove", message("remove a webhook"), webhooks.remove, webhooks_app)

colleagues_app = add_group("colleagues", message("the address book: people and departments"), colleagues.list_)
add("list", message("list or find colleagues"), colleagues.list_, colleagues_app)
add("show", message("show the card of one"), colleagues.show, colleagues_app)
add("departments", message("list the departments right below one"), colleagues.departments, colleagues_app)

members_app = add_group("members", message("the people of the organization (support, admin)"), members.list_)
add("list", message("list or find members"), members.list_, members_app)
add("show", message("show one member"), members.show, members_app)
add("add", message("add a person (admin)"), members.add, members_app)
add("update", message("change what is known of a member, or their departments (admin)"), members.update, members_app)
add("enable", message("open the account, or let in who waits (admin)"), members.enable, members_app)
add("disable", message("close the account, or reject who waits (admin)"), members.disable, members_app)
add("delete", message("remove a person whose account is closed (admin)"), members.delete, members_app)
add(
    "import",
    message("take in people, of a table or the provider; without --apply only look (admin)"),
    member_imports.import_,
    members_app,
)
add(
    "template", message("write a table with all columns, to be filled in (admin)"), member_imports.template, members_app
)
licence_app = add_group("licence", message("the advanced licence of a member (admin)"), to=members_app)
add("give", message("give one; it can be taken back for 7 days"), members.give, licence_app)
add("take", message("take it back"), members.take, licence_app)

departments_app = add_group(
    "departments", message("the departments of the organization (support, admin)"), departments.list_
)
add("list", message("list those right below one, or find some by name"), departments.list_, departments_app)
add("tree", message("draw the tree, with how many belong to each"), departments.tree, departments_app)
add("show", message("show one department"), departments.show, departments_app)
add("add", message("make one (admin)"), departments.add, departments_app)
add("rename", message("give it another name (admin)"), departments.rename, departments_app)
add("move", message("put it, with all below, elsewhere (admin)"), departments.move, departments_app)
add("merge", message("give all it has to another one, and remove it (admin)"), departments.merge, departments_app)
add("delete", message("remove an empty one (admin)"), departments.delete, departments_app)

roles_app = add_group("roles", message("roles: what they permit, and who has them (admin)"), roles.list_)
add("list", message("list the roles"), roles.list_, roles_app)
add("show", message("show one role with its permissions"), roles.show, roles_app)
add("permissions", message("list all permissions that there are"), roles.permissions, roles_app)
add("create", message("make one"), roles.create, roles_app)
add("change", message("change its name or permissions, for all who have it"), roles.change, roles_app)
add("delete", message("remove one that nobody has"), roles.delete, roles_app)
add("give", message("give a role to a member"), role_holders.give, roles_app)
add("take", message("take a role from a member"), role_holders.take, roles_app)
add("holders", message("list who has a role, and for which departments"), role_holders.holders, roles_app)
add("of", message("list the roles of a member"), role_holders.of, roles_app)
add("explain", message("why a member may do something, or may not"), role_holders.explain, roles_app)

organization_app = add_group(
    "organization", message("the organization, its contacts and licences (support, admin)"), organization.show
)
add("show", message("what is known of it"), organization.show, organization_app)
add("update", message("change what is known of it (admin)"), organization.update, organization_app)
contacts_app = add_group(
    "contacts", message("who is told of what concerns the organization"), organization.contacts, organization_app
)
add("list", message("list the contacts"), organization.contacts, contacts_app)
add(
    "add", message("add a contact, or change the one with that address (admin)"), organization.add_contact, contacts_app
)
add("delete", message("remove a contact (admin)"), organization.delete_contact, contacts_app)
joining_app = add_group(
    "joining", message("what becomes of somebody unknown who signs in"), joining.show, organization_app
)
add("show", message("what was chosen, and the domains"), joining.show, joining_app)
add("set", message("choose what becomes of them (admin)"), joining.set_, joining_app)
add("add", message("add a mail domain and the department to join (admin)"), joining.add, joining_app)
add("delete", message("remove a mail domain (admin)"), joining.delete, joining_app)
visibility_app = add_group(
    "visibility", message("what members see of each other in the address book"), visibility.show, organization_app
)
add("show", message("how it is set"), visibility.show, visibility_app)
add("set", message("change what holds for all (admin)"), visibility.change, visibility_app)
add(
    "rule",
    message("say whom members of a department and of those below see (admin)"),
    visibility.put_rule,
    visibility_app,
)
add("delete-rule", message("let the same hold for them as for all (admin)"), visibility.delete_rule, visibility_app)
add("hide", message("hide a department, with all below (admin)"), visibility.hide, visibility_app)
add("unhide", message("show a hidden department again (admin)"), visibility.unhide, visibility_app)
licences_app = add_group("licences", message("licences for advanced accounts"), licences.licences, organization_app)
add("list", message("how many there are, and what was bought"), licences.licences, licences_app)
add("put", message("enter a purchase, or change it (admin)"), licences.put, licences_app)
add("delete", message("remove a purchase that was entered by mistake (admin)"), licences.delete, licences_app)
transfer_app = add_group(
    "transfer",
    message("hand the organization over to another super administrator"),
    transfer.show,
    organization_app,
)
add("show", message("whether it is being handed over, and to whom"), transfer.show, transfer_app)
add("begin", message("begin it: the successor has 7 days to accept"), transfer.begin, transfer_app)
add("accept", message("accept it as the successor"), transfer.accept, transfer_app)
add("cancel", message("call it off"), transfer.cancel, transfer_app)
scim_tokens_app = add_group(
    "scim-tokens", message("tokens of identity providers (admin)"), scim_tokens.list_, organization_app
)
add("list", message("list those that hold"), scim_tokens.list_, scim_tokens_app)
add("create", message("make one; it is shown this once"), scim_tokens.create, scim_tokens_app)
add("revoke", message("end one at once"), scim_tokens.revoke, scim_tokens_app)

audit_app = add_group("audit", message("the audit log: who did what when (role admin)"), audit.entries)
add("list", message("list entries, newest first"), audit.entries, audit_app)
add("verify", message("check that the chain of hashes is whole"), audit.verify, audit_app)
add("export", message("export as JSON lines or CSV"), audit.export, audit_app)

bus_app = add_group("bus", message("the bus: declare its streams and consumers"))
add("setup", message("declare streams and consumers (admin step, repeatable)"), bus.setup, bus_app)
