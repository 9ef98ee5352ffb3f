"""Training learns: every epoch ends in weights that have taken in its steps."""

import numpy as np
import pandas as pd
import pytest
from conftest import arrays, call, succeeded, write

IDS = [f"id_{i}" for i in range(10)]


@pytest.mark.parametrize("weights_at_once", [20_000, 2_000_000])
def test_each_epoch_of_few_steps_changes_what_is_validated(tmp_path, monkeypatch, weights_at_once):
    """Also where the average takes in a block of steps now and then only, as with large tables."""
    monkeypatch.setattr("data.training.learner.COPIED_EACH_TIME", weights_at_once)
    n_rows = 600
    random = np.random.default_rng(0)
    table = pd.DataFrame({c: random.integers(0, n_rows // 2, n_rows) for c in IDS}).astype(str)
    table["y"] = random.normal(size=n_rows) + table["id_0"].astype(int) % 7
    data = write(table, tmp_path / "ids.csv")
    for rate in ("0.01", "1e-12"):
        options = ["--target", "y", "--categorical", *IDS, "--epochs", 3, "--batch-size", 8192]
        options += ["--learning-rate", rate, "--output", tmp_path / rate, "--no-report"]
        succeeded(call("build_embeddings.py", "--data", data, *options))
    losses = pd.read_csv(tmp_path / "0.01" / "history.csv")["val_loss"]
    assert losses.nunique() == 3
    learned, still = arrays(tmp_path / "0.01"), arrays(tmp_path / "1e-12")
    assert all((learned[column] != still[column]).any() for column in IDS)
