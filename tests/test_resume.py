"""--resume goes on from the last completed epoch and ends with the very same bits."""

import os
import shutil
import signal
import zipfile

import numpy as np
import pandas as pd
import pytest
from benchmarks.kills import FIRST, SECOND, Pair, forks, left_over, look, write_table
from conftest import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from data import InputError
from data.training.checkpoint import Checkpoint

forked = pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forks")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The second script, with few rows, has a last fit after the first."""
    pair = Pair(forks(), tmp_path_factory.mktemp("resume"), epochs=4)
    for options in pair.options.values():
        options.append("--no-report")  # which takes longer than the training
    pair.whole = pair.finish(FIRST, 1)
    return pair


def checkpoints(pair):
    return sorted((pair.output.parent / ".t" / "checkpoint").glob("*.npz"))


def history(folder):
    return pd.read_csv(folder / "history.csv").drop(columns="seconds")


@forked
@pytest.mark.parametrize("script", [FIRST, SECOND])
def test_interrupted_anywhere_it_ends_with_the_same_bits(pair, script):
    folder, how = pair.output, {}
    moments = [
        ["training.part", 3],  # one epoch is complete, the second is not
        ["training.part", 4],  # two more are
        ["cross-fitting.part", 3],
    ]
    if script == SECOND:
        folder = pair.output / "embed_model"
        # As with large tables: the average of the weights takes in some of the steps only.
        how = {
            "before": "import data.training.learner as learner; learner.COPIED_EACH_TIME = 20_000"
        }
        moments = [["training, fine-tuned.part", 3], ["training, fine-tuned.part", 4]]
        moments += [["training, scratch.part", 3], ["last fit, fine-tuned.part", 3]]
        moments += [["last fit, scratch.part", 3], ["last fit, scratch.part", 4]]
    whole = pair.finish(script, 1, **how)
    epochs = history(folder)
    assert len(epochs) == 4
    before = pair.finish(script, 2, **how)  # so that the set to come is another
    assert before != whole
    resume = []
    for moment in (*moments, ["exchange", 0]):  # at the last all is trained, nothing saved
        result = pair.run(script, 1, *resume, die_at=moment, **how)
        assert result.returncode == -signal.SIGKILL and look(pair.output) == before
        resume = ["--resume"]
    assert pair.finish(script, 1, "--resume", **how) == whole
    pd.testing.assert_frame_equal(history(folder), epochs)


def epochs_run(result):
    """Epochs that a run has trained, by the checkpoints that it wrote."""
    return sum(line.startswith("open") and ".part" in line for line in result.operations) - sum(
        "embeddings.json.part" in line and line.startswith("open") for line in result.operations
    )


@forked
def test_without_resume_a_run_starts_anew(pair):
    before = pair.finish(FIRST, 1)
    full = epochs_run(pair.run(FIRST, 1))
    assert pair.run(FIRST, 1, die_at=["training.part", 6]).returncode == -signal.SIGKILL
    again = pair.run(FIRST, 1)
    assert again.returncode == 0 and epochs_run(again) == full
    assert look(pair.output) == before and not left_over(pair.output)
    sentence = refused(pair.run(FIRST, 1, "--resume"))
    assert "no completed epoch" in sentence and "leave out --resume" in sentence


@forked
def test_another_run_is_not_taken_up(pair, tmp_path):
    pair.finish(FIRST, 1)
    assert pair.run(FIRST, 1, die_at=["exchange", 0]).returncode == -signal.SIGKILL
    kept, other = checkpoints(pair), write_table(tmp_path / "t.csv", seed=5)
    for options in (
        ["--seed", 2],
        ["--epochs", 5],
        ["--batch-size", 16],
        ["--learning-rate", 0.1],
        ["--keep-na", "city"],
        ["--data", other, "--replace"],
    ):
        assert "other options or another table" in refused(pair.run(FIRST, 1, "--resume", *options))
    assert "other options or another table" in refused(pair.run(SECOND, 1, "--resume"))
    assert checkpoints(pair) == kept
    for file in kept:
        file.write_bytes(file.read_bytes()[:-100])
    sentence = refused(pair.run(FIRST, 1, "--resume"))
    assert str(kept[0]) in sentence and "damaged" in sentence


@forked
def test_a_final_model_of_another_seed_is_not_taken_up(pair):
    pair.finish(FIRST, 1)
    pair.finish(SECOND, 1)
    assert pair.run(SECOND, 1, die_at=["exchange", 0]).returncode == -signal.SIGKILL
    sentence = refused(pair.run(SECOND, 1, "--resume", "--seed", 2))
    assert "other options or another table" in sentence


@forked
def test_other_vectors_under_the_same_name_are_not_mixed_in(pair, tmp_path):
    """A model on another table is interrupted; meanwhile its vectors are learned anew."""
    pair.finish(FIRST, 1)
    other = Pair(pair.forks, tmp_path)
    other.options[SECOND][1] = pair.output
    other.options[SECOND] += [*other.options[FIRST][:6], "--frozen"]
    killed = other.run(SECOND, 1, die_at=["training.part", 5])
    assert killed.returncode == -signal.SIGKILL
    pair.finish(FIRST, 2)
    assert "other options or another table" in refused(other.run(SECOND, 1, "--resume"))


@forked
@pytest.mark.parametrize("script", [FIRST, SECOND])
def test_ctrl_c_says_how_to_go_on(pair, script):
    interrupted = (
        "import os, signal, data.training.checkpoint as module; from data.training.checkpoint "
        "import Checkpoint; save = Checkpoint.save; "
        "module.SECONDS_BETWEEN = module.TIMES_BETWEEN = 0"
    )
    interrupted += (
        "\ndef saved(self, fit, history, arrays):\n    save(self, fit, history, arrays)\n"
    )
    interrupted += "    if len(history) == 2: os.kill(os.getpid(), signal.SIGINT)\n"
    interrupted += "Checkpoint.save = saved"
    result = pair.run(script, 1, before=interrupted)
    assert result.returncode == 130
    (line,) = result.stderr.strip().splitlines()
    assert "--resume" in line and line.startswith(script)
    assert len(checkpoints(pair)) == 1
    if script == FIRST:
        assert pair.finish(script, 1, "--resume") == pair.whole


@forked
def test_ctrl_c_before_the_first_epoch_promises_nothing(pair):
    interrupted = "import data.tables.dataset\ndef stop(*a, **k): raise KeyboardInterrupt\n"
    interrupted += "data.tables.dataset.split_rows = stop"
    shutil.rmtree(pair.output.parent / ".t", ignore_errors=True)
    result = pair.run(FIRST, 1, before=interrupted)
    assert result.returncode == 130 and result.stderr.strip() == f"{FIRST}: interrupted"


# The checkpoint by itself

RUN = {"options": {"seed": 1}, "files": ["a"]}
HISTORY = [{"epoch": 1, "loss": 0.5, "val_loss": 1.0}, {"epoch": 2, "loss": 0.25, "val_loss": 2.0}]


def some_arrays():
    generator = np.random.default_rng(0)
    return [
        generator.normal(size=(5, 3)).astype("float32"),
        np.array(7, "int64"),
        np.array([1, 2], "uint32"),
        np.empty((0, 4), "float32"),
    ]


@pytest.fixture
def saved(tmp_path):
    Checkpoint(tmp_path / "c", RUN).save("fit", HISTORY, some_arrays())
    return tmp_path / "c"


def reload(folder, run=RUN, like=None):
    return Checkpoint(folder, run, resume=True).load("fit", like or some_arrays())


def test_a_checkpoint_is_loaded_as_it_was_saved(saved):
    found, arrays = reload(saved)
    assert found == HISTORY
    for array, expected in zip(arrays, some_arrays(), strict=True):
        assert array.dtype == expected.dtype and (array == expected).all()
    assert Checkpoint(saved, RUN, resume=True).load("another fit", some_arrays()) is None
    assert [path.name for path in saved.iterdir()] == ["fit.npz"]


def test_the_last_arrays_of_a_checkpoint_may_be_absent_together(saved):
    load, arrays = Checkpoint(saved, RUN, resume=True).load, some_arrays()
    for like, optional in (arrays, arrays[:2]), (arrays[:3], arrays[3:]):
        assert len(load("fit", like, optional)[1]) == 4
    for like, optional in (
        (arrays[:3], []),
        ([*arrays, arrays[0]], arrays[:2]),
        (arrays[:1], arrays[1:3]),
    ):
        with pytest.raises(InputError, match="is damaged"):
            load("fit", like, optional)


def test_a_checkpoint_of_another_run_or_model_is_refused(saved):
    with pytest.raises(InputError, match="other options"):
        reload(saved, run=RUN | {"files": ["b"]})
    for wrong in (np.zeros((5, 4), "float32"), np.zeros((5, 3), "float64")):
        with pytest.raises(InputError, match="is damaged"):
            reload(saved, like=[wrong])


def test_a_pickle_in_a_checkpoint_is_not_opened(saved, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    path = saved / "fit.npz"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            with archive.open(name, "w") as file:
                if name == "0.npy":
                    np.lib.format.write_array(file, np.array([Bomb()], dtype=object))
                else:
                    file.write(content)
    for like in (some_arrays(), [np.array([None], dtype=object)]):
        with pytest.raises(InputError, match="is damaged"):
            reload(saved, like=like)
    assert not (tmp_path / "ran").exists()


@settings(max_examples=300, deadline=None, database=None)
@given(data=st.data())
def test_a_damaged_checkpoint_is_refused_or_whole(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    Checkpoint(folder, RUN).save("fit", HISTORY, some_arrays())
    path = folder / "fit.npz"
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        found, arrays = reload(folder)
    except InputError as error:
        assert "\n" not in str(error) and "--resume" in str(error)
    else:  # a bit that means nothing, such as in a date
        assert found == HISTORY
        assert all((a == b).all() for a, b in zip(arrays, some_arrays(), strict=True))


def test_a_write_that_breaks_off_leaves_the_checkpoint_before(saved, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("data.training.checkpoint.sync", full)
    with pytest.raises(OSError):
        Checkpoint(saved, RUN, resume=True).save("fit", HISTORY * 2, some_arrays())
    assert reload(saved)[0] == HISTORY
