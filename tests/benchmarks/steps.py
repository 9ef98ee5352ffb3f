"""What a training step costs: beside its matrix products, in bfloat16, under XLA, in large tables.

    python tests/benchmarks/steps.py             # 18 GB of free memory for the last line
    python tests/benchmarks/steps.py --short     # up to 100,000 categories

The first table: both scripts' networks on columns of Rossmann's cardinalities, batches of 512. The
bare products are those that a step cannot do without: for each dense layer one forward and two
backward (the layer's gradient, and its input's), as tf.matmul on arrays of the same shapes. "Step"
is Keras's train_step with our optimizer on arrays that are there already; "loop" is all that the
scripts' train() does for each step: shuffling, encoding, word dropout, averaging the weights,
validation. The second table: the same step in mixed_bfloat16 and under XLA.

The third: one categorical column of more and more categories (vectors of 50), a dense layer of 128
units, batches of 1,024 rows; our lazy Adam, Keras's Adam, and the loop on a table that has at least
a row for each category.

Each figure is the median of repetitions. Steps, products and modes take turns, so that a machine's
moods hit all of them; the loop, and each number of categories, runs by itself: measure on a machine
that does nothing else. Milliseconds are this machine's, only ratios say more. Writes steps.md.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from reporting import cpu_flags, machine, markdown

import build_embed_model as second
import build_embeddings as first
from data.cli import start_tensorflow
from data.tables.encoding import Encoding, Target, Vocabulary
from data.tables.scaling import BINS, Numeric

ROSSMANN = (1117, 9, 5, 14, 33, 14, 6, 6, 5, 5, 4)  # cardinalities, with the two reserved rows
NUMBERS = 4
CATEGORIES = (1_000, 100_000, 1_000_000, 10_000_000)
BATCHES = 64  # that a step is timed with
REPETITIONS = 5
DENSE_UP_TO = 1_000_000  # categories: beyond, a step of Keras's Adam takes seconds
COPIES = 9  # of the table at a time: weights, two moments, their average, the best, some on the way


def main():
    options = parse()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    most = 100_000 if options.short else max(CATEGORIES)
    sections = [
        in_child(networks),
        in_child(modes),
        markdown(pd.DataFrame(cardinalities([n for n in CATEGORIES if n <= most]))),
        machine("tensorflow", "keras"),
    ]
    text = "\n\n".join(sections) + "\n"
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "steps.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")


def in_child(function, *arguments):
    """The function's result from a process of its own, which gives its memory back."""
    with multiprocessing.get_context("spawn").Pool(1) as child:
        return child.apply(function, arguments)


# ---- the three tables ----


def networks():
    """Step and loop of both networks beside the bare products, as Markdown."""
    start_tensorflow()
    lines = []
    for script, make in ((1, first.build_model), (2, second.build_model)):
        dataset = Seeded(ROSSMANN, NUMBERS, rows=512 * 400)
        recipe = recipe_of(dataset, batch_size=512)
        model = make(dataset.encoding, recipe)
        took = alternate(
            {"step": step(model, dataset, recipe), "products": products(model, recipe.batch_size)}
        )
        took["loop"] = loop(make, dataset, recipe)
        lines.append(
            {
                "network": ("build_embeddings.py", "build_embed_model.py")[script - 1],
                "bare products, ms": f"{took['products']:.3f}",
                "step, ms": f"{took['step']:.3f}",
                "step / products": f"{took['step'] / took['products']:.2f}",
                "loop, ms": f"{took['loop']:.3f}",
                "loop / products": f"{took['loop'] / took['products']:.2f}",
                "loop / step": f"{took['loop'] / took['step']:.2f}",
            }
        )
        print(lines[-1], flush=True)
    return markdown(pd.DataFrame(lines))


def modes():
    """The step in mixed_bfloat16 and under XLA beside the plain one, as Markdown."""
    start_tensorflow()
    import keras

    lines = []
    for script, make in ((1, first.build_model), (2, second.build_model)):
        runs = {}
        for mode in ("float32", "mixed_bfloat16", "XLA"):
            keras.mixed_precision.set_global_policy(mode.replace("XLA", "float32"))
            dataset = Seeded(ROSSMANN, NUMBERS, rows=512 * BATCHES)
            recipe = recipe_of(dataset, batch_size=512)
            model = make(dataset.encoding, recipe)
            runs[mode] = step(model, dataset, recipe, xla=mode == "XLA")
        took = alternate(runs)
        lines.append(
            {
                "network": ("build_embeddings.py", "build_embed_model.py")[script - 1],
                "float32, ms": f"{took['float32']:.3f}",
                **{f"{m} / float32": f"{took[m] / took['float32']:.2f}" for m in list(took)[1:]},
            }
        )
        print(lines[-1], flush=True)
    flags = cpu_flags()
    has = [f"{flag}: {'yes' if flag in flags else 'no'}" for flag in ("avx512_bf16", "amx_bf16")]
    return f"{markdown(pd.DataFrame(lines))}\n\nThe processor has {', '.join(has)}."


def cardinalities(sizes):
    """Milliseconds of a step by the number of categories, each in a process of its own."""
    took = {}
    for categories in sizes:
        took[categories] = {
            "ours": in_child(one_column, categories, "ours"),
            "Keras's Adam": in_child(one_column, categories, "Adam")
            if categories <= DENSE_UP_TO
            else None,
            "ours, loop": in_child(one_column, categories, "loop")
            if memory() > COPIES * categories * 50 * 4
            else None,
        }
        print(categories, took[categories], flush=True)
    for categories, found in took.items():
        line = {"categories": f"{categories:,}"}
        for what, milliseconds in found.items():
            if milliseconds is None:
                line |= {f"{what}, ms": "not measured", f"{what} / {sizes[0]:,}": ""}
            else:
                ratio = milliseconds / took[sizes[0]][what]
                line |= {
                    f"{what}, ms": f"{milliseconds:.3f}",
                    f"{what} / {sizes[0]:,}": f"{ratio:.2f}",
                }
        yield line


def one_column(categories, what):
    """Milliseconds of a step on one column: "ours", "Adam" (Keras's) or the whole "loop"."""
    start_tensorflow()
    import keras

    rows = 1024 * BATCHES if what != "loop" else max(1024 * 200, categories)
    dataset = Seeded([categories], 0, rows)
    recipe = recipe_of(dataset, batch_size=1024, widths=(128,))
    if what == "loop":
        return loop(first.build_model, dataset, recipe)
    optimizer = keras.optimizers.Adam(0.001, beta_2=0.99) if what == "Adam" else None
    model = first.build_model(dataset.encoding, recipe)
    return alternate({what: step(model, dataset, recipe, optimizer)})[what]


# ---- what is timed: functions of a number of steps ----


def step(model, dataset, recipe, optimizer=None, xla=False):
    """Training steps one after the other on arrays in memory."""
    import keras
    import tensorflow as tf

    from data.training.learner import Learner
    from data.training.workers import Workers

    if optimizer is None:
        rates = [1.0] * len(model.trainable_variables)
        model = Learner(model, BATCHES * recipe.batch_size, recipe, rates, None, Workers()).copy
        optimizer = model.optimizer
    model.compile(optimizer, keras.losses.MeanSquaredError(), jit_compile=False)
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    rows, shape = np.arange(BATCHES * recipe.batch_size), (BATCHES, recipe.batch_size, -1)
    inputs = {"codes": tf.constant(dataset.encoded.codes(rows).reshape(shape))}
    if "numbers" in model.input:
        inputs["numbers"] = tf.constant(dataset.encoded.numbers(rows).reshape(shape))
    target = tf.constant(dataset.target[rows].astype("float32").reshape((*shape, 1)))

    @tf.function(jit_compile=xla)
    def one(batch, target):
        return model.train_step((batch, target))["loss"]

    @tf.function
    def run(steps):
        for i in tf.range(steps):
            batch = i % BATCHES
            one({name: array[batch] for name, array in inputs.items()}, target[batch])

    return run


def products(model, batch):
    """The matrix products of the dense layers, forward and backward."""
    import keras
    import tensorflow as tf

    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    kernels = [tf.constant(layer.kernel.numpy()) for layer in layers]
    random = np.random.default_rng(0)
    shapes = [(BATCHES, batch, len(kernel)) for kernel in kernels]
    inputs = [tf.constant(random.normal(size=shape).astype("float32")) for shape in shapes]

    @tf.function
    def run(steps):
        total = 0.0
        for i in tf.range(steps):
            for kernel, values in zip(kernels, inputs, strict=True):
                values = values[i % BATCHES]
                gradient = tf.matmul(values, kernel)
                total += tf.matmul(values, gradient, transpose_a=True)[0, 0]
                total += tf.matmul(gradient, kernel, transpose_b=True)[0, 0]
        return total

    return run


def alternate(runs):
    """Median milliseconds of one step of each; the runs take turns.

    Args:
        runs: dict of name -> function of a number of steps (int32 tensor).
    """
    import tensorflow as tf

    steps, took = {}, {name: [] for name in runs}
    for name, run in runs.items():  # each repetition lasts some 0.3 s
        run(tf.constant(1))
        steps[name] = int(np.clip(0.3 / (timed(run, 3) / 3), 1, 2_000))
    for _ in range(REPETITIONS):
        for name, run in runs.items():
            took[name].append(timed(run, steps[name]) / steps[name])
    return {name: 1000 * statistics.median(seconds) for name, seconds in took.items()}


def timed(run, steps):
    import tensorflow as tf

    started = time.perf_counter()
    result = run(tf.constant(steps))
    if result is not None:
        result.numpy()
    return time.perf_counter() - started


def loop(make, dataset, recipe):
    """Milliseconds for each step of the scripts' train(): what more epochs take than one.

    So all that an epoch brings with it counts, and neither building nor tracing does.
    """
    steps = len(dataset.split["train"]) // recipe.batch_size
    more = max(1, 2_000 // steps)

    def seconds(epochs):
        chosen = recipe_of(dataset, **{**vars(recipe), "epochs": epochs, "patience": epochs + 1})
        model = make(dataset.encoding, chosen)
        started = time.perf_counter()
        done = len(first.train(model, dataset, chosen))
        assert done == epochs
        return time.perf_counter() - started

    took = [(seconds(1 + more) - seconds(1)) / (more * steps) for _ in range(3)]
    return 1000 * statistics.median(took)


# ---- a table of seeded arrays ----


def recipe_of(dataset, **chosen):
    """The scripts' recipe for this table, with what is chosen here."""
    options = SimpleNamespace(epochs=None, batch_size=None, learning_rate=None)
    return first.recipe_for(dataset, options, **chosen)


class Seeded:
    """What train() needs of a dataset: random rows, in which all categories are as frequent."""

    def __init__(self, cardinalities, numbers, rows):
        random = np.random.default_rng(0)
        columns = [random.integers(2, n, rows, "int32") for n in cardinalities]
        codes = np.column_stack(columns)
        numeric = random.normal(size=(rows, numbers)).astype("float32")
        self.encoded = SimpleNamespace(
            codes=lambda chosen: codes[chosen], numbers=lambda chosen: numeric[chosen]
        )
        self.table = SimpleNamespace(folder=tempfile.gettempdir())
        self.target = random.normal(size=rows)
        self.split = {"train": np.arange(rows), "validation": np.arange(1024)}
        self.settings = {"split_by": None}
        many = [np.full(n, 1_000) for n in cardinalities]  # rows of each: no rare category
        self.encoding = Encoding(
            [
                # A range stands for the list of categories: only its length matters here.
                Vocabulary(f"c{j}", "int", range(n - 2), counts=many[j])
                for j, n in enumerate(cardinalities)
            ],
            [
                Numeric(f"x{j}", 0.0, 1.0, 0, np.linspace(-2, 2, BINS + 1).tolist())
                for j in range(numbers)
            ],
            Target("y", "regression"),
        )


def memory():
    """Bytes of memory that are free; unknown systems are taken to have enough."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="up to 100,000 categories")
    parser.add_argument("--output", type=Path, default=Path("."), help="folder (default: this one)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
