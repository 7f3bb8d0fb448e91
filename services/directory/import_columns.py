"""What the columns of a table of people are, and what their cells say: checked by themselves, before the directory."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from google.rpc import error_details_pb2 as details

from services.directory import fields, member_requests, search
from services.directory.import_tables import MOST_ROWS, TableError, TableLine
from services.platform.serving import errors
from services.platform.text.languages import CHINESE, ENGLISH, LANGUAGES
from services.platform.text.messages import Text, message, pmessage

SEMICOLONS = re.compile("[;；]")
NOISE = re.compile(r"[\s_\-*＊]|[(（].*[)）]$")
"""In the name of a column: marks of what is required, and what is explained behind it."""
CHINESE_MOBILE = re.compile(r"(?:\+?86)?(1[3-9]\d{9})")

T = TypeVar("T")
Fault = tuple[str, int, str, str]
"""Field, column, what is wrong in English and in Chinese."""


def _yes_no(field: str, given: str) -> bool:
    return _choice(field, given, {True: (message("yes"), "true", "1", "√"), False: (message("no"), "false", "0")})


def _status(field: str, given: str) -> str:
    return _choice(
        field,
        given,
        {
            "ENABLED": (pmessage("account", "enabled"), "已启用"),
            "NOT_ACTIVATED": (pmessage("account", "not activated"), "未激活"),
            "DISABLED": (pmessage("account", "disabled"), "已停用"),
        },
    )


def _account_type(field: str, given: str) -> bool:
    """Whether it is an advanced one."""
    names = {True: (message("advanced account"), "advanced"), False: (message("free account"), "free")}
    return _choice(field, given, names)


def _choice(field: str, given: str, names: Mapping[T, Sequence[str]]) -> T:
    for value, (name, *others) in names.items():
        said = {_plain(each) for each in (*_in_all(name), *others, str(value))}
        if _plain(given) in said:
            return value
    choices = tuple(name for name, *_ in names.values())
    raise errors.invalid(field, message('must be one of: {choices}; not "{given}"', choices=choices, given=given[:40]))


def _phone(field: str, given: str) -> str:
    """In E.164. Spreadsheets lose the plus; a Chinese mobile number is known without its country."""
    digits = re.sub(r"[\s()（）-]", "", given)
    mobile = CHINESE_MOBILE.fullmatch(digits)
    return member_requests.TEXTS["phone"](field, f"+86{mobile[1]}" if mobile else digits)


def _departments(field: str, given: str) -> list[list[str]]:
    """Names from the top down, of each; the main one first."""
    paths = [
        [fields.department_name(name) for name in path.strip().strip("/").split("/")]
        for path in SEMICOLONS.split(given)
        if path.strip()
    ]
    if len(paths) > member_requests.MAX_DEPARTMENTS:
        words = message(
            "must be at most {most} departments, are {number}",
            most=member_requests.MAX_DEPARTMENTS,
            number=len(paths),
        )
        raise errors.invalid(field, words)
    if len({*map(tuple, paths)}) < len(paths):
        raise errors.invalid(field, message("must name each department once"))
    for path in paths:
        if len(path) > fields.MOST_LEVELS:
            words = message(
                "there can be at most {most} levels of departments",
                most=fields.MOST_LEVELS,
            )
            raise errors.invalid(field, words)
    return paths


@dataclass(frozen=True, slots=True)
class ImportColumn:
    """`name` is how people call it; `example` is what the template shows."""

    field: str
    name: Text
    read: Callable[[str, str], Any]
    example: str


COLUMNS = (
    ImportColumn("account_id", pmessage("column", "Account ID"), member_requests.account_id, "zhang.wei"),
    ImportColumn("display_name", pmessage("column", "Name"), member_requests.TEXTS["display_name"], "张伟"),
    ImportColumn("email", pmessage("column", "E-mail"), member_requests.TEXTS["email"], "zhang.wei@example.com"),
    ImportColumn("phone", pmessage("column", "Phone"), _phone, "+8613800138000"),
    ImportColumn("title", pmessage("column", "Title"), member_requests.TEXTS["title"], message("Engineer")),
    ImportColumn("staff_id", pmessage("column", "Staff ID"), member_requests.TEXTS["staff_id"], "10001"),
    ImportColumn(
        "provider_user_id",
        pmessage("column", "Provider user ID"),
        member_requests.TEXTS["provider_user_id"],
        "zhang.wei",
    ),
    ImportColumn("departments", pmessage("column", "Departments"), _departments, message("Research/Networks;Library")),
    ImportColumn("account_type", pmessage("column", "Account type"), _account_type, message("free account")),
    ImportColumn("status", pmessage("column", "Status"), _status, pmessage("account", "not activated")),
    ImportColumn("verified", pmessage("column", "Identity checked"), _yes_no, message("no")),
)
BY_FIELD = {column.field: column for column in COLUMNS}
REASON = pmessage("column", "What is wrong")
"""The last column of a table of failed rows; of no meaning when it comes back."""


def _in_all(name: str) -> list[str]:
    """A name in every language."""
    return [name.to(language) for language in LANGUAGES] if isinstance(name, Text) else [name]


def _plain(name: str) -> str:
    return NOISE.sub("", name).casefold()


NAMES = {_plain(name): column for column in COLUMNS for name in (column.field, *_in_all(column.name))}
REASONS = {_plain(name) for name in _in_all(REASON)}


def is_reason(name: str) -> bool:
    return _plain(name) in REASONS


def read_head(cells: Sequence[str]) -> dict[int, ImportColumn]:
    """What each place holds; places without a name are left out. Raises TableError."""
    found: dict[int, ImportColumn] = {}
    for place, cell in enumerate(cells):
        if not cell or is_reason(cell):
            continue
        column = NAMES.get(_plain(cell))
        if column is None:
            raise TableError(_unknown(cell))
        if column in found.values():
            raise TableError(message('the column "{name}" is there twice', name=cell[:40]))
        found[place] = column
    if BY_FIELD["account_id"] not in found.values():
        raise TableError(message('the column "{name}" is missing', name=BY_FIELD["account_id"].name.to(CHINESE)))
    return found


def _unknown(name: str) -> Text:
    near = difflib.get_close_matches(name, [each for column in COLUMNS for each in _in_all(column.name)], 1, 0.5)
    if near:
        return message('there is no column "{name}"; is "{nearest}" meant?', name=name[:40], nearest=near[0])
    return message('there is no column "{name}": the template has all that there are', name=name[:40])


@dataclass(slots=True)
class Given:
    """What a row says. `values` by field, of cells that are not empty and are right; `faults` of the others.

    `found_by`: how the name is sorted, and the lines that it is found by; empty without a name.
    """

    line: int
    cells: list[str]
    values: dict[str, Any]
    faults: list[Fault]
    found_by: list[str]


def read_rows(lines: Sequence[TableLine]) -> tuple[list[str], list[Given]]:
    """The cells of the head, and the rows. Raises TableError."""
    if not lines:
        raise TableError(message("is empty"))
    head, *others = lines
    columns = read_head(head.cells)
    rows = [_read_row(columns, line) for line in others]
    for field in ("account_id", *member_requests.UNIQUE):
        tell_doubles(field, {column.field: place for place, column in columns.items()}, rows)
    return head.cells, rows


@lru_cache(MOST_ROWS)
def _read_cell(column: ImportColumn, cell: str) -> Any:
    """Most cells say what others of their column said before."""
    return column.read(column.field, cell)


def _read_row(columns: Mapping[int, ImportColumn], line: TableLine) -> Given:
    row = Given(line.number, line.cells, {}, [], [])
    for place, cell in enumerate(line.cells):
        column = columns.get(place)
        if column is None or not cell:
            continue
        try:
            row.values[column.field] = _read_cell(column, cell)
        except errors.RpcError as error:
            row.faults.append(to_fault(column.field, place + 1, *_words(error)))
    if "account_id" not in row.values and not any(field == "account_id" for field, *_ in row.faults):
        place = next(place for place, column in columns.items() if column.field == "account_id")
        row.faults.append(to_fault("account_id", place + 1, errors.REQUIRED))
    if name := row.values.get("display_name"):
        row.found_by = _found_by(name)
    return row


@lru_cache(MOST_ROWS)
def _found_by(name: str) -> list[str]:
    return [search.to_order(name), *search.to_lines([name], search.as_person)]


def tell_doubles(field: str, places: Mapping[str, int], rows: Sequence[Given]) -> None:
    """All of them are at fault: nobody knows which is right."""
    first: dict[str, Given] = {}
    told: set[int] = set()
    for row in rows:
        value = row.values.get(field)
        if not value:
            continue
        other = first.setdefault(value, row)
        if other is row:
            continue
        if other.line not in told:
            told.add(other.line)
            other.faults.append(to_fault(field, places[field] + 1, _double(row.line)))
        row.faults.append(to_fault(field, places[field] + 1, _double(other.line)))


def _double(line: int) -> Text:
    return message("line {line} says the same", line=line)


def _words(error: errors.RpcError) -> tuple[str, str]:
    """In English and in Chinese."""
    for each in error.details:
        if isinstance(each, details.BadRequest):
            violation = each.field_violations[0]
            return violation.description, violation.localized_message.message
    return str(error), str(error)


def to_fault(field: str, column: int, english: str, chinese: str = "") -> Fault:
    """A Text says itself what it is in both languages."""
    if isinstance(english, Text):
        return field, column, english.to(ENGLISH), english.to(CHINESE)
    return field, column, english, chinese or english


def template(language: str) -> Iterator[list[str]]:
    """The head, and one example."""
    yield [column.name.to(language) for column in COLUMNS]
    yield [each.to(language) if isinstance(each, Text) else each for each in (column.example for column in COLUMNS)]
