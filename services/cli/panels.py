"""How `yunhui --help` lists the commands: by who needs them, and in each panel what is used most first."""

from services.cli import texts

PANELS = (
    (
        texts.PANEL_BOOKING,
        (
            *("reserve", "check", "mine", "free", "show", "change", "cancel", "end", "quota", "query"),
            *("rooms", "watch", "object", "preferences", "whoami"),
        ),
    ),
    (texts.PANEL_SUPPORT, ("approve", "decline", "objections", "waive", "dismiss", "deliveries")),
    (texts.PANEL_ADMINISTRATION, ("policy", "audit", "webhooks")),
    (texts.PANEL_INSTALLATION, ("up", "doctor", "backup", "restore", "outbox", "events", "bus", "entered")),
    (texts.PANEL_TRYING, ("demo", "login", "simulate", "clock", "mail", "logout", "standin")),
)
"""Titles with names. Each command and group of the first level stands in one of them."""
