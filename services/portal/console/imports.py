"""Tables of people on their way into the directory: all of them, and a file uploaded."""

import logging
from contextlib import suppress
from pathlib import PurePosixPath

import grpc
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from yunhui.directory.v1 import import_pb2 as pb
from yunhui.directory.v1 import import_service_pb2 as api

from services.platform.serving import spreadsheets
from services.platform.text.messages import Text, message
from services.portal.calls import ask, ask_patiently, read, services_of
from services.portal.console.addresses import IMPORTS, of_import
from services.portal.console.forms import FormRefusal, attempt, for_permitted
from services.portal.rendering import reader_of
from services.portal.tables import Asked, Column, Listing, Table
from services.portal.texts import IMPORT_STATES, IMPORT_TONES
from services.portal.uploads import FileTooLargeError, NoFileError, receive_file

log = logging.getLogger(__name__)

MOST_BYTES, MOST_ROWS = 20_000_000, 20_000
"""Of a table, as the directory has it."""
PART = 200_000
"""Bytes sent to the directory at once."""
LONGEST_NAME = 200
FORMATS = {"csv": api.TABLE_FORMAT_CSV, "xlsx": api.TABLE_FORMAT_XLSX}
MEDIA_TYPES = {"csv": spreadsheets.MEDIA_TYPE, "xlsx": spreadsheets.SHEET_TYPE}
NO_FILE = message("Choose a file that is not empty: CSV or XLSX.")
TOO_LARGE = message("The file has more than {most} MB: split it into several files.", most=MOST_BYTES // 1_000_000)


async def fetch(request: Request, _: Asked) -> Listing[pb.Import]:
    answer = await ask(request, services_of(request).imports.ListImports, api.ListImportsRequest())
    return Listing(list(answer.imports), "", len(answer.imports))


def count(name: str, each: pb.Import) -> str:
    """Nothing while it is not known."""
    return f"{getattr(each.summary, name):,}" if each.HasField("summary") else ""


TABLE: Table[pb.Import] = Table(
    IMPORTS,
    message("Import"),
    fetch,
    columns=[
        Column(message("File"), lambda each: each.file_name, link=of_import, width="wide"),
        Column(
            message("State"),
            lambda each: IMPORT_STATES[each.state],
            width="narrow",
            tone=lambda each: IMPORT_TONES[each.state],
        ),
        Column(message("People added"), lambda each: count("create_count", each), minor=True),
        Column(message("People changed"), lambda each: count("update_count", each), minor=True),
        Column(message("Rows that cannot be taken"), lambda each: count("failed_count", each), minor=True),
        Column(message("Begun"), lambda each: each.create_time, minor=True),
        Column(message("By"), lambda each: each.actor, minor=True),
    ],
    permission="members.edit",
    icon="import",
    done={"cancelled": message("The import was given up, and its file is forgotten.")},
    template="console/imports.html",
)


async def upload(request: Request) -> Response:
    """Into a file of ours first: what sends it on is held to the directory's limit of calls, the browser is not."""
    try:
        file = await receive_file(request, "file", MOST_BYTES)
    except FileTooLargeError:
        return await refuse(request, 413, TOO_LARGE)
    except NoFileError:
        return await refuse(request, 422, NO_FILE)
    except ClientDisconnect:
        return Response(status_code=408, headers={"connection": "close"})
    question = api.CreateImportRequest(file_name=name_of(file))
    try:
        answer = await attempt(request, services_of(request).imports.CreateImport, question, {})
    except grpc.aio.AioRpcError:
        await file.close()
        raise
    if isinstance(answer, FormRefusal):
        await file.close()
        return await TABLE.answer(request, answer.status, fault=answer.said)
    made: pb.Import = getattr(answer, "import")
    sending = BackgroundTask(send, request, made.import_id, file)
    return RedirectResponse(of_import(made, size=str(file.size)), 303, background=sending)


async def refuse(request: Request, status: int, fault: Text) -> Response:
    return await TABLE.answer(request, status, fault=fault.to(reader_of(request).language))


def name_of(file: UploadFile) -> str:
    """Without the folders that some browsers tell."""
    name = PurePosixPath((file.filename or "").replace("\\", "/")).name
    shown = "".join(each if each.isprintable() else " " for each in name)
    return " ".join(shown.split())[:LONGEST_NAME] or "?"


async def send(request: Request, import_id: str, file: UploadFile) -> None:
    """On to the directory, part by part. What cannot be sent as a whole is given up there."""
    imports, offset = services_of(request).imports, 0
    try:
        while content := await file.read(PART):
            part = api.UploadImportPartRequest(import_id=import_id, offset=offset, content=content)
            await ask_patiently(request, imports.UploadImportPart, part)
            offset += len(content)
    except grpc.aio.AioRpcError as error:
        log.warning("the import %s is given up after %d bytes: %s", import_id, offset, read(error).code.name)
        with suppress(grpc.aio.AioRpcError):
            await ask(request, imports.CancelImport, api.CancelImportRequest(import_id=import_id))
    finally:
        await file.close()


async def template(request: Request) -> Response:
    kind = kind_of(request)
    question = api.GetImportTemplateRequest(format=FORMATS[kind], locale=reader_of(request).language)
    answer = await ask(request, services_of(request).imports.GetImportTemplate, question)
    return Response(answer.content, media_type=MEDIA_TYPES[kind], headers=as_file(answer.file_name))


def kind_of(request: Request) -> str:
    kind = str(request.path_params["kind"])
    if kind not in FORMATS:
        raise HTTPException(404)
    return kind


def as_file(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}


PAGES = [
    (IMPORTS, for_permitted("members.edit", upload), "POST"),
    (f"{IMPORTS}/template.{{kind}}", for_permitted("members.edit", template), "GET"),
]
