"""A table larger than memory: arrays on disk, exact splits, a full shuffle, full disks."""

import errno
import os
import tempfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_reading import read

from data.tables.disk import DiskArray, keep_on_disk
from data.training import shuffling


@settings(max_examples=100, deadline=None, database=None)
@given(st.integers(0, 300), st.integers(0, 4), st.data())
def test_an_array_on_disk_is_read_like_one_in_memory(rows, columns, data):
    expected = np.random.default_rng(rows).integers(0, 99, (rows, columns), "int32")
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(expected)
    file.flush()
    array = DiskArray(file, "int32", expected.shape)
    array._at_once = data.draw(st.integers(1, 50))
    wanted = data.draw(st.lists(st.integers(0, max(rows - 1, 0)), max_size=60 if rows else 0))
    wanted = np.array(wanted, "int64")
    np.testing.assert_array_equal(array[wanted], expected[wanted])
    start, stop, step = data.draw(st.tuples(*[st.integers(0, 320)] * 2, st.integers(1, 9)))
    np.testing.assert_array_equal(array[start:stop:step], expected[start:stop:step])
    np.testing.assert_array_equal(np.asarray(array), expected)
    for j in range(columns):
        np.testing.assert_array_equal(array[wanted, j], expected[wanted, j])


@pytest.mark.parametrize("bucket_bytes", [1 << 30, 4000])
def test_a_shuffle_holds_every_row_once_and_follows_from_its_seed(
    tmp_path, monkeypatch, bucket_bytes
):
    monkeypatch.setattr(shuffling, "BUCKET_BYTES", bucket_bytes)
    monkeypatch.setattr(shuffling, "TAKEN_AT_ONCE", 70)
    dtype = np.dtype([("row", "int64"), ("more", "float32", (3,))])
    records = np.zeros(5000, dtype)
    records["row"] = np.arange(5000)

    def order(seed):
        blocks = (records[start : start + 300] for start in range(0, 5000, 300))
        random = np.random.default_rng(seed)
        pieces = shuffling.shuffled(blocks, 5000, dtype, random, tmp_path)
        pieces = list(shuffling.regrouped(pieces, 512))
        assert [len(piece) for piece in pieces] == [512] * 9 + [5000 - 9 * 512]
        return np.concatenate(pieces)["row"]

    first, again, other = order([0, 1]), order([0, 1]), order([0, 2])
    np.testing.assert_array_equal(np.sort(first), np.arange(5000))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9
    assert abs(np.corrcoef(first, np.arange(5000))[0, 1]) < 0.1  # no trace of the old order
    assert not any(tmp_path.iterdir())


def test_every_order_is_equally_likely(tmp_path, monkeypatch):
    monkeypatch.setattr(shuffling, "BUCKET_BYTES", 16)
    dtype = np.dtype([("row", "int64")])
    records, random, counts = np.arange(4).view(dtype), np.random.default_rng(0), {}
    for _ in range(4800):
        pieces = shuffling.shuffled([records[:3], records[3:]], 4, dtype, random, tmp_path)
        order = tuple(np.concatenate(list(pieces))["row"].tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24 and 140 < min(counts.values()) < max(counts.values()) < 270


@pytest.mark.parametrize("split_by", [None, "x"])
def test_a_split_in_pieces_has_the_shares_and_the_order_of_the_whole(
    tmp_path, monkeypatch, split_by
):
    monkeypatch.setattr("data.tables.split.CUT_AT_ONCE", 100)
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"c": random.choice(list("abcde"), 1234), "x": random.normal(size=1234)})
    frame["y"] = random.choice(["no", "yes"], 1234, p=[0.7, 0.3])
    dataset = read(tmp_path, frame, split_by=split_by, numeric=["x"], categorical=["c"])
    split = {part: rows[:] for part, rows in dataset.split.items()}
    assert {part: len(rows) for part, rows in split.items()} == {
        "train": 987, "validation": 123, "test": 124,
    }  # fmt: skip
    np.testing.assert_array_equal(np.sort(np.concatenate(list(split.values()))), np.arange(1234))
    if split_by is None:
        shares = [(frame.loc[rows, "y"] == "yes").mean() for rows in split.values()]
        assert np.ptp(shares) < 0.06
    else:
        order = np.argsort(frame[split_by].to_numpy(), kind="stable")
        np.testing.assert_array_equal(split["train"], np.sort(order[:987]))
        np.testing.assert_array_equal(split["test"], np.sort(order[1110:]))


def test_a_full_disk_while_rows_are_kept_is_an_error(tmp_path, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr(
        tempfile,
        "TemporaryFile",
        lambda dir: open("/dev/full", "w+b"),  # noqa: SIM115
    )
    with pytest.raises(OSError) as full:
        keep_on_disk([np.arange(100_000)], tmp_path)
    assert full.value.errno == errno.ENOSPC
