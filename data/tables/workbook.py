"""Workbooks of Excel: the columns of a sheet, and its rows in chunks, as they are shown."""

import contextlib
import itertools
import re
import warnings

import pandas as pd

from data import InputError
from data.tables.compressed import DAMAGED, WAY_ON
from data.tables.values import as_text

ENDINGS = (".xlsx", ".xlsm")
FIRST_ROWS = 30  # among which a title above the names stands out
TYPED_ROWS = 1000  # by which columns of numbers are known
ZEROS = re.compile("0+")  # a number format that shows 7 as 007


def column_names(name, dialect):
    with _opened(name, dialect.sheet) as sheet:
        return _header(name, sheet)


def declared_types(name, dialect):
    """A cell has a type, a column has none; but the point of a number with a fraction is no mark
    of thousands, as it may be in text."""
    with _opened(name, dialect.sheet) as sheet:
        names = _header(name, sheet)
        sheet.reset_dimensions()
        rows = itertools.islice(sheet.iter_rows(values_only=True), 1, 1 + TYPED_ROWS)
        columns = zip(names, itertools.zip_longest(*rows), strict=False)
        kinds = {column: {type(value) for value in values} for column, values in columns}
    return {c: "float" for c, found in kinds.items() if float in found <= {float, int, type(None)}}


def chunks(name, roles, dialect, rows):
    with _opened(name, dialect.sheet) as sheet:
        names, done = _header(name, sheet), 0
        total = sheet.max_row or 1
        sheet.reset_dimensions()  # some programs write wrong ones
        cells = itertools.islice(sheet.iter_rows(), 1, None)
        filled = (row for row in cells if any(cell.value is not None for cell in row))
        while part := list(itertools.islice(filled, rows)):
            columns = {}
            for column in roles:
                place, missing = names.index(column), dialect.missing_texts(column)
                values = [_value(row[place]) if place < len(row) else None for row in part]
                values = [None if type(v) is str and v in missing else v for v in values]
                columns[column] = pd.Series(values, dtype=object)
            done += len(part)
            yield pd.DataFrame(columns), min(done / total, 1.0)


def _header(name, sheet):
    sheet.reset_dimensions()
    first = [[cell.value for cell in row] for row in sheet.iter_rows(max_row=FIRST_ROWS)]
    filled = [[i for i, value in enumerate(row) if value is not None] for row in first]
    width = max((row[-1] + 1 for row in filled if row), default=0)
    if not width:
        raise InputError(f"{name}: the sheet '{sheet.title}' is empty; name another with --sheet.")
    if len(filled[0]) <= width / 2:
        raise InputError(
            f"{name}: the first row of the sheet '{sheet.title}' names {len(filled[0])} of {width} "
            "columns; delete the lines above the table, so that it begins with the names."
        )
    header = first[0] + [None] * (width - len(first[0]))
    return [f"Unnamed: {i}" if v is None else as_text(v) for i, v in enumerate(header[:width])]


def _value(cell):
    """A number that is shown with leading zeros is a code: text."""
    if type(cell.value) is int and (zeros := ZEROS.fullmatch(cell.number_format)):
        return str(cell.value).zfill(len(zeros[0]))
    return cell.value


@contextlib.contextmanager
def _opened(name, wanted):
    """One sheet of a workbook; whatever is wrong with the file becomes an InputError."""
    try:
        import openpyxl
    except ImportError:
        raise InputError(
            f"{name}: reading a workbook takes one more package; pip install openpyxl."
        ) from None
    try:
        with warnings.catch_warnings(action="ignore"):  # about what it does not support
            workbook = openpyxl.load_workbook(name, read_only=True, data_only=True)
        with contextlib.closing(workbook):
            sheets = {sheet.title: sheet for sheet in workbook.worksheets}
            if wanted is None and len(sheets) > 1:
                raise InputError(
                    f"{name}: it has the sheets {', '.join(sheets)}; name one with --sheet."
                )
            if wanted is not None and wanted not in sheets:
                raise InputError(
                    f"{name}: there is no sheet '{wanted}'; it has {', '.join(sheets)}."
                )
            yield next(iter(sheets.values())) if wanted is None else sheets[wanted]
    except InputError:
        raise
    except (*DAMAGED, KeyError, TypeError, SyntaxError) as error:  # a SyntaxError is one of XML
        reason = str(error).strip(" .\n").partition("\n")[0]
        raise InputError(f"{name}: cannot be read as a workbook ({reason}); {WAY_ON}.") from None
