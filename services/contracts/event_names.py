"""What each event is called: a name for lists, and a sentence where pages tell people of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.platform.text.messages import Text, message, pmessage


@dataclass(frozen=True, slots=True)
class EventName:
    """The sentence is None for events that no page tells of."""

    name: Text
    sentence: Text | None = None


NAMES: Mapping[str, EventName] = {
    "yunhui.booking.reservation.confirmed": EventName(
        pmessage("event", "confirmed"),
        message("The request was allowed, and a room is held."),
    ),
    "yunhui.booking.reservation.pending_approval": EventName(
        pmessage("event", "pending approval"),
        message("The request was sent to support; no room is held until they approve."),
    ),
    "yunhui.booking.reservation.denied": EventName(
        pmessage("event", "denied"),
        message("The request was refused by a rule."),
    ),
    "yunhui.booking.reservation.redirected": EventName(
        pmessage("event", "redirected"),
        message("The meeting belongs on the personal free account."),
    ),
    "yunhui.booking.reservation.updated": EventName(
        pmessage("event", "updated"),
        message("The time, the number of people or the room was changed."),
    ),
    "yunhui.booking.reservation.cancelled": EventName(
        pmessage("event", "cancelled"),
        message("It was cancelled; a room that was held is free again."),
    ),
    "yunhui.booking.reservation.approved": EventName(
        pmessage("event", "approved"),
        message("Support approved it, and a room is held."),
    ),
    "yunhui.booking.reservation.declined": EventName(
        pmessage("event", "declined"),
        message("Support declined it; the quota came back."),
    ),
    "yunhui.booking.reservation.expired": EventName(
        pmessage("event", "approval expired"),
        message("Support did not answer in time; the quota came back."),
    ),
    "yunhui.booking.reservation.handed_over": EventName(
        pmessage("event", "handed over"),
        message("It was handed over to another account; room, time and state are as they were."),
    ),
    "yunhui.booking.reservation.entered_early": EventName(
        pmessage("event", "entered early"),
        message(
            "Somebody entered before the start; the reservation is as it was. Who is still there at the start has come."
        ),
    ),
    "yunhui.booking.reservation.in_use": EventName(
        pmessage("event", "in use"),
        message("Somebody is in the meeting, or was, at or after its start."),
    ),
    "yunhui.booking.reservation.completed": EventName(
        pmessage("event", "completed"),
        message("It is over: the end came, it was given back early, or an entry was proved late."),
    ),
    "yunhui.booking.reservation.released": EventName(
        pmessage("event", "no-show, released"),
        message("Nobody entered in time, and the room was released."),
    ),
    "yunhui.booking.reservation.meeting_changed": EventName(
        pmessage("event", "meeting differs"),
        message("The meeting itself was planned anew or cancelled; the reservation is as it was."),
    ),
    "yunhui.booking.account.violation_recorded": EventName(
        pmessage("event", "violation recorded"),
        message("A violation was recorded."),
    ),
    "yunhui.booking.account.violation_waived": EventName(
        pmessage("event", "violation waived"),
        message("The violation was waived and counts no more."),
    ),
    "yunhui.booking.account.violation_objected": EventName(
        pmessage("event", "violation objected"),
        message("An objection to the violation was raised; support has to answer it."),
    ),
    "yunhui.booking.account.objection_dismissed": EventName(
        pmessage("event", "objection rejected"),
        message("Support dismissed the objection; the violation stays."),
    ),
    "yunhui.booking.account.suspended": EventName(pmessage("event", "suspended")),
    "yunhui.booking.account.reinstated": EventName(pmessage("event", "reinstated")),
    "yunhui.policy.version.published": EventName(pmessage("event", "policy published")),
    "yunhui.policy.version.rolled_back": EventName(pmessage("event", "policy rolled back")),
    "yunhui.meetings.meeting.entered": EventName(pmessage("event", "entered")),
    "yunhui.meetings.meeting.left": EventName(pmessage("event", "left")),
    "yunhui.meetings.meeting.ended": EventName(pmessage("event", "meeting ended")),
    "yunhui.meetings.meeting.changed": EventName(pmessage("event", "meeting changed")),
    "yunhui.meetings.meeting.cancelled": EventName(pmessage("event", "meeting cancelled")),
    "yunhui.meetings.control.done": EventName(pmessage("event", "meeting steered")),
    "yunhui.meetings.control.refused": EventName(pmessage("event", "steering refused")),
    "yunhui.meetings.control.unknown": EventName(pmessage("event", "steering unknown")),
    "yunhui.meetings.recording.deleted": EventName(pmessage("event", "recording deleted")),
    "yunhui.meetings.recording.shared": EventName(pmessage("event", "recording shared")),
    "yunhui.directory.member.created": EventName(pmessage("event", "member added")),
    "yunhui.directory.member.updated": EventName(pmessage("event", "member changed")),
    "yunhui.directory.member.enabled": EventName(pmessage("event", "account enabled")),
    "yunhui.directory.member.disabled": EventName(pmessage("event", "account disabled")),
    "yunhui.directory.member.licence_assigned": EventName(pmessage("event", "licence given")),
    "yunhui.directory.member.licence_returned": EventName(pmessage("event", "licence taken back")),
    "yunhui.directory.member.deleted": EventName(pmessage("event", "member deleted")),
    "yunhui.directory.department.created": EventName(pmessage("event", "department added")),
    "yunhui.directory.department.renamed": EventName(pmessage("event", "department renamed")),
    "yunhui.directory.department.moved": EventName(pmessage("event", "department moved")),
    "yunhui.directory.department.merged": EventName(pmessage("event", "department merged")),
    "yunhui.directory.department.deleted": EventName(pmessage("event", "department deleted")),
    "yunhui.directory.organization.updated": EventName(pmessage("event", "organization changed")),
    "yunhui.directory.organization.licences_changed": EventName(pmessage("event", "purchases changed")),
    "yunhui.directory.organization.visibility_changed": EventName(pmessage("event", "visibility changed")),
    "yunhui.directory.organization.transfer_begun": EventName(pmessage("event", "transfer begun")),
    "yunhui.directory.organization.transfer_accepted": EventName(pmessage("event", "transfer accepted")),
    "yunhui.directory.organization.transfer_cancelled": EventName(pmessage("event", "transfer cancelled")),
    "yunhui.directory.role.created": EventName(pmessage("event", "role added")),
    "yunhui.directory.role.updated": EventName(pmessage("event", "role changed")),
    "yunhui.directory.role.deleted": EventName(pmessage("event", "role deleted")),
    "yunhui.directory.binding.added": EventName(pmessage("event", "role given")),
    "yunhui.directory.binding.removed": EventName(pmessage("event", "role taken")),
    "yunhui.notifier.delivery.sent": EventName(pmessage("event", "notice sent")),
    "yunhui.notifier.delivery.failed": EventName(pmessage("event", "notice failed")),
}
"""By subject: every event there is."""
