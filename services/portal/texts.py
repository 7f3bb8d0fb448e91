"""Words that code chooses and templates show, as message ids."""

from collections.abc import Mapping

from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.directory.v1 import import_pb2, member_pb2, organization_pb2, visibility_pb2
from yunhui.meetings.v1 import control_service_pb2 as control
from yunhui.meetings.v1 import listed_meeting_pb2, meeting_pb2, recording_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as lookups
from yunhui.notifier.v1 import delivery_pb2
from yunhui.policy.v1 import decision_pb2

from services.platform.text.messages import Text, message, pmessage

STATES: Mapping[int, Text] = {
    pb.RESERVATION_STATE_PENDING_APPROVAL: message("Waiting for support"),
    pb.RESERVATION_STATE_CONFIRMED: message("Confirmed"),
    pb.RESERVATION_STATE_IN_USE: message("In use"),
    pb.RESERVATION_STATE_COMPLETED: message("Over"),
    pb.RESERVATION_STATE_NO_SHOW: message("Nobody came"),
    pb.RESERVATION_STATE_CANCELLED: message("Cancelled"),
    pb.RESERVATION_STATE_DECLINED: message("Declined"),
    pb.RESERVATION_STATE_EXPIRED: message("Not answered in time"),
}
TONES: Mapping[int, str] = {
    pb.RESERVATION_STATE_PENDING_APPROVAL: "wait",
    pb.RESERVATION_STATE_CONFIRMED: "good",
    pb.RESERVATION_STATE_IN_USE: "live",
    pb.RESERVATION_STATE_NO_SHOW: "bad",
    pb.RESERVATION_STATE_DECLINED: "bad",
    pb.RESERVATION_STATE_EXPIRED: "bad",
}
MEETING_STATES: Mapping[int, Text] = {
    meeting_pb2.MEETING_STATE_SCHEDULED: message("To come"),
    meeting_pb2.MEETING_STATE_RUNNING: message("Somebody is inside"),
    meeting_pb2.MEETING_STATE_ENDED: message("Ended"),
    meeting_pb2.MEETING_STATE_CANCELLED: message("Cancelled"),
}
DELIVERY_STATES: Mapping[int, Text] = {
    delivery_pb2.DELIVERY_STATE_QUEUED: message("Waits to be sent"),
    delivery_pb2.DELIVERY_STATE_SENT: message("Sent"),
    delivery_pb2.DELIVERY_STATE_FAILED: message("Failed"),
}
EFFECTS: Mapping[int, Text] = {
    decision_pb2.EFFECT_ALLOW: message("For information"),
    decision_pb2.EFFECT_ESCALATE: message("Support decides"),
    decision_pb2.EFFECT_REDIRECT: message("Personal free account"),
    decision_pb2.EFFECT_DENY: message("Refused"),
}
NOTICES: Mapping[str, Text] = {
    "confirmation": message("A reservation is confirmed"),
    "change": message("A reservation was changed"),
    "own_cancellation": message("I cancelled a reservation"),
    "reminder": message("A meeting begins soon"),
    "pending": message("Support was asked"),
    "waived": message("A violation was waived"),
    "dismissed": message("An objection was dismissed"),
    "cancellation": message("Somebody else cancelled"),
    "handed_over": message("A reservation of mine was handed over"),
    "taken_over": message("A reservation was handed over to me"),
    "declined": message("Support declined"),
    "expired": message("Support did not answer in time"),
    "release": message("A room was released"),
    "violation": message("A violation was recorded"),
    "suspension": message("Booking was closed or opened"),
    "escalation": message("To support: a case"),
    "withdrawn": message("To support: a case is settled"),
    "objection": message("To support: an objection"),
    "digest": message("To support: what is open, each morning"),
}
MAILS: Mapping[str, Text] = {**NOTICES, "cancellation": message("The reservation was cancelled")}
"""By kind: unlike the notices that one can switch off, whoever cancelled."""
OBJECTION_OUTCOMES: Mapping[int, Text] = {
    pb.OBJECTION_OUTCOME_OPEN: message("Support has not answered yet; the answer comes by mail."),
    pb.OBJECTION_OUTCOME_UPHELD: message("Support agreed: the violation is waived."),
    pb.OBJECTION_OUTCOME_DISMISSED: message("Support dismissed the objection: the violation stays."),
}
OBJECTION_TROUBLE: Mapping[str, Text] = {
    "": message("Say why the violation is wrong, in at most 1,000 characters."),
    "OBJECTION_OPEN": message("You have objected already. What you typed now was not sent:"),
    "OBJECTION_ANSWERED": message("Your objection has been answered already. What you typed now was not sent:"),
    "VIOLATION_WAIVED": message("The violation was waived meanwhile. What you typed was not sent:"),
}
MEMBER_STATUSES: Mapping[int, Text] = {
    member_pb2.MEMBER_STATUS_ENABLED: message("Enabled"),
    member_pb2.MEMBER_STATUS_NOT_ACTIVATED: message("Not activated"),
    member_pb2.MEMBER_STATUS_DISABLED: message("Disabled"),
    member_pb2.MEMBER_STATUS_WAITING: message("Waits to be let in"),
}
MEMBER_TONES: Mapping[int, str] = {
    member_pb2.MEMBER_STATUS_ENABLED: "good",
    member_pb2.MEMBER_STATUS_NOT_ACTIVATED: "wait",
    member_pb2.MEMBER_STATUS_DISABLED: "bad",
    member_pb2.MEMBER_STATUS_WAITING: "wait",
}
ACCOUNT_TYPES: Mapping[int, Text] = {
    member_pb2.ACCOUNT_TYPE_ADVANCED: message("Advanced account"),
    member_pb2.ACCOUNT_TYPE_FREE: message("Free account"),
}
JOINING_MODES: Mapping[int, Text] = {
    organization_pb2.JOINING_MODE_OFF: message("The sign-in service alone decides"),
    organization_pb2.JOINING_MODE_APPROVAL: message("They wait until an administrator lets them in"),
    organization_pb2.JOINING_MODE_MAIL_DOMAIN: message("By the domain of their mail; everybody else waits"),
}
JOINING_HINTS: Mapping[int, Text] = {
    organization_pb2.JOINING_MODE_OFF: message(
        "Whoever the sign-in service lets in may do what every member may, and does not become a member by that."
    ),
    organization_pb2.JOINING_MODE_APPROVAL: message(
        "They become a member who can sign in and do nothing else before. The list of members shows who waits."
    ),
    organization_pb2.JOINING_MODE_MAIL_DOMAIN: message(
        "Whose address the sign-in service has verified joins the department of its domain at once."
    ),
}
IMPORT_STATES: Mapping[int, Text] = {
    import_pb2.IMPORT_STATE_UPLOADING: message("Being uploaded"),
    import_pb2.IMPORT_STATE_CHECKED: message("Checked, not applied yet"),
    import_pb2.IMPORT_STATE_APPLIED: message("Applied"),
    import_pb2.IMPORT_STATE_CANCELLED: message("Given up"),
}
IMPORT_TONES: Mapping[int, str] = {
    import_pb2.IMPORT_STATE_UPLOADING: "wait",
    import_pb2.IMPORT_STATE_CHECKED: "wait",
    import_pb2.IMPORT_STATE_APPLIED: "good",
    import_pb2.IMPORT_STATE_CANCELLED: "calm",
}
VERDICTS: Mapping[int, Text] = {
    import_pb2.IMPORT_VERDICT_CREATE: message("Is added"),
    import_pb2.IMPORT_VERDICT_UPDATE: message("Changes"),
    import_pb2.IMPORT_VERDICT_UNCHANGED: message("Stays as it is"),
    import_pb2.IMPORT_VERDICT_FAILED: message("Cannot be taken"),
}
VERDICT_TONES: Mapping[int, str] = {
    import_pb2.IMPORT_VERDICT_CREATE: "good",
    import_pb2.IMPORT_VERDICT_UPDATE: "wait",
    import_pb2.IMPORT_VERDICT_UNCHANGED: "calm",
    import_pb2.IMPORT_VERDICT_FAILED: "bad",
}
EDITIONS: Mapping[int, Text] = {
    organization_pb2.EDITION_FREE: message("Free edition"),
    organization_pb2.EDITION_EDUCATION: message("Education edition"),
    organization_pb2.EDITION_ENTERPRISE: message("Enterprise edition"),
}
TOPICS: Mapping[int, Text] = {
    organization_pb2.NOTICE_TOPIC_LICENCES: message("Licences that end or run short"),
    organization_pb2.NOTICE_TOPIC_BILLING: message("Orders and invoices"),
    organization_pb2.NOTICE_TOPIC_SECURITY: message("Who may do what"),
    organization_pb2.NOTICE_TOPIC_SERVICE: message("Faults and maintenance"),
}
CARD_FIELDS: Mapping[int, Text] = {
    visibility_pb2.CARD_FIELD_TITLE: message("Title at work"),
    visibility_pb2.CARD_FIELD_DEPARTMENTS: message("Departments"),
    visibility_pb2.CARD_FIELD_EMAIL: message("E-mail"),
    visibility_pb2.CARD_FIELD_PHONE: message("Phone"),
    visibility_pb2.CARD_FIELD_STAFF_ID: message("Staff number"),
}
SIGHTS: Mapping[int, Text] = {
    visibility_pb2.SIGHT_EVERYBODY: message("everybody"),
    visibility_pb2.SIGHT_OWN_DEPARTMENT: message("their own departments"),
    visibility_pb2.SIGHT_OWN_DEPARTMENT_AND_BELOW: message("their own departments and those below"),
    visibility_pb2.SIGHT_CHOSEN_DEPARTMENTS: message("chosen departments"),
}
LANGUAGE_NAMES: Mapping[str, str] = {"zh-CN": "中文", "en": "English"}
THEME_NAMES: Mapping[str, Text] = {
    "system": message("As the system says"),
    "light": message("Light"),
    "dark": message("Dark"),
}
LOOK_UPS: Mapping[int, Text] = {
    lookups.LOOK_UP_OUTCOME_NOT_FOUND: message(
        "No such meeting was found. Check the number; meetings of a personal free account cannot be looked up."
    ),
    lookups.LOOK_UP_OUTCOME_ANOTHERS: message(
        "This meeting was made with another account. Sign in here with the account that made it, be named as its host, "
        "or make it again with this account."
    ),
}
MEETING_PHASES: Mapping[int, Text] = {
    listed_meeting_pb2.MEETING_PHASE_COMING: message("Coming up"),
    listed_meeting_pb2.MEETING_PHASE_RUNNING: message("Running"),
    listed_meeting_pb2.MEETING_PHASE_ENDED: message("Ended"),
    listed_meeting_pb2.MEETING_PHASE_CANCELLED: message("Cancelled"),
}
MEETING_TONES: Mapping[int, str] = {
    listed_meeting_pb2.MEETING_PHASE_COMING: "good",
    listed_meeting_pb2.MEETING_PHASE_RUNNING: "live",
    listed_meeting_pb2.MEETING_PHASE_CANCELLED: "bad",
}
MEETING_KINDS: Mapping[int, Text] = {
    listed_meeting_pb2.MEETING_KIND_SINGLE: message("Once"),
    listed_meeting_pb2.MEETING_KIND_RECURRING: message("Recurring"),
    listed_meeting_pb2.MEETING_KIND_INSTANT: message("Begun at once"),
    listed_meeting_pb2.MEETING_KIND_PERSONAL_ROOM: message("In a personal room"),
    listed_meeting_pb2.MEETING_KIND_WEBINAR: message("Webinar"),
}
DEVICES: Mapping[int, Text] = {
    listed_meeting_pb2.DEVICE_PC: Text("Windows"),
    listed_meeting_pb2.DEVICE_MAC: Text("Mac"),
    listed_meeting_pb2.DEVICE_LINUX: Text("Linux"),
    listed_meeting_pb2.DEVICE_ANDROID: message("Android"),
    listed_meeting_pb2.DEVICE_IOS: Text("iPhone"),
    listed_meeting_pb2.DEVICE_TABLET: message("Tablet"),
    listed_meeting_pb2.DEVICE_WEB: message("Browser"),
    listed_meeting_pb2.DEVICE_MINI_PROGRAM: message("Mini program"),
    listed_meeting_pb2.DEVICE_PHONE: message("Telephone"),
    listed_meeting_pb2.DEVICE_CONNECTOR: Text("H.323/SIP"),
    listed_meeting_pb2.DEVICE_ROOMS: message("Meeting room"),
}
MEETING_ROLES: Mapping[int, Text] = {
    listed_meeting_pb2.MEETING_ROLE_HOST: message("Host"),
    listed_meeting_pb2.MEETING_ROLE_CO_HOST: message("Co-host"),
    listed_meeting_pb2.MEETING_ROLE_GUEST: message("Guest"),
}
"""Of those who are more, or less, than one of the people."""
VERBS: Mapping[int, Text] = {
    control.CONTROL_VERB_CHANGE_SETTINGS: message("Settings of the meeting changed"),
    control.CONTROL_VERB_MUTE: message("Microphone"),
    control.CONTROL_VERB_REMOVE: message("Removed"),
    control.CONTROL_VERB_SET_CO_HOST: message("Co-host"),
    control.CONTROL_VERB_ADMIT: message("Admitted"),
    control.CONTROL_VERB_PUT_IN_WAITING_ROOM: message("Put into the waiting room"),
    control.CONTROL_VERB_TURN_AWAY: message("Turned away"),
    control.CONTROL_VERB_RENAME: message("Renamed"),
    control.CONTROL_VERB_STOP_VIDEO: message("Video stopped"),
    control.CONTROL_VERB_STOP_SHARING: message("Sharing stopped"),
    control.CONTROL_VERB_INVITE: message("Invited"),
    control.CONTROL_VERB_END: message("Meeting ended for everybody"),
}
ACT_OUTCOMES: Mapping[int, Text] = {
    control.CONTROL_OUTCOME_UNSPECIFIED: message("Under way"),
    control.CONTROL_OUTCOME_DONE: message("Done"),
    control.CONTROL_OUTCOME_REFUSED: pmessage("act", "Refused"),
    control.CONTROL_OUTCOME_UNKNOWN: pmessage("act", "Not known"),
}
ACT_TONES: Mapping[int, str] = {
    control.CONTROL_OUTCOME_UNSPECIFIED: "wait",
    control.CONTROL_OUTCOME_DONE: "good",
    control.CONTROL_OUTCOME_REFUSED: "bad",
    control.CONTROL_OUTCOME_UNKNOWN: "wait",
}
ACT_SAID: Mapping[int, Text] = {
    control.CONTROL_OUTCOME_UNSPECIFIED: message("It is under way. Look below, or load the page again in a moment."),
    control.CONTROL_OUTCOME_DONE: message("Done."),
    control.CONTROL_OUTCOME_REFUSED: message("Not done: the provider refused."),
    control.CONTROL_OUTCOME_UNKNOWN: message("No answer came, so it may have been done: look below."),
}
ACT_REFUSALS: Mapping[str, Text] = {
    "NOT_PERMITTED": message("The provider does not let us do this in this meeting."),
    "WRONG_STATE": message("The meeting, or the person, is not in a state in which this can be done."),
    "NO_SUCH_PERSON": message("The person has left the meeting."),
    "NO_SUCH_MEETING": message("The provider does not know the meeting any more."),
    "RATE_LIMITED": message("The provider takes no more calls just now. Try again in a minute."),
    "PROVIDER_AWAY": message("The provider does not answer just now."),
    "PROVIDER_REFUSED": message("The provider gave no reason that we know."),
}
RECORDING_STATES: Mapping[int, Text] = {
    recording_pb2.RECORDING_STATE_RECORDING: message("Being recorded"),
    recording_pb2.RECORDING_STATE_TRANSCODING: message("Being made ready"),
    recording_pb2.RECORDING_STATE_READY: pmessage("recording", "Ready"),
    recording_pb2.RECORDING_STATE_DELETED: pmessage("recording", "Deleted"),
}
RECORDING_TONES: Mapping[int, str] = {
    recording_pb2.RECORDING_STATE_RECORDING: "live",
    recording_pb2.RECORDING_STATE_TRANSCODING: "wait",
    recording_pb2.RECORDING_STATE_READY: "good",
    recording_pb2.RECORDING_STATE_DELETED: "bad",
}
AUDIENCES: Mapping[int, Text] = {
    recording_pb2.RECORDING_AUDIENCE_NOBODY: message("Nobody: it is not shared"),
    recording_pb2.RECORDING_AUDIENCE_PARTICIPANTS: message("Those who were in the meeting"),
    recording_pb2.RECORDING_AUDIENCE_ORGANIZATION: message("Everybody of the organization"),
    recording_pb2.RECORDING_AUDIENCE_ANYBODY: message("Whoever has the link"),
}
RECORDING_VERBS: Mapping[int, Text] = {
    recording_pb2.RECORDING_VERB_DELETE: pmessage("recording", "Delete"),
    recording_pb2.RECORDING_VERB_SHARE: message("Say who may see it"),
}
RECORDING_REFUSALS: Mapping[str, Text] = {
    **ACT_REFUSALS,
    "NOT_PERMITTED": message("The provider does not let us do this to this recording."),
    "WRONG_STATE": message("The recording is not in a state in which this can be done."),
    "NO_SUCH_RECORDING": message("The provider does not know the recording any more."),
}
MAKING_REFUSALS: Mapping[str, Text] = {
    "UNSUPPORTED": message(
        "The provider cannot do this for us: do it in the meeting client, and reserve with the meeting's number."
    ),
    "NOT_PERMITTED": message("The provider does not let us do this for your account."),
    "WRONG_STATE": message("The meeting runs or is over: the provider leaves it as it is."),
    "NO_SUCH_PERSON": message("The provider does not know your account, or one of those who are invited or lead."),
    "PROVIDER_REFUSED": message("The provider gave no reason that we know."),
}
"""Where a meeting that is made with its reservation is not made, or not moved, and the provider says no words."""
UNKNOWN_PEOPLE: Mapping[str, Text] = {
    **ACT_REFUSALS,
    "NOT_PERMITTED": message("The provider does not let us see who is inside."),
    "WRONG_STATE": message("Nobody is inside just now."),
    "INCOMPLETE": message("The list of people could not be read to its end."),
}
RUNNING_SETTINGS: Mapping[str, Text] = {
    "mute_all": message("All are muted"),
    "may_unmute": message("People may turn their own microphone on"),
    "mute_on_entry": message("Muted as they enter"),
    "locked": message("Locked: nobody else may enter"),
    "waiting_room": message("Whoever enters waits to be admitted"),
    "hide_number": message("Number and password are hidden inside"),
    "organization_only": message("Only people of the organization may enter"),
    "may_share": message("Everybody may share a screen"),
    "chat": message("Chat"),
    "red_envelopes": message("Red envelopes"),
    "entry_sound": message("A sound when somebody enters"),
}
SWITCH: Mapping[str, Text] = {"on": pmessage("switch", "On"), "off": pmessage("switch", "Off")}
RUNNING_CHOICES: Mapping[str, Mapping[str, Text]] = {
    "mute_on_entry": {
        "MUTE_ON_ENTRY_OFF": pmessage("switch", "Off"),
        "MUTE_ON_ENTRY_ON": pmessage("switch", "On"),
        "MUTE_ON_ENTRY_ABOVE_SIX": message("From the seventh person on"),
    },
    "chat": {
        "CHAT_FREE": message("Everybody, to all and to each other"),
        "CHAT_PUBLIC": message("Everybody, to all"),
        "CHAT_HOSTS": message("Only hosts"),
    },
}
"""Of those that are more than a switch."""
