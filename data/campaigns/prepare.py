"""Simulate a table of mobile advertising campaigns.

    python data/campaigns/prepare.py

writes `campaigns.csv.gz` beside this file: 50,000 rows, one per campaign, with what each earned in
dollars (`profit`). A short table from the same world, and a table from another world:

    python data/campaigns/prepare.py --rows 2000 --output short.csv.gz
    python data/campaigns/prepare.py --seed 1 --output other.csv.gz

Nothing was measured: the countries are real, all that happens in them is drawn at random.

The point of the table is what it leaves out. `countries.csv` gives the main language, the region
and the main religion of each country. Each language, each region and each religion draws a taste
of its own for products, devices and weekdays; a country's taste is the sum of its three, and of
one that it shares with nobody:

    taste of a country = taste of its language + of its region + of its religion + its own

The facts are then thrown away. A model sees only names and profits. If the vectors of countries
that share a language come out close to each other, it has found the language by itself.

The logarithm of what a campaign earns is the sum of
- the levels of its country, operator, publisher, category, device and hour,
- the country's taste for the kind of product, the device and the weekday,
- the appeal of the category to the publisher's audience (one of six hidden audiences),
- the appeal of the category at that hour,
- what the numbers do: a bid can be too high, impressions pay, an advertisement wears out, and a
  large screen helps some categories,
- noise.
A campaign costs two dollars; one that would lose money is called off and booked at 0.

The seed fixes the world, that is all effects; seed and number of rows fix the rows.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
from data.preparing import write  # noqa: E402

# fmt: off
CATEGORIES = {  # product category: kind of product, which is not a column of the table
    "action games": "games", "puzzle games": "games", "casino games": "games",
    "dating": "people", "messaging": "people",
    "music streaming": "streaming", "video streaming": "streaming",
    "sports news": "reading", "world news": "reading", "horoscopes": "reading",
    "fashion": "shopping", "groceries": "shopping", "electronics": "shopping",
    "flights": "travel", "ride hailing": "travel",
    "banking": "money", "insurance": "money",
    "language courses": "self-improvement", "fitness": "self-improvement",
    "recipes": "self-improvement",
}
DEVICES = ["Apple", "Samsung", "Xiaomi", "Huawei", "Motorola", "Nokia", "Oppo", "Sony", "other"]
DEVICE_SHARE = [0.22, 0.27, 0.13, 0.09, 0.07, 0.05, 0.07, 0.03, 0.07]
DEVICE_INCHES = [6.0, 6.4, 6.5, 6.4, 6.3, 5.6, 6.5, 6.1, 5.7]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
HOUR_BANDS = ["night", "early morning", "morning", "afternoon", "evening", "late evening"]
HOUR_SHARE = [0.07, 0.10, 0.18, 0.22, 0.28, 0.15]
HOUR_LEVEL = [-0.40, -0.20, 0.00, 0.00, 0.25, 0.20]
# These have twice the rows of the others.
LARGE_MARKETS = [
    "United States", "China", "India", "Japan", "Brazil", "Germany", "United Kingdom", "France",
    "Russia", "Indonesia", "Mexico", "Spain", "Italy", "South Korea", "Turkey", "Canada",
]
BRANDS = [
    "Alo", "Bria", "Celu", "Dila", "Eko", "Fono", "Gira", "Halo", "Juna", "Kelo", "Lumo",
    "Mira", "Nova", "Orbi", "Pola", "Rilo", "Sola", "Tavo", "Vela", "Wavi", "Yara", "Zeno",
]
ENDINGS = ["cel", "fon", "link", "mob", "net", "tel"]
# fmt: on
N_GROUPS = 12  # operators that work in several countries
N_PUBLISHERS = 4000
N_AUDIENCES = 6

# Standard deviations of the effects in log dollars: 0.3 is a factor of 1.35 up or down. They are
# chosen so that a model without the numeric columns explains somewhat over half of the variance,
# and so that none of the three facts drowns the others.
TASTE = {"level": 0.18, "category": 0.36, "device": 0.24, "weekday": 0.14}
OWN_TASTE = {"level": 0.12, "category": 0.12, "device": 0.08, "weekday": 0.05}
FACTS = {"language": 1.1, "region": 1.1, "religion": 1.0}  # how much each one counts
NOISE = 0.34

# The two effects that are not drawn: people use their phones more on the day of rest, and longer
# on wi-fi, where the operator is unknown.
REST_DAY = {
    "Catholic": "Sunday",
    "Muslim": "Friday",
    "Orthodox": "Sunday",
    "Protestant": "Sunday",
}
REST_DAY_LEVEL = 0.35
WIFI_LEVEL = 0.20


def draw_taste(countries, groups, sd, own_sd, rng):
    """Draw the countries' taste for the values of one column.

    Args:
        countries: table with one row per country and the columns in `FACTS`.
        groups: list with one label per value of the column; values with the same label are liked
            equally well.
        sd: standard deviation of the taste of a language, a region or a religion, in log dollars.
        own_sd: standard deviation of what a country shares with nobody.
        rng: `numpy.random.Generator`.

    Returns:
        float64 array (country, value) in log dollars.
    """
    group, distinct = pd.factorize(np.array(groups))
    taste = rng.normal(0, own_sd, (len(countries), len(distinct)))
    for fact, weight in FACTS.items():
        label, labels = pd.factorize(countries[fact], sort=True)
        taste += weight * rng.normal(0, sd, (len(labels), len(distinct)))[label]
    return taste[:, group]


def draw_operators(countries, rng):
    """Invent mobile operators, two or three for each country and groups that work in several.

    Returns:
        names: array of str, for example "Lumofon ES", or "Lumofon" for a group.
        share: float64 array (country, operator), shares of the country's campaigns; rows sum to 1.
    """
    brands = rng.permutation([brand + ending for brand in BRANDS for ending in ENDINGS])
    groups, brands = brands[:N_GROUPS], brands[N_GROUPS:]
    names, home = [], []
    for country, iso in enumerate(countries["iso"]):
        for brand in rng.choice(brands, size=rng.integers(2, 4), replace=False):
            names.append(f"{brand} {iso}")
            home.append(country)
    present = np.zeros((len(countries), len(names) + N_GROUPS))
    present[home, np.arange(len(names))] = 1
    present[:, len(names) :] = rng.random((len(countries), N_GROUPS)) < 0.08
    share = present * rng.lognormal(0, 0.6, present.shape)
    return np.array([*names, *groups]), share / share.sum(axis=1, keepdims=True)


def draw_world(countries, seed):
    """Draw what all tables with this seed have in common: shares, and effects in log dollars.

    Args:
        countries: table with one row per country and the columns `country`, `iso` and `FACTS`.
        seed: int.

    Returns:
        Dictionary of arrays, indexed by position: of a country in `countries`, of a category in
        `CATEGORIES`, and so on.
    """
    rng = np.random.default_rng(seed)
    groups = {
        "level": ["all"],
        "category": list(CATEGORIES.values()),
        "device": DEVICES,
        "weekday": WEEKDAYS,
    }
    taste = {
        column: draw_taste(countries, labels, TASTE[column], OWN_TASTE[column], rng)
        for column, labels in groups.items()
    }
    for religion, day in REST_DAY.items():
        taste["weekday"][countries["religion"] == religion, WEEKDAYS.index(day)] += REST_DAY_LEVEL

    size = np.where(countries["country"].isin(LARGE_MARKETS), 2.0, 1.0)
    size *= rng.lognormal(0, 0.2, len(countries))
    operators, operator_share = draw_operators(countries, rng)
    # Zipf's law with its head cut off: the first publisher has three rows in a hundred.
    traffic = rng.permutation(1 / (np.arange(N_PUBLISHERS) + 5))
    return {
        "taste": taste,
        "country_share": size / size.sum(),
        "operators": operators,
        "operator_share": operator_share,
        "operator_level": rng.normal(0, 0.20, len(operators)),
        "publisher_share": traffic / traffic.sum(),
        "publisher_level": rng.normal(0, 0.60, N_PUBLISHERS),
        "audience": rng.integers(0, N_AUDIENCES, N_PUBLISHERS),
        "appeal": rng.normal(0, 0.30, (N_AUDIENCES, len(CATEGORIES))),
        "category_share": rng.dirichlet(np.full(len(CATEGORIES), 12.0), len(countries)),
        "category_level": rng.normal(0, 0.55, len(CATEGORIES)),
        "category_hour": rng.normal(0, 0.12, (len(CATEGORIES), len(HOUR_BANDS))),
        "category_screen": rng.normal(0.15, 0.20, len(CATEGORIES)),
        "device_share": rng.dirichlet(30 * np.array(DEVICE_SHARE), len(countries)),
        "device_level": rng.normal(0, 0.32, len(DEVICES)),
    }


def choose(share, country, rng):
    """Draw a value for each row, by the shares of the row's country.

    Args:
        share: float64 array (country, value) whose rows sum to 1.
        country: int array (rows,).
        rng: `numpy.random.Generator`.

    Returns:
        int64 array (rows,).
    """
    value = np.empty(len(country), dtype=np.int64)
    for i, p in enumerate(share):
        rows = country == i
        value[rows] = rng.choice(len(p), rows.sum(), p=p)
    return value


def draw_campaigns(world, n_rows, rng):
    """Draw what each campaign was.

    Returns:
        Dictionary of arrays (rows,): positions of country, operator, publisher, category, device,
        weekday and hour; whether it ran on wi-fi; bid and impressions, standardised; the age of
        the advertisement in days; the screen in inches.
    """
    rows = {"country": rng.choice(len(world["country_share"]), n_rows, p=world["country_share"])}
    rows["operator"] = choose(world["operator_share"], rows["country"], rng)
    rows["wifi"] = rng.random(n_rows) < 0.05
    rows["publisher"] = rng.choice(N_PUBLISHERS, n_rows, p=world["publisher_share"])
    rows["category"] = choose(world["category_share"], rows["country"], rng)
    rows["device"] = choose(world["device_share"], rows["country"], rng)
    rows["weekday"] = rng.integers(0, len(WEEKDAYS), n_rows)
    rows["hour"] = rng.choice(len(HOUR_BANDS), n_rows, p=HOUR_SHARE)
    rows["bid"] = rng.normal(0, 1, n_rows)
    rows["impressions"] = rng.normal(0, 1, n_rows)
    rows["age"] = rng.gamma(1.2, 15.0, n_rows).astype(int)
    spread = rng.normal(0, 0.45, n_rows)
    rows["inches"] = (np.array(DEVICE_INCHES)[rows["device"]] + spread).round(1)
    return rows


def earned(world, rows, rng):
    """What each campaign of `draw_campaigns` earns, float64 array (rows,) in log dollars."""
    taste, country, category = world["taste"], rows["country"], rows["category"]
    return (
        4.0
        + taste["level"][country, 0]
        + taste["category"][country, category]
        + taste["device"][country, rows["device"]]
        + taste["weekday"][country, rows["weekday"]]
        + np.where(rows["wifi"], WIFI_LEVEL, world["operator_level"][rows["operator"]])
        + world["publisher_level"][rows["publisher"]]
        + world["category_level"][category]
        + world["device_level"][rows["device"]]
        + np.array(HOUR_LEVEL)[rows["hour"]]
        + world["appeal"][world["audience"][rows["publisher"]], category]
        + world["category_hour"][category, rows["hour"]]
        + 0.10 * rows["bid"]
        - 0.16 * (rows["bid"] - 0.5) ** 2
        + 0.40 * rows["impressions"]
        - 0.30 * np.log1p(rows["age"] / 7)
        + world["category_screen"][category] * (rows["inches"] - 6.2) / 0.45
        + rng.normal(0, NOISE, len(country))
    )


def draw_table(world, countries, n_rows, rng):
    """Draw campaigns and what they earn.

    Args:
        world: what `draw_world` returned for `countries`.
        countries: table with one row per country and the column `country`.
        n_rows: int.
        rng: `numpy.random.Generator`.

    Returns:
        `pandas.DataFrame` of `n_rows` rows in random order: seven columns of names, four of
        numbers, and `profit` in dollars.
    """
    rows = draw_campaigns(world, n_rows, rng)
    profit = np.exp(earned(world, rows, rng)) - 2
    table = pd.DataFrame(
        {
            "country": countries["country"].to_numpy()[rows["country"]],
            "operator": world["operators"][rows["operator"]],
            "publisher": pd.Series(rows["publisher"]).map("pub-{:04d}".format),
            "category": np.array(list(CATEGORIES))[rows["category"]],
            "device": np.array(DEVICES)[rows["device"]],
            "weekday": np.array(WEEKDAYS)[rows["weekday"]],
            "hour_band": np.array(HOUR_BANDS)[rows["hour"]],
            "bid": (1.5 * np.exp(0.5 * rows["bid"])).round(2),
            "impressions": (20000 * np.exp(0.9 * rows["impressions"])).astype(int),
            "ad_age_days": rows["age"],
            "screen_inches": rows["inches"],
            "profit": np.maximum(profit, 0).round(2),
        }
    )
    table["operator"] = table["operator"].mask(rows["wifi"])
    table["publisher"] = table["publisher"].mask(rng.random(n_rows) < 0.01)
    table["screen_inches"] = table["screen_inches"].mask(rng.random(n_rows) < 0.06)
    return table


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=HERE / "campaigns.csv.gz",
        metavar="FILE",
        help="file to write, gzipped if its name ends in .gz (default: campaigns.csv.gz here)",
    )
    parser.add_argument(
        "--rows", type=int, default=50_000, help="number of campaigns (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="another number is another world (default: 0)"
    )
    options = parser.parse_args()
    if options.rows < 1:
        parser.error(f"--rows is {options.rows}; give a number of 1 or more")
    if options.seed < 0:
        parser.error(f"--seed is {options.seed}; give a number of 0 or more")

    # keep_default_na: the ISO code of Namibia is NA.
    countries = pd.read_csv(HERE / "countries.csv", keep_default_na=False)
    world = draw_world(countries, options.seed)
    rng = np.random.default_rng([options.seed, options.rows])
    table = draw_table(world, countries, options.rows, rng)
    try:
        write(table, options.output)
    except OSError as error:
        parser.error(f"cannot write {options.output} ({error.strerror}); give another --output")
    print(f"{options.output}: {len(table):,} rows, {table.shape[1]} columns")


if __name__ == "__main__":
    main()
