"""Join the Rossmann files into one table: a row per store and day, the sales as target.

    python data/rossmann/prepare.py ~/Downloads/rossmann

The folder holds three files that you fetch yourself:
  train.csv         Kaggle, "Rossmann Store Sales": https://www.kaggle.com/c/rossmann-store-sales
  store.csv         the same
  store_states.csv  the German state of each store, published with the code of Guo and Berkhahn:
                    https://github.com/entron/entity-embedding-rossmann

Days without sales are left out; the oldest rows come first, so that the last ones can be the test
set. The number of customers is known only after the day, so it is no column beside the sales;
--target Customers writes it in place of them, to show what embeddings learned from sales are worth
for another target.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
from data.preparing import read, write  # noqa: E402

TRAIN = {
    "Date": "str",
    "Store": "Int64",
    "DayOfWeek": "Int64",
    "StateHoliday": "str",  # "0" and letters: reading it as text keeps it one kind of value
    "Promo": "Int64",
    "SchoolHoliday": "Int64",
    "Sales": "Int64",
    "Customers": "Int64",
}
STORE = {
    "Store": "Int64",
    "StoreType": "str",
    "Assortment": "str",
    "Promo2": "Int64",
    "PromoInterval": "str",
    "CompetitionDistance": "Int64",
    "CompetitionOpenSinceMonth": "Int64",
    "CompetitionOpenSinceYear": "Int64",
}
STATES = {"Store": "Int64", "State": "str"}

COLUMNS = [
    *["Date", "Store", "DayOfWeek", "Year", "Month", "Day", "State", "StateHoliday", "StoreType"],
    *["Assortment", "PromoInterval", "Promo", "SchoolHoliday", "Promo2", "CompetitionDistance"],
    "CompetitionMonths",
]
TARGETS = ["Sales", "Customers"]


def prepare(folder, target="Sales"):
    """Return the joined table, a DataFrame with COLUMNS and `target`."""
    import pandas as pd

    sales = read(folder / "train.csv", TRAIN)
    stores = read(folder / "store.csv", STORE, key="Store")
    states = read(folder / "store_states.csv", STATES, key="Store")

    sales = sales[sales["Sales"] > 0]
    if sales.empty:
        raise ValueError(f"{folder / 'train.csv'} has no row with sales; is it the original file?")
    date = pd.to_datetime(sales["Date"], format="%Y-%m-%d", errors="coerce")
    if date.isna().any():
        wrong = sales.loc[date.isna(), "Date"].iloc[0]
        raise ValueError(f"{folder / 'train.csv'} has the Date {wrong}; write it like 2013-01-31")

    # A stable sort: within a day the stores keep the order of the file.
    table = sales.assign(Year=date.dt.year, Month=date.dt.month, Day=date.dt.day)
    table = table.sort_values("Date", kind="stable")
    table = table.merge(stores, how="left", on="Store")
    table = table.merge(states, how="left", on="Store")
    # Below zero: the competitor has yet to open. Missing where the opening is unknown.
    table["CompetitionMonths"] = (table["Year"] - table["CompetitionOpenSinceYear"]) * 12 + (
        table["Month"] - table["CompetitionOpenSinceMonth"]
    )
    return table[[*COLUMNS, target]]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=HERE / "raw",
        help="folder with the three files (default: raw/ beside this script)",
    )
    parser.add_argument(
        "--target", choices=TARGETS, default="Sales", help="last column (default: Sales)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="CSV file to write (default: rossmann.csv, or rossmann_customers.csv for that target, "
        "beside this script)",
    )
    args = parser.parse_args()
    name = "rossmann.csv" if args.target == "Sales" else f"rossmann_{args.target.lower()}.csv"
    output = args.output or HERE / name
    try:
        table = prepare(args.folder, args.target)
        print(f"writing {output}", flush=True)
        write(table, output)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print(f"{len(table):,} rows, {table['Date'].iloc[0]} to {table['Date'].iloc[-1]}")


if __name__ == "__main__":
    main()
