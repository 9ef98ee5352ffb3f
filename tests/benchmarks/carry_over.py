"""Do saved embeddings pay on another target with few rows? Error against number of rows.

    python tests/benchmarks/carry_over.py --sales rossmann.csv --customers rossmann_customers.csv

The tables are those of data/rossmann/prepare.py, the second with `--target Customers`. Embeddings
are learned from all sales but the last tenth by date. They are then used for the number of
customers, with so many rows of it drawn from the same nine tenths, and tested on the last tenth:
our network frozen, fine-tuned and from scratch, and LightGBM (600 trees, L1 on the logarithm,
native categories), each over three draws. Writes carry_over.csv and carry_over.png.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import build_embed_model as second
import build_embeddings as first
from data.dataset import read_dataset, settings_of

CATEGORICAL = [
    "Store", "DayOfWeek", "Year", "Month", "Day", "State", "StateHoliday", "StoreType",
    "Assortment", "PromoInterval", "Promo",
]  # fmt: skip
NUMERIC = ["SchoolHoliday", "Promo2", "CompetitionDistance", "CompetitionMonths"]
COLOURS = {"frozen": "C0", "fine-tuned": "C1", "scratch": "C2", "LightGBM": "C3"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--sales", required=True, help="table of the embeddings")
    parser.add_argument("--customers", required=True, help="table of the other target")
    parser.add_argument("--embeddings", type=Path, help="take these instead of learning them")
    parser.add_argument("--rows", nargs="+", type=int, default=[1000, 5000, 20_000, 100_000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("."))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = arguments.embeddings or learn(arguments.sales, Path(work) / "sales")
        lines = list(measure(folder, arguments, Path(work)))
    table = pd.DataFrame(lines)
    table.to_csv(arguments.output / "carry_over.csv", index=False)
    summary = table.groupby(["rows", "model"]).mape.agg(["mean", "std"]).unstack()
    print(summary.round(4).to_string())
    draw(table, arguments.output / "carry_over.png")


def learn(sales, output):
    """The embeddings of sales, by the first script as a user runs it."""
    sys.argv = ["build_embeddings.py", "--data", sales, "--target", "Sales", "--split-by", "Date"]
    sys.argv += ["--categorical", *CATEGORICAL, "--numeric", *NUMERIC, "--output", str(output)]
    first.main()
    return output


def measure(folder, arguments, work):
    whole = pd.read_csv(arguments.customers, dtype=str, keep_default_na=False)
    cut = int(0.9 * len(whole))
    test = work / "test.csv"
    whole.iloc[cut:].to_csv(test, index=False)
    first.start_tensorflow()
    for rows in arguments.rows:
        for seed in range(arguments.seeds):
            drawn = np.random.default_rng(seed).choice(cut, rows, replace=False)
            train = work / "train.csv"
            whole.iloc[np.sort(drawn)].to_csv(train, index=False)
            for model, mape in compare(folder, train, test, seed, work):
                print(f"{rows:,} rows, seed {seed}, {model}: {mape:.4f}", flush=True)
                yield {"rows": rows, "seed": seed, "model": model, "mape": mape}


def compare(folder, train, test, seed, work):
    """(model, test MAPE) of each way to use a table, or not to use, the embeddings."""
    sys.argv = ["build_embed_model.py", "--embeddings", str(folder), "--data", str(train)]
    sys.argv += ["--test-data", str(test), "--target", "Customers", "--seed", str(seed)]
    sys.argv += ["--categorical", *CATEGORICAL, "--numeric", *NUMERIC]
    options = second.parse()
    sets = second.load_sets(options)
    saved = second.choose_columns(sets, options)
    vocabularies = second.vocabularies_of(saved, sets)

    def build(encoding, recipe, seed, vectors):
        model = second.build_model(encoding, recipe, seed)
        if vectors != "scratch":
            second.load_vectors(model, encoding, saved, frozen=vectors == "frozen")
        return model

    for vectors in ("frozen", "fine-tuned", "scratch"):
        known = {} if vectors == "scratch" else vocabularies
        extend = vectors == "fine-tuned"
        dataset = read_dataset(settings_of(options), work / "cache", known, extend)
        recipe = first.recipe_for(dataset, options, embedding_rate=second.SLOWER)
        model, _, _ = second.fit(partial(build, vectors=vectors), dataset, recipe, seed)
        yield vectors, first.evaluate(model, dataset, "test")[0]["mape"]
    yield "LightGBM", lightgbm_mape(train, test, seed)


def lightgbm_mape(train, test, seed):
    import lightgbm

    frames = []
    for path in (train, test):
        frame = pd.read_csv(path, dtype=dict.fromkeys(CATEGORICAL, str), keep_default_na=False)
        frame[NUMERIC] = frame[NUMERIC].apply(pd.to_numeric, errors="coerce")
        frames.append(frame)
    for column in CATEGORICAL:
        kinds = sorted(set(frames[0][column]))
        for frame in frames:
            frame[column] = pd.Categorical(frame[column].where(frame[column].isin(kinds)), kinds)
    model = lightgbm.LGBMRegressor(
        n_estimators=600, objective="l1", learning_rate=0.05, verbose=-1, random_state=seed
    )
    model.fit(frames[0][CATEGORICAL + NUMERIC], np.log1p(frames[0].Customers))
    predicted = np.expm1(model.predict(frames[1][CATEGORICAL + NUMERIC]))
    return float(np.mean(np.abs(predicted - frames[1].Customers) / frames[1].Customers))


def draw(table, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    for model, part in table.groupby("model"):
        by_rows = part.groupby("rows").mape
        axes.errorbar(
            by_rows.mean().index, by_rows.mean(), by_rows.std(), label=model, marker="o",
            capsize=3, color=COLOURS[model],
        )  # fmt: skip
    axes.set(xscale="log", ylim=(0, None), xlabel="rows of the new table", ylabel="test MAPE")
    axes.set_title("Number of customers, with embeddings learned from sales", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    first.run(main)
