"""Splits that do not flatter: by an order, by groups, by files, and what is refused."""

import gzip
import itertools

import numpy as np
import pandas as pd
import pytest
from conftest import call, make_table, predictions, refused, succeeded, write
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_reading import read, refusal

FIRST, SECOND = "build_embeddings.py", "build_embed_model.py"
PARTS = ("train", "validation", "test")


def table(rows=200, seed=0):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "c": random.choice(list("abcde"), rows),
            "x": random.normal(size=rows).round(3),
            "y": random.normal(size=rows).round(3),
        }
    )


def parts_of(dataset, values):
    """The values of each part: dict of part -> Series."""
    return {part: values.iloc[dataset.split[part][:]] for part in PARTS}


def in_order(dataset, values):
    """Whether no value of a part is also in, or before one of, an earlier part."""
    parts = parts_of(dataset, values)
    return all(
        parts[one].max() < parts[two].min() for one, two in itertools.pairwise(PARTS)
    ) and all(len(part) for part in parts.values())


# ----------------------------------------------------------------- in the order of a column

DAYS = pd.date_range("2023-01-01", periods=730)


@pytest.mark.parametrize(
    "written",
    ["%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%d", "%d %b %Y", "%Y/%m/%d %H:%M", "%d/%m/%Y %H:%M"],
)
def test_dates_are_ordered_as_dates_however_they_are_written(tmp_path, written):
    frame = table(730).assign(when=DAYS.strftime(written))
    order = np.random.default_rng(1).permutation(730)
    frame, days = frame.iloc[order], pd.Series(DAYS[order])
    dataset = read(tmp_path, frame, split_by="when")
    assert in_order(dataset, days)
    low, high = parts_of(dataset, days)["test"].agg(["min", "max"]).astype(str)
    assert f"test: {low} to {high}" in dataset.split_lines


def test_dates_without_leading_zeros_are_dates(tmp_path):
    frame = table(730).assign(when=[f"{day.year}-{day.month}-{day.day}" for day in DAYS])
    assert in_order(read(tmp_path, frame, split_by="when"), pd.Series(DAYS))


@pytest.mark.parametrize("option", ["split only", "categorical", "dates", "numeric"])
@pytest.mark.parametrize("kind", ["dates", "numbers"])
def test_the_order_does_not_depend_on_what_else_the_column_is(tmp_path, option, kind):
    values = pd.Series(DAYS if kind == "dates" else np.arange(-365, 365))
    written = values.dt.strftime("%d.%m.%Y") if kind == "dates" else values
    named = {} if option == "split only" else {option: ["when"]}
    if (option, kind) in (("dates", "numbers"), ("numeric", "dates")):
        pytest.skip("it is not of that kind")
    frame = table(730).assign(when=written)
    if option != "categorical":
        named["categorical"] = ["c"]
    assert in_order(read(tmp_path, frame, split_by="when", **named), values)


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ([f"{hour}:{minute:02}" for hour in range(24) for minute in range(60)], range(1440)),
        ([f"{h % 12 or 12}:{m:02} {'AP'[h > 11]}M" for h in range(24) for m in range(60)],
         range(1440)),
        ([f"{n:04}" for n in range(400)], range(400)),
        ([f"{n}" for n in range(-200, 200)], range(400)),
        ([f"{y}-{m}" for y in range(1990, 2020) for m in range(1, 13)], range(360)),
        ([f"{m}/{y}" for y in range(1990, 2020) for m in range(1, 13)], range(360)),
        ([f"{m} {y}" for y in range(1975, 2025) for m in ("Jan", "April", "Sept.", "Dec")],
         range(200)),
        ([f"Q{q} {y}" for y in range(1950, 2050) for q in range(1, 5)], range(400)),
        ([f"{y}-W{w}" for y in range(2018, 2024) for w in range(1, 53)], range(312)),
        ([f"W{n:03}" for n in range(300)], range(300)),
        ([a + b for a in "abcdefghijklmnopqrst" for b in "abcdefghij"], range(200)),
    ],
    ids=["times", "half days", "leading zeros", "integers", "year-month", "month/year", "names",
         "quarters", "weeks", "padded", "letters"],
)  # fmt: skip
def test_text_whose_order_is_plain_is_ordered(tmp_path, written, values):
    frame = table(len(written)).assign(when=written)
    order = np.random.default_rng(1).permutation(len(frame))
    dataset = read(tmp_path, frame.iloc[order], split_by="when", categorical=["c", "when"])
    assert in_order(dataset, pd.Series(values).iloc[order])


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ([f"W{n}" for n in range(1, 201)], "different orders"),
        ([f"{n}" for n in range(199)] + ["n/k"], "'n/k' in row 199"),
        ([*DAYS.strftime("%Y-%m-%d")[:199], "unknown"], "'unknown' in row 199"),
        ([*DAYS.strftime("%d.%m.%Y")[:199], "soon"], "'soon' in row 199"),
        ([f"{n // 10 % 12 + 1:02}/{n // 20 + 1:02}/2024" for n in range(200)], "two ways"),
        (["January", "February", "March", "April"] * 50, "names of days or months"),
        (["Mon", "Tue", "Wed", "Thu"] * 50, "names of days or months"),
        ([f"{m}-{y}" for m in ("Jan", "Feb", "Mar", "Oct") for y in range(10, 60)], "of days or"),
        ([f"{m:02}/{y}" for m in (1, 2, 3, 10) for y in range(10, 60)], "'01/10'"),
        ([f"Q{q}'{y}" for q in (1, 2, 3, 4) for y in range(10, 60)], "year comes last or may"),
        ([f"batch {n % 7} of {2000 + n // 7}" for n in range(200)], "year comes last"),
        ([f"{n % 24}:{n % 60:02}" for n in range(199)] + ["25:00"], "'25:00' in row 199"),
    ],
)  # fmt: skip
def test_what_cannot_be_ordered_for_sure_is_refused(tmp_path, written, part):
    message = refusal(read, tmp_path, table().assign(when=written), split_by="when")
    assert "'when'" in message and part in message, message
    assert message.startswith("--split-by") or "--date-order" in message


def test_a_missing_value_in_the_order_is_refused(tmp_path):
    when = pd.Series(DAYS[:200].strftime("%d.%m.%Y"))
    when[17] = None
    message = refusal(read, tmp_path, table().assign(when=when), split_by="when")
    assert message.startswith("--split-by") and "missing in row 17" in message


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=10, max_size=80),
    st.sampled_from([(), ("test",), ("validation",)]),
)
def test_equal_keys_go_to_one_part_and_no_part_is_empty(tmp_path_factory, keys, given_parts):
    folder = tmp_path_factory.mktemp("keys")
    frame = table(len(keys)).assign(k=keys)
    options = {f"{part}_data": [str(folder / f"{part}.csv")] for part in given_parts}
    for part in given_parts:
        write(table(30, seed=1).assign(k=0), folder / f"{part}.csv")
    cut = [part for part in ("validation", "test") if part not in given_parts]
    if len(set(keys)) < len(cut) + 1:
        message = refusal(read, folder, frame, split_by="k", categorical=["c"], **options)
        assert "--split-by" in message and "too few" in message
        return
    dataset = read(folder, frame, split_by="k", categorical=["c"], **options)
    rows = [dataset.split[part][:] for part in ("train", *cut)]
    found = [frame["k"].iloc[part] for part in rows]
    assert all(one.max() < two.min() for one, two in itertools.pairwise(found))
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(len(keys)))


def test_shares_far_from_a_tenth_are_told(tmp_path):
    frame = table().assign(year=np.repeat([2021, 2022, 2023, 2024], 50))
    (note,) = read(tmp_path, frame, split_by="year").notes
    assert "'year'" in note and "validation 25%, test 25%" in note
    frame["year"] = np.arange(200)
    assert read(tmp_path, frame, split_by="year").notes == []


def test_the_screen_shows_the_range_of_each_part(tmp_path):
    frame = table(100).assign(when=DAYS[:100].strftime("%d.%m.%Y"))
    path = write(frame, tmp_path / "t.csv")
    said = succeeded(call(FIRST, "--data", path, "--target", "y", "--split-by", "when", "--epochs",
                          1, "--output", tmp_path / "o")).stdout  # fmt: skip
    assert "\ntest: 2023-04-01 to 2023-04-10\n" in said
    assert "\ntrain: 2023-01-01 to 2023-03-21\n" in said
    assert "random" not in said


def test_dates_without_a_split_by_bring_one_note(tmp_path):
    frame = table().assign(day=DAYS[:200], other=DAYS[:200])
    notes = read(tmp_path, frame).notes
    assert len(notes) == 1 and "--split-by day" in notes[0] and "flatters" in notes[0]
    assert read(tmp_path, frame, drop=["day", "other"]).notes == []
    assert read(tmp_path, frame, split_by="day").notes == []


# --------------------------------------------------------------------------------- groups


def customers(rows=300, n=40, seed=0):
    random = np.random.default_rng(seed)
    days = np.sort(random.integers(0, 100, rows))
    return table(rows, seed).assign(
        customer=[f"c{i}" for i in random.integers(0, n, rows)], day=DAYS[days].astype(str)
    )


def apart(dataset, groups):
    """Whether no group is in two parts, and no part is empty."""
    sets = [set(part) for part in parts_of(dataset, groups).values()]
    return all(sets) and sum(map(len, sets)) == len(set().union(*sets))


def test_groups_stay_together_at_random_by_the_seed(tmp_path):
    frame = customers()
    one, again, other = (read(tmp_path, frame, group="customer", seed=s) for s in (1, 1, 2))
    for dataset in (one, again, other):
        assert apart(dataset, frame["customer"])
        assert 0.75 < len(dataset.split["train"]) / 300 < 0.85
    assert (one.split["test"][:] == again.split["test"][:]).all()
    assert set(one.split["test"][:]) != set(other.split["test"][:])
    assert one.roles["customer"].role == "group"
    n = frame["customer"].iloc[one.split["test"][:]].nunique()
    assert any(line.endswith(f" {n} test") for line in one.split_lines)


def test_groups_in_order_are_placed_by_their_last_row(tmp_path):
    frame = customers(n=150)
    dataset = read(tmp_path, frame, group="customer", split_by="day")
    assert apart(dataset, frame["customer"])
    assert in_order(dataset, frame.groupby("customer")["day"].transform("max"))


@pytest.mark.parametrize("kind", ["text", "integers", "floats", "feature", "quantity", "dates"])
def test_groups_of_any_kind_stay_together(tmp_path, kind):
    frame, more = customers(), {}
    numbers = frame["customer"].str[1:].astype(int)
    if kind in ("integers", "feature", "quantity"):
        frame["customer"] = numbers * 1_000_003
    if kind == "floats":
        frame["customer"] = numbers + 0.5
    if kind == "dates":
        frame["customer"] = DAYS[numbers]
    if kind in ("feature", "quantity"):
        more["categorical" if kind == "feature" else "numeric"] = ["customer"]
    dataset = read(tmp_path, frame, group="customer", **more)
    assert apart(dataset, frame["customer"])
    unseen = [note for note in dataset.notes if "no category of 'customer'" in note]
    assert len(unseen) == (kind == "feature")


def test_a_huge_group_trains(tmp_path):
    frame = customers()
    frame.loc[50:, "customer"] = "c0"
    for seed in range(5):
        dataset = read(tmp_path, frame, group="customer", seed=seed)
        assert apart(dataset, frame["customer"])
        assert "c0" in set(parts_of(dataset, frame["customer"])["train"])
        assert min(len(dataset.split[part]) for part in PARTS) > 10


def test_a_group_that_is_also_the_order_is_as_the_order_alone(tmp_path):
    frame = customers()
    one = read(tmp_path, frame, group="day", split_by="day")
    other = read(tmp_path, frame, split_by="day")
    for part in PARTS:
        np.testing.assert_array_equal(one.split[part], other.split[part])


@pytest.mark.parametrize(
    ("change", "more", "parts"),
    [
        ({"customer": ["a", "b"] * 150}, {}, ["too few different groups", "'customer'"]),
        ({"customer": ["a"] * 300}, {}, ["too few different groups"]),
        ({"customer": [None] + ["a", "b", "c"] * 99 + ["a"] * 2}, {}, ["missing in row 0"]),
        ({}, {"group": "costumer"}, ["did you mean 'customer'?"]),
        ({}, {"group": "y"}, ["'y' is the target"]),
        ({"customer": [f"c{i // 3}" for i in range(300)], "day": ["2024-01-01"] * 300},
         {"split_by": "day"}, ["too few different values", "'day'", "'customer'"]),
    ],
)  # fmt: skip
def test_groups_that_cannot_be_parted_are_refused(tmp_path, change, more, parts):
    options = {"group": "customer", "categorical": ["c"]} | more
    message = refusal(read, tmp_path, customers().assign(**change), **options)
    assert message.startswith("--group")
    for part in parts:
        assert part in message, message


def test_a_group_that_is_called_na_is_told_how_to_stay(tmp_path):
    frame = customers().replace({"customer": {"c0": "NA"}})
    message = refusal(read, tmp_path, frame, group="customer", categorical=["c"])
    assert "fill it, give --keep-na customer if 'NA' is a group, or group by another" in message
    dataset = read(tmp_path, frame, group="customer", categorical=["c"], keep_na=["customer"])
    assert apart(dataset, frame["customer"])


def test_groups_beside_a_test_file(tmp_path):
    frame, test = customers(), customers(60, seed=1)
    path = str(write(test, tmp_path / "test.csv"))
    message = refusal(read, tmp_path, frame, group="customer", test_data=[path])
    assert message.startswith("--group") and "--test-data" in message
    test["customer"] = "new " + test["customer"]
    write(test, tmp_path / "test.csv")
    dataset = read(tmp_path, frame, group="customer", test_data=[path])
    assert apart(dataset, pd.concat([frame, test])["customer"])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), min_size=10, max_size=80),
    st.booleans(),
)
@example([(0, 0)] * 6 + [(1, 0)] * 2 + [(2, 0)] * 2, False)  # two large ones are of one size
def test_any_groups_stay_together_or_are_refused(tmp_path_factory, rows, ordered):
    frame = table(len(rows)).assign(g=[g for g, _ in rows], k=[k for _, k in rows])
    folder, options = tmp_path_factory.mktemp("groups"), {"group": "g", "categorical": ["c"]}
    if ordered:
        options["split_by"] = "k"
    places = frame.groupby("g")["k"].max() if ordered else frame["g"]
    if places.nunique() < 3:
        assert "--group" in refusal(read, folder, frame, **options)
        return
    dataset = read(folder, frame, **options)
    assert apart(dataset, frame["g"])
    if ordered:
        assert in_order(dataset, frame.groupby("g")["k"].transform("max"))


def test_the_second_script_keeps_groups_together(tmp_path):
    frame = customers()
    path, output = write(frame, tmp_path / "t.csv"), tmp_path / "o"
    succeeded(call(FIRST, "--data", path, "--target", "y", "--group", "customer", "--split-by",
                   "day", "--epochs", 1, "--output", output))  # fmt: skip
    rows = predictions(output)["row"]
    succeeded(call(SECOND, "--embeddings", output, "--epochs", 1))
    assert predictions(output / "embed_model")["row"].tolist() == rows.tolist()
    assert not set(frame["customer"].iloc[rows]) & set(frame["customer"].drop(rows))


# --------------------------------------------------------------------- files of their own


@pytest.fixture
def files(tmp_path):
    """Two files that train, one to test, and copies of them."""
    for i, name in enumerate(["jan", "feb", "test", "new"]):
        write(table(60, seed=i), tmp_path / f"{name}.csv")
    (tmp_path / "copy.csv").write_bytes((tmp_path / "jan.csv").read_bytes())
    (tmp_path / "copy.csv.gz").write_bytes(gzip.compress((tmp_path / "jan.csv").read_bytes()))
    (tmp_path / "link.csv").symlink_to(tmp_path / "jan.csv")
    write(table(60).assign(y=None), tmp_path / "blind.csv")
    write(table(60, seed=5).head(0), tmp_path / "empty1.csv")
    write(table(60, seed=5).head(0), tmp_path / "empty2.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--data jan.csv --test-data jan.csv", ["--test-data", "jan.csv", "the same file"]),
        ("--data jan.csv --test-data copy.csv", ["--test-data", "copy.csv", "jan.csv"]),
        ("--data jan.csv --test-data copy.csv.gz", ["--test-data", "the same rows as --data"]),
        ("--data jan.csv --test-data link.csv", ["--test-data", "link.csv"]),
        ("--data jan.csv feb.csv copy.csv", ["--data", "copy.csv", "jan.csv"]),
        ("--data ???.csv --validation-data feb.csv", ["--validation-data", "feb.csv"]),
        ("--data jan.csv --test-data ?e?t.csv --validation-data test.csv", ["test.csv"]),
        ("--data jan.csv --test-data blind.csv", ["--test-data", "no row has a target"]),
        ("--data jan.csv --validation-data blind.csv", ["--validation-data", "no row has"]),
    ],
)  # fmt: skip
def test_files_that_cannot_judge_are_refused(files, options, parts):
    message = refused(call(FIRST, *options.split(), "--target", "y", "--output", "o", cwd=files))
    for part in parts:
        assert part in message, message
    assert not (files / "o").exists()


def test_files_without_rows_may_be_the_same(files):
    names = [str(files / f"{name}.csv") for name in ("jan", "empty1", "empty2")]
    dataset = read(files, names, test_data=[str(files / "test.csv")])
    assert dataset.table.parts == {"data": 60, "validation": 0, "test": 60}
    assert dataset.table.place(60) == ("test", 0)


def test_a_test_file_from_before_the_training_rows_is_told(tmp_path):
    early = table(60, seed=1).assign(day=DAYS[:60])
    path = str(write(early, tmp_path / "early.csv"))
    frame = table().assign(day=DAYS[30:230])
    (note,) = read(tmp_path, frame, split_by="day", test_data=[path]).notes
    assert "some test rows come before training rows by 'day'" in note
    frame["day"] = DAYS[300:500]
    later = table(60, seed=1).assign(day=DAYS[600:660])
    write(later, tmp_path / "early.csv")
    assert read(tmp_path, frame, split_by="day", test_data=[path]).notes == []


def test_classes_keep_their_shares_at_random(tmp_path):
    frame = make_table(1000)[["city", "shop", "paint"]]
    dataset = read(tmp_path, frame, target="paint")
    shares = [values.value_counts(normalize=True) for values in
              parts_of(dataset, frame["paint"]).values()]  # fmt: skip
    for share in shares[1:]:
        assert (share - shares[0]).abs().max() < 0.01
