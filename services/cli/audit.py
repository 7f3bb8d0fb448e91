"""`yunhui audit`: what was done with power over others, and whether the record of it is whole (admin)."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from rich.progress import Progress
from rich.table import Table
from rich.text import Text as Styled
from yunhui.audit.v1 import audit_service_pb2 as api
from yunhui.audit.v1.audit_service_pb2_grpc import AuditServiceStub

from services.cli import client, moments
from services.cli.arguments import read_choice, read_moment
from services.cli.client import Connection
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation.registry import SERVICE_NAMES
from services.platform.clock import from_timestamp
from services.platform.data.chain import FIELDS, ChainEntry, Check
from services.platform.serving import spreadsheets
from services.platform.text.messages import message

PAGE = 500
Heads = dict[str, dict[int, str]]
"""By program: hashes that were noted, by number."""
ProgramOption = Annotated[
    str, typer.Option("--program", metavar="|".join(SERVICE_NAMES), help=message("only of this program"))
]


def entries(
    terminal: Terminal,
    program: ProgramOption = "",
    actor: Annotated[str, typer.Option(help=message("account of who acted"))] = "",
    account: Annotated[str, typer.Option(help=message("account that it concerns"))] = "",
    target: Annotated[
        str, typer.Option(metavar="KIND[/ID]", help=message("what was acted on, for example room/small-1"))
    ] = "",
    since: Annotated[str, typer.Option(help=message("from this time on (real time)"))] = "",
    until: Annotated[str, typer.Option(help=message("until this time (real time)"))] = "",
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help=message("list at most so many"))] = 50,
) -> None:
    kind, _, target_id = target.partition("/")
    request = api.ListAuditEntriesRequest(
        page_size=limit, actor=actor, account_id=account, target_kind=kind, target_id=target_id
    )
    now = datetime.now(UTC)  # real time, as in the entries
    if since:
        request.after.CopyFrom(moments.to_timestamp(read_moment(since, now)))
    if until:
        request.before.CopyFrom(moments.to_timestamp(read_moment(until, now)))
    found: list[tuple[str, api.AuditEntry]] = []
    for name in chosen(program):
        with open_audit(terminal, name) as log:
            found += [(name, entry) for entry in log.ask(log.stub.ListAuditEntries, request).entries]
    newest = sorted(found, key=lambda each: from_timestamp(each[1].time), reverse=True)[:limit]
    terminal.print_json({"entries": [{"program": name, **MessageToDict(entry)} for name, entry in newest]})
    if not terminal.json:
        show(terminal, newest)


def verify(
    terminal: Terminal,
    program: ProgramOption = "",
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="PROGRAM:NUMBER:HASH", help=message("a head noted earlier; may be given more than once")),
    ] = None,
    file: Annotated[Path | None, typer.Option(help=message("check an export of JSON lines; needs no service"))] = None,
) -> None:
    noted = read_heads(head or [])
    found = dict(verify_file(file, noted)) if file else dict(verify_programs(terminal, chosen(program), noted))
    found = {name: answer for name, answer in found.items() if program in ("", name)}
    terminal.print_json({"programs": {name: MessageToDict(answer) for name, answer in found.items()}})
    for name, answer in found.items():
        say = {"program": name, "count": answer.checked_count, "head": to_head(name, answer.head)}
        terminal.say(
            message("{program}: broken after {count} entries in order. Last head in order {head}")
            if answer.broken_number
            else message("{program}: {count} entries, whole. Head {head}"),
            **say,
        )
    for name, answer in found.items():
        if answer.broken_number:
            raise CommandError(
                FailureReason.AUDIT_BROKEN, program=name, number=answer.broken_number, fault=answer.fault
            )


def export(
    terminal: Terminal,
    program: ProgramOption = "",
    form: Annotated[str, typer.Option("--format", metavar="jsonl|csv", help=message("format"))] = "jsonl",
    out: Annotated[Path | None, typer.Option(help=message("write to a new file instead of standard output"))] = None,
) -> None:
    write = FORMATS[read_choice(form, tuple(FORMATS))]
    count = 0
    with open_output(out) as file:
        put = write(file)
        for name in chosen(program):
            for entry in read_all(terminal, name):
                put(name, entry)
                count += 1
    if out:
        terminal.say(message("{count} entries were exported to {file}."), count=count, file=out)


def chosen(program: str) -> tuple[str, ...]:
    """Raises CommandError."""
    return (read_choice(program, SERVICE_NAMES),) if program else SERVICE_NAMES


def open_audit(terminal: Terminal, program: str) -> Connection[AuditServiceStub]:
    """As whoever is signed in. Raises CommandError."""
    return Connection(AuditServiceStub, client.address_of(terminal, program), client.token(terminal))


def verify_programs(
    terminal: Terminal, programs: tuple[str, ...], noted: Heads
) -> Iterator[tuple[str, api.VerifyAuditResponse]]:
    for name in programs:
        heads = sorted(noted.get(name, {}).items())
        for number, expected in heads or [(0, "")]:
            answer = verify_program(terminal, name, api.VerifyAuditRequest(head_number=number, head_hash=expected))
            if answer.broken_number:
                break
        yield name, answer


def verify_program(terminal: Terminal, name: str, request: api.VerifyAuditRequest) -> api.VerifyAuditResponse:
    answer = api.VerifyAuditResponse()
    with (
        open_audit(terminal, name) as log,
        Progress(console=terminal.err, transient=True, disable=terminal.json) as progress,
    ):
        task = progress.add_task(name, total=None)
        for answer in log.follow(log.stub.VerifyAudit, request):
            progress.update(task, total=answer.total_count, completed=answer.checked_count)
    return answer


def verify_file(file: Path, noted: Heads) -> Iterator[tuple[str, api.VerifyAuditResponse]]:
    """Needs no service. Raises CommandError when it is no export."""
    checks = {name: Check(heads) for name, heads in noted.items()}
    for name, entry in read_export(file):
        checks.setdefault(name, Check(noted.get(name))).follow([entry])
    for name, check in checks.items():
        fault = check.finish()
        yield (
            name,
            api.VerifyAuditResponse(
                checked_count=check.number,
                done=True,
                broken_number=fault.number if fault else 0,
                fault=fault.reason if fault else "",
                head=api.AuditHead(number=check.number, hash=check.hash),
            ),
        )


def read_export(file: Path) -> Iterator[tuple[str, ChainEntry]]:
    with open_export(file) as lines:
        for number, line in enumerate(lines, 1):
            try:
                content = json.loads(line)
                yield str(content["program"]), ChainEntry(**{name: content[name] for name in FIELDS})
            except (ValueError, TypeError, KeyError) as error:
                raise CommandError(FailureReason.AUDIT_NO_EXPORT, ExitCode.USAGE, file=file, line=number) from error


def open_export(file: Path) -> IO[str]:
    """Raises CommandError."""
    try:
        return file.open(encoding="utf-8")
    except OSError as error:
        raise CommandError(FailureReason.NO_FILE, ExitCode.USAGE, path=file, field="--file") from error


def read_heads(typed: list[str]) -> Heads:
    """'booking:57:3fa9...', as `verify` prints them. Raises CommandError."""
    noted: Heads = {}
    for each in typed:
        name, _, rest = each.partition(":")
        number, _, expected = rest.partition(":")
        fits = (
            name in SERVICE_NAMES and number.isascii() and number.isdigit() and len(number) < 19 and len(expected) == 64
        )
        if not fits:
            raise CommandError(FailureReason.BAD_HEAD, ExitCode.USAGE, typed=each)
        if int(number):
            noted.setdefault(name, {})[int(number)] = expected
    return noted


def to_head(program: str, head: api.AuditHead) -> str:
    return f"{program}:{head.number}:{head.hash}"


def read_all(terminal: Terminal, program: str) -> Iterator[ChainEntry]:
    """Oldest first, page by page."""
    request = api.ListAuditEntriesRequest(page_size=PAGE, oldest_first=True)
    with open_audit(terminal, program) as log:
        while True:
            page = log.ask(log.stub.ListAuditEntries, request)
            yield from (to_entry(each) for each in page.entries)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def to_entry(message: api.AuditEntry) -> ChainEntry:
    values: dict[str, Any] = {name: getattr(message, name) for name in FIELDS}
    return ChainEntry(**values | {"time": from_timestamp(message.time)})


Put = Callable[[str, ChainEntry], None]


def json_lines(file: IO[str]) -> Put:
    """What `verify --file` reads."""

    def put(program: str, entry: ChainEntry) -> None:
        content = {"program": program} | {name: getattr(entry, name) for name in FIELDS}
        file.write(json.dumps(content, ensure_ascii=False) + "\n")

    return put


def table(file: IO[str]) -> Put:
    file.write(spreadsheets.line(["program", *FIELDS]))

    def put(program: str, entry: ChainEntry) -> None:
        cells = [moments.from_milliseconds(entry.time).isoformat() if name == "time" else getattr(entry, name)
                 for name in FIELDS]  # fmt: skip
        file.write(spreadsheets.line([program, *cells]))

    return put


FORMATS: dict[str, Callable[[IO[str]], Put]] = {"jsonl": json_lines, "csv": table}


@contextmanager
def standard_output() -> Iterator[IO[str]]:
    yield sys.stdout


def open_output(out: Path | None) -> AbstractContextManager[IO[str]]:
    """Only its owner may read the file: it names people. Raises CommandError when there is one already."""
    if out is None:
        return standard_output()
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(FailureReason.CANNOT_WRITE, ExitCode.USAGE, file=out, reason=error.strerror) from error
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")


def show(terminal: Terminal, found: list[tuple[str, api.AuditEntry]]) -> None:
    if not found:
        terminal.say(message("there are no entries."))
        return
    listed = Table(padding=(0, 1))
    headings = (
        message("program"),
        message("number"),
        message("time"),
        message("by"),
        message("act"),
        message("target"),
    )
    for text in (*headings, message("concerns"), message("outcome"), message("detail")):
        listed.add_column(terminal.text(text), overflow="fold")
    for name, entry in found:
        listed.add_row(
            name,
            str(entry.number),
            moments.show_second(moments.to_moment(entry.time), terminal.language),
            Styled(f"{entry.actor} ({entry.roles})"),
            Styled(entry.method.rpartition("/")[2]),
            Styled("/".join(filter(None, (entry.target_kind, entry.target_id)))),
            Styled(entry.account_id),
            Styled(entry.outcome),
            Styled(entry.detail if entry.detail != "{}" else ""),
        )
    terminal.out.print(listed)
