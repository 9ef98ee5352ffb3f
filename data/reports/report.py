"""report.html: one file that shows what was trained on what, how well, and where categories lie.

The page opens by double click, loads nothing from anywhere and can be sent as it is. It is
page.html with the numbers of a set put in as JSON. Whatever comes from a table is
escaped as JSON here and set as text there, never as markup; the page's content security policy
allows its own script and style by their hashes, and no network.
"""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from data.reports.errors import FEW_TEST_ROWS
from data.reports.pictures import (
    PLACED,
    category_text,
    colour_scale,
    map_coordinates,
    most_frequent,
    wide_range,
)

TEMPLATE = Path(__file__).with_name("page.html")
LARGEST = 4_500_000  # bytes of the page
SEARCHABLE = 5_000  # categories of a column in the page, most frequent first
SEARCHABLE_IN_ALL = 40_000
NEIGHBOURS = 8
NAME_LENGTH = 400  # characters of a category
ERRORS_SHOWN = 15  # of those, in the page


def write_report(folder, manifest):
    """Write report.html into `folder` from the files that are there.

    Read are embeddings.npz, history.csv, metrics.json and errors.csv, and the same in
    embed_model/ with comparison.csv and embeddings.json; each but the arrays may be missing.
    A folder with embed_model/ alone, whose vectors came from another table, is shown likewise.

    Args:
        folder: of a set that is being written, with embeddings.npz, or embed_model/ that has it.
        manifest: of that embeddings.npz; its "array" keys say what is where.

    Returns the path. Raises OSError and ValueError when the files are not those of a set.
    """
    folder = Path(folder)
    models = [
        _model(path, name)
        for path, name in ((folder, "Embeddings"), (folder / "embed_model", "Final model"))
        if (path / "metrics.json").is_file() or (path / "history.csv").is_file()
    ]
    page = {
        "table": manifest["table"],
        "target": manifest["target"],
        "numeric": list(manifest.get("numeric", {})),
        "models": models,
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
        text = _fill(page)
        if len(text) <= LARGEST or searchable <= 10:
            break
        searchable //= 2
    path = folder / "report.html"
    path.unlink(missing_ok=True)  # a hard link to the report of the set before
    path.write_bytes(text)
    return path


def _fill(page):
    """The template with the page's numbers: bytes."""
    template = TEMPLATE.read_text(encoding="utf-8")
    policy = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    for tag in ("script", "style"):
        (code,) = re.findall(f"<{tag}>(.*?)</{tag}>", template, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        policy.append(f"{tag}-src 'sha256-{digest}'")
    data = json.dumps(page, separators=(",", ":"), allow_nan=False)  # ASCII, U+2028 too
    for character in "<>&":
        data = data.replace(character, f"\\u{ord(character):04x}")
    title = html.escape(page["table"]).encode("ascii", "xmlcharrefreplace").decode()
    parts = {"policy": "; ".join(policy), "title": title, "data": data}
    # in one pass, so that no part is looked for inside another
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template).encode()


def _columns(arrays, manifest, searchable):
    """What the page shows of each column; the vectors are read one column at a time."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    from data.reports.neighbours import nearest

    columns = []
    with np.load(arrays, allow_pickle=False) as archive, threadpool_limits(1):
        for name, column in manifest["columns"].items():
            chosen = most_frequent(column, max(PLACED, searchable))
            vectors = archive[column["array"]][chosen]
            coordinates, how = map_coordinates(vectors[:PLACED])
            chosen, vectors = chosen[:searchable], vectors[:searchable]
            indices, similarities = nearest(vectors, NEIGHBOURS)
            rows = np.asarray(column["rows"])
            shown = {
                "name": name,
                "categories": len(column["vocabulary"]),
                "size": column["size"],
                "missing": int(rows[0]),
                "how": how,
                "names": [_name(category_text(column, row)) for row in chosen],
                "rows": rows[chosen].tolist(),
                "xy": _whole_numbers(coordinates[:searchable]),
                "neighbours": indices.tolist(),
                "similarities": np.rint(similarities * 100).astype(int).tolist(),
            }
            if column.get("mean_target") is not None:
                means = np.asarray(column["mean_target"], dtype=float)
                shown["means"] = [_rounded(mean) for mean in means[chosen]]
                shown["centre"], shown["half"] = colour_scale(means, rows, chosen[:PLACED])
            columns.append(shown)
    return columns


def _name(text):
    return text if text is None or len(text) <= NAME_LENGTH else text[: NAME_LENGTH - 1] + "…"


def _whole_numbers(coordinates):
    """Coordinates from 0 to 1000, x and y in one scale, y downwards as on a screen."""
    if not len(coordinates):
        return []
    span = np.ptp(coordinates, axis=0).max()
    scaled = (coordinates - coordinates.min(axis=0)) / (span if span > 0 else 1) * 1000
    scaled[:, 1] = scaled[:, 1].max() - scaled[:, 1]
    return np.rint(scaled).astype(int).tolist()


def _rounded(value):
    """Six significant digits, which keep the page small; None for what JSON has no number for."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _model(folder, name):
    """What one training left behind: history, metrics."""
    history, metrics = _csv(folder / "history.csv"), folder / "metrics.json"
    model = {"name": name, "history": history}
    if history:
        losses = [
            row[history["columns"].index(column)]
            for column in ("loss", "val_loss")
            if column in history["columns"]
            for row in history["rows"]
        ]
        model["logarithmic"] = wide_range([loss for loss in losses if loss is not None])
    return model | (_json(metrics) if metrics.is_file() else {})


def _errors(folder, manifest, searchable):
    """The categories with the largest test errors, of the final model where there is one."""
    for name, path in (("Final model", folder / "embed_model"), ("Embeddings", folder)):
        if not (path / "errors.csv").is_file():
            continue
        table = pd.read_csv(
            path / "errors.csv", dtype={"column": str, "category": str}, keep_default_na=False
        )
        table = table[table["rows"] >= min(FEW_TEST_ROWS, table["rows"].max())]
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
