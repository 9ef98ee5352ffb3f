"""Where tables live: databases, workbooks, JSON, Arrow and folders of Parquet files."""

import json
import shutil
import sqlite3
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import arrays, call, make_table, manifest, refused, run, succeeded, tree, write
from postgres import PASSWORD, programs, running_postgres

FIRST, SECOND = "build_embeddings.py", "build_embed_model.py"
ROLES = ["--target", "sales", "--drop", "bought", "paint", "--epochs", 1, "--no-report"]


def shops(rows=300):
    """Every type that a column may have, with values missing."""
    table = make_table(rows)
    table.insert(0, "day", pd.Timestamp("2024-01-01") + pd.to_timedelta(table["shop"], unit="D"))
    table.insert(1, "zip", table["shop"].map("{:05}".format))
    return table


@pytest.fixture(scope="module")
def postgres():
    if programs() is None:
        pytest.skip("no PostgreSQL on this machine: apt install postgresql")
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def connection(postgres):
    import psycopg

    with psycopg.connect(postgres.url, autocommit=True) as connection:
        yield connection


def fill(connection, name, table):
    """Make a table of a DataFrame in PostgreSQL."""
    kinds = {
        "datetime64[us]": "date", "int64": "int", "float64": "double precision", "bool": "boolean",
    }  # fmt: skip
    columns = ", ".join(f'"{c}" {kinds.get(str(table[c].dtype), "text")}' for c in table)
    connection.execute(f'CREATE TABLE "{name}" ({columns})')
    with connection.cursor().copy(f'COPY "{name}" FROM STDIN') as copy:
        for row in table.astype(object).where(table.notna(), None).itertuples(index=False):
            copy.write_row(row)


# ------------------------------------------------------------------ the same rows, side by side


def source_of(form, table, folder, request):
    """The options that read a table in some form."""
    name = folder / f"t.{form}"
    texts = table.assign(day=table["day"].dt.strftime("%Y-%m-%d"))
    if form == "csv":
        write(table, name)
    elif form == "parquet":
        table.to_parquet(name)
    elif form == "feather":
        table.to_feather(name)
    elif form == "xlsx":
        table.to_excel(name, index=False)
    elif form == "jsonl":
        texts.to_json(name, orient="records", lines=True, force_ascii=False, double_precision=15)
    elif form == "json":
        texts.to_json(name, orient="records", indent=1, double_precision=15)
    elif form == "sqlite":
        with sqlite3.connect(name) as database:
            texts.to_sql("shop sales", database, index=False)
        database.close()
        return ["--data", f"sqlite:///{name}", "--sql", "shop sales"]
    else:
        fill(request.getfixturevalue("connection"), "shop sales", table)
        return ["--data", request.getfixturevalue("postgres").url, "--sql", "shop sales"]
    return ["--data", name]


@pytest.fixture(scope="module")
def from_csv(tmp_path_factory):
    folder = tmp_path_factory.mktemp("csv")
    options = source_of("csv", shops(), folder, None)
    succeeded(call(FIRST, *options, *ROLES, "--output", folder / "o"))
    return folder / "o"


@pytest.mark.parametrize(
    "form", ["parquet", "feather", "xlsx", "jsonl", "json", "sqlite", "postgres"]
)
def test_a_source_gives_the_vectors_of_the_csv(tmp_path, request, from_csv, form):
    options = source_of(form, shops(), tmp_path, request)
    succeeded(call(FIRST, *options, *ROLES, "--output", tmp_path / "o"))
    found, expected = arrays(tmp_path / "o"), arrays(from_csv)
    assert list(found) == list(expected)
    assert {"day_weekday", "zip", "city", "online"} < found.keys()
    for column, vectors in expected.items():
        np.testing.assert_array_equal(found[column], vectors, err_msg=column)
    ours, theirs = manifest(tmp_path / "o"), manifest(from_csv)
    assert ours["numeric"] == theirs["numeric"] and ours["target"] == theirs["target"]
    assert ours["columns"]["zip"]["vocabulary"][0] == "00001"


def test_folders_of_parquet_are_columns(tmp_path):
    table = shops().drop(columns="day").sort_values("city", kind="stable", na_position="last")
    table = table[[c for c in table if c != "city"] + ["city"]]
    for city, part in table.groupby("city", sort=False, dropna=False):
        value = "__HIVE_DEFAULT_PARTITION__" if pd.isna(city) else city.replace(" ", "%20")
        (tmp_path / "ds" / f"city={value}").mkdir(parents=True)
        part.drop(columns="city").to_parquet(tmp_path / "ds" / f"city={value}" / "0.parquet")
    (tmp_path / "ds" / "_SUCCESS").touch()
    order = [path.parent.name for path in sorted((tmp_path / "ds").glob("*/*.parquet"))]
    folders = [f"city={c}".replace(" ", "%20") for c in table["city"].dropna().unique()]
    table = pd.concat(
        [
            table[table["city"].isna()] if folder not in folders
            else table[table["city"] == folder.removeprefix("city=").replace("%20", " ")]
            for folder in order
        ]
    )  # fmt: skip
    write(table, tmp_path / "t.csv")
    for name, data in {"csv": "t.csv", "folder": "ds", "glob": "ds/*/*.parquet"}.items():
        data = tmp_path / data
        succeeded(call(FIRST, "--data", data, *ROLES, "--output", tmp_path / name))
    for name in ("folder", "glob"):
        for column, vectors in arrays(tmp_path / "csv").items():
            np.testing.assert_array_equal(arrays(tmp_path / name)[column], vectors, column)
    # A file added later is not read by the second script.
    shutil.copytree(tmp_path / "ds/city=Bern", tmp_path / "ds/city=Athens")
    succeeded(call(SECOND, "--embeddings", tmp_path / "folder", "--epochs", 1))
    columns = manifest(tmp_path / "folder/embed_model")["columns"]
    assert "Athens" not in columns["city"]["vocabulary"]


# ------------------------------------------------------------------------------------ databases


def everything(folder, *results):
    """All that a run has left, on disk and on the screen."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    said = [(result.stdout + result.stderr).encode() for result in results]
    return b"\0".join(files + said)


def secret(text):
    return any(part.encode() in text for part in (PASSWORD, "s3cr%3At", "s3cr:t"))


def test_a_database_from_its_first_row_to_predictions(tmp_path, postgres, connection, monkeypatch):
    table = shops()
    fill(connection, "visits", table)
    output = tmp_path / "o"
    query = "SELECT * FROM visits WHERE city IS NULL OR city LIKE '%' ORDER BY \"day\", x, y"
    first = succeeded(
        run(FIRST, "--data", postgres.url, "--sql", query, *ROLES, "--output", output)
    )
    recorded = manifest(output)
    assert recorded["options"]["data"] == [postgres.bare_url]
    assert recorded["options"]["sql"] == query
    # The second script needs no database while the rows are kept, not even the password.
    connection.execute("ALTER TABLE visits RENAME TO moved")
    again = ["--embeddings", output, "--epochs", 1, "--no-report"]
    second = succeeded(run(SECOND, *again))
    assert (output / "embed_model/model.keras").exists()
    assert not secret(everything(tmp_path, first, second))
    # They are read again where they are gone, and refused where they are others.
    shutil.rmtree(tmp_path / ".o/cache")
    message = refused(run(SECOND, *again))  # a process that has never been told the password
    assert "DATABASE_PASSWORD" in message and "visits" not in message
    monkeypatch.setenv("DATABASE_PASSWORD", PASSWORD)
    before = tree(output)
    message = refused(call(SECOND, *again))
    assert 'relation "visits" does not exist' in message
    connection.execute("ALTER TABLE moved RENAME TO visits")
    succeeded(call(SECOND, *again))
    shutil.rmtree(tmp_path / ".o/cache")
    connection.execute("UPDATE visits SET y = y + 1 WHERE ctid = (SELECT min(ctid) FROM visits)")
    after = tree(output)
    message = refused(call(SECOND, *again))
    assert "have changed since" in message and "build_embeddings.py again" in message
    assert tree(output) == after and before.keys() == after.keys()
    # New rows are predicted from a database as from a file.
    connection.execute("UPDATE visits SET y = y - 1 WHERE ctid = (SELECT max(ctid) FROM visits)")
    new = "SELECT * FROM visits ORDER BY zip, y, x"
    rows = connection.execute(new)
    names = [column.name for column in rows.description]
    write(pd.DataFrame(rows.fetchall(), columns=names), tmp_path / "n.csv")
    predict = ["--embeddings", output, "--predict"]
    third = succeeded(
        call(SECOND, *predict, postgres.url, "--sql", new, "--output", tmp_path / "a")
    )
    succeeded(call(SECOND, *predict, tmp_path / "n.csv", "--output", tmp_path / "b"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert not secret(everything(tmp_path, third))


def test_types_of_a_database(tmp_path, postgres, connection):
    connection.execute("""
        CREATE TYPE mood AS ENUM ('good', 'bad');
        CREATE TABLE types AS SELECT
            (i % 7) * 1.50::numeric(10, 2) AS price, (i % 5)::money AS amount, i % 2 = 0 AS open,
            DATE '2024-01-01' + i % 40 AS day, TIMESTAMPTZ '2024-01-01 23:30-05' + i * interval
            '1 hour' AS moment, ('00000000-0000-0000-0000-00000000000' || i % 4)::uuid AS device,
            json_build_object('a', i) AS document, ARRAY[i, i] AS tags,
            CASE WHEN i % 3 = 0 THEN 'good' ELSE 'bad' END::mood AS mood,
            CASE WHEN i % 5 > 0 THEN 9007199254740992 + i % 2 END AS big,
            CASE WHEN i % 4 = 1 THEN 'NA' WHEN i % 4 > 1 THEN 'x' END AS country,
            i % 6 AS "Quoted ""name"" %", i * 0.5 AS y
        FROM generate_series(0, 119) AS i""")
    options = ["--data", postgres.url, "--target", "y", "--epochs", 1, "--output", tmp_path / "o"]
    options += ["--categorical", "price", "big"]
    result = succeeded(call(FIRST, *options, "--sql", "types"))
    columns = manifest(tmp_path / "o")["columns"]
    values = {name: column["vocabulary"] for name, column in columns.items()}
    assert values["price"] == [0.0, 1.5, 3.0, 4.5, 6.0, 7.5, 9.0]
    assert values["open"] == [False, True]
    assert values["device"] == [f"00000000-0000-0000-0000-00000000000{i}" for i in range(4)]
    assert values["mood"] == ["bad", "good"]
    assert values["big"] == [2**53, 2**53 + 1] and columns["big"]["rows"][0] > 0
    assert values["country"] == ["NA", "x"] and columns["country"]["rows"][0] > 0  # NULL
    assert values['Quoted "name" %'] == list(range(6))
    assert values["day_month"] == [1, 2]
    assert values["moment_hour"][0] == 0 and 4 in values["moment_hour"]  # in UTC
    for column in ("document", "tags"):
        assert f"'{column}' is left out: lists or other compound values" in result.stdout
        named = call(FIRST, *options, column, "--sql", "types")
        assert f"'{column}'" in (message := refused(named)) and "compound" in message


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("Shop_sale", ["no table 'Shop_sale'", "did you mean 'shop_sales'?"]),
        ("nothing.shop_sales", ["no table 'nothing.shop_sales'"]),
        ("SELECT * FROM nothing", ['"nothing" does not exist', "correct --sql"]),
        ("SELECT city, city FROM shop_sales", ["'city' is there twice"]),
        ("SELECT * FROM shop_sales WHERE false", ["no rows"]),
        ("DELETE FROM shop_sales", ["only one SELECT"]),
        ("SELECT 1; DELETE FROM shop_sales", ["only one SELECT"]),
        ("WITH x AS (DELETE FROM shop_sales RETURNING *) SELECT * FROM x", ["only one SELECT"]),
        ("SELECT remove()", ["read-only transaction"]),
        ("SELECT CASE WHEN i = 150000 THEN pg_terminate_backend(pg_backend_pid())::int ELSE i "
         "END AS y, i % 5 AS c FROM generate_series(1, 200000) AS i",
         ["terminat", "run the same command again"]),
        (None, ["--sql: name the table"]),
    ],
)  # fmt: skip
def test_what_a_database_refuses(tmp_path, postgres, connection, sql, parts):
    if connection.execute("SELECT to_regclass('shop_sales')").fetchone()[0] is None:
        fill(connection, "shop_sales", shops(60))
        connection.execute(
            "CREATE FUNCTION remove() RETURNS int LANGUAGE sql AS "
            "'DELETE FROM shop_sales RETURNING 1'"
        )
    query = [] if sql is None else ["--sql", sql]
    result = call(
        FIRST, "--data", postgres.url, *query, "--target", "y", "--output", tmp_path / "o"
    )
    message = refused(result)
    for part in parts:
        assert part in message, message
    assert not secret(everything(tmp_path, result))
    assert not (tmp_path / "o").exists()
    assert connection.execute("SELECT count(*) FROM shop_sales").fetchone() == (60,)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("s3cr", "wrong"), ["password authentication failed", "DATABASE_PASSWORD"]),
        (("tester:s3cr%3At%2F%25%40@", "tester@"), ["no password supplied", "DATABASE_PASSWORD"]),
        (("%40@", "@@"), ["cannot be told from the address", "DATABASE_PASSWORD"]),
        (("postgres?", "postgres?password=s3cr:t&"), ["cannot be told from the address"]),
        (("postgresql:", "nosuch:"), ["SQLAlchemy knows no such database"]),
        (("127.0.0.1:", "127.0.0.1:x"), ["no address of a database"]),
    ],
)
def test_addresses_that_do_not_do(tmp_path, postgres, change, parts):
    address = (postgres.url + "?connect_timeout=9").replace(*change)
    result = run(
        FIRST, "--data", address, "--sql", "t", "--target", "y", "--output", tmp_path / "o"
    )
    message = refused(result)
    for part in parts:
        assert part in message, message
    assert not secret(everything(tmp_path, result))
    result = run(FIRST, "--target", "y", postgres.url)  # in the wrong place
    assert result.returncode == 2 and not secret(everything(tmp_path, result))


def test_an_interrupted_run_goes_on_with_its_own_rows(tmp_path, monkeypatch):
    database = sqlite3.connect(tmp_path / "shop.db")
    shops().to_sql("sales", database, index=False)
    options = ["--data", "sqlite:///shop.db", "--sql", "sales", "--target", "sales", "--epochs", 2]
    options += ["--drop", "bought", "paint", "--output", tmp_path / "o"]

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("data.training.results.fit_shift_to_mean", stop)
        assert call(FIRST, *options, cwd=tmp_path).returncode == 130
    database.execute("DELETE FROM sales WHERE shop = 3")
    database.commit()
    database.close()
    succeeded(call(FIRST, *options, "--resume", cwd=tmp_path))
    assert 3 in manifest(tmp_path / "o")["columns"]["shop"]["vocabulary"]
    succeeded(call(FIRST, *options, cwd=tmp_path))  # a new run reads anew
    assert 3 not in manifest(tmp_path / "o")["columns"]["shop"]["vocabulary"]


# --------------------------------------------------------------------- files of other formats


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with tables of which something is wrong."""
    folder = tmp_path_factory.mktemp("wrong")
    table = shops(60)
    records = json.loads(table.to_json(orient="records", date_format="iso"))
    lines = [json.dumps(record) for record in records]
    nested = [json.dumps(record | {"tags": [1, 2]}) for record in records]
    (folder / "nested.jsonl").write_text("\n".join(nested))
    (folder / "cut.json").write_text("[" + ",".join(lines)[:-40])
    (folder / "broken.jsonl").write_text("\n".join([*lines[:7], '{"city": Oslo}', *lines[7:]]))
    (folder / "numbers.json").write_text("[1, 2]")
    (folder / "hidden.csv").write_text("\n".join(lines))
    (folder / "late.ndjson").write_text("\n".join([*lines * 200, '{"new": 1}']))
    with pd.ExcelWriter(folder / "title.xlsx") as book:
        table.to_excel(book, sheet_name="Sales", index=False, startrow=2)
        book.sheets["Sales"]["A1"] = "Sales of 2024"
    with pd.ExcelWriter(folder / "two.xlsx") as book:
        table.to_excel(book, sheet_name="Sales", index=False)
        table.to_excel(book, sheet_name="Notes", index=False)
    (folder / "not.xlsx").write_text("city,sales")
    shutil.copy(folder / "two.xlsx", folder / "workbook.csv")
    (folder / "not.feather").write_text("city,sales")
    table.to_feather(folder / "arrow.csv")
    with sqlite3.connect(folder / "shop.db") as database:
        table.to_sql("sales", database, index=False)
    database.close()
    write(table, folder / "good.csv")
    return folder


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nested.jsonl", "--categorical", "tags"], ["'tags'", "compound"]),
        (["cut.json"], ["cut.json: row 59 is not JSON"]),
        (["broken.jsonl"], ["broken.jsonl: row 7 is not JSON"]),
        (["numbers.json"], ["row 0 is no record"]),
        (["hidden.csv"], ["this is JSON", ".jsonl"]),
        (["late.ndjson"], ["'new' comes in row 12000"]),
        (["title.xlsx"], ["names 1 of 11 columns", "delete the lines above"]),
        (["two.xlsx"], ["Sales, Notes", "--sheet"]),
        (["two.xlsx", "--sheet", "Sale"], ["no sheet 'Sale'", "Sales, Notes"]),
        (["not.xlsx"], ["cannot be read as a workbook", "anew"]),
        (["workbook.csv"], [".xlsx"]),
        (["not.feather"], ["cannot be read as Arrow"]),
        (["arrow.csv"], ["this is an Arrow file"]),
        (["shop.db"], ["sqlite:///FILE, with --sql TABLE"]),
        (["good.csv", "--sql", "sales"], ["--sql: this goes with the address of a database"]),
        (["good.csv", "--sheet", "Sales"], ["--sheet: this goes with a workbook"]),
        (["https://example.org/t.csv"], ["download the file first"]),
        (["s3://bucket/t.parquet"], ["download the file first"]),
        (["sqlite:///shop.db", "--sql", "Sale"], ["did you mean 'sales'?"]),
        (["sqlite:///none.db", "--sql", "sales"], ["none.db: there is no such file"]),
        (["sqlite:///shop.db", "--sql", "sales", "--test-data", "sqlite:///shop.db"],
         ["named for two parts"]),
    ],
)  # fmt: skip
def test_files_that_are_refused(folder, arguments, parts):
    before = tree(folder)
    result = call(FIRST, "--data", *arguments, "--target", "sales", "--output", "o", cwd=folder)
    message = refused(result)
    for part in parts:
        assert part in message, message
    assert tree(folder) == before


def test_nested_values_are_left_out_and_said(folder, tmp_path):
    result = succeeded(
        call(FIRST, "--data", folder / "nested.jsonl", *ROLES, "--output", tmp_path / "o")
    )
    assert "'tags' is left out: lists or other compound values" in result.stdout


def test_codes_are_read_as_a_workbook_shows_them(tmp_path):
    table = shops(60).assign(code=lambda table: table["shop"] * 7)
    table["answer"] = np.array(["n/a", "yes", "no"])[np.arange(60) % 3]
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        table.to_excel(book, index=False, sheet_name="One")
        pd.DataFrame({"a": [1]}).to_excel(book, index=False, sheet_name="Two")
        sheet = book.sheets["One"]
        (place,) = [cell.column for cell in sheet[1] if cell.value == "code"]
        for row in range(2, 62):
            sheet.cell(row, place).number_format = "0000"
    options = ["--sheet", "One", *ROLES, "--categorical", "code", "--output", tmp_path / "o"]
    succeeded(call(FIRST, "--data", tmp_path / "t.xlsx", *options))
    columns = manifest(tmp_path / "o")["columns"]
    assert columns["code"]["vocabulary"][0] == "0007"
    assert columns["zip"]["vocabulary"][0] == "00001"
    assert columns["answer"]["vocabulary"] == ["no", "yes"]  # n/a is typed for missing


@pytest.mark.parametrize(
    ("module", "name", "install"),
    [
        ("openpyxl", "two.xlsx", "pip install openpyxl"),
        ("sqlalchemy", "sqlite:///shop.db", "pip install sqlalchemy"),
        ("pyarrow", "not.feather", "pip install pyarrow"),
    ],
)
def test_a_package_that_is_not_there_is_named(folder, monkeypatch, module, name, install):
    for loaded in [each for each in sys.modules if each.partition(".")[0] == module]:
        monkeypatch.setitem(sys.modules, loaded, None)
    monkeypatch.setitem(sys.modules, module, None)
    query = ["--sql", "sales"] if ":" in name else []
    result = call(FIRST, "--data", name, *query, "--target", "sales", "--output", "o", cwd=folder)
    assert install in refused(result)
