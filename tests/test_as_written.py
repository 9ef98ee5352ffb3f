"""Numbers and dates as people write them: read right, or asked about, and never guessed."""

import json
import shlex

import numpy as np
import pandas as pd
import pyarrow
import pytest
from conftest import call, refused, succeeded
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from test_reading import read, refusal

from data import InputError
from data.tables.dataset import read_dataset
from data.tables.dialect import dialect_of
from data.tables.formats import chunks
from data.tables.kinds import Values
from data.tables.notation import PLAIN, Notation
from data.tables.recognition import notations, settle
from data.tables.values import to_dates, to_numbers

RANDOM = np.random.default_rng(0)
AMOUNTS = (RANDOM.lognormal(8, 2, 300)).round(2)
COUNTS = RANDOM.choice(RANDOM.integers(0, 90_000, 200), 300)


def table(texts, **more):
    """A table of 300 rows with one column as it is written; the others leave nothing open."""
    texts = [texts[i % len(texts)] for i in range(300)]
    y = RANDOM.normal(size=300) / 7
    return pd.DataFrame({"c": ["a", "b", "c"] * 100, "x": texts, "y": y} | more)


def numbers(tmp_path, texts, more=None, **options):
    dataset = read(tmp_path, table(texts, **(more or {})), **options)
    assert dataset.roles["x"].role == "numeric", dataset.roles["x"]
    return dataset.table.values("x")[:], dataset


def european(number, thousands=".", decimals=2):
    return f"{number:,.{decimals}f}".translate(str.maketrans({",": thousands, ".": ","}))


STYLES = {
    "decimal comma": lambda x: f"{x:.2f}".replace(".", ","),
    "1.234,56": european,
    "1 234,56": lambda x: european(x, " "),
    "1 234,56, narrow": lambda x: european(x, "\u202f"),
    "1'234.50": lambda x: f"{x:,.2f}".replace(",", "'"),
    "1’234.50": lambda x: f"{x:,.2f}".replace(",", "’"),
    "1,234.50": lambda x: f"{x:,.2f}",
    "$1,234.50": lambda x: f"${x:,.2f}",
    "1.234,56 €": lambda x: f"{european(x)} €",
    "€ 1.234,56": lambda x: f"€ {european(x)}",
    "EUR 1.234,56": lambda x: f"EUR {european(x)}",
    "1234.50 kr": lambda x: f"{x:.2f} kr",
    "12.50 %": lambda x: f"{x:.2f} %",
    "12,50%": lambda x: f"{x:.2f}%".replace(".", ","),
    "12.5 km/h": lambda x: f"{x:.2f} km/h",
    "+12.50": lambda x: f"+{x:.2f}",
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("minus", ["", "-", "−", "()", "last"])
def test_numbers_in_every_style(tmp_path, style, minus):
    signs = np.where(np.arange(300) % 4 == 1, -1 if minus else 1, 1)
    texts = [STYLES[style](x) for x in AMOUNTS]
    if style == "+12.50" and minus:
        texts = [text.removeprefix("+") for text in texts]
    negative = {"()": "({})", "last": "{}-"}.get(minus, f"{minus}{{}}")
    texts = [negative.format(t) if sign < 0 else t for t, sign in zip(texts, signs, strict=True)]
    found, dataset = numbers(tmp_path, texts)
    np.testing.assert_array_equal(found, AMOUNTS * signs)
    again = read_dataset(json.loads(json.dumps(dataset.settings)), tmp_path / "again")
    np.testing.assert_array_equal(again.table.values("x")[:], found)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([f"{n:,}" for n in COUNTS], COUNTS),  # 12,345 beside 999
        ([f"{n:,}".replace(",", ".") for n in COUNTS], COUNTS),
        ([f"{n:,}".replace(",", " ") for n in COUNTS], COUNTS),
        ([f"{n:,}".replace(",", "'") for n in COUNTS], COUNTS),
        ([f"{n * 1000 + 5:,}" for n in COUNTS], COUNTS * 1000 + 5),  # 12,345,005
        (["1.234", "12.345,6", "999", "0,5"] * 10, [1234, 12345.6, 999, 0.5] * 10),
        (["12,34,567", "1,23,456.50", "99,999"], [1234567, 123456.5, 99999]),
        ([f"({n:,})" for n in COUNTS], -COUNTS),
        ([f"{n} kg" for n in COUNTS], COUNTS),
        ([f"{n}kg" for n in COUNTS], COUNTS),
        ([f"${n:,}" for n in COUNTS + 1000], COUNTS + 1000),  # no one has three decimals of a $
        ([f"{n} " for n in COUNTS / 7], COUNTS / 7),
        (["1E2", "1.5e-3", ".5", "5."], [100, 0.0015, 0.5, 5]),
        ([str(n) for n in 45_000 + COUNTS], 45_000 + COUNTS),  # a spreadsheet's days are numbers
        (["0.123", "1.234", "12.345"], [0.123, 1.234, 12.345]),
        (["0,123", "1,234", "12,345"], [0.123, 1.234, 12.345]),
        ([f"{n:,}" if n % 9 else " " for n in COUNTS], [n if n % 9 else np.nan for n in COUNTS]),
    ],
)  # fmt: skip
def test_numbers_that_leave_no_doubt(tmp_path, texts, expected):
    found, _ = numbers(tmp_path, texts)
    expected = [expected[i % len(expected)] for i in range(300)]
    np.testing.assert_array_equal(found, expected)


OPEN = {
    ",": [f"{n:,}" for n in COUNTS + 1000],
    ".": [f"{n:,}".replace(",", ".") for n in COUNTS + 1000],
    "€,": [f"{n:,} €" for n in COUNTS + 1000],
    "€.": [f"{n:,} €".replace(",", ".") for n in COUNTS + 1000],
    "few,": ["1,234", "999", "2,500"],  # too few to tell
}


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.parametrize("role", ["found", "numeric", "target"])
def test_two_readings_are_asked_about(tmp_path, name, role):
    mark = name[-1]
    frame = table(OPEN[name]).drop(columns="y").assign(y=RANDOM.integers(0, 99, 300))
    options = {"numeric": ["x"]} if role == "numeric" else {}
    options |= {"target": "x"} if role == "target" else {}
    message = refusal(read, tmp_path, frame, **options)
    text = frame["x"][0]
    assert f"'x' holds numbers that can be read in two ways, such as {text!r}" in message
    assert f"--thousands {mark}" in message and f"--decimal {mark}" in message
    options |= {"numeric": ["x"]} if role == "found" else {}
    grouped = read(tmp_path, frame, thousands=mark, **options).table.values("x")[:]
    decimal = read(tmp_path, frame, decimal=mark, **options).table.values("x")[:]
    first = float(text.removesuffix(" €").replace(mark, ""))
    assert (grouped[0], decimal[0]) == (first, first / 1000)
    if role == "found":
        assert read(tmp_path, frame, categorical=["x"]).roles["x"].role == "categorical"
        assert read(tmp_path, frame, drop=["x"]).roles["x"].role == "left out"


def test_other_columns_tell_what_one_leaves_open(tmp_path):
    comma = {"z": [european(x) for x in AMOUNTS]}
    point = {"z": [f"{x:,.2f}" for x in AMOUNTS]}
    plain = {"z": AMOUNTS / 7}
    first = int(COUNTS[0]) + 1000
    for name, more, expected in (
        (",", comma, first / 1000), (",", point, first), (",", plain, first),
        (".", comma, first), (".", point, first / 1000), (".", plain, first / 1000),
        ("€.", comma, first), ("€.", point, first / 1000),
    ):  # fmt: skip
        more = more | ({"y": COUNTS} if more is comma else {})
        found, _ = numbers(tmp_path, OPEN[name], more)
        assert found[0] == expected, (name, list(more))
    # What a program has written tells nothing of what was written for people.
    assert "two ways" in refusal(read, tmp_path, table(OPEN["€."], **plain))


@st.composite
def styles(draw):
    """A function that writes a number, always in one way."""
    decimal = draw(st.sampled_from(".,"))
    thousands = draw(st.sampled_from([mark for mark in ("", ".", ",", " ", "'", "\u00a0")
                                      if mark != decimal]))  # fmt: skip
    before, after = draw(st.sampled_from([("", "")] * 3 + [("€ ", ""), ("", " €"), ("", "%"),
                                                           ("CHF ", ""), ("", " kg")]))  # fmt: skip
    minus = draw(st.sampled_from(["-{}", "−{}", "({})", "{}-"]))
    decimals, short = draw(st.integers(0, 4)), draw(st.booleans())

    def write(number):
        text = f"{abs(number):,.{decimals}f}"
        if short and decimals:
            text = text.rstrip("0").rstrip(".")
        text = text.translate(str.maketrans({",": thousands, ".": decimal}))
        text = f"{before}{text}{after}"
        return minus.format(text) if number < 0 else text

    return write, decimals


SOME = st.lists(st.floats(-1e7, 1e7) | st.integers(-3000, 3000), min_size=1, max_size=40)
# Three decimals, or none: the most that leaves it open whether a mark groups digits.
THREE = st.lists(
    st.integers(1001, 999_999).map(lambda n: n / 1000) | st.integers(1, 999),
    min_size=1, max_size=40,
)  # fmt: skip


@given(SOME | THREE, styles())
@hypothesis_settings(max_examples=400, deadline=None)
def test_numbers_come_back_as_they_were_or_are_asked_about(some, style):
    write, decimals = style
    texts = [write(number) for number in some]
    codes, distinct = pd.factorize(np.array(texts, dtype=object))
    sample = settle({"x": Values(list(distinct), codes)}, {})
    try:
        notation = notations(sample, {"x": "numeric"}).get("x", PLAIN)
        found = to_numbers(pd.Series(texts, dtype=object), notation=notation)
    except InputError:
        return
    np.testing.assert_array_equal(found, [float(f"{number:.{decimals}f}") for number in some])


@pytest.mark.parametrize(
    "texts",
    [
        ["A1", "A2", "B7"], ["W9", "W10", "W51"], ["1.2.3", "1.10.0"], ["1,2", "1,2,3", "3"],
        ["10.0.0.1", "192.168.0.7"], ["01,5", "12,5"], ["12/7", "3/4"], ["1-2", "3-4"],
        ["5 kg", "300 g"], ["$5", "5 €"], ["1.5.", "2"], ["12:30", "9:15"], ["5th", "1st"],
        ["1,23,4", "5"], ["12,3456,789", "1"], ["(5", "6)"], ["--5", "6"], ["00123", "12"],
        ["1e5kg", "x"], ["110 00", "120 00"],
    ],
)  # fmt: skip
def test_text_with_digits_stays_text(tmp_path, texts):
    dataset = read(tmp_path, table(texts))
    assert dataset.roles["x"].role == "categorical"
    assert sorted(dataset.encoding.vocabularies[1].texts()) == sorted(texts)


# ------------------------------------------------------------------------------------------ dates

DAYS = pd.to_datetime("2023-03-01") + pd.to_timedelta(RANDOM.integers(0, 700, 300), unit="D")
DATES = {
    "%Y-%m-%d": "", "%d.%m.%Y": "dmy", "%d/%m/%Y": "dmy", "%m/%d/%Y": "mdy", "%d-%m-%Y": "dmy",
    "%Y/%m/%d": "", "%Y%m%d": "", "%d %b %Y": "", "%b %d, %Y": "", "%B %d, %Y": "", "%d-%b-%y": "",
    "%d.%m.%y": "dmy", "%m/%d/%y": "mdy", "%y-%m-%d": "ymd", "%A, %d %B %Y": "", "%Y.%m.%d": "",
    "%Y-%m-%d %H:%M:%S UTC": "", "%Y-%m-%dT%H:%M:%SZ": "", "%m/%d/%Y %I:%M %p": "mdy",
    "%a, %d %b %Y %H:%M:%S GMT": "", "%d/%b/%Y:%H:%M:%S +0000": "", "%Y%m%dT%H%M%S": "",
}  # fmt: skip


def dates(tmp_path, texts, **options):
    dataset = read(tmp_path, table(texts), **options)
    assert dataset.roles["x"].role == "date", dataset.roles["x"]
    day = np.datetime64("1970-01-01", "s")
    return day + (dataset.table.values("x_elapsed")[:] * 86400).round().astype(int), dataset


@pytest.mark.parametrize("form", DATES)
def test_dates_in_every_order_are_recognised(tmp_path, form):
    found, dataset = dates(tmp_path, [f"{day:{form}}" for day in DAYS])
    assert found.tolist() == DAYS.to_numpy("datetime64[s]").tolist()
    order = {"dmy": "day first", "mdy": "month first", "ymd": "year first"}.get(DATES[form])
    assert dataset.roles["x"].why == ("dates" + (f", {order}" if order else ""))
    settings = json.loads(json.dumps(dataset.settings))
    assert settings["dates"] == ["x"]
    # New rows, which alone would leave the order open, are read as those of training.
    dialect = dialect_of(settings)
    name = tmp_path / "new.csv"
    pd.DataFrame({"x": [f"{pd.Timestamp('2024-02-03'):{form}}"] * 20}).to_csv(name, index=False)
    ((part, _),) = chunks(str(name), {"x": "date"}, dialect)
    assert set(part["x"].local.astype("datetime64[D]").astype(str)) == {"2024-02-03"}


def test_dates_without_zeros_and_of_one_year(tmp_path):
    found, _ = dates(tmp_path, [f"{d.year}-{d.month}-{d.day}" for d in DAYS])
    assert found.tolist() == DAYS.to_numpy("datetime64[s]").tolist()
    found, _ = dates(tmp_path, ["01.02.2024", "03.04.2024"])  # nobody writes 12.31.2024
    assert found[:2].astype("datetime64[D]").astype(str).tolist() == ["2024-02-01", "2024-04-03"]


def test_an_open_order_is_asked_about(tmp_path):
    texts = [f"{1 + i % 12:02}/{1 + i % 11:02}/2024" for i in range(300)]
    message = refusal(read, tmp_path, table(texts))
    assert "'x' holds dates that can be read in two ways, such as '01/01/2024'" in message
    assert "--date-order dmy or mdy" in message
    for order, expected in (("dmy", "2024-02-01"), ("mdy", "2024-01-02")):
        found, _ = dates(tmp_path, ["01/02/2024", *texts], date_order=order)
        assert str(found[0])[:10] == expected
    # Another column of the table tells.
    frame = table(texts, when=[f"{day:%m/%d/%Y}" for day in DAYS])
    dataset = read(tmp_path, frame)
    assert dataset.roles["x"].why == dataset.roles["when"].why == "dates, month first"
    assert read(tmp_path, table(texts), categorical=["x"]).roles["x"].role == "categorical"


def test_a_year_of_two_digits_is_of_this_century_or_refused(tmp_path):
    found, _ = dates(tmp_path, [f"{day:%d.%m.%y}" for day in DAYS])
    assert found.tolist() == DAYS.to_numpy("datetime64[s]").tolist()
    born = [f"{1 + i % 28:02}.{1 + i % 12:02}.{i % 100:02}" for i in range(300)]
    message = refusal(read, tmp_path, table(born), dates=["x"])
    assert "century" in message and "four digits" in message
    assert "x" not in read(tmp_path, table(born), drop=["x"]).settings["dates"]
    assert "century" in refusal(read, tmp_path, table(born))


@pytest.mark.parametrize("offset", ["+09:00", "+0900", "+09", " +09"])
def test_the_calendar_is_that_of_the_clock_at_the_place(tmp_path, offset):
    texts = [f"2024-12-{1 + i % 31:02}T{i % 24:02}:30:00{offset}" for i in range(300)]
    found, dataset = dates(tmp_path, texts)
    assert found[0] == np.datetime64("2024-11-30T15:30")  # time has elapsed alike everywhere
    hours, codes = dataset.table.texts("x_hour")
    assert [hours[code] for code in codes[:24]] == [str(i % 24) for i in range(24)]
    frame = table(texts)
    frame["x"] = pd.to_datetime(frame["x"], format="ISO8601").dt.tz_convert("Asia/Tokyo")
    frame.to_parquet(tmp_path / "zoned.parquet")
    other = read(tmp_path, [tmp_path / "zoned.parquet"])
    arrow = to_dates(frame["x"].astype(pd.ArrowDtype(pyarrow.timestamp("s", "Asia/Tokyo"))))
    assert arrow.local[:2].astype(str).tolist() == ["2024-12-01T00:30:00", "2024-12-02T01:30:00"]
    assert arrow.utc.tolist() == found.tolist()
    for column in ("x_hour", "x_day"):
        texts, codes = other.table.texts(column)
        same, others = dataset.table.texts(column)
        assert [texts[c] for c in codes[:]] == [same[c] for c in others[:]]
    np.testing.assert_array_equal(
        other.table.values("x_elapsed")[:], dataset.table.values("x_elapsed")[:]
    )


def test_the_clock_may_change_within_a_column(tmp_path):
    """As in summer, where PostgreSQL writes another offset; a day alone has none."""
    texts = ["2024-03-30 23:30:00+01", "2024-03-31 23:30:00.25+02", "2024-04-05"]
    found, dataset = dates(tmp_path, texts)
    assert found[:2].astype(str).tolist() == ["2024-03-30T22:30:00", "2024-03-31T21:30:00"]
    days, codes = dataset.table.texts("x_day")
    assert [days[code] for code in codes[:3]] == ["30", "31", "5"]


@pytest.mark.parametrize("bad", ["0000-00-00", "2024-02-30", "soon", "31.12.2024"])
def test_one_bad_date_is_named(tmp_path, bad):
    texts = [str(day.date()) for day in DAYS]
    texts[70] = bad
    if bad == "31.12.2024":  # tells its order itself
        dates(tmp_path, texts)
        return
    message = refusal(read, tmp_path, table(texts))
    assert f"'x' holds {bad!r} in row 70, which is no date" in message
    assert f"--na-values {bad}" in message
    found, _ = dates(tmp_path, texts, na_values=[bad])
    assert np.isnat(found[70]) or str(found[70]).startswith("-")
    texts = [f"{day:%d/%m/%Y}" for day in DAYS]
    texts[70] = "12/31/2024"
    assert "'12/31/2024' in row 70" in refusal(read, tmp_path, table(texts))


def test_nearly_all_dates_are_never_advised_to_be_embedded(tmp_path):
    texts = [str(day.date()) if i % 5 else f"unknown {i}" for i, day in enumerate(DAYS)]
    dataset = read(tmp_path, table(texts))
    (note,) = [note for note in dataset.notes if note.startswith("'x'")]
    assert "80% of its values are dates" in note and "--dates" in note
    assert "--categorical" not in note and "'unknown 0'" in note


def test_days_in_eight_digits_are_dates_and_other_numbers_are_not(tmp_path):
    texts = [f"{day:%Y%m%d}" for day in DAYS]
    assert dates(tmp_path, [*texts[:-1], ""])[0][0] == DAYS[0].to_numpy()
    assert read(tmp_path, table(["20230230", "20230231", "20210229"])).roles["x"].role != "date"
    codes = [str(20_240_000 + i) for i in range(300)]
    assert read(tmp_path, table(codes)).roles["x"].role == "left out"


# ---------------------------------------------------------------------------- marks for missing


@pytest.mark.parametrize("mark", ["?", "-", ".", "n.a.", "--", "unknown", "#DIV/0!"])
@pytest.mark.parametrize("share", [3, 10])
def test_marks_among_numbers_are_named(tmp_path, mark, share):
    texts = [mark if i % share == 1 else f"{x}" for i, x in enumerate(AMOUNTS)]
    for options in ({}, {"numeric": ["x"]}):
        message = refusal(read, tmp_path, table(texts), **options)
        assert f"'x' holds {mark!r} in row 1, which is no number" in message
        equals = "=" if mark == "--" else " "  # argparse takes what follows for an option
        assert f"--na-values{equals}{shlex.quote(mark)}" in message and "--categorical" in message
    found, _ = numbers(tmp_path, texts, na_values=[mark])
    np.testing.assert_array_equal(found, [np.nan if t == mark else float(t) for t in texts])
    assert read(tmp_path, table(texts), categorical=["x"]).roles["x"].role == "categorical"


def test_a_blank_is_a_missing_number_and_a_category_of_text(tmp_path):
    texts = ["  " if i % 5 == 1 else f"{x}" for i, x in enumerate(AMOUNTS)]
    found, _ = numbers(tmp_path, texts)
    assert np.isnan(found[1::5]).all() and (found[::5] == AMOUNTS[::5]).all()
    # Also where the first rows have none.
    frame = table([f"{x}" for x in AMOUNTS])
    frame.loc[299, "x"] = " "
    assert np.isnan(read(tmp_path, frame).table.values("x")[299])


def test_codes_with_a_text_among_them_stay_codes(tmp_path):
    assert read(tmp_path, table(["1", "2", "2A", "3"])).roles["x"].role == "categorical"
    assert read(tmp_path, table(["1", "2", "?", "3"])).roles["x"].role == "categorical"


@pytest.mark.parametrize("form", ["jsonl", "xlsx"])
def test_a_typed_number_has_no_mark_of_thousands(tmp_path, form):
    """As text, 1.636 beside 849 would be read as 1636."""
    cells = [500 + i if i % 7 == 0 else (1001 + 2 * i) / 1000 for i in range(300)]
    assert numbers(tmp_path, [str(cell) for cell in cells])[0].max() > 1000
    frame, name = table([None]), tmp_path / f"t.{form}"
    frame["x"] = pd.Series(cells, dtype=object)
    if form == "jsonl":
        frame.to_json(name, orient="records", lines=True)
    else:
        frame.to_excel(name, index=False)
    dataset = read(tmp_path, [name])
    assert dataset.roles["x"].why == "numbers" and dataset.settings["notations"] == {}
    np.testing.assert_array_equal(dataset.table.values("x")[:], cells)


@pytest.mark.parametrize(
    ("texts", "other", "told"),
    [
        (["0.5%", "1%", "12%"], "0.07", "numbers, in %: write it so"),
        (["0.5", "1", "12.5"], "0,5", "numbers such as 1234.5: write it so"),
        (["0,5", "1", "12,5"], "0.5", "numbers, decimal comma: write it so"),
        (["13/01/2024", "14/02/2024"], "01/13/2024", "dates, day first: write it as YYYY-MM-DD"),
        (["2024-12-13", "2024-12-14"], "soon", "dates: write it as YYYY-MM-DD"),
        (["2024-12-13", "2024-12-14"], "01/02/2024", "two ways, such as '01/02/2024'; write them"),
        (["2024-12-13", "2024-12-14"], "01/02/68", "write years with four digits."),
    ],
)
def test_files_beside_the_table_are_written_as_it_is_or_refused(tmp_path, texts, other, told):
    """In words of what training held; options that read one of them would misread the other."""
    frame = table([other]).iloc[:20]
    frame.to_csv(tmp_path / "test.csv", index=False)
    message = refusal(read, tmp_path, table(texts), test_data=[str(tmp_path / "test.csv")])
    assert message.startswith(f"{tmp_path}/test.csv: the ") and "'x'" in message
    assert told in message and "--" not in message


def test_new_rows_are_read_as_those_of_training(tmp_path):
    frame = pd.DataFrame(
        {
            "city": RANDOM.choice(["Bern", "Oslo", "Rome"], 300),
            "day": DAYS,
            "price": np.where(np.arange(300) % 9 == 4, np.nan, AMOUNTS),
            "y": (AMOUNTS / 1000 + RANDOM.normal(size=300)).round(2),
        }
    )
    by_hand = frame.assign(
        day=[f"{day:%d/%m/%Y}" for day in DAYS],
        price=["?" if np.isnan(x) else f"{european(x)} €" for x in frame["price"]],
        y=[f"{y:.2f}".replace(".", ",") for y in frame["y"]],
    )
    by_hand.to_csv(tmp_path / "t.csv", sep=";", index=False)
    options = ["--data", "t.csv", "--target", "y", "--na-values", "?", "--epochs", 1, "--no-report"]
    first = call("build_embeddings.py", *options, "--output", "set", cwd=tmp_path)
    lines = succeeded(first).stdout
    assert "numbers, decimal comma, thousands point, in €" in lines
    assert "dates, day first" in lines and "named, decimal comma" in lines
    succeeded(call("build_embed_model.py", "--embeddings", "set", "--epochs", 1, cwd=tmp_path))
    # Of these alone nobody could tell the order, nor what the point means.
    few = (frame["day"].dt.day <= 12) & (frame["price"] > 1000)
    frame["price"] = frame["price"].where(frame["price"].isna(), frame["price"].round())
    new = by_hand.assign(price=[f"{european(x, decimals=0)} €" for x in frame["price"].fillna(0)])
    assert 5 < few.sum() < 100
    new[few].drop(columns="y").to_csv(tmp_path / "new.csv", index=False)
    frame = frame[few].drop(columns="y")
    frame.to_parquet(tmp_path / "new.parquet")
    # Numbers are what they are, also where the column has no type.
    frame.to_excel(tmp_path / "new.xlsx", index=False)
    frame.to_json(tmp_path / "new.jsonl", orient="records", lines=True, date_format="iso")
    for form in ("csv", "parquet", "xlsx", "jsonl"):
        options = ["--embeddings", "set", "--predict", f"new.{form}", "--output", f"{form}.out.csv"]
        succeeded(call("build_embed_model.py", *options, cwd=tmp_path))
    found = pd.read_csv(tmp_path / "csv.out.csv")
    for form in ("parquet", "xlsx", "jsonl"):
        pd.testing.assert_frame_equal(found, pd.read_csv(tmp_path / f"{form}.out.csv"))
    # What is written otherwise has to be changed: no option of --predict would read it.
    frame.assign(price="1234.5").to_csv(tmp_path / "plain.csv", index=False)
    options = ["--embeddings", "set", "--predict", "plain.csv"]
    message = refused(call("build_embed_model.py", *options, cwd=tmp_path))
    assert message == (
        "plain.csv: the numeric column 'price' holds '1234.5' in row 0; in training it held "
        "numbers, decimal comma, thousands point, in €: write it so, or leave it empty if it is "
        "missing."
    )
    mixed = pd.Series([1.234, "1.234,50 €", 12, None], dtype=object)
    found = to_numbers(mixed, notation=Notation(",", ".", "€"))
    np.testing.assert_array_equal(found, [1.234, 1234.5, 12, np.nan])
