"""Tables as files for spreadsheet programs: CSV as RFC 4180 has it, and no cell that is taken for a formula."""

import csv
import io
from collections.abc import Iterable

MEDIA_TYPE = "text/csv; charset=utf-8"
MARK = "\ufeff"
"""At the beginning: without it Excel reads Chinese as something else."""
FORMULA = "=+-@\t\r\n\0＝＋－＠"
"""What makes a spreadsheet take a cell for a formula."""

Cell = str | int


def line(cells: Iterable[Cell]) -> str:
    """One row with its end; numbers stay numbers."""
    written = io.StringIO()
    csv.writer(written).writerow([guarded(cell) if isinstance(cell, str) else cell for cell in cells])
    return written.getvalue()


def guarded(cell: str) -> str:
    """A quote before what a spreadsheet would take for a formula."""
    return f"'{cell}" if cell.lstrip(" ")[:1] and cell.lstrip(" ")[0] in FORMULA else cell
