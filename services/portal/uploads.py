"""Forms with a file: let in by their first bytes, read into a file of ours, never as a whole into memory."""

from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import parse_qs

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

from services.portal import csrf

HEAD = 4096
"""Bytes that the token is looked for in: it is the first field of such a form."""
AROUND = 16 * 1024
"""Bytes of a form besides its file."""
PATIENCE = 4
"""So many times what may come is read and thrown away: browsers show no answer to who still sends."""


class FileTooLargeError(Exception):
    """A file of more bytes than may come."""


class NoFileError(Exception):
    """A form that carries none, or is none."""


async def read_head(receive: Receive) -> tuple[bytes, bool]:
    """The first bytes, and whether more come. Raises ClientDisconnect."""
    head, more = b"", True
    while more and len(head) < HEAD:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        head += message.get("body", b"")
        more = message.get("more_body", False)
    return head, more


def without_file(scope: Scope, head: bytes) -> Request:
    """For whoever wants to know only who sends it: the form's token as a header, and no form."""
    scope.setdefault("state", {})  # what is found out there is known here, too
    given = dict(scope["headers"])
    token = token_in(head, given.get(b"content-type", b""))
    kept = [(name, value) for name, value in scope["headers"] if name not in (b"content-type", b"x-csrf-token")]

    async def nothing() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    return Request({**scope, "headers": [*kept, (csrf.HEADER.encode(), token)]}, nothing)


def token_in(head: bytes, content_type: bytes) -> bytes:
    """The value of the form's first field, when that is the token; b"" else."""
    kind, options = parse_options_header(content_type)
    if kind == b"application/x-www-form-urlencoded":  # what was kept of a form comes like this, without its file
        fields = parse_qs(head.decode("latin-1"))
        return fields.get(csrf.FIELD, [""])[0].encode("latin-1")
    found: dict[str, bytes] = {"header": b"", "value": b""}
    parts: list[dict[str, bytes]] = []

    def begin() -> None:
        parts.append(dict(found))

    def add(name: str) -> Any:
        def added(data: bytes, start: int, end: int) -> None:
            parts[-1][name] += data[start:end]

        return added

    try:
        parser = MultipartParser(
            options.get(b"boundary", b""),
            {"on_part_begin": begin, "on_header_value": add("header"), "on_part_data": add("value")},
        )
        parser.write(head)
    except FormParserError:
        return b""
    if not parts:
        return b""
    _, about = parse_options_header(parts[0]["header"])
    return parts[0]["value"] if about.get(b"name") == csrf.FIELD.encode() else b""


def put_back(head: bytes, more: bool, receive: Receive) -> Receive:
    """What was read is there again, and then what the browser sends."""
    messages: list[Message] = [{"type": "http.request", "body": head, "more_body": more}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


async def receive_file(request: Request, name: str, most: int) -> UploadFile:
    """The file in the field `name`; it is to be closed. Raises FileTooLargeError, NoFileError, ClientDisconnect."""
    sent = _Limited(request, most + AROUND)
    request._form = FormData()  # whoever asks for it later, to keep what was typed, finds nothing instead of no end
    try:
        form = await MultiPartParser(request.headers, sent.pieces(), max_files=1, max_fields=10).parse()
    except (MultiPartException, KeyError) as error:
        raise NoFileError from error
    file = form.get(name)
    if not isinstance(file, UploadFile) or not file.size:
        raise NoFileError
    if file.size > most:
        await file.close()
        raise FileTooLargeError
    return file


class _Limited:
    """What a browser sends, up to so many bytes."""

    def __init__(self, request: Request, most: int) -> None:
        self._request, self._most, self._size = request, most, 0

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        async for piece in self._request.stream():
            self._size += len(piece)
            if self._size > self._most * PATIENCE:
                raise FileTooLargeError
            if self._size <= self._most:
                yield piece
        if self._size > self._most:
            raise FileTooLargeError
