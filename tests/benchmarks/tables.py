"""How good is the pair over many tables? Its errors beside those of other methods.

    python tests/benchmarks/tables.py                       # every table that is there, 3 seeds
    python tests/benchmarks/tables.py --short               # 2,000 rows of each, 1 seed
    python tests/benchmarks/tables.py --tables rossmann flights --seeds 5
    python tests/benchmarks/tables.py --data sales.csv --target Sales --split-by Date

Runs both scripts as a user does, with default options, then on the same train and test rows:

    embeddings alone   the first script's model
    final model        as build_embed_model.py makes it by default
    fine-tuned, frozen the same with --fine-tune, with --frozen
    scratch            the final network without saved vectors, same recipe
    scratch, same time the same with as many epochs as the training time of both scripts allows,
                       the best of them by validation
    lightgbm, catboost, histgb, linear    those of peers.py
    baseline           the training mean, or the classes' shares

The seed changes the split (but for those by date), the initial weights and the order of rows. The
peers learn from training and validation rows; those that stop early do so by the last tenth of
these, which are validation rows (on rossmann their number of trees is fixed, see peers.py). They
learn log(1 + target) where our network does.
Ratios are of test errors within one run, below 1 where ours is better.

Tables: the shipped one; rossmann.csv and flights.csv where their prepare.py has written them; and
generated ones: the categories have hidden vectors and long-tailed frequencies, and there is noise.
Writes tables.csv (one line for each table, seed and model, as they come) and tables.md.
"""

import argparse
import contextlib
import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import peers
from reporting import machine, markdown, middle

import build_embed_model as second
from data.cli import SHIPPED, start_tensorflow
from data.sets.manifest import saved_settings
from data.tables.dataset import read_dataset
from data.training.scoring import score

OURS = ("embeddings alone", "final model", "fine-tuned", "frozen", "scratch", "scratch, same time")
PEERS = ("lightgbm", "catboost", "histgb", "linear")
SHORT = 2_000  # rows of a table with --short


def main():
    options = parse()
    lines = []
    with tempfile.TemporaryDirectory() as work:
        for name in options.tables:
            arguments = prepare(name, options, Path(work))
            for seed in range(options.seeds):
                about = {"table": name, "seed": seed}
                for line in measure(name, arguments, seed, options.peers, Path(work)):
                    lines.append(about | line)
                    pd.DataFrame(lines).to_csv(options.output / "tables.csv", index=False)
                    print(
                        f"{name}, seed {seed}, {line['model']}: {line['metric']} "
                        f"{line[line['metric']]:.4g}, {line['seconds']:.1f} s",
                        flush=True,
                    )
    report = summary(pd.DataFrame(lines), options)
    (options.output / "tables.md").write_text(report, encoding="utf-8")
    print(f"\n{report}")


# ---- one table, one seed ----


def prepare(name, options, work):
    """Write a table, or find it; returns the first script's arguments for it."""
    path = work / f"{name}.csv"
    rows = options.rows
    if name in GENERATED:
        make, most = GENERATED[name]
        make(np.random.default_rng(0), min(rows or most, most)).to_csv(path, index=False)
        return ["--data", path, "--target", "target"]
    source, arguments = existing(name, options)
    if rows is None:
        return ["--data", source, *arguments]
    whole = pd.read_csv(source, dtype=str, keep_default_na=False)
    drawn = np.random.default_rng(0).permutation(len(whole))[:rows]
    whole.iloc[np.sort(drawn)].to_csv(path, index=False)
    return ["--data", path, *arguments]


def existing(name, options):
    """(file, the first script's arguments) of a table that is there already."""
    if name == "campaigns":
        return SHIPPED["data"][0], ["--target", SHIPPED["target"]]
    if name in peers.TABLES:
        table = peers.TABLES[name]
        arguments = ["--target", table["target"], "--split-by", "Date"]
        arguments += ["--categorical", *table["categorical"], "--numeric", *table["numeric"]]
        return peers.ROOT / "data" / name / f"{name}.csv", arguments
    arguments = ["--target", options.target]
    for option in ("categorical", "numeric", "split_by"):
        if value := getattr(options, option):
            arguments += [f"--{option.replace('_', '-')}", *np.atleast_1d(value)]
    return options.data, arguments


def measure(name, arguments, seed, others, work):
    """One line for each model: about the table, metrics on the test rows, seconds of training."""
    folder = work / "set"
    common = ["--seed", seed]
    run_script("build_embeddings.py", *arguments, *common, "--output", folder)
    settings, _ = saved_settings(read_json(folder / "embeddings.json"), folder)
    dataset = read_dataset(settings, work / "cache")
    alone = read_json(folder / "metrics.json")
    about = describe(name, dataset)
    train_seconds = alone["seconds"]["train"]
    yield line("baseline", alone["baseline"], 0.0, about)
    yield line("embeddings alone", alone["test"], train_seconds, about)

    ways = {"frozen": ["--frozen"], "fine-tuned": ["--fine-tune"], "final model": []}
    for model, how in ways.items():
        run_script("build_embed_model.py", "--embeddings", folder, *common, *how)
        final = read_json(folder / "embed_model" / "metrics.json")
        seconds = train_seconds + final["seconds"]["train"]
        yield line(model, final["test"], seconds, about)

    # A process of its own, as the scripts are; this one stays without TensorFlow.
    with multiprocessing.get_context("spawn").Pool(1) as child:
        for model, metrics, took in child.apply(from_scratch, (folder, seed, seconds)):
            yield line(model, metrics, took, about)

    for model in others:
        yield line(model, *peer(model, name, dataset, seed), about)


def line(model, metrics, seconds, about):
    return {**about, "model": model, "seconds": round(seconds, 2), **metrics}


def describe(name, dataset):
    vocabularies, task = dataset.encoding.vocabularies, dataset.encoding.target.task
    metric = "rmse" if task == "regression" else "log_loss"
    return {
        "rows": dataset.table.rows,
        "categorical": len(vocabularies),
        "largest": max(vocabulary.cardinality for vocabulary in vocabularies),
        "task": task,
        "metric": "mape" if name == "rossmann" else metric,
    }


def run_script(script, *arguments):
    """One of the two scripts, in a process of its own; what it prints is shown if it fails."""
    command = [sys.executable, peers.ROOT / script, *arguments]
    result = subprocess.run([str(word) for word in command], capture_output=True, encoding="utf-8")
    if result.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")


def from_scratch(folder, seed, pair_seconds):
    """Our final network without saved vectors: with the script's epochs, then for the pair's time.

    Args:
        folder: the saved set, which tells how the table is read; pair_seconds: "train" of both
            scripts' metrics.json, which includes the start of TensorFlow.

    Returns:
        list of (model, test metrics, seconds)
    """
    sys.argv = ["build_embed_model.py", "--embeddings", str(folder), "--seed", str(seed)]
    options = second.parse()
    settings, _ = saved_settings(read_json(folder / "embeddings.json"), folder)
    with tempfile.TemporaryDirectory() as work, quiet():
        dataset = read_dataset(settings, Path(work))
        started = time.monotonic()
        start_tensorflow()
        start = time.monotonic() - started

        def learn(**chosen):
            started = time.monotonic()
            recipe = second.final_recipe(dataset, options, **chosen)
            model, history, _ = second.fit(dataset, recipe, {}, [], None, ["scratch"], seed)
            took = time.monotonic() - started
            return len(history), took, second.results.evaluate(model, dataset, "test")[0]

        epochs, took, metrics = learn()
        found = [("scratch", metrics, took + start)]
        for _ in range(3):  # the last fit's length is not known beforehand
            epochs = max(1, round(epochs * (pair_seconds - 2 * start) / took))
            epochs, took, metrics = learn(epochs=epochs, patience=epochs)
            if took > 0.95 * (pair_seconds - 2 * start):
                break
        return [*found, ("scratch, same time", metrics, took + 2 * start)]


def peer(model, name, dataset, seed):
    """(metrics on the test rows, seconds of training) of one of peers.py."""
    target, table, split = dataset.encoding.target, dataset.table, dataset.split
    frame = {}
    for vocabulary in dataset.encoding.vocabularies:
        texts, codes = table.texts(vocabulary.column)
        frame[vocabulary.column] = np.array([*texts, None], dtype=object)[codes[:]]
    categorical = list(frame)
    for numeric in dataset.encoding.numerics:
        values = table.values(numeric.column)[:]
        frame[numeric.column] = np.where(np.isfinite(values), values, np.nan)
    numeric = list(frame)[len(categorical) :]
    frame = pd.DataFrame(frame | {target.column: dataset.target[:]})

    # The validation rows come last, where the peers look for early stopping.
    rows = np.concatenate([split["train"][:], split["validation"][:]])
    settings = peers.TABLES[name]["settings"].get(model, {}) if name in peers.TABLES else {}
    predicted, seconds = peers.fit_peer(
        model,
        frame.iloc[rows],
        frame.iloc[split["test"][:]],
        categorical,
        numeric,
        target.column,
        target.task,
        log=target.transform == "log1p",
        seed=seed,
        **settings,
    )
    if target.task == "binary":
        predicted = np.column_stack([1 - predicted, predicted])
    return score(target, dataset.target[split["test"][:]], predicted), seconds


@contextlib.contextmanager
def quiet():
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


# ---- over seeds ----


def summary(lines, options):
    """The Markdown text: ratios, then errors; medians over seeds, ± half their range."""
    ratios, errors = [], []
    for name in options.tables:
        part = lines[lines.table == name]
        about = part.iloc[0]
        error = part.pivot(index="seed", columns="model", values=about.metric)
        ours, scratch = error["final model"], error["scratch, same time"]
        took = part.pivot(index="seed", columns="model", values="seconds")
        times = took["scratch, same time"] / took["final model"]
        best = min(options.peers, key=lambda model: error[model].median(), default=None)
        ratios.append(
            {
                "table": name,
                "rows": f"{about.rows:,}",
                "categorical columns": about.categorical,
                "largest cardinality": f"{about.largest:,}",
                "task": about.task,
                "final model / best peer": middle(ours / error[best], "{:.3f}") if best else "",
                "best peer": best or "",
                "final model / scratch, same time": middle(ours / scratch, "{:.3f}"),
                "time of scratch / of the pair": middle(times, "{:.2f}"),
            }
        )
        models = [*OURS, *options.peers, "baseline"]
        errors.append(
            {"table": name, "metric": about.metric}
            | {model: middle(error[model].tolist()) for model in models}
        )
    return (
        f"Test errors on {options.seeds} seed(s): median ± half the range.\n\n"
        f"{markdown(pd.DataFrame(ratios))}\n\n{markdown(pd.DataFrame(errors))}\n\n"
        f"{machine('tensorflow', 'scikit-learn', *PACKAGES)}\n"
    )


# ---- generated tables ----


def codes(random, rows, count, tail=1.0):
    """Categories of which the k-th most frequent has a frequency of 1 / k^tail, in random order."""
    chance = 1 / np.arange(1, count + 1) ** tail
    return random.permutation(count)[random.choice(count, rows, p=chance / chance.sum())]


def named(word, codes):
    """Codes as text, so that nothing tells their order."""
    return np.array([f"{word} {i}" for i in range(codes.max() + 1)], dtype=object)[codes]


def hidden(random, count, size):
    return random.normal(0, 1, (count, size))


def forget(random, frame, share):
    """Make this share of each column but the target missing, at random."""
    for column in frame.columns.drop("target"):
        frame.loc[random.random(len(frame)) < share, column] = None
    return frame


def access(random, rows):
    """Who may use which resource: nine categorical columns in a hierarchy, 6 % refused."""
    share = rows / 26_000

    def many(count):
        return max(8, round(count * share)) if count > 500 else count

    resource = codes(random, rows, many(10_000), 0.8)
    manager, title = codes(random, rows, many(4_000), 0.6), codes(random, rows, many(2_300), 0.9)
    department = random.integers(0, 450, many(4_000))[manager]
    division = random.integers(0, 110, 450)[department]
    family = random.integers(0, 65, many(2_300))[title]
    role, group = codes(random, rows, 340), codes(random, rows, 170)
    site = random.integers(0, 12, 110)[division]
    likes, needs = hidden(random, many(10_000), 4), hidden(random, 450, 4) / 2
    wants, duty = hidden(random, 65, 4) / 2, hidden(random, 340, 1)[:, 0]
    strict, care = hidden(random, many(10_000), 1)[:, 0], hidden(random, many(4_000), 1)[:, 0]
    score = (likes[resource] * (needs[department] + wants[family])).sum(axis=1)
    score += 1.5 * strict[resource] + 0.8 * care[manager] + 0.5 * duty[role]
    score += random.logistic(0, 1, rows)
    return pd.DataFrame(
        {
            "resource": named("resource", resource),
            "manager": named("manager", manager),
            "department": named("department", department),
            "division": named("division", division),
            "site": named("site", site),
            "title": named("title", title),
            "family": named("family", family),
            "role": named("role", role),
            "group": named("group", group),
            "target": np.where(score > np.quantile(score, 0.06), "granted", "refused"),
        }
    )


def gaps(random, rows):
    """Two classes, few columns, 30 % of everything missing, of one column not at random."""
    frame, score = {}, random.logistic(0, 0.5, rows)
    for word, count in {"plan": 3, "region": 5, "trade": 9, "source": 12, "age": 7}.items():
        code = codes(random, rows, count, 0.7)
        frame[word] = named(word, code)
        score += hidden(random, count, 1)[code, 0] / 2
    numbers = random.normal(size=(rows, 4))
    score += numbers @ [0.8, -0.5, 0.3, 0.0] + 0.5 * numbers[:, 0] * numbers[:, 1]
    for i, word in enumerate(("income", "usage", "tenure", "distance")):
        frame[word] = np.exp(numbers[:, i]).round(3)
    frame = pd.DataFrame(frame | {"target": np.where(score > 0, "yes", "no")})
    frame.loc[(score < 0) & (random.random(rows) < 0.3), "income"] = None
    return forget(random, frame, 0.3)


def small(random, rows):
    """Regression on a few hundred rows."""
    frame, value = {}, random.normal(0, 0.5, rows)
    for word, count in {"kind": 3, "colour": 8, "maker": 20, "town": 40}.items():
        code = codes(random, rows, count, 0.7)
        frame[word] = named(word, code)
        value += hidden(random, count, 1)[code, 0]
    numbers = random.normal(size=(rows, 5))
    value += numbers @ [1.0, 0.5, -0.5, 0.2, 0.0] + np.sin(2 * numbers[:, 1])
    for i in range(5):
        frame[f"x{i}"] = numbers[:, i].round(3)
    frame = pd.DataFrame(frame | {"target": (20 + 5 * value).round(3)})
    return forget(random, frame, 0.03)


def longtail(random, rows):
    """Five classes; products of which most are sold once or never, and their brands."""
    count = max(100, round(40_000 * rows / 50_000))
    product, channel = codes(random, rows, count, 0.8), codes(random, rows, 8)
    brand_of = codes(random, count, 600, 0.8)
    brand, taste = hidden(random, 600, 5), hidden(random, 8, 5)
    score = 1.2 * brand[brand_of[product]] + 1.2 * hidden(random, count, 5)[product]
    price = np.exp(hidden(random, count, 1)[product, 0] + random.normal(0, 0.1, rows))
    score += taste[channel] + np.outer(np.log(price), hidden(random, 5, 1)[:, 0])
    score += random.gumbel(0, 1, (rows, 5))
    classes = np.array(["returned", "kept", "exchanged", "resold", "lost"], dtype=object)
    frame = pd.DataFrame(
        {
            "product": named("product", product),
            "brand": named("brand", brand_of[product]),
            "channel": named("channel", channel),
            "price": price.round(2),
            "hour": random.uniform(0, 24, rows).round(2),
            "target": classes[score.argmax(axis=1)],
        }
    )
    return forget(random, frame, 0.02)


def interactions(random, rows):
    """Regression; what a category does depends on the others and on the numbers."""
    counts = {"shop": 1_000, "item": 2_000, "week": 52, "weather": 6, "region": 30, "offer": 12}
    code = {word: codes(random, rows, count, 0.6) for word, count in counts.items()}
    vectors = {word: hidden(random, count, 3)[code[word]] for word, count in counts.items()}
    numbers = random.normal(size=(rows, 4))
    value = random.normal(0, 1, rows)
    pairs = [("shop", "item"), ("item", "week"), ("week", "region"), ("offer", "shop")]
    for one, other in pairs:
        value += (vectors[one] * vectors[other]).sum(axis=1) / 2
    value += vectors["item"][:, 0] * numbers[:, 0] + vectors["weather"][:, 0] * numbers[:, 1]
    value += np.sin(2 * numbers[:, 2]) + numbers[:, 2] * numbers[:, 3] / 2
    frame = {word: named(word, code[word]) for word in counts}
    frame |= {f"x{i}": numbers[:, i].round(3) for i in range(4)}
    return forget(random, pd.DataFrame(frame | {"target": value.round(3)}), 0.01)


def numbers(random, rows):
    """Only the numbers matter (Friedman's first function); the categories are noise."""
    from sklearn.datasets import make_friedman1

    values, target = make_friedman1(rows, 6, noise=1.0, random_state=int(random.integers(2**31)))
    counts = {"user": 1_000, "city": 200, "day": 7, "browser": 15, "banner": 40}
    frame = {word: named(word, codes(random, rows, count, 0.8)) for word, count in counts.items()}
    frame |= {f"x{i}": values[:, i].round(4) for i in range(6)}
    return pd.DataFrame(frame | {"target": target.round(3)})


GENERATED = {
    "access": (access, 26_000),
    "gaps": (gaps, 2_000),
    "small": (small, 800),
    "longtail": (longtail, 50_000),
    "interactions": (interactions, 300_000),
    "numbers": (numbers, 100_000),
}
PACKAGES = ("lightgbm", "catboost")


# ---- the command line ----


def parse():
    prepared = [name for name in peers.TABLES if (peers.ROOT / f"data/{name}/{name}.csv").exists()]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tables",
        nargs="+",
        choices=["campaigns", *peers.TABLES, *GENERATED],
        help="(default: all that are there)",
    )
    parser.add_argument("--data", help="a CSV file in place of the tables")
    parser.add_argument("--target", help="its column to predict")
    parser.add_argument("--categorical", nargs="+", help="as of build_embeddings.py")
    parser.add_argument("--numeric", nargs="+", help="as of build_embeddings.py")
    parser.add_argument("--split-by", help="as of build_embeddings.py")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, help="(default: all)")
    parser.add_argument("--seeds", type=int, help="how many (default: 3)")
    parser.add_argument("--rows", type=int, help="use at most so many of each table")
    parser.add_argument(
        "--short", action="store_true", help=f"the same as --rows {SHORT} --seeds 1"
    )
    parser.add_argument("--output", type=Path, default=Path("."), help="folder (default: this one)")
    options = parser.parse_args()
    if bool(options.data) != bool(options.target):
        parser.error("--data and --target go together")
    if options.data:
        options.tables = [Path(options.data).stem]
    options.tables = options.tables or ["campaigns", *prepared, *GENERATED]
    options.seeds = options.seeds or (1 if options.short else 3)
    options.rows = options.rows or (SHORT if options.short else None)
    for name in options.tables:
        if name in peers.TABLES and not options.data and name not in prepared:
            parser.error(f"data/{name}/{name}.csv is not there; data/{name}/README.md tells how")
    for package in PACKAGES:
        if package in options.peers and not importlib.util.find_spec(package):
            parser.error(f"pip install -r tests/requirements.txt, for {package}; or name --peers")
    options.output.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return options


if __name__ == "__main__":
    main()
