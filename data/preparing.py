"""Reading downloaded tables and writing prepared ones: what the prepare.py of each table shares."""

import gzip


def read(path, dtypes, key=None):
    """The columns named in `dtypes` of a CSV file, pandas.DataFrame.

    Args:
        path: pathlib.Path; dtypes: dict of column -> dtype.
        key: column in which every row must have a value of its own.

    Raises:
        ValueError: in one sentence, that the file does not hold that.
    """
    import pandas as pd  # here, so that --help answers at once

    if not path.is_file():
        raise ValueError(f"{path} is missing; --help says where to get it")
    print(f"reading {path}", flush=True)
    try:
        table = pd.read_csv(path, usecols=lambda column: column in dtypes, dtype=dtypes)
    except ValueError as error:  # what pandas raises for text that is no table, or no number
        raise ValueError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    absent = [column for column in dtypes if column not in table]
    if absent:
        raise ValueError(f"{path} has no column {', '.join(absent)}; is it the original file?")
    if key and table[key].duplicated().any():
        twice = table.loc[table[key].duplicated(), key].iloc[0]
        raise ValueError(f"{path} has several rows with {key} {twice}; keep one")
    return table


def write(table, path):
    """Write a DataFrame as CSV, whole or not at all; gzipped if `path` ends in .gz.

    The same table gives the same bytes.
    """
    content = table.to_csv(index=False, lineterminator="\n").encode()
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with open(unfinished, "wb") as file:
            if path.suffix == ".gz":
                # Neither a name nor a time in the header, or the bytes would differ on every run.
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                    packed.write(content)
            else:
                file.write(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
