"""Which categories have learned to lie together: nearest neighbours as tables, lines and maps.

Similarity is the cosine of the angle between two vectors, from -1 to 1, as is usual for learned
embeddings (Mikolov et al. 2013, "Efficient Estimation of Word Representations in Vector Space",
section 4).
"""

import difflib
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError
from data.files import csv_writer
from data.progress import Progress
from data.reports.categories import known_well, sureness
from data.sets.loading import read_set
from data.sets.manifest import saved_vocabulary
from data.sets.names import file_names
from data.tables.encoding import RESERVED
from data.tables.values import as_text

# Time grows with the square of the categories: 20,000 of size 50 take seconds and 200 MB. A column
# with more shows its most frequent ones, whose vectors have had rows enough to learn from.
MOST_CATEGORIES = 20_000


def nearest(vectors, k, among=None):
    """Return the k nearest other vectors of each vector, nearest first.

    Args:
        vectors: float [n, size]. A zero vector has similarity 0 to all others that are not zero.
        k: at most m - 1 are returned.
        among: int [m], those that may be neighbours (default: all).

    Returns:
        indices int64 [n, min(k, m - 1)] and similarities float64 of the same shape.
    """
    from sklearn.neighbors import NearestNeighbors  # late: it takes longer than --help may
    from sklearn.preprocessing import normalize

    everyone = np.arange(len(vectors))
    among = everyone if among is None else among
    shape = len(vectors), max(min(k, len(among) - 1), 0)
    if not shape[1]:
        return np.empty(shape, "int64"), np.empty(shape)
    # Unit vectors that are nearest by Euclidean distance are so by cosine, and scikit-learn finds
    # them many times faster. A zero vector has no direction: it gets one of its own.
    units = normalize(np.column_stack([vectors, ~np.any(vectors, axis=1)]).astype("float64"))
    search = NearestNeighbors(n_neighbors=shape[1] + 1, algorithm="brute").fit(units[among])
    distances, indices = search.kneighbors(units)
    indices = among[indices]
    dropped = indices == everyone[:, None]
    dropped[~dropped.any(axis=1), -1] = True  # not found among them itself: the furthest goes
    return indices[~dropped].reshape(shape), 1.0 - distances[~dropped].reshape(shape) ** 2 / 2.0


def inverse(vectors, points, k=1):
    """Return the rows of `vectors` that lie nearest to each point, and how far away they are.

    The distance is Euclidean, so that each vector finds itself: cosine similarity cannot tell
    parallel vectors apart.

    Args:
        vectors: float [n, size]; points: float [m, size]; k: at most n are returned.

    Returns:
        indices int64 [m, min(k, n)] and distances float64 of the same shape.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(k, len(vectors)), algorithm="brute")
    distances, indices = search.fit(vectors).kneighbors(points)
    return indices, distances


def nearest_known(column, vectors, chosen, k):
    """The k nearest of the chosen categories to each of them, among those known well enough.

    A category that few rows have taught lies somewhere by chance, and would be everybody's
    neighbour.

    Args:
        column: entry of `manifest["columns"]`; chosen: int [n], embedding rows.
        vectors: float [n, size], those of the chosen ones.

    Returns:
        indices int64 [n, m] into `chosen` and similarities float64 [n, m], nearest first; m is k,
        or less where fewer are known.
    """
    return nearest(vectors, k, np.flatnonzero(known_well(column)[chosen]))


def nearest_categories(folder, column, category, n=5):
    """The categories of a saved column that are nearest to one, among those known well enough.

        nearest("saved_embeddings/campaigns", "country", "Spain")

    Args:
        folder: of a saved set; category: as text, or of the column's own type; n: at most.

    Returns:
        DataFrame [<= n], nearest first: category, similarity (cosine, -1 to 1), rows (training rows
        that had it) and sure (how well its vector is known, 0 to 1).

    Raises:
        InputError (a ValueError): the folder holds no usable set, or there is no such column or
            category in it.
    """
    manifest, arrays = read_set(folder)
    if column not in manifest["columns"]:
        raise InputError(f"{folder} has no column {column!r}{_hint(column, manifest['columns'])}")
    entry, vocabulary = manifest["columns"][column], saved_vocabulary(manifest, column)
    (row,) = vocabulary.find([as_text(category)])
    if row < RESERVED:
        hint = _hint(as_text(category), vocabulary.texts()[:MOST_CATEGORIES])
        raise InputError(f"{folder}: {column!r} has no category {category!r}{hint}")
    vectors = arrays[column].astype("float64")
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(vectors[row])
    similarities = vectors @ vectors[row] / np.where(lengths > 0, lengths, 1.0)
    candidates = np.flatnonzero(known_well(entry))
    candidates = candidates[(candidates >= RESERVED) & (candidates != row)]
    chosen = candidates[np.argsort(-similarities[candidates], kind="stable")[:n]]
    return pd.DataFrame(
        {
            "category": [entry["vocabulary"][i - RESERVED] for i in chosen],
            "similarity": similarities[chosen],
            "rows": np.asarray(entry["rows"])[chosen],
            "sure": sureness(entry)[chosen],
        }
    )


def _hint(wrong, names):
    """What may have been meant: the end of a sentence."""
    near = difflib.get_close_matches(str(wrong), list(names), 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def write_neighbours(folder, manifest, arrays, k=5):
    """Write neighbours/<column>.csv of every column.

    Its columns are category, nearest_1, similarity_1, rows_1, nearest_2 and so on. There is a line
    per category in the vocabulary's order, with fewer than k neighbours where the column has
    fewer; neighbours are those known well enough (`categories.known_well`), with their training
    rows. Of more than 20,000 categories only the 20,000 with the most training rows are there, as
    categories and as neighbours.
    """
    (Path(folder) / "neighbours").mkdir(exist_ok=True)
    stems = file_names(manifest["columns"])
    progress = Progress("finding nearest categories", "columns")
    for done, (name, column) in enumerate(manifest["columns"].items()):
        progress(done)
        shown = _frequent(column, MOST_CATEGORIES)
        indices, similarities = nearest_known(column, arrays[name][shown], shown, k)
        texts = [str(column["vocabulary"][row - RESERVED]) for row in shown]
        rows = np.asarray(column["rows"])[shown].tolist()
        header = ["category"]
        for i in range(1, indices.shape[1] + 1):
            header += [f"nearest_{i}", f"similarity_{i}", f"rows_{i}"]
        path = Path(folder) / "neighbours" / f"{stems[name]}.csv"
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv_writer(file, texts)
            writer.writerow(header)
            for text, near, values in zip(
                texts, indices.tolist(), similarities.tolist(), strict=True
            ):
                fields = [text]
                for i, value in zip(near, values, strict=True):
                    fields += [texts[i], f"{value:.4f}", rows[i]]
                writer.writerow(fields)
    progress.done()


def neighbour_lines(manifest, arrays, columns=3, lines=3):
    """Return lines such as "country: Spain is near Mexico 0.93, Argentina 0.91, Chile 0.88".

    Of the columns with at least eight text categories those whose neighbours say most about the
    target: by how much the variance of the target between categories shrinks when the mean target
    of a category's three nearest neighbours is taken off its own (training rows as weights).
    Columns where nothing shrinks are left out; where the target has many classes, and no mean,
    the columns with the clearest neighbours are taken. Within a column, the categories with the
    clearest neighbours among the ten most frequent.

    Args:
        columns, lines: at most so many columns, and so many lines for each.

    Returns:
        list of str, possibly empty, safe to print on a terminal.
    """
    told = []
    for name, column in manifest["columns"].items():
        if column["type"] != "str" or len(column["vocabulary"]) < 8:
            continue
        shown = _frequent(column, 1000)
        indices, similarities = nearest_known(column, arrays[name][shown], shown, 3)
        if not indices.shape[1]:
            continue
        rows = np.asarray(column["rows"], "float64")[shown]
        score = similarities.mean()
        if column.get("mean_target") is not None:
            score = _explained(np.asarray(column["mean_target"], "float64")[shown], rows, indices)
        if score <= 0:
            continue
        known = known_well(column)[shown]
        frequent = np.argsort(np.where(known, -rows, 1.0), kind="stable")[: min(10, known.sum())]
        clearest = frequent[np.argsort(-similarities[frequent].mean(axis=1), kind="stable")]
        words = [_printable(column["vocabulary"][row - RESERVED]) for row in shown]
        near = [
            ", ".join(
                f"{words[j]} {value:.2f}"
                for j, value in zip(row, values, strict=True)
                if value > 0 or j == row[0]
            )
            for row, values in zip(indices, similarities, strict=True)
        ]
        told.append(
            (score, [f"{_printable(name)}: {words[i]} is near {near[i]}" for i in clearest[:lines]])
        )
    told.sort(key=lambda column: -column[0])
    return [line for _, column_lines in told[:columns] for line in column_lines]


def write_projector(folder, manifest, arrays):
    """Write projector/<column>_vectors.tsv and _metadata.tsv for TensorBoard's Embedding Projector.

    Its "Load" button takes them as they are (https://projector.tensorflow.org): vectors without a
    header, metadata (category, rows and, where there is one, mean_target) with one. Tabs and line
    breaks in a category become \\t, \\n and \\r. Categories as in `write_neighbours`.
    """
    (Path(folder) / "projector").mkdir(exist_ok=True)
    stems = file_names(manifest["columns"])
    for name, column in manifest["columns"].items():
        shown = _frequent(column, MOST_CATEGORIES)
        vectors = Path(folder) / "projector" / f"{stems[name]}_vectors.tsv"
        with open(vectors, "w", encoding="utf-8", newline="") as file:
            for start in range(0, len(shown), 4096):
                part = arrays[name][shown[start : start + 4096]].astype(str).tolist()
                file.writelines("\t".join(vector) + "\n" for vector in part)
        means = column.get("mean_target")
        header = ["category", "rows"] + ([] if means is None else ["mean_target"])
        metadata = Path(folder) / "projector" / f"{stems[name]}_metadata.tsv"
        with open(metadata, "w", encoding="utf-8", newline="") as file:
            file.write("\t".join(header) + "\n")
            for row in shown:
                fields = [_one_line(column["vocabulary"][row - RESERVED]), str(column["rows"][row])]
                if means is not None:
                    known = means[row] is not None and math.isfinite(means[row])
                    fields.append(f"{means[row]:.6g}" if known else "")
                file.write("\t".join(fields) + "\n")


def _frequent(column, most):
    """Embedding rows of the `most` categories with the most training rows, in their order."""
    rows = np.asarray(column["rows"])[RESERVED:]
    return np.sort(np.argsort(-rows, kind="stable")[:most]) + RESERVED


def _explained(means, rows, indices):
    """Variance of the means that the mean of their neighbours takes away; NaN counts as 0 rows."""
    rows = np.where(np.isfinite(means), rows, 0.0)
    if rows.sum() == 0:
        return 0.0
    means = np.nan_to_num(means)
    spread = np.average((means - np.average(means, weights=rows)) ** 2, weights=rows)
    return spread - np.average((means - means[indices].mean(axis=1)) ** 2, weights=rows)


def _one_line(category):
    return str(category).replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _printable(text):
    """At most 30 characters that move no cursor."""
    text = re.sub(r"\s+", " ", text)
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= 30 else text[:29] + "…"
