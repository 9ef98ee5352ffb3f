"""Join the 2013 New York flights into one table: a row per flight, the arrival delay as target.

    python data/flights/prepare.py ~/Downloads/nycflights13

The folder holds flights.csv, planes.csv and weather.csv of nycflights13: all flights that left
New York City in 2013 (CC0). From R, with its package of that name:

    for (t in c("flights", "planes", "weather"))
      write.csv(getExportedValue("nycflights13", t), paste0(t, ".csv"), row.names = FALSE)

Flights without a known arrival delay are left out; the oldest by schedule come first, so that the
last dates can be the test set. Actual times tell the delay, so no column beside the target holds
one. Other targets: --target air_time (minutes in the air), --target dep_late (whether the flight
left more than 15 minutes late, yes or no). The rows are the same for all three.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
from data.preparing import read, write  # noqa: E402

FLIGHTS = {
    "year": "Int64",
    "month": "Int64",
    "day": "Int64",
    "dep_time": "Int64",
    "dep_delay": "Int64",
    "arr_delay": "Int64",
    "air_time": "Int64",
    "carrier": "str",
    "tailnum": "str",
    "flight": "Int64",
    "origin": "str",
    "dest": "str",
    "distance": "Int64",
}
PLANES = {
    "tailnum": "str",
    "year": "Int64",
    "manufacturer": "str",
    "model": "str",
    "seats": "Int64",
}
WEATHER = {
    "origin": "str",
    "year": "Int64",
    "month": "Int64",
    "day": "Int64",
    "hour": "Int64",
    "temp": "float64",
    "dewp": "float64",
    "humid": "float64",
    "wind_dir": "float64",
    "wind_speed": "float64",
    "wind_gust": "float64",
    "precip": "float64",
    "pressure": "float64",
    "visib": "float64",
}

COLUMNS = [
    *["Date", "weekday", "sched_hour", "carrier", "tailnum", "flight", "origin", "dest"],
    *["manufacturer", "model", "month", "day", "sched_minute", "distance", "year_built", "seats"],
    *["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure"],
    "visib",
]
TARGETS = ["arr_delay", "air_time", "dep_late"]


def prepare(folder, target="arr_delay"):
    """Return the joined table, a DataFrame with COLUMNS and `target`."""
    import pandas as pd

    flights = read(folder / "flights.csv", FLIGHTS)
    planes = read(folder / "planes.csv", PLANES, key="tailnum")
    weather = read(folder / "weather.csv", WEATHER)

    flights = flights.dropna(subset=["arr_delay", "dep_time", "dep_delay"])
    if flights.empty:
        raise ValueError(f"{folder / 'flights.csv'} has no row with a known arrival delay")
    date = pd.to_datetime(flights[["year", "month", "day"]], errors="coerce")
    if date.isna().any():
        row = flights.loc[date.isna(), ["year", "month", "day"]].iloc[0]
        wrong = "-".join(str(part) for part in row)
        raise ValueError(f"{folder / 'flights.csv'} has the date {wrong}, which does not exist")

    # dep_time is HHMM on the clock. A flight due at 23:50 that left 40 minutes late left at 30 past
    # midnight: modulo a day leads back to 23:50, and the date in the file is that of the schedule.
    left = flights["dep_time"] // 100 * 60 + flights["dep_time"] % 100
    scheduled = (left - flights["dep_delay"]) % (24 * 60)
    flights = flights.assign(
        Date=date.dt.strftime("%Y-%m-%d"),
        weekday=date.dt.day_name(),
        sched_hour=scheduled // 60,
        sched_minute=scheduled % 60,
        dep_late=(flights["dep_delay"] > 15).map({True: "yes", False: "no"}),
    )
    # The file lists each day's flights as they left, which is not known in advance: ties go by
    # carrier and flight number instead.
    flights = flights.sort_values(
        ["Date", "sched_hour", "sched_minute", "carrier", "flight", "origin"]
    )

    planes = planes.rename(columns={"year": "year_built"})
    weather = weather.rename(columns={"hour": "sched_hour"})
    hour = ["origin", "year", "month", "day", "sched_hour"]
    # In November the clocks go back and one hour comes twice: its first report stands for both.
    weather = weather.drop_duplicates(hour)
    table = flights.merge(planes, how="left", on="tailnum")
    table = table.merge(weather, how="left", on=hour)
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
        "--target", choices=TARGETS, default="arr_delay", help="last column (default: arr_delay)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="CSV file to write (default: flights.csv, or flights_TARGET.csv for another target, "
        "beside this script)",
    )
    args = parser.parse_args()
    name = "flights.csv" if args.target == "arr_delay" else f"flights_{args.target}.csv"
    output = args.output or HERE / name
    try:
        if output.resolve() == (args.folder / "flights.csv").resolve():
            raise ValueError(f"{output} is also an input; give another name with --output")
        table = prepare(args.folder, args.target)
        print(f"writing {output}", flush=True)
        write(table, output)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print(f"{len(table):,} rows, {table['Date'].iloc[0]} to {table['Date'].iloc[-1]}")


if __name__ == "__main__":
    main()
