"""Both scripts on rows of the real tables, prepared as their README tells.

REAL_TABLES names the folder with rossmann/ and flights/; without it these tests are skipped.
"""

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, arrays, call, manifest, predictions, read_json, succeeded

pytestmark = pytest.mark.skipif(
    "REAL_TABLES" not in os.environ, reason="REAL_TABLES names no folder with the real tables"
)

TABLES = {
    "rossmann": {
        "cut": "train.csv",
        "target": "Sales",
        "categorical": "Store DayOfWeek Year Month Day State StateHoliday StoreType Assortment "
        "PromoInterval Promo",
        "numeric": "SchoolHoliday Promo2 CompetitionDistance CompetitionMonths",
    },
    "flights": {
        "cut": "flights.csv",
        "target": "arr_delay",
        "categorical": "weekday sched_hour carrier tailnum flight origin dest manufacturer model",
        "numeric": "month day sched_minute distance year_built seats temp wind_speed",
    },
}


@pytest.mark.parametrize("name", TABLES)
def test_both_scripts_run_on_a_real_table(name, tmp_path):
    about, raw = TABLES[name], Path(os.environ["REAL_TABLES"]) / name
    (tmp_path / "raw").mkdir()
    for file in raw.glob("*.csv"):
        if file.name != about["cut"]:
            (tmp_path / "raw" / file.name).symlink_to(file.resolve())
    with open(raw / about["cut"], encoding="utf-8") as whole:
        (tmp_path / "raw" / about["cut"]).write_text("".join(islice(whole, 5_001)))
    table = tmp_path / f"{name}.csv"
    prepare = [sys.executable, str(ROOT / "data" / name / "prepare.py"), str(tmp_path / "raw")]
    subprocess.run([*prepare, "--output", str(table)], check=True, capture_output=True)

    output = tmp_path / "set"
    categorical, numeric = about["categorical"].split(), about["numeric"].split()
    options = ["--data", table, "--target", about["target"], "--split-by", "Date", "--epochs", 2]
    options += ["--categorical", *categorical, "--numeric", *numeric]
    succeeded(call("build_embeddings.py", *options, "--output", output))
    succeeded(call("build_embed_model.py", "--embeddings", output, "--epochs", 2))

    rows = pd.read_csv(table, low_memory=False)
    assert list(manifest(output)["columns"]) == [c for c in rows if c in categorical]
    assert list(manifest(output)["numeric"]) == [c for c in rows if c in numeric]
    assert all(np.isfinite(vectors).all() for vectors in arrays(output).values())
    for folder in (output, output / "embed_model"):
        found = predictions(folder)
        first = found["row"].iloc[0]  # the last tenth, and whole dates
        assert found["row"].tolist() == list(range(first, len(rows)))
        assert rows["Date"][first - 1] < rows["Date"][first] == rows["Date"][int(0.9 * len(rows))]
        actual = rows[about["target"]].iloc[found["row"]]
        np.testing.assert_array_equal(found["actual"], actual)
        assert np.isfinite(found["predicted"]).all()
        assert read_json(folder / "metrics.json")["task"] == "regression"
