"""Forms with a file: the token in the first bytes, who is let through before the file is read, and how much is."""

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from services.portal.console.import_page import letter
from services.portal.uploads import HEAD, FileTooLargeError, NoFileError, receive_file, token_in

MOST = 1000
BOUNDARY = "b0undary"
KIND = f"multipart/form-data; boundary={BOUNDARY}".encode()


def form(*parts: tuple[str, str]) -> bytes:
    told = (
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts
    )
    return f"{''.join(told)}--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(
    ("head", "kind", "token"),
    [
        (form(("csrf_token", "ab12"), ("file", "x")), KIND, b"ab12"),
        (form(("csrf_token", "ab12"), ("file", "x" * 9000))[:HEAD], KIND, b"ab12"),
        (form(("file", "x"), ("csrf_token", "ab12")), KIND, b""),
        (form(("csrf_token", "ab12")), b"multipart/form-data; boundary=other", b""),
        (form(("csrf_token", "ab12")), b"multipart/form-data", b""),
        (form(("csrf_token", "ab12")), b"", b""),
        (b"csrf_token=ab12", b"application/x-www-form-urlencoded", b"ab12"),
        (b"x=1", b"application/x-www-form-urlencoded", b""),
        (b"", KIND, b""),
    ],
)
def test_the_token_is_the_first_field_or_there_is_none(head: bytes, kind: bytes, token: bytes) -> None:
    assert token_in(head, kind) == token


async def take(request: Request) -> Response:
    try:
        file = await receive_file(request, "file", MOST)
    except FileTooLargeError:
        return PlainTextResponse("too large", 413)
    except NoFileError:
        return PlainTextResponse("none", 422)
    content = await file.read()
    await file.close()
    return PlainTextResponse(f"{file.filename} {len(content)}")


def send(**options: object) -> httpx2.Response:
    with TestClient(Starlette(routes=[Route("/", take, methods=["POST"])])) as client:
        return client.post("/", **options)  # type: ignore[arg-type] # those of the client


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "none"), (1, "a.csv 1"), (MOST, f"a.csv {MOST}"), (MOST + 1, "too large"), (10**5, "too large")],
)
def test_a_file_of_at_most_so_many_bytes(size: int, said: str) -> None:
    assert send(files={"file": ("a.csv", b"x" * size)}).text == said


def test_what_is_no_file_is_none() -> None:
    assert send(data={"file": "x"}).text == "none"
    assert send(files={"other": ("a.csv", b"x")}).text == "none"
    assert send(content=b"nonsense", headers={"content-type": "multipart/form-data; boundary=x"}).text == "none"
    assert send(content=b"nonsense", headers={"content-type": "multipart/form-data"}).text == "none"
    assert send(content=b"").text == "none"


@pytest.mark.parametrize(
    ("column", "name"), [(1, "A"), (26, "Z"), (27, "AA"), (52, "AZ"), (53, "BA"), (702, "ZZ"), (703, "AAA")]
)
def test_a_column_is_called_as_spreadsheets_call_it(column: int, name: str) -> None:
    assert letter(column) == name
