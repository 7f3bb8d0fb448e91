"""`yunhui members import` and `template`: people of a table or the provider, looked at before they come (admin)."""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import grpc
import typer
from rich.progress import Progress
from rich.table import Table
from rich.text import Text as Styled
from yunhui.directory.v1 import import_pb2 as pb
from yunhui.directory.v1 import import_service_pb2 as api

from services.cli import rendering
from services.cli.client import Directory, open_directory
from services.cli.failures import CallError, CommandError, ExitCode, retry_seconds
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.languages import CHINESE
from services.platform.text.messages import Text, message, pmessage

PART = 200_000
"""Bytes."""
SHOWN = 20
"""Rows."""
CHECK_SECONDS = 60.0
VERDICTS: Mapping[int, Text] = {
    pb.IMPORT_VERDICT_CREATE: pmessage("row", "new"),
    pb.IMPORT_VERDICT_UPDATE: pmessage("row", "changes"),
    pb.IMPORT_VERDICT_UNCHANGED: pmessage("row", "as it is"),
    pb.IMPORT_VERDICT_FAILED: pmessage("row", "wrong"),
    pb.IMPORT_VERDICT_REMOVE: pmessage("row", "gone: the account is closed"),
}
LOOK_SECONDS = 1.0
"""Between looks at how many of the provider's people are there."""

File = Annotated[Path | None, typer.Argument(metavar="[FILE]")]


def import_(
    terminal: Terminal,
    file: File = None,
    from_provider: Annotated[
        bool, typer.Option("--from-provider", help=message("the people whom the provider of meetings knows"))
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help=message("do it; else only say what would happen"))] = False,
    good_rows: Annotated[
        bool, typer.Option("--good-rows", help=message("leave out the rows that are wrong; else all or nothing"))
    ] = False,
    failed: Annotated[
        Path | None, typer.Option("--failed", help=message("write the wrong rows into this file, .xlsx or .csv"))
    ] = None,
) -> None:
    if from_provider == (file is not None):
        raise CommandError(FailureReason.FILE_OR_PROVIDER, ExitCode.USAGE)
    content = read(file) if file else b""
    with open_directory(terminal) as directory:
        made = upload(terminal, directory, file.name, content) if file else begin(directory)
        done = False
        try:
            outcome = check(directory, made) if file else fetched(terminal, directory, made)
            rows = changed_rows(directory, made)
            if failed and outcome.summary.failed_count:
                write_failed(terminal, directory, made, failed)
            if not terminal.json:
                show(terminal, outcome, rows)
            if apply:
                wanted = api.ApplyImportRequest(import_id=made, good_rows_only=good_rows)
                outcome = getattr(directory.ask(directory.stub.imports.ApplyImport, wanted, CHECK_SECONDS), "import")
                done = True
        finally:
            if not done:  # what was uploaded is personal
                with suppress(CallError):
                    directory.ask(directory.stub.imports.CancelImport, api.CancelImportRequest(import_id=made))
    applied = message("The table was applied.") if file else message("The provider's people were taken in.")
    said = applied if apply else message("Nothing was changed. To do it, add --apply.")
    answer = api.GetImportResponse(**{"import": outcome})
    terminal.answer(answer, lambda to: to.say(said))


def template(
    terminal: Terminal,
    file: Annotated[Path, typer.Argument(metavar="FILE")] = Path("members.xlsx"),
) -> None:
    request = api.GetImportTemplateRequest(format=format_of(file), locale=terminal.language)
    with open_directory(terminal) as directory:
        content = directory.ask(directory.stub.imports.GetImportTemplate, request).content
    write(file, content)
    terminal.print_json({"file": str(file)})
    terminal.say(message("{file} has all columns and an example: fill it in, then import it."), file=file)


def read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandError(FailureReason.NO_FILE, ExitCode.USAGE, path=file) from error


def write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise CommandError(FailureReason.CANNOT_WRITE, ExitCode.USAGE, file=file, reason=error.strerror) from error


def format_of(file: Path) -> api.TableFormat.ValueType:
    return api.TABLE_FORMAT_CSV if file.suffix.lower() == ".csv" else api.TABLE_FORMAT_XLSX


def upload(terminal: Terminal, directory: Directory, name: str, content: bytes) -> str:
    """The id of the import. Waits where the service wants fewer calls."""
    made = directory.ask(directory.stub.imports.CreateImport, api.CreateImportRequest(file_name=name))
    import_id: str = getattr(made, "import").import_id
    with Progress(console=terminal.err, transient=True, disable=terminal.json) as progress:
        task = progress.add_task(terminal.text(message("uploading")), total=len(content))
        for offset in range(0, len(content), PART):
            part = api.UploadImportPartRequest(
                import_id=import_id, offset=offset, content=content[offset : offset + PART]
            )
            send(directory, part)
            progress.update(task, completed=offset + len(part.content))
    return import_id


def begin(directory: Directory) -> str:
    """The id of an import of the provider's people."""
    made = directory.ask(directory.stub.imports.CreateProviderImport, api.CreateProviderImportRequest())
    import_id: str = getattr(made, "import").import_id
    return import_id


def check(directory: Directory, import_id: str) -> pb.Import:
    request = api.CheckImportRequest(import_id=import_id)
    made: pb.Import = getattr(directory.ask(directory.stub.imports.CheckImport, request, CHECK_SECONDS), "import")
    return made


def fetched(terminal: Terminal, directory: Directory, import_id: str) -> pb.Import:
    """When all are there, and it is known what they would change."""
    request = api.GetImportRequest(import_id=import_id)
    with Progress(console=terminal.err, transient=True, disable=terminal.json) as progress:
        task = progress.add_task("", total=None)
        while True:
            made: pb.Import = getattr(directory.ask(directory.stub.imports.GetImport, request), "import")
            if made.state not in (pb.IMPORT_STATE_FETCHING, pb.IMPORT_STATE_UPLOADING):
                break
            said = message("people fetched: {number:,}", number=made.fetched_count)
            progress.update(task, description=terminal.text(said))
            time.sleep(LOOK_SECONDS)
    if made.state != pb.IMPORT_STATE_CHECKED:
        reason = made.fault.chinese if terminal.language == CHINESE else made.fault.english
        given_up = terminal.text(message("it was given up"))
        raise CommandError(FailureReason.NOT_FETCHED, ExitCode.REFUSED, reason=reason or given_up)
    return made


def send(directory: Directory, part: api.UploadImportPartRequest) -> None:
    while True:
        try:
            directory.ask(directory.stub.imports.UploadImportPart, part)
            return
        except CallError as error:
            pause = retry_seconds(error.status)
            if error.status.code != grpc.StatusCode.RESOURCE_EXHAUSTED.value[0] or not pause:
                raise
            time.sleep(pause)


def changed_rows(directory: Directory, import_id: str) -> list[pb.ImportRow]:
    """The first that would be shown: wrong ones before all others."""
    rows: list[pb.ImportRow] = []
    for verdict in (
        pb.IMPORT_VERDICT_FAILED,
        pb.IMPORT_VERDICT_REMOVE,
        pb.IMPORT_VERDICT_CREATE,
        pb.IMPORT_VERDICT_UPDATE,
    ):
        request = api.ListImportRowsRequest(import_id=import_id, verdicts=[verdict], page_size=SHOWN)
        rows.extend(directory.ask(directory.stub.imports.ListImportRows, request).rows)
    return rows[:SHOWN]


def write_failed(terminal: Terminal, directory: Directory, import_id: str, file: Path) -> None:
    request = api.GetFailedRowsRequest(import_id=import_id, format=format_of(file), locale=terminal.language)
    pieces = directory.follow(directory.stub.imports.GetFailedRows, request)
    write(file, b"".join(piece.content for piece in pieces))


def show(terminal: Terminal, made: pb.Import, rows: list[pb.ImportRow]) -> None:
    """What would happen."""
    counts = made.summary
    facts = (
        (message("people who are new"), counts.create_count),
        (message("people of whom something changes"), counts.update_count),
        (message("people who are known so"), counts.unchanged_count),
        (message("rows that are wrong"), counts.failed_count),
        (message("departments to be made"), counts.department_count),
        (message("accounts to be closed"), counts.remove_count),
    )
    rendering.show_facts(terminal, ((text, f"{number:,}") for text, number in facts))
    if not rows:
        return
    table = Table(padding=(0, 1))
    for text in (message("line"), message("account"), message("name"), pmessage("row", "what happens")):
        table.add_column(terminal.text(text), overflow="fold")
    for row in rows:
        table.add_row(str(row.line), Styled(row.account_id), Styled(row.display_name), Styled(told(terminal, row)))
    terminal.out.print(table)
    changing = counts.create_count + counts.update_count + counts.failed_count + counts.remove_count
    rendering.show_rest(terminal, len(rows), changing)


def told(terminal: Terminal, row: pb.ImportRow) -> str:
    lines = [terminal.text(VERDICTS[row.verdict])]
    lines += [f"{each.field}: {each.before or '–'} → {each.after}" for each in row.differences]
    lines += [f"{each.field}: {each.chinese if terminal.language == CHINESE else each.english}" for each in row.faults]
    return "\n".join(lines)
