"""Data sets of OpenML, kept on disk by scikit-learn's cache."""

import functools
import http.client
import re
import warnings

import pandas as pd

from data import InputError
from data.tables.compressed import DAMAGED


def column_names(name, dialect=None):
    return list(openml_table(name)[0].columns)


def declared_types(name, dialect=None):
    frame = openml_table(name)[0]
    return {column: kind for column in frame if (kind := _type(frame[column]))}


def chunks(name, roles, dialect, rows):
    frame = openml_table(name)[0][list(roles)]
    for start in range(0, len(frame), rows):
        part = frame.iloc[start : start + rows]
        yield part, min((start + rows) / len(frame), 1.0)


def _type(values):
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.cat.categories
    return {
        "integer": "int", "floating": "float", "mixed-integer-float": "float", "boolean": "bool",
        "string": "str", "datetime64": "date",
    }.get(pd.api.types.infer_dtype(values, skipna=True))  # fmt: skip


@functools.cache
def openml_table(name):
    """(DataFrame, name of its target or None, number), kept on disk by scikit-learn's cache."""
    from sklearn.datasets import fetch_openml

    wanted = name.removeprefix("openml:")
    which = {"data_id": int(wanted)} if re.fullmatch("[0-9]+", wanted) else {"name": wanted}
    try:
        with warnings.catch_warnings(action="ignore"):  # about several versions: see the number
            bunch = fetch_openml(**which, as_frame=True, parser="pandas")
    except (*DAMAGED, KeyError, http.client.HTTPException) as error:
        reason = str(error).strip(" .\n").partition("\n")[0]
        raise InputError(f"{name}: OpenML does not give it ({reason}).") from None
    target = bunch.target_names[0] if len(bunch.target_names or []) == 1 else None
    return bunch.frame, target, str(bunch.details.get("id", wanted))
