"""The scripts that make the two shipped tables, run as a user runs them.

Small tables are written here; REAL_TABLES names the folder with the real ones (rossmann/ and
flights/), which are never part of the project.
"""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]

ROSSMANN = {
    # Newest first, as Kaggle has it.
    "train.csv": """\
Store,DayOfWeek,Date,Sales,Customers,Open,Promo,StateHoliday,SchoolHoliday
1,3,2014-01-01,500,50,1,1,0,0
2,3,2014-01-01,0,0,0,0,a,1
3,3,2014-01-01,700,70,1,0,a,1
1,2,2013-12-31,400,40,1,1,0,0
2,2,2013-12-31,600,60,1,1,0,0
""",
    "store.csv": """\
Store,StoreType,Assortment,CompetitionDistance,CompetitionOpenSinceMonth,\
CompetitionOpenSinceYear,Promo2,Promo2SinceWeek,Promo2SinceYear,PromoInterval
1,c,a,1270,11,2012,0,NULL,NULL,NULL
2,a,b,NULL,NULL,NULL,1,13,2010,"Jan,Apr,Jul,Oct"
3,d,c,90,3,2014,0,NULL,NULL,NULL
""",
    "store_states.csv": 'Store,State\n1,HE\n2,"HB,NI"\n3,BY\n',
}

FLIGHTS = {
    # In order: due and left at 5:15, 30 min late over midnight, 10 min early over midnight (so due
    # on the next day's date), 24:00 on the clock, cancelled, left but no arrival.
    "flights.csv": """\
year,month,day,dep_time,dep_delay,arr_time,arr_delay,carrier,tailnum,flight,origin,dest,air_time,\
distance,hour,minute
2013,1,2,517,2.0,830,11.0,UA,N1,1545,EWR,IAH,227.0,1400.0,5.0,17.0
2013,1,1,15,30.0,300,25.0,B6,N2,707,JFK,SJU,190.0,1598.0,0.0,15.0
2013,1,2,2355,-10.0,240,-20.0,B6,NA,739,JFK,PSE,200.0,1617.0,23.0,55.0
2013,1,1,2400,16.0,230,5.0,WN,N9,12,EWR,MIA,160.0,1085.0,24.0,0.0
2013,1,1,,,,,AA,,30,EWR,MIA,,1085.0,,
2013,1,1,900,0.0,,,AA,N1,31,EWR,MIA,,1085.0,9.0,0.0
""",
    "planes.csv": """\
tailnum,year,type,manufacturer,model,engines,seats,speed,engine
N1,1999,Fixed wing,BOEING,737-824,2,149,NA,Turbo-fan
N2,NA,Fixed wing,AIRBUS,A320-214,2,182,NA,Turbo-fan
""",
    "weather.csv": """\
origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib
EWR,2013,1,2,5,39.02,26.06,59.37,270,10.357,NA,0,1012,10
EWR,2013,1,2,5,40.00,26.06,59.37,270,10.357,NA,0,1012,10
JFK,2013,1,1,0,10.00,26.06,59.37,NA,10.357,NA,0,1012,10
JFK,2013,1,1,23,33.00,26.06,59.37,NA,10.357,20,0,NA,10
""",
}


def run(table, *arguments):
    script = ROOT / "data" / table / "prepare.py"
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


def folder_of(files, folder, **changed):
    folder.mkdir()
    for name, text in {**files, **changed}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def prepared(table, files, tmp_path, *options):
    output = tmp_path / "table.csv"
    result = run(table, folder_of(files, tmp_path / "raw"), "--output", output, *options)
    assert result.returncode == 0, result.stderr
    return pd.read_csv(output, dtype="str", keep_default_na=False)


def assert_refused(result, output, *words):
    """Exit status 2, one line on stderr that holds `words`, and nothing written."""
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("prepare.py: error: ")
    for word in words:
        assert word in result.stderr
    assert not list(output.parent.glob(output.name + "*"))


def test_rossmann_keeps_days_with_sales_oldest_first(tmp_path):
    table = prepared("rossmann", ROSSMANN, tmp_path)
    assert table["Date"].tolist() == ["2013-12-31", "2013-12-31", "2014-01-01", "2014-01-01"]
    assert table["Store"].tolist() == ["1", "2", "1", "3"]
    assert table["Sales"].tolist() == ["400", "600", "500", "700"]


def test_rossmann_joins_store_and_state(tmp_path):
    table = prepared("rossmann", ROSSMANN, tmp_path)
    assert " ".join(table.columns) == (
        "Date Store DayOfWeek Year Month Day State StateHoliday StoreType Assortment PromoInterval"
        " Promo SchoolHoliday Promo2 CompetitionDistance CompetitionMonths Sales"
    )
    assert table["State"].tolist() == ["HE", "HB,NI", "HE", "BY"]
    assert table["PromoInterval"].tolist() == ["", "Jan,Apr,Jul,Oct", "", ""]
    assert table["CompetitionDistance"].tolist() == ["1270", "", "1270", "90"]
    assert table["StateHoliday"].tolist() == ["0", "0", "0", "a"]
    assert table["Year"].tolist() == ["2013", "2013", "2014", "2014"]


def test_rossmann_counts_months_since_the_competitor_opened(tmp_path):
    table = prepared("rossmann", ROSSMANN, tmp_path)
    # Store 1: opened in November 2012; store 2: unknown; store 3: opens in March 2014.
    assert table["CompetitionMonths"].tolist() == ["13", "", "14", "-2"]


def test_rossmann_customers_take_the_place_of_sales(tmp_path):
    table = prepared("rossmann", ROSSMANN, tmp_path, "--target", "Customers")
    assert table.columns[-1] == "Customers" and "Sales" not in table
    assert table["Customers"].tolist() == ["40", "60", "50", "70"]


def test_flights_are_dated_and_sorted_by_schedule(tmp_path):
    table = prepared("flights", FLIGHTS, tmp_path)
    schedule = table["Date"] + " " + table["sched_hour"] + ":" + table["sched_minute"]
    assert schedule.tolist() == [
        "2013-01-01 23:44",  # left at 24:00, 16 minutes late
        "2013-01-01 23:45",  # left at 0:15, 30 minutes late
        "2013-01-02 0:5",  # left at 23:55, 10 minutes early
        "2013-01-02 5:15",
    ]
    assert table["weekday"].tolist() == ["Tuesday", "Tuesday", "Wednesday", "Wednesday"]
    assert table["arr_delay"].tolist() == ["5", "25", "-20", "11"]


def test_flights_join_plane_and_weather_of_the_scheduled_hour(tmp_path):
    table = prepared("flights", FLIGHTS, tmp_path)
    assert table["tailnum"].tolist() == ["N9", "N2", "", "N1"]
    assert table["model"].tolist() == ["", "A320-214", "", "737-824"]
    assert table["year_built"].tolist() == ["", "", "", "1999"]
    assert table["seats"].tolist() == ["", "182", "", "149"]
    # JFK at 23, not at 0 when the flight left; the hour that comes twice doubles no flight.
    assert table["temp"].tolist() == ["", "33.0", "", "39.02"]


@pytest.mark.parametrize(
    ("target", "values"),
    [("air_time", ["160", "190", "200", "227"]), ("dep_late", ["yes", "yes", "no", "no"])],
)
def test_flights_hold_no_actual_time_beside_the_target(tmp_path, target, values):
    table = prepared("flights", FLIGHTS, tmp_path, "--target", target)
    assert table[target].tolist() == values
    actual = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "hour", "minute"}
    assert actual & set(table.columns) <= {target}


@pytest.mark.parametrize(
    ("table", "files", "name"),
    [(t, f, n) for t, f in [("rossmann", ROSSMANN), ("flights", FLIGHTS)] for n in f],
)
def test_missing_file_is_refused(tmp_path, table, files, name):
    folder = folder_of(files, tmp_path / "raw")
    (folder / name).unlink()
    output = tmp_path / "table.csv"
    assert_refused(run(table, folder, "--output", output), output, str(folder / name), "missing")


@pytest.mark.parametrize(
    ("table", "files", "name", "old", "new", "word"),
    [
        ("rossmann", ROSSMANN, "train.csv", "SchoolHoliday", "School", "no column SchoolHoliday"),
        ("rossmann", ROSSMANN, "train.csv", "500", "five", "cannot be read"),
        ("rossmann", ROSSMANN, "train.csv", "2014-01-01", "1.1.2014", "1.1.2014"),
        ("rossmann", ROSSMANN, "store_states.csv", "3,BY", "2,BY", "several rows with Store 2"),
        ("flights", FLIGHTS, "flights.csv", "dep_delay", "delay", "no column dep_delay"),
        ("flights", FLIGHTS, "flights.csv", "2013,1,2,", "2013,2,30,", "2013-2-30"),
        ("flights", FLIGHTS, "planes.csv", "N2,", "N1,", "several rows with tailnum N1"),
        ("flights", FLIGHTS, "weather.csv", "39.02", "mild", "cannot be read"),
    ],
)
def test_wrong_content_is_refused(tmp_path, table, files, name, old, new, word):
    folder = folder_of(files, tmp_path / "raw", **{name: files[name].replace(old, new)})
    output = tmp_path / "table.csv"
    assert_refused(run(table, folder, "--output", output), output, str(folder / name), word)


def test_flights_never_overwrite_their_input(tmp_path):
    folder = folder_of(FLIGHTS, tmp_path / "raw")
    result = run("flights", folder, "--output", folder / "flights.csv")
    assert result.returncode == 2 and "also an input" in result.stderr
    assert (folder / "flights.csv").read_text(encoding="utf-8") == FLIGHTS["flights.csv"]


def test_a_failed_run_keeps_the_earlier_table(tmp_path):
    output = tmp_path / "table.csv"
    output.write_text("earlier", encoding="utf-8")
    assert run("rossmann", tmp_path / "nowhere", "--output", output).returncode == 2
    assert output.read_text(encoding="utf-8") == "earlier"


def real_tables():
    if "REAL_TABLES" not in os.environ:
        pytest.skip("REAL_TABLES names no folder with the real rossmann/ and flights/ files")
    return Path(os.environ["REAL_TABLES"])


def test_real_rossmann_counts(tmp_path):
    output = tmp_path / "rossmann.csv"
    result = run("rossmann", real_tables() / "rossmann", "--output", output)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(output, dtype={"StateHoliday": "str"})
    assert len(table) == 844_338 and int(0.9 * len(table)) == 759_904
    assert table["Date"].is_monotonic_increasing and table["Date"].iloc[759_904] == "2015-05-02"
    assert table["Store"].nunique() == 1_115 and table["State"].nunique() == 12
    assert table.isna().sum()[lambda missing: missing > 0].to_dict() == {
        "PromoInterval": 423_292,
        "CompetitionDistance": 2_186,
        "CompetitionMonths": 268_600,
    }


def test_real_flights_counts(tmp_path):
    output = tmp_path / "flights.csv"
    result = run("flights", real_tables() / "flights", "--output", output)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(output)
    dates = sorted(table["Date"].unique())
    cut = dates[int(0.85 * len(dates))]
    assert cut == "2013-11-07"
    assert (table["Date"] < cut).sum() == 278_765 and (table["Date"] >= cut).sum() == 48_581
    # No two flights of a day share carrier, number and route: the dates are those of the schedule.
    assert not table.duplicated(["Date", "carrier", "flight", "origin", "dest"]).any()
