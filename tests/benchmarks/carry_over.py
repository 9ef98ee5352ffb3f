"""Do saved embeddings pay on another target with few rows? Error against number of rows.

    python tests/benchmarks/carry_over.py rossmann --first rossmann.csv \\
        --second rossmann_customers.csv
    python tests/benchmarks/carry_over.py flights --first flights.csv --second flights_dep_late.csv

The tables are those of data/rossmann/prepare.py and data/flights/prepare.py, the second of each
with `--target Customers` and `--target dep_late`.

The embeddings are those of the final model, embed_model/, of both scripts in sequence.

rossmann: embeddings learned from all sales but the last tenth by date, used for the number of
customers with so many rows of the same nine tenths, tested on the last tenth (MAPE).
flights: learned from the arrival delays of the first half of the year, used for late departures
with so many rows of July to October, tested on November and December (log loss).

Compared are the second script as it is (the weighted mean of fine-tuned and from scratch), our
network frozen, fine-tuned and from scratch, and LightGBM (600 trees, native categories; L1 on the
logarithm for customers), each over three draws. Writes carry_over_<case>.csv
and .png.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import build_embed_model as second
import build_embeddings as first
from data.cli import run, start_tensorflow
from data.tables.dataset import read_dataset
from data.tables.settings import settings_of

CASES = {
    "rossmann": {
        "targets": ("Sales", "Customers"),
        "metric": "mape",
        "categorical": [
            "Store", "DayOfWeek", "Year", "Month", "Day", "State", "StateHoliday", "StoreType",
            "Assortment", "PromoInterval", "Promo",
        ],
        "numeric": ["SchoolHoliday", "Promo2", "CompetitionDistance", "CompetitionMonths"],
        "title": "Number of customers, with embeddings learned from sales",
    },
    "flights": {
        "targets": ("arr_delay", "dep_late"),
        "metric": "log_loss",
        "categorical": [
            "weekday", "sched_hour", "carrier", "tailnum", "flight", "origin", "dest",
            "manufacturer", "model",
        ],
        "numeric": [
            "sched_minute", "distance", "year_built", "seats", "temp", "dewp", "humid", "wind_dir",
            "wind_speed", "wind_gust", "precip", "pressure", "visib",
        ],
        "title": "Late departures, with embeddings learned from another half-year's arrivals",
    },
}  # fmt: skip
STYLES = {
    "LightGBM": "C3o-", "scratch": "C2o-", "fine-tuned": "C1x--", "frozen": "C0x--", "mean": "C1o-",
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--first", required=True, help="table of the embeddings")
    parser.add_argument("--second", required=True, help="table of the other target")
    parser.add_argument("--embeddings", type=Path, help="take these instead of learning them")
    parser.add_argument("--rows", nargs="+", type=int, default=[1000, 5000, 20_000, 100_000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("."))
    arguments = parser.parse_args()
    case = CASES[arguments.case]
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        folder = arguments.embeddings or learn(case, arguments.first, work)
        lines = list(measure(case, folder, arguments, work))
    table = pd.DataFrame(lines)
    output = arguments.output / f"carry_over_{arguments.case}"
    table.to_csv(f"{output}.csv", index=False)
    summary = table.groupby(["rows", "model"]).error.agg(["mean", "std"]).unstack()
    print(summary.round(4).to_string())
    draw(case, table, f"{output}.png")


def learn(case, path, work):
    """The first table's embeddings, by both scripts as a user runs them."""
    if case["metric"] == "log_loss":
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        path = str(work / "first.csv")
        table[table.Date < "2013-07"].to_csv(path, index=False)
    sys.argv = ["build_embeddings.py", "--data", path, "--target", case["targets"][0]]
    sys.argv += ["--split-by", "Date", "--output", str(work / "set"), *columns(case)]
    first.main()
    sys.argv = ["build_embed_model.py", "--embeddings", str(work / "set")]
    second.main()
    return work / "set/embed_model"


def columns(case):
    return ["--categorical", *case["categorical"], "--numeric", *case["numeric"]]


def measure(case, folder, arguments, work):
    whole = pd.read_csv(arguments.second, dtype=str, keep_default_na=False)
    if case["metric"] == "log_loss":
        whole = whole[whole.Date >= "2013-07"]
        cut = int((whole.Date < "2013-11").sum())
    else:
        cut = int(0.9 * len(whole))
    test = work / "test.csv"
    whole.iloc[cut:].to_csv(test, index=False)
    start_tensorflow()
    for rows in arguments.rows:
        for seed in range(arguments.seeds):
            drawn = np.random.default_rng(seed).choice(cut, min(rows, cut), replace=False)
            train = work / "train.csv"
            whole.iloc[np.sort(drawn)].to_csv(train, index=False)
            for model, error in compare(case, folder, train, test, seed, work):
                print(f"{rows:,} rows, seed {seed}, {model}: {error:.4f}", flush=True)
                yield {"rows": rows, "seed": seed, "model": model, "error": error}


def compare(case, folder, train, test, seed, work):
    """(model, test error) of each way to use a table, or not to use, the embeddings."""
    command = ["build_embed_model.py", "--data", str(train), "--test-data", str(test)]
    command += ["--target", case["targets"][1], "--seed", str(seed), *columns(case)]
    ways = {"mean": [], "frozen": ["--frozen"], "fine-tuned": ["--fine-tune"]}
    for vectors, options in ways.items():
        sys.argv = [*command, "--embeddings", str(folder), "--output", str(work / "carried")]
        sys.argv += [*options, "--no-report"]
        second.main()
        metrics = json.loads((work / "carried/embed_model/metrics.json").read_text())
        yield vectors, metrics["test"][case["metric"]]
    sys.argv = command
    options = second.parse()
    dataset = read_dataset(settings_of(options), work / "cache")
    recipe = second.final_recipe(dataset, options, carried=True)
    model, *_ = second.fit(dataset, recipe, {}, [], None, ["scratch"], seed)
    yield "scratch", second.results.evaluate(model, dataset, "test")[0][case["metric"]]
    yield "LightGBM", lightgbm_error(case, train, test, seed)


def lightgbm_error(case, train, test, seed):
    import lightgbm
    from sklearn import metrics

    frames = []
    for path in (train, test):
        frame = pd.read_csv(path, dtype=dict.fromkeys(case["categorical"], str), na_filter=False)
        frame[case["numeric"]] = frame[case["numeric"]].apply(pd.to_numeric, errors="coerce")
        frames.append(frame)
    for column in case["categorical"]:
        kinds = sorted(set(frames[0][column]))
        for frame in frames:
            frame[column] = pd.Categorical(frame[column].where(frame[column].isin(kinds)), kinds)
    settings = {"n_estimators": 600, "learning_rate": 0.05, "verbose": -1, "random_state": seed}
    features, target = case["categorical"] + case["numeric"], case["targets"][1]
    train, test = frames
    if case["metric"] == "log_loss":
        model = lightgbm.LGBMClassifier(**settings).fit(train[features], train[target])
        shares = model.predict_proba(test[features])
        return metrics.log_loss(test[target], shares, labels=model.classes_)
    model = lightgbm.LGBMRegressor(objective="l1", **settings)
    model.fit(train[features], np.log1p(train[target]))
    predicted = np.expm1(model.predict(test[features]))
    return metrics.mean_absolute_percentage_error(test[target], predicted)


def draw(case, table, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    for model, style in STYLES.items():
        by_rows = table[table.model == model].groupby("rows").error
        mean, spread = by_rows.mean(), by_rows.std()
        axes.errorbar(mean.index, mean, spread, fmt=style, label=model, capsize=3)
    label = {"mape": "test MAPE", "log_loss": "test log loss"}[case["metric"]]
    axes.set(xscale="log", xlabel="rows of the new table", ylabel=label)
    sizes = sorted(table.rows.unique())
    axes.set_xticks(sizes, [f"{rows:,}" for rows in sizes])
    axes.set_title(case["title"], loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    run(main)
