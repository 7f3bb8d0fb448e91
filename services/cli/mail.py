"""`yunhui mail`: what the development sink received, for reading."""

import mailbox
from dataclasses import dataclass
from email.headerregistry import DateHeader
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

from rich.table import Table
from rich.text import Text as Styled

from services.cli import clock, moments
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.messages import message, pmessage


@dataclass(frozen=True, slots=True)
class Mail:
    """One received message; numbers count from 1, in the order of arrival."""

    number: int
    message: EmailMessage

    def header(self, name: str) -> str:
        return str(self.message[name] or "")

    @property
    def text(self) -> str:
        part = self.message.get_body(("plain", "html"))
        return str(part.get_content()) if part else ""

    @property
    def attachments(self) -> list[str]:
        """Names, or types where there is no name; calendar parts included."""
        parts = (part for part in self.message.walk() if not part.is_multipart())
        return [
            part.get_filename() or part.get_content_type()
            for part in parts
            if part.get_filename() or part.get_content_type() not in ("text/plain", "text/html")
        ]

    def to_dict(self) -> dict[str, object]:
        headers = {name: self.header(name) for name in ("from", "to", "date", "subject")}
        return {"number": self.number, **headers, "attachments": self.attachments}


def read_all(folder: Path) -> list[Mail]:
    """Empty when the sink has not received anything."""
    if not (folder / "new").is_dir():
        return []
    keys = mailbox.Maildir(folder, create=False).keys()
    files = sorted((folder / "new" / key for key in keys), key=lambda file: (file.stat().st_mtime_ns, file.name))
    return [Mail(number, _parse(file.read_bytes())) for number, file in enumerate(files, 1)]


def _parse(content: bytes) -> EmailMessage:
    message = BytesParser(policy=default).parsebytes(content)
    assert isinstance(message, EmailMessage)  # noqa: S101 - what the default policy makes
    return message


def mails(terminal: Terminal) -> None:
    received = read_all(clock.development_state(terminal).mail)
    terminal.print_json({"mails": [mail.to_dict() for mail in received]})
    if not terminal.json:
        show_list(terminal, received)


def show(terminal: Terminal, number: int) -> None:
    received = {mail.number: mail for mail in read_all(clock.development_state(terminal).mail)}
    if number not in received:
        raise CommandError(FailureReason.NO_SUCH_MAIL, ExitCode.NOT_FOUND, number=number)
    mail = received[number]
    terminal.print_json({**mail.to_dict(), "text": mail.text})
    if not terminal.json:
        show_one(terminal, mail)


def show_list(terminal: Terminal, received: list[Mail]) -> None:
    if not received:
        terminal.say(message("No mail."))
        return
    table = Table(padding=(0, 1))
    table.add_column(terminal.text(message("no.")), justify="right", no_wrap=True)
    table.add_column(terminal.text(message("date")), overflow="fold")
    table.add_column(terminal.text(message("to")), overflow="fold")
    table.add_column(terminal.text(message("subject")), overflow="fold", ratio=1)
    for mail in received:
        row = (date(mail, terminal.language), mail.header("to"), mail.header("subject"))
        table.add_row(str(mail.number), *(Styled(cell) for cell in row))
    terminal.out.print(table)


def show_one(terminal: Terminal, mail: Mail) -> None:
    for text, value in (
        (pmessage("mail", "from"), mail.header("from")),
        (message("to"), mail.header("to")),
        (message("date"), date(mail, terminal.language)),
        (message("subject"), mail.header("subject")),
        (message("attached"), ", ".join(mail.attachments)),
    ):
        terminal.out.print(f"{terminal.text(text)}: {value}", markup=False, style="bold", soft_wrap=True)
    terminal.out.print()
    terminal.out.print(mail.text, markup=False, soft_wrap=True)


def date(mail: Mail, language: str) -> str:
    header = mail.message["date"]
    if not isinstance(header, DateHeader) or header.datetime is None:
        return ""
    return moments.show_moment(header.datetime, language)
