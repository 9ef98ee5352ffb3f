"""CSV files as they come: read right, refused in one sentence, or told how to settle it."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from test_reading import read, refusal, same, shops, vocabulary

ROWS = [f"{'abc'[i % 3]},{i % 7},{i / 8},{'xy'[i % 2]}" for i in range(60)]
HEADER = "city,size,y,kind"


def written(tmp_path, lines, end="\n", encoding="utf-8"):
    path = tmp_path / "t.csv"
    path.write_bytes((end.join(lines) + end).encode(encoding, "surrogateescape"))
    return path


def plain(tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir(exist_ok=True)
    return read(folder, [written(folder, [HEADER, *ROWS])])


# ------------------------------------------------------------------------------- what is read right


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (["sep=,", HEADER, *ROWS], {}),
        (['"sep=,"', HEADER, *ROWS], {}),
        (["sep=;", *(line.replace(",", ";") for line in [HEADER, *ROWS])], {}),
        (["# exported on Monday", "# by nobody", HEADER, *ROWS], {}),
        (["# exported, on, Monday", HEADER, *ROWS], {}),
        ([HEADER, "", *ROWS[:20], "", "  ", *ROWS[20:], ""], {}),  # blank lines
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_above_and_between_are_no_rows(tmp_path, lines, options, end):
    same(read(tmp_path, [written(tmp_path, lines, end)], **options), plain(tmp_path))


def test_a_header_that_begins_with_a_hash_is_one(tmp_path):
    dataset = read(tmp_path, [written(tmp_path, [f"#{HEADER}", *ROWS])])
    assert list(dataset.roles) == ["#city", "size", "y", "kind"]


def test_a_mark_at_the_beginning_is_no_letter_of_the_name(tmp_path):
    lines = [f"\ufeff{HEADER}", *ROWS]
    same(read(tmp_path, [written(tmp_path, lines)]), plain(tmp_path))


def test_long_fields_are_read(tmp_path):
    lines = [HEADER, f'"{"long " * 50_000}",1,2,x', *ROWS]
    dataset = read(tmp_path, [written(tmp_path, lines)])
    assert dataset.table.rows == 61
    assert csv.field_size_limit() == 131_072  # that of the process, as it was


# ------------------------------------------------------------------------------------- refused

BAD = {
    "a title": (["Sales of 2024", HEADER, *ROWS], ["row 0 has 4 fields", "above the header"]),
    "short": ([HEADER, *ROWS[:3], "a,1", *ROWS], ["row 3 has 2 fields where the header has 4"]),
    "short, late": ([HEADER, *ROWS, "a,1", *ROWS], ["row 60 has 2 fields", "line breaks"]),
    "short, blank lines": ([HEADER, "", *ROWS, "", "a,1"], ["row 60 has 2 fields"]),
    "long": ([HEADER, *ROWS[:3], "a,b,1,2,x", *ROWS], ["row 3 has 5 fields", "--separator"]),
    "row names": ([HEADER, *(f"{i},{row}" for i, row in enumerate(ROWS))], ["one field more"]),
    "total": ([HEADER, *ROWS, "Total,,999,"], ["last row, 60, has 'Total' for 'city'"]),
    "total:": ([HEADER, *ROWS, "Summe:,,999,"], ["'Summe:' for 'city'"]),
    "footer": ([HEADER, *ROWS, "Source: nobody"], ["row 60 has 1 field where", "no row of"]),
    "no header": (ROWS[1:], ["first line holds 0.125, a number", "names of the columns"]),
    "header only": ([HEADER], ["no rows below the header"]),
    "twice": (["city,y,city", "a,1,b"], ["'city' is there twice"]),
    "three quotes": (
        [HEADER, *(f'"{row}' if i in (3, 9, 20) else row for i, row in enumerate(ROWS))],
        ["--quote none"],
    ),
    "open quote": ([HEADER, *ROWS, '"a,1,2,x', *ROWS], ["--quote none"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_table_is_refused(tmp_path, name):
    lines, parts = BAD[name]
    message = refusal(read, tmp_path, [written(tmp_path, lines)])
    assert message.count(". ") == 0 and message.endswith(".")
    for part in parts:
        assert part in message, message


def test_missing_values_at_the_end_of_rows_are_none_too_few(tmp_path):
    rows = [row if i % 3 else row[:-1] for i, row in enumerate(ROWS)]
    dataset = read(tmp_path, [written(tmp_path, [HEADER, *rows])])
    assert vocabulary(dataset, "kind").values == ["x", "y"]


def test_a_total_among_others_is_a_category(tmp_path):
    rows = [row.replace("a,", "Total,", 1) for row in ROWS]
    dataset = read(tmp_path, [written(tmp_path, [HEADER, *rows, rows[0]])])
    assert vocabulary(dataset, "city").values == ["Total", "b", "c"]


def test_quotes_that_swallow_rows(tmp_path):
    tabs = [line.replace(",", "\t") for line in [HEADER, *ROWS]]
    tabs[15], tabs[35] = f'"{tabs[15]}', f'"{tabs[35]}'
    path = written(tmp_path, tabs)
    message = refusal(read, tmp_path, [path])
    assert "'city' of row 14 holds the next 20 lines" in message
    assert "--quote none" in message and "--quote double" in message
    dataset = read(tmp_path, [path], quote="none")
    assert dataset.table.rows == 60
    assert vocabulary(dataset, "city").values == ['"b', '"c', "a", "b", "c"]
    assert read(tmp_path, [path], quote="double").table.rows == 40
    # In the middle of a row, too.
    rows = [row.replace(f",{i % 7},", f',"{i % 7},') if i in (15, 35) else row
            for i, row in enumerate(ROWS)]  # fmt: skip
    message = refusal(read, tmp_path, [written(tmp_path, [HEADER, *rows])])
    assert "'size' of row 15 holds the next 20 lines" in message


def test_texts_of_several_lines_are_texts(tmp_path):
    frame = shops().assign(review=["good,\nbad, or\nboth", 'a "quoted"\n\nword'] * 30)
    dataset = read(tmp_path, frame)
    assert vocabulary(dataset, "review").values == sorted(set(frame["review"]))
    assert dataset.settings.get("quote") is None


@pytest.mark.parametrize("rows", [60, 90_000])
def test_one_bad_byte_is_told_from_another_encoding(tmp_path, rows):
    lines = [HEADER, *(f"Zürich,{i % 7},{i / 8},x" for i in range(rows))]
    lines[rows // 2] = "Z\udcfcrich,1,2,x"
    message = refusal(read, tmp_path, [written(tmp_path, lines)])
    assert f"line {rows // 2 + 1} holds a byte that is not utf-8" in message
    assert "--encoding" not in message
    latin = [line.replace("\udcfc", "ü") for line in lines]
    message = refusal(read, tmp_path, [written(tmp_path, latin, encoding="latin-1")])
    assert "--encoding cp1252" in message


def test_an_index_without_a_name_is_left_out(tmp_path):
    frame = shops()
    parts = [tmp_path / f"{i}.csv" for i in range(4)]
    for i, path in enumerate(parts):  # so that the numbers come again
        frame[15 * i : 15 * i + 15].reset_index(drop=True).to_csv(path)
    for data, name in ((parts, "Unnamed: 0"), (None, "__index_level_0__")):
        if data is None:
            frame.assign(**{name: np.arange(60) // 2}).to_parquet(tmp_path / "t.parquet")
            data = [tmp_path / "t.parquet"]
        dataset = read(tmp_path, data)
        assert dataset.roles[name].role == "left out"
        assert any(note.startswith(f"'{name}' is left out") for note in dataset.notes)
        assert name in read(tmp_path, data, categorical=[name]).settings["categorical"]


def test_a_column_without_a_name_keeps_its_texts(tmp_path):
    dataset = read(tmp_path, [written(tmp_path, ["city,,y,kind", *ROWS])])
    assert vocabulary(dataset, "Unnamed: 1").values == list(range(7))  # no index: in the middle
    buffer = io.StringIO()
    pd.DataFrame({"y": np.arange(60) / 7}, index=["a", "b"] * 30).to_csv(buffer)
    dataset = read(tmp_path, [written(tmp_path, buffer.getvalue().splitlines())])
    assert vocabulary(dataset, "Unnamed: 0").values == ["a", "b"]
