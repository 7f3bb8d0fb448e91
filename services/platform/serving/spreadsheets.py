"""Tables as files for spreadsheet programs: CSV as RFC 4180 has it, XLSX, and no cell that is taken for a formula."""

import csv
import io
from collections.abc import Iterable
from typing import BinaryIO

from xlsxwriter import Workbook

MEDIA_TYPE = "text/csv; charset=utf-8"
SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MARK = "\ufeff"
"""At the beginning: without it Excel reads Chinese as something else."""
FORMULA = "=+-@\t\r\n\0＝＋－＠"
"""What makes a spreadsheet take a cell for a formula."""

LONGEST_CELL, WIDTH = 32_767, 20
"""Of a sheet: characters that Excel opens, and those of a column as it is shown."""

Cell = str | int


def line(cells: Iterable[Cell]) -> str:
    """One row with its end; numbers stay numbers."""
    written = io.StringIO()
    csv.writer(written).writerow([guarded(cell) if isinstance(cell, str) else cell for cell in cells])
    return written.getvalue()


def guarded(cell: str) -> str:
    """A quote before what a spreadsheet would take for a formula."""
    return f"'{cell}" if cell.lstrip(" ")[:1] and cell.lstrip(" ")[0] in FORMULA else cell


class Sheet:
    """An XLSX file in the making: rows go to a file of their own at once, and `to` has it all after `close`."""

    def __init__(self, to: BinaryIO) -> None:
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self._book = Workbook(to, options)
        self._bold = self._book.add_format({"bold": True})
        self._sheet = self._book.add_worksheet()
        self._sheet.freeze_panes(1, 0)
        self._next = 0

    def add(self, rows: Iterable[list[Cell]]) -> None:
        """The first one is the head. Texts stay texts, whatever they begin with; numbers are numbers."""
        for row in rows:
            if self._next == 0:
                self._sheet.set_column(0, max(0, len(row) - 1), WIDTH)
            for place, cell in enumerate(row):
                self._write(place, cell)
            self._next += 1

    def _write(self, place: int, cell: Cell) -> None:
        if isinstance(cell, int):
            self._sheet.write_number(self._next, place, cell)
        elif cell:
            self._sheet.write_string(self._next, place, cell[:LONGEST_CELL], *([] if self._next else [self._bold]))

    def close(self) -> None:
        self._book.close()
