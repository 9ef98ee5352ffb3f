"""report.html: is it good and why, which columns matter, which categories are alike, what next.

Here the numbers of the page are collected from the files of a set; `data.reports.page` puts the
page together.
"""

import json
import shlex
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from data.cli import HERE
from data.reports.advice import shareable
from data.reports.categories import category_text, colour_scale, most_frequent, sureness
from data.reports.charts import curve_chart
from data.reports.errors import FEW_OF_A_CATEGORY
from data.reports.importance import in_order
from data.reports.maps import PLACED, how_many, page_layouts, warning_of
from data.reports.neighbours import nearest_known
from data.reports.page import put_together
from data.reports.projection import map_coordinates
from data.tables.encoding import MISSING

LARGEST = 4_500_000  # bytes of the page
SEARCHABLE = 5_000  # categories of a column in the page, most frequent first
SEARCHABLE_IN_ALL = 40_000
NEIGHBOURS = 8
NAME_LENGTH = 400  # characters of a category
ERRORS_SHOWN = 10  # of those, in the page
FILES = {
    "embed_model/model.keras": "the final model, complete: texts and numbers in",
    "embeddings.npz": "the vectors as arrays",
    "vectors": "the vectors as tables, a CSV for each column",
    "pictures": "the pictures of this page, as PNG and SVG",
    "neighbours": "the nearest categories of each",
    "test_predictions.csv": "the first script's predictions of the test rows",
    "embed_model/test_predictions.csv": "the final model's predictions of the test rows",
    "importance.csv": "how much each column matters to the first script's model",
    "embed_model/importance.csv": "how much each column matters to the final model",
    "errors.csv": "the first script's errors by category",
    "embed_model/errors.csv": "the final model's errors by category",
    "metrics.json": "the first script's metrics",
    "embed_model/metrics.json": "the final model's metrics",
}


def write_report(folder, manifest, output=None):
    """Write report.html into `folder` from the files that are there.

    Read are embeddings.npz, history.csv, metrics.json, errors.csv and report.json, and the same in
    embed_model/ with comparison.csv and embeddings.json; each but the arrays may be missing.
    A folder with embed_model/ alone, whose vectors came from another table, is shown likewise.

    Args:
        folder: of a set that is being written, with embeddings.npz, or embed_model/ that has it.
        manifest: of that embeddings.npz; its "array" keys say what is where.
        output: where the set will be, for the commands that use it (default: folder).

    Returns the path. Raises OSError and ValueError when the files are not those of a set.
    """
    folder, scale = Path(folder), colour_scale(manifest["columns"].values())
    models = [
        _model(path, name)
        for path, name in ((folder, "Embeddings"), (folder / "embed_model", "Final model"))
        if (path / "metrics.json").is_file() or (path / "history.csv").is_file()
    ]
    manifest = by_importance(manifest, models)
    page = {
        "table": manifest["table"],
        "target": manifest["target"],
        "numeric": list(manifest.get("numeric", {})),
        "models": models,
        "scale": None if scale is None else asdict(scale),
        "files": _files(folder),
        "date": next((m["date"] for m in reversed(models) if "date" in m), None),
        "commands": _commands(folder, Path(output or folder)),
        "comparison": _csv(folder / "embed_model" / "comparison.csv"),
        "details": _details(folder, manifest),
    }
    final = folder / "embed_model" / "embeddings.json"
    if final.is_file():
        page["numeric"] = list(_json(final).get("numeric", {})) or page["numeric"]

    arrays = folder / "embeddings.npz"
    if not arrays.is_file():
        arrays = folder / "embed_model" / "embeddings.npz"
    searchable = min(SEARCHABLE, SEARCHABLE_IN_ALL // max(1, len(manifest["columns"])))
    while True:
        page["columns"] = _columns(arrays, manifest, searchable)
        page["errors"] = _errors(folder, manifest, searchable)
        text = put_together(page)
        if len(text) <= LARGEST or searchable <= 10:
            break
        searchable //= 2
    path = folder / "report.html"
    path.unlink(missing_ok=True)  # a hard link to the report of the set before
    path.write_bytes(text)
    return path


def _columns(arrays, manifest, searchable):
    """What the page shows of each column; the vectors are read one column at a time."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    scale = colour_scale(manifest["columns"].values())
    with np.load(arrays, allow_pickle=False) as archive, threadpool_limits(1):
        return [
            _column(name, column, archive[column["array"]], scale, searchable)
            for name, column in manifest["columns"].items()
        ]


def _column(name, column, array, scale, searchable):
    """What the page shows of one column."""
    chosen = most_frequent(column, max(PLACED, searchable))
    placed, vectors = chosen[:PLACED], array[chosen]
    coordinates, how = map_coordinates(vectors[:PLACED])
    warning = warning_of(column, placed, vectors[:PLACED], coordinates)
    chosen, vectors = chosen[:searchable], vectors[:searchable]
    indices, similarities = nearest_known(column, vectors, chosen, NEIGHBOURS)
    rows, placed = np.asarray(column["rows"]), placed[:searchable]
    names = [_name(category_text(column, row)) for row in chosen]
    shown_words = how_many(len(placed), len(column["vocabulary"]))
    shown = {
        "name": name,
        "categories": len(column["vocabulary"]),
        "size": column["size"],
        "missing": int(rows[MISSING]),
        "how": f"{shown_words[0].upper()}{shown_words[1:]}; {how}",
        "warning": warning,
        "names": names,
        "rows": rows[chosen].tolist(),
        "sure": [round(value, 2) for value in sureness(column)[chosen].tolist()],
        "layouts": page_layouts(
            coordinates[:searchable], rows[placed], ["(missing)" if n is None else n for n in names]
        ),
        "neighbours": indices.tolist(),
        "similarities": np.rint(similarities * 100).astype(int).tolist(),
    }
    if column.get("mean_target") is not None and scale is not None:
        means = np.asarray(column["mean_target"], dtype=float)[chosen]
        shown["means"] = [_rounded(mean) for mean in means]
        shown["shades"] = [
            round(shade, 2) if np.isfinite(shade) else None for shade in scale.shades(means)
        ]
    return shown


def _name(text):
    return text if text is None or len(text) <= NAME_LENGTH else text[: NAME_LENGTH - 1] + "…"


def _rounded(value):
    """Six significant digits, which keep the page small; None for what JSON has no number for."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _model(folder, name):
    """What one training left behind: its curve, metrics, and what report.json says of it."""
    model = {"name": name}
    if (folder / "history.csv").is_file():
        model["curve"] = curve_chart(pd.read_csv(folder / "history.csv"), name)
    for file in ("metrics.json", "report.json"):
        if (folder / file).is_file():
            model |= _json(folder / file)
    for step in (model.get("verdict") or {}).get("next", []):
        step["command"] = shareable(step["command"])
    return model


def _errors(folder, manifest, searchable):
    """The categories with the largest test errors, of the final model where there is one."""
    for name, path in (("Final model", folder / "embed_model"), ("Embeddings", folder)):
        if not (path / "errors.csv").is_file():
            continue
        table = pd.read_csv(
            path / "errors.csv", dtype={"column": str, "category": str}, keep_default_na=False
        )
        table = table[table["rows"] >= min(FEW_OF_A_CATEGORY, table["rows"].max())]
        measure = table.columns[4]
        table = table.sort_values(measure, ascending=False, kind="stable")
        table = table.groupby("column", sort=False).head(ERRORS_SHOWN)
        positions = {column: number for number, column in enumerate(manifest["columns"])}
        indices = {
            column: {row: i for i, row in enumerate(most_frequent(entry, searchable).tolist())}
            for column, entry in manifest["columns"].items()
        }
        rows = [
            [
                positions[line[0]],
                indices[line[0]].get(line[1]),  # where it stands in the page, if it does
                _name(line[2]),
                line[3],
                *map(_rounded, line[4:]),
            ]
            for line in table.itertuples(index=False)
            if line[0] in positions
        ]
        return {"model": name, "measures": list(table.columns[4:]), "rows": rows}
    return None


def by_importance(manifest, models):
    """The manifest with its columns in the order of their importance, where that is known.

    Args:
        models: what report.json says of each, the one to go by last; a date stands for its parts.
    """
    orders = [model["importance"]["order"] for model in models if "importance" in model]
    if not orders:
        return manifest
    columns, dates = manifest["columns"], (manifest.get("options") or {}).get("dates") or []
    return manifest | {"columns": {c: columns[c] for c in in_order(columns, orders[-1], dates)}}


def _commands(folder, output):
    """What can be done with the set: [{"why": text, "command": text}]."""
    if not (folder / "embed_model" / "model.keras").is_file():
        return []
    place = output.resolve()
    place = place.relative_to(HERE) if place.is_relative_to(HERE) else place
    start = f"python build_embed_model.py --embeddings {shlex.quote(str(place))}"
    return [
        {"why": "Predict new rows:", "command": f"{start} --predict new_rows.csv"},
        {
            "why": "Carry the vectors to another table:",
            "command": f"{start}/embed_model --data FILE --target COLUMN",
        },
    ]


def _files(folder):
    """The files beside the page that people open: [(path, what it is)]."""
    return [(path, what) for path, what in FILES.items() if (folder / path).exists()]


def _details(folder, manifest):
    """How it was trained, as (title, [(name, value as text)])."""
    details = [
        ("Target", manifest["target"]),
        ("Split", manifest.get("split", {})),
        ("Options", manifest.get("options", {})),
        ("Versions", manifest.get("versions", {})),
    ]
    final = folder / "embed_model" / "embeddings.json"
    sources = (_json(final) if final.is_file() else manifest).get("sources", [])
    for source in sources:
        columns = source.get("columns", {})
        if not isinstance(columns, dict) or all(name == of for name, of in columns.items()):
            columns = {"columns": list(columns)}
        if isinstance(model := source.get("model"), dict):
            columns = {**columns, "one more number": f"the {model.get('target')} its model expects"}
        place = "/".join(Path(str(source.get("set"))).parts[-2:])  # not the whole path: it is sent
        details.insert(0, (f"Vectors from {place}", columns))
    return [
        (title, [(str(name), _plain(value)) for name, value in values.items() if _says(value)])
        for title, values in details
        if any(map(_says, values.values())) or title.startswith("Vectors")
    ]


def _says(value):
    return value is not None and value is not False and value != [] and value != {}


def _plain(value):
    """A value of the manifest as short text."""
    if isinstance(value, dict):
        text = ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items())
    elif isinstance(value, list):
        text = ", ".join(map(_plain, value))
    elif value is True:
        text = "yes"
    elif isinstance(value, int):
        text = str(value) if value < 10_000 else f"{value:,}"
    else:
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        text = Path(text).name if Path(text).is_absolute() else text  # the page is sent to others
    return text if len(text) <= 500 else text[:499] + "…"


def _json(path):
    return json.loads(path.read_bytes())


def _csv(path):
    """A small table as {"columns": [...], "rows": [[...], ...]}, or None when there is no file."""
    if not path.is_file():
        return None
    table = pd.read_csv(path)
    rows = [
        [_rounded(value) if isinstance(value, float) else value for value in row]
        for row in table.astype(object).to_numpy().tolist()
    ]
    return {"columns": table.columns.tolist(), "rows": rows}
