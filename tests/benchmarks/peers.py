"""Other methods on the same tables and the same split, to compare the two scripts with.

    python tests/benchmarks/peers.py rossmann --peer lightgbm
    python tests/benchmarks/peers.py flights --peer catboost --data ~/tables/flights.csv
    python tests/benchmarks/peers.py flights --peer linear --target dep_late --task binary \\
        --data data/flights/flights_dep_late.csv
    python tests/benchmarks/peers.py any.csv --peer histgb --target price --categorical city colour

Each prints one line: metrics on the test rows, and the seconds of training. Peers (lightgbm and
catboost are packages of their own, which the two scripts do not need):

    source, source_stage1   the recipe that the two scripts come from, both stages or the first
    lightgbm, catboost      boosted trees that take categories as they are
    histgb                  scikit-learn's boosted trees
    linear                  one-hot columns: ridge for numbers, logistic regression for classes

The rossmann and flights tables are those of data/rossmann/prepare.py and data/flights/prepare.py;
of rossmann the last 10 % of the rows are for testing, of flights the last 15 % of the dates. Of any
other CSV file it is a random 20 %, or the last 20 % of the values of --split-by. OMP_NUM_THREADS
sets the threads of all but the source.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import metrics

ROOT = Path(__file__).resolve().parents[2]

TABLES = {
    "rossmann": {
        "target": "Sales",
        "log": True,
        "test_share": 0.1,
        "split_by": None,
        "categorical": [
            *["Store", "DayOfWeek", "Year", "Month", "Day", "State", "StateHoliday", "StoreType"],
            *["Assortment", "PromoInterval", "Promo"],
        ],
        "numeric": ["SchoolHoliday", "Promo2", "CompetitionDistance", "CompetitionMonths"],
        "settings": {
            "lightgbm": {
                "n_estimators": 1500,
                "num_leaves": 127,
                "objective": "regression_l1",
                "min_data_per_group": 20,
                "cat_smooth": 5,
            },
            "catboost": {"iterations": 1500},
            "histgb": {"max_iter": 1000},
        },
    },
    "flights": {
        "target": "arr_delay",
        "log": False,
        "test_share": 0.15,
        "split_by": "Date",
        "categorical": [
            *["weekday", "sched_hour", "carrier", "tailnum", "flight", "origin", "dest"],
            *["manufacturer", "model"],
        ],
        "numeric": [
            *["month", "day", "sched_minute", "distance", "year_built", "seats", "temp", "dewp"],
            *["humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"],
        ],
        "settings": {},  # early stopping
    },
}


# ---- the peers: each fits on (codes, numbers, y) and returns a function (codes, numbers) -> y ----
# codes: (rows, categorical columns) int32, -1 for missing and unseen; numbers: (rows, numeric
# columns) float64, NaN for missing; y: float64, or class numbers from 0. Predictions of classes are
# probabilities, (rows,) of class 1 for two classes, (rows, classes) for more.


def lightgbm(codes, numbers, y, task, seed, **settings):
    """LightGBM with native categories; early stopping unless `n_estimators` is given."""
    import lightgbm as lgb

    # n_jobs=0 leaves the threads to OpenMP, like scikit-learn does: OMP_NUM_THREADS.
    common = {"learning_rate": 0.05, "random_state": seed, "n_jobs": 0, "verbose": -1}
    kind = lgb.LGBMRegressor if task == "regression" else lgb.LGBMClassifier
    model = kind(**{**common, "n_estimators": 5000, **settings})
    X, columns = joined(codes, numbers), list(range(codes.shape[1]))
    if "n_estimators" in settings:
        model.fit(X, y, categorical_feature=columns)
    else:
        held = held_out(y, task)
        model.fit(
            *(X[~held], y[~held]),
            eval_X=X[held],
            eval_y=y[held],
            categorical_feature=columns,
            callbacks=[lgb.early_stopping(100, verbose=False)],
        )
    return lambda codes, numbers: predicted(model, joined(codes, numbers), task)


def catboost(codes, numbers, y, task, seed, **settings):
    """CatBoost with native categories; early stopping unless `iterations` is given."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    def frame(codes, numbers):
        return pd.concat([pd.DataFrame(codes), pd.DataFrame(numbers)], axis=1, ignore_index=True)

    common = {
        "random_seed": seed,
        "thread_count": int(os.environ.get("OMP_NUM_THREADS", -1)),
        "verbose": False,
        "allow_writing_files": False,
    }
    kind = CatBoostRegressor if task == "regression" else CatBoostClassifier
    model = kind(**{**common, "iterations": 5000, **settings})
    X, columns = frame(codes, numbers), list(range(codes.shape[1]))
    if "iterations" in settings:
        model.fit(X, y, cat_features=columns)
    else:
        held = held_out(y, task)
        model.fit(
            *(X[~held], y[~held]),
            eval_set=(X[held], y[held]),
            cat_features=columns,
            early_stopping_rounds=100,
        )
    return lambda codes, numbers: predicted(model, frame(codes, numbers), task)


def histgb(codes, numbers, y, task, seed, **settings):
    """scikit-learn's histogram gradient boosting; early stopping unless `max_iter` is given.

    It takes up to 255 categories as they are; columns with more go through its TargetEncoder.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import TargetEncoder

    many = codes.max(axis=0) >= 255
    encoder = TargetEncoder(cv=KFold(5, shuffle=True, random_state=seed))

    def matrix(codes, encoded, numbers):
        return joined(codes[:, ~many], np.hstack([encoded, numbers]))

    encoded = encoder.fit_transform(codes[:, many], y) if many.any() else codes[:, many]
    X = matrix(codes, encoded, numbers)
    regression = task == "regression"
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    common = {
        "categorical_features": list(range((~many).sum())),
        "random_state": seed,
        "early_stopping": "max_iter" not in settings,
    }
    if "max_iter" in settings:
        model = kind(**common, **settings).fit(X, y)
    else:
        held = held_out(y, task)
        model = kind(**common, learning_rate=0.05, max_iter=5000, n_iter_no_change=50, **settings)
        model.fit(X[~held], y[~held], X_val=X[held], y_val=y[held])

    def predict(codes, numbers):
        encoded = encoder.transform(codes[:, many]) if many.any() else codes[:, many]
        return predicted(model, matrix(codes, encoded, numbers), task)

    return predict


def linear(codes, numbers, y, task, seed):
    """Ridge or logistic regression on one-hot columns and scaled numbers."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    X = joined(codes, numbers)
    one_hot, rest = np.split(np.arange(X.shape[1]), [codes.shape[1]])
    scaled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    columns = ColumnTransformer(
        [
            ("one-hot", OneHotEncoder(handle_unknown="ignore"), list(one_hot)),
            ("scaled", scaled, list(rest)),
        ],
        sparse_threshold=1.0,
    )
    last = Ridge() if task == "regression" else LogisticRegression(max_iter=1000)
    model = make_pipeline(columns, last).fit(X, y)
    return lambda codes, numbers: predicted(model, joined(codes, numbers), task)


def source(codes, numbers, y, task, seed, epochs=15, stages=2):
    """The recipe of https://github.com/oegedijk/keras-embeddings, written afresh for Keras 3.

    Stage 1 learns the embeddings from the categorical columns; stage 2 freezes them and learns from
    them and the numeric columns, unscaled. As published, the target of both is log(1 + y), the loss
    of stage 2 takes a logarithm of it once more, and the layer in front of the numeric columns has
    five units fewer than there are columns (here at least one). What it leaves open is filled in:
    missing numbers are 0; targets below zero get a squared error, classes the cross-entropy.
    """
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    units, activation, loss = 1, None, "mean_squared_error"
    if task == "binary":
        activation, loss = "sigmoid", "binary_crossentropy"
    elif task == "multiclass":
        units, activation = int(y.max()) + 1, "softmax"
        loss = "sparse_categorical_crossentropy"

    def arrays(codes, numbers):
        return [*(codes + 1).T, np.nan_to_num(numbers).astype("float32")]

    def fit(model, loss, inputs, stage):
        def report(epoch, logs):
            print(f"stage {stage}, epoch {epoch + 1}: {logs['loss']:.4g}", file=sys.stderr)

        model.compile(loss=loss, optimizer="adam")
        progress = keras.callbacks.LambdaCallback(on_epoch_end=report)
        model.fit(inputs, y, batch_size=1024, epochs=epochs, verbose=0, callbacks=[progress])

    columns, vectors, tables = [], [], []
    for cardinality in (codes.max(axis=0) + 3).tolist():  # distinct values + 2
        columns.append(keras.Input((), dtype="int32"))
        tables.append(layers.Embedding(cardinality, max(min(cardinality // 2, 50), 2)))
        vectors.append(tables[-1](columns[-1]))

    x = layers.Concatenate()([layers.Dropout(0.1)(vector) for vector in vectors])
    x = layers.Dense(1024, activation="relu")(x)
    x = layers.Dropout(0.3)(x)
    x = layers.Dense(512, activation="relu")(x)
    model = keras.Model(columns, layers.Dense(units, activation=activation)(x))
    inputs = arrays(codes, numbers)
    fit(model, loss, inputs[:-1], stage=1)

    if stages == 2:
        for table in tables:
            table.trainable = False
        if numbers.shape[1]:
            columns.append(keras.Input((numbers.shape[1],)))
            vectors.append(layers.Dense(max(numbers.shape[1] - 5, 1))(columns[-1]))
        x = layers.Concatenate()(vectors)
        for width, dropout in ((1024, 0.5), (512, 0.5), (512, 0.0)):
            x = layers.Dense(
                width, activation="relu", kernel_regularizer=keras.regularizers.L2(0.02)
            )(x)
            x = layers.Dropout(dropout)(x)
        model = keras.Model(columns, layers.Dense(units, activation=activation)(x))
        if task == "regression" and y.min() >= 0:
            loss = "mean_squared_logarithmic_error"
        fit(model, loss, inputs[: len(columns)], stage=2)

    def predict(codes, numbers):
        inputs = arrays(codes, numbers)[: len(columns)]
        values = model.predict(inputs, batch_size=8192, verbose=0).astype("float64")
        return values / values.sum(axis=1, keepdims=True) if task == "multiclass" else values[:, 0]

    return predict


def source_stage1(codes, numbers, y, task, seed, epochs=15):
    """The first stage of `source` alone: the categorical columns."""
    return source(codes, numbers, y, task, seed, epochs, stages=1)


PEERS = {
    peer.__name__: peer for peer in (source, source_stage1, lightgbm, catboost, histgb, linear)
}


def joined(codes, numbers):
    """One float64 matrix, NaN for missing and unseen categories too."""
    return np.hstack([np.where(codes < 0, np.nan, codes), numbers])


def held_out(y, task):
    """Mark the last tenth of the training rows, for early stopping; no class is only there."""
    held = np.arange(len(y)) >= int(0.9 * len(y))
    return held if task == "regression" else held & np.isin(y, y[~held])


def predicted(model, X, task):
    """What a scikit-learn style model predicts: numbers, or probabilities of the classes."""
    if task == "regression":
        return model.predict(X)
    probabilities = model.predict_proba(X)
    return probabilities[:, 1] if task == "binary" else probabilities


# ---- the comparison ----


def encode(train, test, categorical, numeric):
    """Return ((codes, numbers) of train, (codes, numbers) of test); the codes come from train."""
    vocabularies = {column: pd.Index(train[column].dropna().unique()) for column in categorical}

    def arrays(part):
        codes = [words.get_indexer(part[column]) for column, words in vocabularies.items()]
        numbers = part[numeric].to_numpy("float64", na_value=np.nan)
        return np.column_stack(codes).astype("int32"), numbers

    return arrays(train), arrays(test)


def fit_peer(
    name,
    train,
    test,
    categorical,
    numeric,
    target,
    task="regression",
    log=False,
    seed=0,
    **settings,
):
    """Fit one of PEERS on a table and predict another.

    train, test: DataFrames with the columns. Early stopping looks at the last tenth of the training
    rows as they come, so shuffle them first unless they are in order of time.
    task: "regression", "binary" or "multiclass".
    log: learn log(1 + target) (regression only); predictions are on the target's own scale.
    settings: passed to the peer, in place of its own.

    Returns (predictions, seconds of training). Predictions are a float array: (rows,) numbers,
    (rows,) probabilities of the second class, or (rows, classes) probabilities; the classes are
    those of train, sorted.
    """
    (codes, numbers), test_arrays = encode(train, test, categorical, numeric)
    if task == "regression":
        y = train[target].to_numpy("float64")
        y = np.log1p(y) if log else y
    else:
        y = np.unique(train[target].to_numpy(), return_inverse=True)[1]
    if name.startswith("source"):
        import keras  # noqa: F401, several seconds that are no training

    start = time.perf_counter()
    predict = PEERS[name](codes, numbers, y, task, seed, **settings)
    seconds = time.perf_counter() - start
    predictions = np.asarray(predict(*test_arrays), dtype="float64")
    return np.expm1(predictions) if log else predictions, seconds


def score(truth, predictions, task, classes=None):
    """Return the metrics of test rows as a dict; MAPE and RMSPE only where all truth is positive.

    classes: the sorted classes of the training rows; rows of other classes are left out.
    """
    if task == "regression":
        results = {
            "RMSE": metrics.root_mean_squared_error(truth, predictions),
            "MAE": metrics.mean_absolute_error(truth, predictions),
            "R2": metrics.r2_score(truth, predictions),
        }
        if (truth > 0).all():
            relative = predictions / truth - 1
            shares = {"MAPE": np.abs(relative).mean(), "RMSPE": np.sqrt((relative**2).mean())}
            results = shares | results
        return results
    known = np.isin(truth, classes)
    truth, predictions = np.searchsorted(classes, truth[known]), predictions[known]
    labels = np.arange(len(classes))
    if task == "binary":
        guess = predictions > 0.5
        results = {"AUC": metrics.roc_auc_score(truth, predictions)}
    else:
        guess = predictions.argmax(axis=1)
        results = {}
    return results | {
        "log loss": metrics.log_loss(truth, predictions, labels=labels),
        "accuracy": metrics.accuracy_score(truth, guess),
    }


def split(frame, test_share, split_by=None):
    """Return (train, test): the last share of the rows, or of the values of a column, is test."""
    if split_by is None:
        cut = int((1 - test_share) * len(frame))
        return frame.iloc[:cut], frame.iloc[cut:]
    values = np.sort(frame[split_by].unique())
    is_test = frame[split_by] >= values[int((1 - test_share) * len(values))]
    return frame[~is_test], frame[is_test]


def load(path, categorical, numeric, target, task, split_by):
    """Read a CSV file: categories, classes and dates as text, the rest as numbers."""
    texts = [*categorical, *([split_by] if split_by else []), *([target] * (task != "regression"))]
    columns = dict.fromkeys([*numeric, target], "float64") | dict.fromkeys(texts, "str")
    return pd.read_csv(path, usecols=list(columns), dtype=columns).dropna(subset=[target])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", help="rossmann, flights, or a CSV file")
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--data", help="where the prepared table is (default: beside prepare.py)")
    parser.add_argument("--target", help="column to predict (default: that of the table)")
    parser.add_argument(
        "--task",
        choices=["regression", "binary", "multiclass"],
        default="regression",
        help="(default: regression)",
    )
    parser.add_argument("--categorical", nargs="+", help="columns (with a CSV file)")
    parser.add_argument("--numeric", nargs="+", default=[], help="columns (with a CSV file)")
    parser.add_argument("--split-by", help="column whose last values are for testing (the same)")
    parser.add_argument("--rows", type=int, help="train on so many rows only, a random sample")
    parser.add_argument("--epochs", type=int, default=15, help="of the source (default: 15)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    args = parser.parse_args()

    if args.table in TABLES:
        table = TABLES[args.table]
        path = args.data or ROOT / "data" / args.table / f"{args.table}.csv"
    elif args.target and args.categorical:
        table = {"test_share": 0.2, "log": False, "settings": {}, "split_by": args.split_by}
        table |= {"categorical": args.categorical, "numeric": args.numeric}
        path = args.table
    else:
        parser.error("a CSV file needs --target and --categorical")
    target, log = args.target or table["target"], table["log"] and args.task == "regression"
    categorical, numeric = table["categorical"], table["numeric"]

    frame = load(path, categorical, numeric, target, args.task, table["split_by"])
    if args.table == "rossmann":  # metres, from 20 to 76,000: as a logarithm, as elsewhere
        frame["CompetitionDistance"] = np.log1p(frame["CompetitionDistance"])
    if args.table not in TABLES and args.split_by is None:
        frame = frame.sample(frac=1, random_state=args.seed)
    train, test = split(frame, table["test_share"], table["split_by"])
    if args.rows:
        train = train.sample(args.rows, random_state=args.seed).sort_index()
    print(f"{len(train):,} rows to train on, {len(test):,} to test", file=sys.stderr)

    own = {"epochs": args.epochs} if args.peer.startswith("source") else {}
    settings = own or (table["settings"].get(args.peer, {}) if args.task == "regression" else {})
    columns = (categorical, numeric, target, args.task, log, args.seed)
    predictions, seconds = fit_peer(args.peer, train, test, *columns, **settings)
    classes = None if args.task == "regression" else np.unique(train[target].to_numpy())
    results = score(test[target].to_numpy(), predictions, args.task, classes)
    values = ", ".join(f"{metric} {value:.4g}" for metric, value in results.items())
    print(f"{args.table} {args.peer}: {values}; {seconds:.1f} s of training")


if __name__ == "__main__":
    main()
