"""Tables as files: what Excel and others write, what is meant to do harm, and what we write ourselves."""

import io
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from google.rpc import error_details_pb2 as details
from hypothesis import given
from hypothesis import strategies as st
from xlsxwriter import Workbook

from services.directory import import_child, import_columns, import_tables
from services.directory.import_tables import TableError
from services.platform.serving.errors import RpcError

ROWS = [["账号", "姓名"], ["zhang", "张伟"], ["li", "李 四"]]


def cells(content: bytes) -> list[list[str]]:
    return [line.cells for line in import_tables.read(content)]


def xlsx(fill: Callable[[Any, Any], object], **options: Any) -> bytes:
    file = io.BytesIO()
    with Workbook(file, options) as workbook:
        fill(workbook, workbook.add_worksheet())
    return file.getvalue()


def sheet(rows: list[list[Any]]) -> bytes:
    return xlsx(lambda _, sheet: [sheet.write_row(number, 0, row) for number, row in enumerate(rows)])


def refused(content: bytes) -> str:
    with pytest.raises(TableError) as caught:
        import_tables.read(content)
    return caught.value.words.to("en")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_spreadsheets_write_is_read(encoding: str, separator: str) -> None:
    text = "\r\n".join(separator.join(row) for row in ROWS)
    assert cells(text.encode(encoding)) == ROWS


@pytest.mark.parametrize(("mark", "encoding"), [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")])
def test_utf_16_of_both_orders_is_read(mark: bytes, encoding: str) -> None:
    assert cells(mark + "账号".encode(encoding)) == [["账号"]]


def test_a_quoted_cell_goes_on_over_lines_and_later_rows_keep_their_number() -> None:
    lines = import_tables.read(b'a,"b\n""c"";"\n\n  \nd;e,f\n')
    assert [(line.number, line.cells) for line in lines] == [(1, ["a", 'b\n"c";']), (5, ["d;e", "f"])]


def test_what_was_guarded_against_spreadsheets_loses_its_quote() -> None:
    assert cells(b"a,b\n'=1+1,'+8613800138000\n'x,=2\n") == [
        ["a", "b"],
        ["=1+1", "+8613800138000"],
        ["'x", "=2"],
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'a,"b\nc', "line 1: the quotation marks"),
        (b'a\n"b"c,d', "line 2: the quotation marks"),
        (b"a,\0b", "is no table"),
        (b"%PDF-1.7\0\xff\xff", "is in no encoding"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "is protected by a password, or of an old kind"),
        (b"PK\x03\x04nothing more", "is damaged"),
        (b"," * 100 + b"x", "must have at most 100 columns"),
        (b"x" * 10_001, "line 1: a cell has more than 10,000 characters"),
        (b"a\n" * 20_002, "must have at most 20,000 rows"),
        (b"a" * 20_000_001, "must be at most 20 MB"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_way_out(content: bytes, words: str) -> None:
    assert refused(content).startswith(words)


def test_the_limits_themselves_are_let_through() -> None:
    assert len(import_tables.read(b"a\n" * 20_001)) == 20_001
    assert cells(b"," * 99 + b"x" * 10_000)[0][99] == "x" * 10_000


def test_cells_of_xlsx_are_texts_as_people_see_them() -> None:
    def fill(workbook: Any, sheet: Any) -> None:
        day = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        sheet.write_row(2, 1, [12345, 8613800138000, 1.5, True, " x "])
        sheet.write_datetime(3, 1, date(2026, 3, 2), day)
        sheet.write_number(3, 2, 46083.4375, day)
        sheet.write_formula(3, 3, "=1+1", None, 2)
        sheet.write_formula(3, 4, "=1/0", None, "#DIV/0!")
        sheet.write_string(3, 5, "=1+1")

    lines = import_tables.read(xlsx(fill))
    assert [(line.number, line.cells) for line in lines] == [
        (3, ["", "12345", "8613800138000", "1.5", "TRUE", "x"]),
        (4, ["", "2026-03-02", "2026-03-02 10:30:00", "2", "", "=1+1"]),
    ]


def test_the_first_sheet_that_is_shown_is_read() -> None:
    def fill(workbook: Any, sheet: Any) -> None:
        sheet.write(0, 0, "hidden")
        sheet.hide()
        shown = workbook.add_worksheet()
        shown.write(0, 0, "shown")
        shown.activate()

    assert cells(xlsx(fill)) == [["shown"]]


def test_an_archive_that_is_no_workbook_is_refused() -> None:
    assert refused(archive({"mimetype": b"application/x"})) == "is no table: send CSV or XLSX"


def archive(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("size", [import_tables.MOST_UNPACKED + 1, import_tables.LITTLE + 1])
def test_a_bomb_is_refused_by_what_it_declares(size: int) -> None:
    assert refused(archive({"xl/workbook.xml": bytes(size)})) == "holds too much: split it into several files"


def test_a_bomb_that_lies_about_its_size_is_refused() -> None:
    size = 5_000_000
    content = bytearray(archive({"xl/workbook.xml": bytes(size)}))
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + at, 10)
    assert import_tables._unpacked(bytes(content), zipfile.ZipFile(io.BytesIO(content)).infolist()[0]) > 10
    assert refused(bytes(content)).startswith("is damaged")


def test_too_many_parts_are_refused() -> None:
    parts = {f"p{number}": b"" for number in range(import_tables.MOST_PARTS + 1)}
    assert refused(archive(parts)).startswith("holds too much")


async def child(content: bytes) -> str:
    """The words of its refusal."""
    with pytest.raises(RpcError) as caught:
        await import_child.read(content)
    assert isinstance(caught.value.details[0], details.BadRequest)
    return str(caught.value)


async def test_a_sheet_with_cells_in_opposite_corners_takes_no_memory_of_ours() -> None:
    content = xlsx(lambda _, sheet: [sheet.write(0, 0, "账号"), sheet.write(1_048_575, 16_383, "x")])
    assert (await child(content)).startswith("file: is damaged, or holds too much")


async def test_a_long_text_that_is_used_often_takes_no_memory_of_ours() -> None:
    long = "x" * 10_000
    content = sheet([["账号", *[long] * 90], *[[long] * 90] * 1_500])
    assert len(content) < 5_000_000
    assert (await child(content)).startswith("file: ")


async def test_a_child_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_child, "MOST_SECONDS", 0.0)
    assert (await child("账号".encode())).startswith("file: takes too long")


async def test_the_child_says_in_both_languages_what_is_wrong() -> None:
    with pytest.raises(RpcError) as caught:
        await import_child.read("帐号码,姓名".encode())
    [violation] = caught.value.details[0].field_violations  # type: ignore[attr-defined]
    assert violation.field == "file"
    assert "帐号码" in violation.description
    assert "帐号码" in violation.localized_message.message


def test_the_child_is_told_no_secret() -> None:
    assert not {name for name in import_child.PASSED_ON if "YUNHUI" in name or "DATABASE" in name}


def test_the_child_does_without_a_database() -> None:
    code = "import sys, services.directory.import_child; sys.exit('sqlalchemy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "head",
    [
        ["账号", "姓名", "手机号"],
        ["Phone", "Account ID", "Name"],
        ["account_id", "display name", "PHONE"],
        ["* 账号（必填）", "姓名*", "", "手机号 (optional)"],
    ],
)
def test_columns_have_names_in_both_languages_and_any_order(head: list[str]) -> None:
    found = {column.field for column in import_columns.read_head(head).values()}
    assert found == {"account_id", "display_name", "phone"}


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (["账号", "手机号码"], 'there is no column "手机号码"; is "手机号" meant?'),
        (["Acount ID"], 'there is no column "Acount ID"; is "Account ID" meant?'),
        (["账号", "zzz"], 'there is no column "zzz": the template has all that there are'),
        (["账号", "Account ID"], 'the column "Account ID" is there twice'),
        (["姓名"], 'the column "账号" is missing'),
    ],
)
def test_a_wrong_head_is_refused_by_name(head: list[str], words: str) -> None:
    with pytest.raises(TableError) as caught:
        import_columns.read_head(head)
    assert caught.value.words.to("en") == words


def read_one(**row: str) -> import_columns.Given:
    content = "\n".join(
        "\t".join(each) for each in ({"account_id": "a", **row}.keys(), {"account_id": "a", **row}.values())
    )
    [given] = import_columns.read_rows(import_tables.read(content.encode()))[1]
    return given


@pytest.mark.parametrize(
    ("field", "cell", "value"),
    [
        ("phone", "13800138000", "+8613800138000"),
        ("phone", "8613800138000", "+8613800138000"),
        ("phone", "+86 138-0013-8000", "+8613800138000"),
        ("phone", "+44 20 7946 0000", "+442079460000"),
        ("staff_id", "007", "007"),
        ("departments", "研发/平台；市场;", [["研发", "平台"], ["市场"]]),
        ("account_type", "高级账号", True),
        ("account_type", "FREE", False),
        ("status", "已停用", "DISABLED"),
        ("status", "not activated", "NOT_ACTIVATED"),
        ("verified", "是", True),
        ("verified", "FALSE", False),
        ("title", "=1+1", "=1+1"),
    ],
)
def test_cells_are_read_as_people_write_them(field: str, cell: str, value: Any) -> None:
    given = read_one(**{field: cell})
    assert (given.values[field], given.faults) == (value, [])


@pytest.mark.parametrize(
    ("field", "cell"),
    [
        ("account_id", "a@b.cn"),
        ("display_name", "x" * 101),
        ("email", "no address"),
        ("phone", "12"),
        ("title", "a\u202eb"),
        ("staff_id", "x" * 65),
        ("departments", "a//b"),
        ("departments", "a;a"),
        ("departments", ";".join(map(str, range(21)))),
        ("departments", "/".join("a" * 65)),
        ("account_type", "premium"),
        ("status", "gone"),
        ("verified", "maybe"),
    ],
)
def test_a_bad_cell_is_told_by_field_and_column_in_both_languages(field: str, cell: str) -> None:
    given = read_one(**{"verified": "no", field: cell})
    [(name, column, english, chinese)] = given.faults
    assert name == field
    assert column == [*dict.fromkeys(["account_id", "verified", field])].index(field) + 1
    assert english
    assert any("\u4e00" <= character <= "\u9fff" for character in chinese), chinese
    assert field not in given.values


def test_all_faults_of_a_row_are_told() -> None:
    assert [field for field, *_ in read_one(email="x", phone="y", title="z" * 101).faults] == [
        "email",
        "phone",
        "title",
    ]


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_template_can_be_imported(language: str, kind: str) -> None:
    table = import_columns.template(language)
    if kind == "csv":
        content = b"".join(import_tables.write_csv(table))
    else:
        file = io.BytesIO()
        import_tables.write_xlsx(table, file)
        content = file.getvalue()
    [given] = import_columns.read_rows(import_tables.read(content))[1]
    assert given.values.keys() == import_columns.BY_FIELD.keys()
    assert given.faults == []


TEXT = (
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
    .map(str.strip)
    .filter(lambda text: text[:1] != "'")
)


@given(st.lists(st.lists(TEXT, min_size=1, max_size=4), max_size=6))
def test_what_is_written_is_read_again(rows: list[list[str]]) -> None:
    rows = [["head", "b", "c", "d"], *([*row, "end"] for row in rows)]
    assert cells(b"".join(import_tables.write_csv(rows))) == rows
    file = io.BytesIO()
    import_tables.write_xlsx(rows, file)
    assert cells(file.getvalue()) == rows


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda some: b"PK\x03\x04" + some))
def test_no_bytes_do_harm(content: bytes) -> None:
    with suppress(TableError):
        import_columns.read_rows(import_tables.read(content))
