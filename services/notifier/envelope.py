"""One RFC 5322 message as bytes: addresses, headers and parts. The same input gives the same bytes.

The structure is always the same few parts, so it is put together here; each value goes through the encoder that the
standard library has for it. email.message would build, parse and fold every header of every part: ten times the cost.
"""

import binascii
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, formataddr
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from services.notifier.wording import single_line

CRLF = "\r\n"
LINE_COLUMNS = 76
BASE64_LINE_BYTES = 57  # become 76 columns
ASCII_BUT_EQUALS = bytes(range(128)).replace(b"=", b"")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A checked address, ASCII only, with a name for people."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    def header(self) -> str:
        return _person(self.name, self.address)


@lru_cache(maxsize=1024)
def _person(name: str, address: str) -> str:
    """A name in quotes or as encoded words: "a@b.cn, evil@x.com" as a name must not become two people."""
    if name.isascii():
        return _folded(formataddr((name, address)))
    return _folded(f"{_encoded(name, 'Reply-To')} <{address}>")


@lru_cache(maxsize=1024)
def mailbox(address: str, name: str = "") -> Mailbox | None:
    """None when the address is not one that mail can be sent to."""
    try:
        checked = validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError:
        return None
    return Mailbox(checked.ascii_email or checked.normalized, header_text(name, 80))


def header_text(text: str, limit: int = 200) -> str:
    """One line in which no encoded word (RFC 2047) that somebody typed is left whole: readers would decode it."""
    return single_line(text, limit).replace("=?", "= ?")


def _encoded(text: str, header: str) -> str:
    """Folded, and in encoded words where it is not ASCII. `header` is the name that stands before it."""
    charset = None if text.isascii() else "utf-8"
    return Header(text, charset, LINE_COLUMNS, header).encode(linesep=CRLF)


def _folded(person: str) -> str:
    """The address on a line of its own where it would make the last one too long."""
    name, space, address = person.rpartition(" ")
    last = len("Reply-To: ") + len(person) - person.rfind("\n")
    return f"{name}{CRLF} {address}" if name and last > LINE_COLUMNS else f"{name}{space}{address}"


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
        boundary = hashlib.sha256(self.message_id.encode()).hexdigest()[:24]  # not random: twice the same is the same
        readings = [_text_part("plain", self.text), _text_part("html", self.html)]
        if self.calendar is None:
            body = _multipart("alternative", f"=_0_{boundary}", readings)
        else:
            body = _with_calendar(readings, self.calendar, boundary)
        return _part(self._headers(), body)

    def _headers(self) -> Iterator[tuple[str, str]]:
        yield "From", self.sender.header()
        yield "To", self.recipient.header()
        if self.reply_to:
            yield "Reply-To", self.reply_to.header()
        yield "Subject", _encoded(header_text(self.subject), "Subject")
        yield "Date", format_datetime(self.time)
        yield "Message-ID", f"<{self.message_id}>"
        if self.references:
            yield "References", f"<{self.references}>"
        yield "Auto-Submitted", "auto-generated"  # RFC 3834: no out-of-office answers
        yield "Content-Language", ", ".join(self.languages)
        yield "MIME-Version", "1.0"


def _part(headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """`body` begins with the headers that describe it."""
    return "".join(f"{name}: {value}{CRLF}" for name, value in headers).encode("ascii") + body


def _multipart(subtype: str, boundary: str, parts: Iterable[bytes]) -> bytes:
    """The boundaries hold "=_", which neither base64 nor quoted-printable can produce."""
    start = f'Content-Type: multipart/{subtype}; boundary="{boundary}"{CRLF}{CRLF}'.encode("ascii")
    line = f"--{boundary}".encode("ascii")
    body = b"".join(line + b"\r\n" + part + b"\r\n" for part in parts)
    return start + body + line + b"--\r\n"


def _text_part(subtype: str, text: str) -> bytes:
    """Whichever encoding is shorter: Chinese text in base64, what is mostly ASCII in quoted-printable."""
    content = text.replace("\n", CRLF).encode()
    described = [("Content-Type", f"text/{subtype}; charset=utf-8")]
    if 6 * len(content.translate(None, ASCII_BUT_EQUALS)) > len(content):
        return _part(described, _base64(content))
    encoding = f"Content-Transfer-Encoding: quoted-printable{CRLF}{CRLF}".encode("ascii")
    return _part(described, encoding + binascii.b2a_qp(content))


def _with_calendar(readings: list[bytes], calendar: CalendarPart, boundary: str) -> bytes:
    """Twice: as the alternative that mail programs act on, and as a file for those that show it only as such."""
    content = _base64(calendar.content)
    acted_on = _part(
        [
            ("Content-Type", f"text/calendar; charset=utf-8; method={calendar.method}"),
            ("Content-Disposition", "inline"),
        ],
        content,
    )
    file = _part(
        [
            ("Content-Type", "application/ics; name=invite.ics"),
            ("Content-Disposition", "attachment; filename=invite.ics"),
        ],
        content,
    )
    alternative = _multipart("alternative", f"=_1_{boundary}", [*readings, acted_on])
    return _multipart("mixed", f"=_0_{boundary}", [alternative, file])


def _base64(content: bytes) -> bytes:
    pieces = (content[start : start + BASE64_LINE_BYTES] for start in range(0, len(content), BASE64_LINE_BYTES))
    lines = b"\r\n".join(binascii.b2a_base64(piece, newline=False) for piece in pieces)
    return f"Content-Transfer-Encoding: base64{CRLF}{CRLF}".encode("ascii") + lines + b"\r\n"
