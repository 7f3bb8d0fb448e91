"""Subjects on which programs ask each other over the bus; who may use which stands in installation/nats.conf."""

DECIDE = "policy.decide"
ALLOWED = "policy.allowed"
USAGE = "policy.usage"
REQUESTS = "booking.requests"
CALENDAR = "booking.calendar"
LOOK_UP = "meetings.look_up"
PARTICIPANTS = "meetings.participants"
