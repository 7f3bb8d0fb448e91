"""One RFC 5322 message as bytes: addresses, headers and parts. The same input gives the same bytes."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from email_validator import EmailNotValidError, validate_email

from services.notifier.wording import single_line


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A checked address, ASCII only, with a name for people."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    def header(self) -> Address:
        # Built from parts: a header given as text would take "a@b.cn, evil@x.com" for two people.
        return Address(display_name=self.name, addr_spec=self.address)


def mailbox(address: str, name: str = "") -> Mailbox | None:
    """None when the address is not one that mail can be sent to."""
    try:
        checked = validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError:
        return None
    return Mailbox(checked.ascii_email or checked.normalized, header_text(name, 80))


def header_text(text: str, limit: int = 200) -> str:
    """One line that the email package takes as it stands.

    It would decode an encoded word (RFC 2047) that somebody typed, line breaks and all, and write the result
    into the header bare: so none is left whole.
    """
    return single_line(text, limit).replace("=?", "= ?")


@dataclass(frozen=True, slots=True)
class CalendarPart:
    """Content of invite.ics and the method that mail programs act on."""

    method: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """What becomes one message. `references` ties the mails about one reservation together."""

    message_id: str
    sender: Mailbox
    recipient: Mailbox
    subject: str
    time: datetime
    text: str
    html: str
    languages: tuple[str, ...]
    reply_to: Mailbox | None = None
    references: str = ""
    calendar: CalendarPart | None = field(default=None, repr=False)

    def to_bytes(self) -> bytes:
        message = EmailMessage(policy=SMTP)
        self._add_headers(message)
        message.set_content(self.text)
        message.add_alternative(self.html, subtype="html")
        if self.calendar:
            _add_calendar(message, self.calendar)
        message["Content-Language"] = ", ".join(self.languages)  # last: the package moves Content-* into parts
        _fix_boundaries(message, self.message_id)
        return message.as_bytes()

    def _add_headers(self, message: EmailMessage) -> None:
        message["From"] = self.sender.header()
        message["To"] = self.recipient.header()
        if self.reply_to:
            message["Reply-To"] = self.reply_to.header()
        message["Subject"] = header_text(self.subject)
        message["Date"] = self.time
        message["Message-ID"] = f"<{self.message_id}>"
        if self.references:
            message["References"] = f"<{self.references}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers


def _add_calendar(message: EmailMessage, calendar: CalendarPart) -> None:
    """Twice: as the alternative that mail programs act on, and as a file for those that show it only as such."""
    message.add_alternative(
        calendar.content,
        maintype="text",
        subtype="calendar",
        params={"charset": "utf-8", "method": calendar.method},
        disposition="inline",
    )
    message.add_attachment(calendar.content, maintype="application", subtype="ics", filename="invite.ics")


def _fix_boundaries(message: EmailMessage, message_id: str) -> None:
    """Derived from the Message-ID instead of drawn at random: a message rendered twice is the same message."""
    seed = hashlib.sha256(message_id.encode()).hexdigest()[:24]
    parts = [part for part in message.walk() if part.is_multipart()]
    for number, part in enumerate(parts):
        part.set_boundary(f"=_{number}_{seed}")
