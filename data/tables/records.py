"""JSON lines, and arrays of records in JSON: their columns, declared types, and rows in chunks."""

import io
import json
import os
import re

import pandas as pd

from data import InputError
from data.tables.compressed import DAMAGED, WAY_ON, opened

ENDINGS = (".jsonl", ".ndjson", ".json")
FIRST_RECORDS = 10_000  # by which columns and types are known
BLOCK = 1 << 20  # characters
LONGEST_RECORD = 1 << 24
BETWEEN = re.compile(r"[\s,]*")


def column_names(name, dialect=None):
    names = {}
    for record in _first_records(name):
        names |= dict.fromkeys(record)
    return list(names)


def declared_types(name, dialect=None):
    """JSON tells text from numbers, and nested values from both.

    A number with a fraction leaves no doubt about its point, as 1.234 does in text.
    """
    types = {}
    for record in _first_records(name):
        for column, value in record.items():
            if isinstance(value, (dict, list)):
                types[column] = "compound"
            elif isinstance(value, str) and types.get(column) != "compound":
                types[column] = "str"
            elif isinstance(value, float):
                types.setdefault(column, "float")
    return types


def chunks(name, roles, dialect, rows):
    names, records = set(column_names(name)), []
    for number, (record, share) in enumerate(_records(name)):
        if not record.keys() <= names:
            column = next(column for column in record if column not in names)
            raise InputError(
                f"{name}: the column '{column}' comes in row {number} and is in none of the first "
                f"{FIRST_RECORDS:,}; add it to the first row, null where it is missing."
            )
        records.append(record)
        if len(records) == rows:
            yield _frame(records, roles), share
            records = []
    if records:
        yield _frame(records, roles), 1.0


def _frame(records, columns):
    return pd.DataFrame(
        {c: pd.Series([record.get(c) for record in records], dtype=object) for c in columns}
    )


def _first_records(name):
    return [record for _, (record, _) in zip(range(FIRST_RECORDS), _records(name), strict=False)]


def _records(name):
    """The objects of a file one after the other: (dict, share of the file read)."""
    decode, number, size = json.JSONDecoder().raw_decode, 0, os.stat(name).st_size
    try:
        with opened(name) as (file, raw):
            text = io.TextIOWrapper(file, encoding="utf-8-sig")
            buffer = text.read(BLOCK)
            at = BETWEEN.match(buffer).end()
            in_array = buffer.startswith("[", at)
            at += in_array
            while True:
                at = BETWEEN.match(buffer, at).end()
                try:
                    if in_array and buffer.startswith("]", at):
                        return
                    record, end = decode(buffer, at)
                except json.JSONDecodeError as error:
                    block = text.read(BLOCK) if len(buffer) - at < LONGEST_RECORD else ""
                    if not block and at == len(buffer) and not in_array:
                        return
                    if not block:
                        raise InputError(
                            f"{name}: row {number} is not JSON ({error.msg}); correct the file."
                        ) from None
                    buffer, at = buffer[at:] + block, 0
                    continue
                if not isinstance(record, dict):
                    raise InputError(
                        f'{name}: row {number} is no record; write each row as {{"column": value}}.'
                    )
                yield record, min(raw.tell() / size, 1.0)
                number, at = number + 1, end
    except DAMAGED as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).strip(" .\n").partition("\n")[0]
        raise InputError(f"{name}: cannot be read as JSON in UTF-8 ({reason}); {WAY_ON}.") from None
