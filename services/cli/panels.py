"""How `yunhui --help` lists the commands: by who needs them, and in each panel what is used most first."""

from services.platform.text.messages import message

PANELS = (
    (
        message("for whoever books"),
        (
            *("reserve", "check", "mine", "free", "show", "change", "cancel", "end", "quota", "query"),
            *("rooms", "recordings", "watch", "object", "preferences", "colleagues", "whoami"),
        ),
    ),
    (message("for support"), ("approve", "decline", "objections", "waive", "dismiss", "hand-over", "deliveries")),
    (
        message("for administrators"),
        ("meetings", "members", "departments", "roles", "organization", "policy", "audit", "webhooks"),
    ),
    (
        message("for whoever runs the installation"),
        ("up", "doctor", "backup", "restore", "outbox", "events", "bus", "entered"),
    ),
    (message("to try it out (development)"), ("demo", "login", "simulate", "clock", "mail", "logout", "standin")),
)
"""Titles with names. Each command and group of the first level stands in one of them."""
