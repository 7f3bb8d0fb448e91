"""Tables of people as files: CSV and XLSX, as others send them, read into texts; and written.

What is read comes from anywhere: limits are held before the work that they limit. XLSX is to be read in a process of
its own (import_child.py): what its parts unpack to is counted here, what its cells come to is not.
"""

import codecs
import csv
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, BinaryIO

from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum
from xlsxwriter import Workbook

from services.platform.serving import spreadsheets
from services.platform.text.messages import Text, message

MOST_BYTES = 20_000_000
MOST_ROWS = 20_000
MOST_COLUMNS = 100
MOST_IN_CELL = 10_000
"""Characters."""
MOST_TEXT = 8_000_000
"""Characters of all cells, 400 a row: an XLSX file names a long text once and uses it often."""
MOST_UNPACKED = 100_000_000
MOST_PARTS = 1_000
MOST_RATIO = 200
"""Of a file that unpacks to more than LITTLE. Sheets of like rows come to 20 to 60."""
LITTLE = 10_000_000
PIECE = 1_000_000
LOCAL_HEADER = 30
WIDTH = 18
"""Of columns that are written, in characters."""

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
SEPARATORS = ",;\t"
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
NO_TABLE = message("is no table: send CSV or XLSX")
DAMAGED = message("is damaged: save it again as XLSX or CSV")
TOO_LARGE = message("holds too much: split it into several files")


class TableError(Exception):
    """A file that cannot be taken; `words` say why."""

    def __init__(self, words: Text) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True, slots=True)
class TableLine:
    """A row that is not empty. `number`: its first line in the file, from 1; `cells`: trimmed."""

    number: int
    cells: list[str]


def read(content: bytes) -> list[TableLine]:
    """The rows, the head among them; by what is in the file, whatever its name says. Raises TableError."""
    if len(content) > MOST_BYTES:
        raise TableError(message("must be at most {most} MB", most=MOST_BYTES // 1_000_000))
    if content.startswith(OLE):
        raise TableError(message("is protected by a password, or of an old kind: save it as XLSX without a password"))
    lines, text = [], 0
    for number, cells in _xlsx(content) if content.startswith(ZIP) else _csv(content):
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            continue
        if len(cells) > MOST_COLUMNS:
            raise TableError(message("must have at most {most} columns", most=MOST_COLUMNS))
        if any(len(cell) > MOST_IN_CELL for cell in cells):
            raise TableError(_long_cell(number))
        text += sum(map(len, cells))
        if text > MOST_TEXT:
            raise TableError(TOO_LARGE)
        lines.append(TableLine(number, cells))
        if len(lines) > MOST_ROWS + 1:
            raise TableError(message("must have at most {most:,} rows: split it into several files", most=MOST_ROWS))
    return lines


def _long_cell(line: int) -> Text:
    return message("line {line}: a cell has more than {most:,} characters", line=line, most=MOST_IN_CELL)


def _csv(content: bytes) -> Iterator[tuple[int, list[str]]]:
    text = _decoded(content)
    if "\0" in text:
        raise TableError(NO_TABLE)
    csv.field_size_limit(MOST_IN_CELL)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    number = 1
    try:
        for cells in rows:
            yield number, [_unguarded(cell.strip()) for cell in cells]
            number = rows.line_num + 1
    except csv.Error as error:
        if "field larger" in str(error):
            raise TableError(_long_cell(number)) from error
        words = message("line {line}: the quotation marks do not close as they should", line=number)
        raise TableError(words) from error


def _decoded(content: bytes) -> str:
    marked = next((encoding for mark, encoding in MARKS.items() if content.startswith(mark)), None)
    for encoding in [marked] if marked else ["utf-8", "gb18030"]:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise TableError(message("is in no encoding that we know: save it as UTF-8 or as XLSX"))


def _separator(text: str) -> str:
    """The one that is most often outside of quotation marks in the first line that is not empty."""
    head = next((line for line in text.split("\n", 100) if line.strip()), "")
    outside = "".join(head.split('"')[::2])
    return max(SEPARATORS, key=outside.count)


def _unguarded(cell: str) -> str:
    """Without the quote that spreadsheets.guarded puts before what would be taken for a formula."""
    return cell[1:] if cell.startswith("'") and spreadsheets.guarded(cell[1:]) != cell[1:] else cell


def _xlsx(content: bytes) -> Iterator[tuple[int, list[str]]]:
    try:
        check_parts(content)
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError) as error:
        raise TableError(DAMAGED) from error
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheets = [
            each.name
            for each in workbook.sheets_metadata
            if each.typ == SheetTypeEnum.WorkSheet and each.visible == SheetVisibleEnum.Visible
        ]
        if not sheets:
            raise TableError(message("has no sheet that is shown"))
        sheet = workbook.get_sheet_by_name(sheets[0])
        top, left = sheet.start or (0, 0)
        rows = sheet.to_python(skip_empty_area=True)
    except CalamineError as error:
        raise TableError(DAMAGED) from error
    for number, row in enumerate(rows, top + 1):
        yield number, [""] * left + [_text(value) for value in row]


def check_parts(content: bytes) -> None:
    """That an XLSX file unpacks to what it says, and to no more than we can bear: what it says may be a lie."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
    if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > _most_unpacked(content):
        raise TableError(TOO_LARGE)
    if not any(part.filename == "xl/workbook.xml" for part in parts):
        raise TableError(NO_TABLE)
    for part in parts:
        if part.flag_bits & 1:
            raise TableError(
                message("is protected by a password, or of an old kind: save it as XLSX without a password")
            )
        if _unpacked(content, part) != part.file_size:
            raise TableError(DAMAGED)


def _most_unpacked(content: bytes) -> int:
    return min(MOST_UNPACKED, max(LITTLE, MOST_RATIO * len(content)))


def _unpacked(content: bytes, part: zipfile.ZipInfo) -> int:
    """Bytes; stops soon after it is more than was said."""
    head = content[part.header_offset : part.header_offset + LOCAL_HEADER]
    start = part.header_offset + LOCAL_HEADER + sum(int.from_bytes(head[at : at + 2], "little") for at in (26, 28))
    packed = content[start : start + part.compress_size]
    if part.compress_type == zipfile.ZIP_STORED:
        return len(packed)
    if part.compress_type != zipfile.ZIP_DEFLATED:
        raise TableError(DAMAGED)
    unpacking, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while size <= part.file_size:
        piece = unpacking.decompress(packed, PIECE)
        size, packed = size + len(piece), unpacking.unconsumed_tail
        if not piece:
            break
    return size


def _text(value: Any) -> str:
    """As people see the cell."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    return value.isoformat(*[" "] * isinstance(value, datetime)) if isinstance(value, date | time) else str(value)


def write_csv(rows: Iterable[Sequence[str]]) -> Iterator[bytes]:
    """As spreadsheets open it."""
    yield spreadsheets.MARK.encode()
    for row in rows:
        yield spreadsheets.line(row).encode()


def write_xlsx(rows: Iterable[Sequence[str]], to: BinaryIO) -> None:
    """All cells are texts: nothing is taken for a formula, a number or a link."""
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with Workbook(to, options | {"strings_to_numbers": False}) as workbook:
        sheet, bold = workbook.add_worksheet(), workbook.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, MOST_COLUMNS, WIDTH, workbook.add_format({"num_format": "@"}))
        for number, row in enumerate(rows):
            for place, cell in enumerate(row):
                if cell:
                    sheet.write_string(number, place, cell, *([bold] if number == 0 else []))
