"""Bad input: exit status 2, one sentence that names what is wrong, and nothing written."""

import gzip
import os
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
from conftest import call, copy_project, make_table, refused, run, tree, write

from data import one_line

FIRST, SECOND = "build_embeddings.py", "build_embed_model.py"
TABLE = make_table(60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a good table and what only looks like one."""
    folder = tmp_path_factory.mktemp("bad")
    write(TABLE, folder / "good.csv")
    (folder / "empty.csv").write_bytes(b"")
    (folder / "blank.csv").write_bytes(b"\n\n\n")
    (folder / "folder.csv").mkdir()
    (folder / "header.csv").write_bytes(b"city,sales\n")
    write(TABLE[:0], folder / "no_rows.csv")
    (folder / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))
    (folder / "nul.csv").write_bytes(b"ci\0ty,sales\nOslo,1\n")
    (folder / "long.csv").write_bytes(b"city,sales\nOslo,1\nBern,2,3\n")
    (folder / "longer.csv").write_bytes(b"city,sales\n" + b"Oslo,1\n" * 50 + b"Bern,2,3\n")
    (folder / "twice.csv").write_bytes(b"city,x,city\nOslo,1,Bern\n")
    (folder / "quote.csv").write_bytes(b'city,sales\nOslo,1\n"Bern,2\n' + b"Rome,1\n" * 20)
    (folder / "latin.csv").write_bytes("city,sales\nZürich,1\nBern,2\n".encode("cp1252"))
    (folder / "latin_name.csv").write_bytes("Stadt Zürich,sales\nx,1\n".encode("cp1252"))
    mixed = "city,sales\n" + "Zürich,1\n" * 5, "Genève,1\n" * 5
    (folder / "mixed.csv").write_bytes(mixed[0].encode() + mixed[1].encode("cp1252"))
    (folder / "wide.csv").write_bytes("city,sales\nBern,2\n".encode("utf-16"))
    (folder / "broken.parquet").write_bytes(b"PAR1 and then something else")
    (folder / "broken.csv.gz").write_bytes(gzip.compress(b"city,sales\nOslo,1\n" * 999)[:60])
    (folder / "not.csv.gz").write_bytes(b"city,sales\nOslo,1\n")
    (folder / "not.csv.zip").write_bytes(b"city,sales\nOslo,1\n")
    with zipfile.ZipFile(folder / "two.zip", "w") as archive:
        archive.writestr("a.csv", "city,sales\n")
        archive.writestr("b.csv", "city,sales\n")
    TABLE.to_parquet(folder / "hidden.csv")
    text = TABLE.astype({"x": object})
    text.loc[17, "x"] = "unknown"
    write(text, folder / "text.csv")
    write(TABLE.drop(columns="y"), folder / "absent.csv")
    write(TABLE[["x", "y", "sales"]], folder / "numbers.csv")
    write(TABLE.assign(sales=3), folder / "constant.csv")
    write(TABLE.assign(sales=None), folder / "missing.csv")
    write(TABLE.assign(sales=np.geomspace(1, 1e300, 60)), folder / "huge.csv")
    write(TABLE[:7], folder / "few.csv")
    write(TABLE.assign(shop=[f"s{i}" for i in range(60)]), folder / "classes.csv")
    write(TABLE.assign(when="01/02/2024"), folder / "when.csv")
    write(TABLE.rename(columns={"x": "line\nbreak"}), folder / "break.csv")
    open_marks = [f"{1000 + 7 * i:,}" for i in range(60)]
    write(TABLE[["city", "shop"]].assign(price=open_marks), folder / "marks.csv")
    write(TABLE.assign(hp=["--" if i % 4 == 1 else i / 7 for i in range(60)]), folder / "hp.csv")
    (folder / "short.csv").write_bytes(b"city,sales\n" + b"Oslo,1\n" * 50 + b"Bern\n")
    return folder


CASES = [
    ("--data nowhere.csv --target sales", ["nowhere.csv", "no such file"]),
    ("--data *.nothing --target sales", ["*.nothing", "no file matches"]),
    ("--data empty.csv --target sales", ["empty.csv", "is empty"]),
    ("--data blank.csv --target sales", ["blank.csv", "no columns"]),
    ("--data folder.csv --target sales", ["folder.csv", "folder"]),
    ("--data header.csv --target sales", ["header.csv", "no rows"]),
    ("--data image.png --target sales", ["image.png"]),
    ("--data nul.csv --target sales", ["nul.csv", "not a text table"]),
    ("--data long.csv --target sales", ["long.csv", "row 1 has 3 fields", "--separator"]),
    ("--data longer.csv --target sales", ["longer.csv", "line 52 has 3 fields", "quote"]),
    ("--data short.csv --target sales", ["short.csv", "row 50 has 1 field where"]),
    ("--data marks.csv --target price", ["'price'", "--thousands ,", "--decimal ,"]),
    ("--data marks.csv --target shop", ["'price'", "'1,000'", "two ways", "--categorical"]),
    ("--data marks.csv --target price --decimal , --thousands ,", ["--thousands", "decimal mark"]),
    ("--data hp.csv --target sales", ["'hp' holds '--' in row 1", "--na-values=--"]),
    ("--data twice.csv --target x", ["twice.csv", "'city'", "twice"]),
    ("--data quote.csv --target sales", ["quote.csv"]),
    ("--data latin.csv --target sales", ["latin.csv", "not utf-8", "--encoding cp1252"]),
    ("--data latin_name.csv --target sales", ["latin_name.csv", "--encoding cp1252"]),
    ("--data mixed.csv --target sales", ["line 7 holds", "not utf-8", "in one encoding"]),
    ("--data wide.csv --target sales", ["wide.csv", "--encoding utf-16"]),
    ("--data broken.parquet --target sales", ["broken.parquet", "Parquet", "anew"]),
    ("--data hidden.csv --target sales", ["hidden.csv", "Parquet", ".parquet"]),
    ("--data broken.csv.gz --target sales", ["broken.csv.gz"]),
    ("--data not.csv.gz --target sales", ["not.csv.gz"]),
    ("--data not.csv.zip --target sales", ["not.csv.zip"]),
    ("--data two.zip --target sales", ["two.zip", "several files"]),
    ("--data good.csv good.csv --target sales", ["good.csv", "named twice"]),
    ("--data good.csv absent.csv --target sales", ["absent.csv", "'y' is missing"]),
    ("--data good.csv --test-data absent.csv --target sales", ["absent.csv", "'y'"]),
    ("--data good.csv --test-data empty.csv --target sales", ["--test-data", "empty.csv"]),
    ("--data good.csv --validation-data no_rows.csv --target sales", ["no_rows.csv", "no rows"]),
    ("--data good.csv", ["--target", "name the column"]),
    ("--data good.csv --target Sales", ["--target", "'Sales'", "did you mean 'sales'?"]),
    ("--data good.csv --target nothing_like_it", ["--target", "it has 'city', 'shop'"]),
    ("--data good.csv --target sales --categorical ctiy", ["--categorical", "'city'?"]),
    ("--data good.csv --target sales --numeric z", ["--numeric", "'z'"]),
    ("--data good.csv --target sales --drop pant", ["--drop", "'paint'?"]),
    ("--data good.csv --target sales --dates day", ["--dates", "'day'"]),
    ("--data good.csv --target sales --keep-na cities", ["--keep-na", "'city'?"]),
    ("--data good.csv --target sales --split-by date", ["--split-by", "'date'"]),
    ("--data good.csv --target sales --split-by x", ["--split-by", "'x' is missing in row"]),
    ("--data good.csv --target sales --numeric x x", ["--numeric", "'x' is named twice"]),
    ("--data good.csv --target sales --numeric x --categorical x", ["'x'", "named twice"]),
    ("--data good.csv --target sales --categorical sales", ["'sales'", "--target"]),
    ("--data good.csv --target sales --drop sales", ["'sales'", "--target"]),
    ("--data good.csv --target sales --numeric city", ["'city' holds", "row", "--categorical"]),
    ("--data good.csv --target sales --dates city", ["'city' holds", "YYYY-MM-DD"]),
    ("--data when.csv --target sales --dates when", ["'when'", "two ways"]),
    ("--data text.csv --target sales --numeric x", ["'x' holds 'unknown' in row 17"]),
    ("--data text.csv --target sales", ["'x' holds 'unknown' in row 17"]),
    ("--data text.csv --target x", ["'x' holds numbers, but 'unknown' in row 17"]),
    ("--data good.csv --target city --task regression", ["'city' holds", "--task"]),
    ("--data good.csv --target paint --task binary", ["3 distinct", "multiclass"]),
    ("--data good.csv --target y --task binary", ["distinct", "use --task regression."]),
    ("--data classes.csv --target shop", ["'shop'", "60 classes in 60 rows"]),
    ("--data constant.csv --target sales", ["'sales' is", "3"]),
    ("--data missing.csv --target sales", ["'sales' has no value"]),
    ("--data huge.csv --target sales", ["'sales' is", "in row", "divide"]),
    ("--data few.csv --target sales", ["7 rows", "at least 10"]),
    ("--data numbers.csv --target sales", ["no column is categorical", "--categorical"]),
    ("--data good.csv --target sales --separator ab", ["--separator", "one character"]),
    ("--data good.csv --target sales --encoding klingon", ["--encoding klingon"]),
    ("--data good.csv --target sales --encoding ascii", ["not ascii", "--encoding"]),
    ("--data good.csv --target sales --numeric x --drop x", ["'x'", "named twice"]),
    ("--data break.csv --target sales --numeric line_break", ["did you mean 'line\\nbreak'?"]),
]


@pytest.mark.parametrize(("options", "parts"), CASES, ids=[options for options, _ in CASES])
def test_bad_input_ends_in_one_sentence(folder, options, parts, tmp_path):
    output = tmp_path / "set"
    result = call(FIRST, *options.split(" "), "--output", output, cwd=folder)
    message = refused(result)
    for part in parts:
        assert part in message, message
    assert result.stderr.count("\n") == 1
    assert message[-1] in ".?"
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "name"),
    [("--epochs 0", "--epochs"), ("--seed -1", "--seed"), ("--tarjet sales", "--tarjet")],
)
def test_options_that_are_none_are_named(folder, options, name, tmp_path):
    options = ["--data", "good.csv", "--target", "sales", *options.split()]
    assert name in refused(call(FIRST, *options, "--output", tmp_path / "set", cwd=folder))
    assert not (tmp_path / "set").exists()


def test_the_previous_output_stays_and_nothing_else_is_written(regression, tmp_path):
    output = regression.output
    before = tree(output)
    for script, options in (
        (FIRST, ["--data", regression.table, "--target", "nothing", "--output", output]),
        (SECOND, ["--embeddings", output, "--data", regression.table, "--target", "nothing",
                  "--output", output]),
        (SECOND, ["--embeddings", output, "--predict", tmp_path / "none.csv"]),
    ):  # fmt: skip
        refused(call(script, *options, cwd=regression.table.parent))
        assert tree(output) == before
    assert list(tmp_path.iterdir()) == []


def test_the_second_script_refuses_a_table_that_does_not_fit(regression, folder, tmp_path):
    sets = regression.output
    for options, parts in (
        (["--data", "numbers.csv", "--target", "sales"], ["no column is categorical"]),
        (["--data", "latin.csv", "--target", "sales"], ["latin.csv", "--encoding"]),
        (["--data", "text.csv", "--target", "sales", "--numeric", "x"], ["'unknown' in row 17"]),
        (["--data", "good.csv", "--target", "city", "--task", "regression"], ["'city'"]),
    ):
        output = tmp_path / "out"
        message = refused(
            call(SECOND, "--embeddings", sets, *options, "--output", output, cwd=folder)
        )
        for part in parts:
            assert part in message, message
        assert not output.exists()


def test_as_a_user_runs_it(folder, tmp_path):
    """In a process of its own, in a terminal that knows no Unicode: no traceback there, either."""
    table = write(pd.DataFrame({"Łódź\n": ["ü"] * 12, "y": range(12)}), tmp_path / "t.csv")
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    result = run(FIRST, "--data", table, "--target", "Łódź", "--output", tmp_path / "o",
                 env=ascii_only)  # fmt: skip
    message = refused(result)
    assert message.startswith("--target: the table has no column")
    assert os.listdir(tmp_path) == ["t.csv"]


def test_names_are_shown_in_one_line():
    assert one_line("a\nb\t\x1b[0m ü 東\udc80") == "a\\nb\\t\\x1b[0m ü 東\\udc80"


def test_lists_in_parquet_are_refused_by_name(tmp_path):
    frame = TABLE.assign(tags=[[1, 2]] * len(TABLE))
    frame.to_parquet(tmp_path / "t.parquet")
    for option in ("--categorical", "--numeric", "--dates"):
        result = call(FIRST, "--data", tmp_path / "t.parquet", "--target", "sales", option, "tags",
                      "--output", tmp_path / "o")  # fmt: skip
        message = refused(result)
        assert "'tags'" in message and "compound" in message, message
    assert np.array_equal(sorted(os.listdir(tmp_path)), ["t.parquet"])


# What is there already: a set, its table, the output


@pytest.fixture(scope="module")
def wrong(regression, tmp_path_factory):
    """A folder with tables, right and wrong, and a set."""
    folder = tmp_path_factory.mktemp("wrong")
    shutil.copytree(regression.output, folder / "set")
    table = pd.read_csv(regression.table)
    write(table, folder / "sales.csv")
    write(table[["x", "y", "sales"]], folder / "numbers.csv")
    return folder


def test_an_output_that_is_not_ours_is_left_alone(wrong):
    (wrong / "mine").mkdir()
    (wrong / "mine" / "thesis.txt").write_text("years of work")
    options = ["--data", "sales.csv", "--target", "sales"]
    for output in ("mine", "sales.csv"):
        assert output in refused(call(FIRST, *options, "--output", output, cwd=wrong))
    assert (wrong / "mine" / "thesis.txt").read_text() == "years of work"


def test_the_second_script_refuses_a_table_that_has_changed(regression, tmp_path):
    """One row more; then no table at all."""
    output, table = tmp_path / "set", regression.table
    shutil.copytree(regression.output, output)
    before, content = tree(output), table.read_bytes()
    try:
        table.write_bytes(content + content.splitlines(keepends=True)[1])
        sentence = refused(call(SECOND, "--embeddings", output, "--epochs", 1))
        assert "sales.csv" in sentence
        assert "changed" in sentence
        table.unlink()
        assert "sales.csv" in refused(call(SECOND, "--embeddings", output, "--epochs", 1))
    finally:
        table.write_bytes(content)
    assert tree(output) == before


def test_the_second_script_refuses_a_table_without_the_target(regression, wrong):
    before = tree(wrong / "set")
    options = ["--embeddings", "set", "--data", "sales.csv", "--target", "profits"]
    sentence = refused(call(SECOND, *options, "--output", "set", cwd=wrong))
    assert "'profits'" in sentence
    sentence = refused(call(SECOND, "--embeddings", "set", "--predict", "numbers.csv", cwd=wrong))
    assert "numbers.csv" in sentence
    assert "'city'" in sentence
    assert tree(wrong / "set") == before


@pytest.mark.parametrize("options", [["--drop", "x"], ["--numeric", "x"], ["--test-data", "t.csv"]])
def test_what_is_recorded_with_the_vectors_is_not_silently_ignored(options, wrong):
    assert options[0] in refused(call(SECOND, "--embeddings", "set", *options, cwd=wrong))


def test_the_second_script_first(tmp_path):
    root = copy_project(tmp_path / "project")
    sentence = refused(run(SECOND, cwd=tmp_path, root=root))
    assert "build_embeddings.py" in sentence
    assert list(root.glob("saved_embeddings/*")) == []
