"""Do distances between vectors agree with distances on the map?

    python tests/benchmarks/geography.py saved_embeddings/rossmann State
    python tests/benchmarks/geography.py saved_embeddings/flights dest --airports airports.csv

Rank correlation (Spearman) of the cosine distances of all pairs of categories with their distances
on the globe, and the share of 9,999 permutations of the places that correlate as well (Mantel,
1967). The German states are taken at their capitals; airports.csv is that of the flights (faa, lat,
lon).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata
from sklearn.metrics.pairwise import haversine_distances

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from build_embeddings import load_embeddings

CAPITALS = {
    "BE": (52.52, 13.40), "BW": (48.78, 9.18), "BY": (48.14, 11.58), "HB,NI": (52.37, 9.73),
    "HE": (50.08, 8.24), "HH": (53.55, 9.99), "NW": (51.23, 6.78), "RP": (50.00, 8.27),
    "SH": (54.32, 10.13), "SN": (51.05, 13.74), "ST": (52.13, 11.62), "TH": (50.98, 11.03),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("folder")
    parser.add_argument("column")
    parser.add_argument("--airports", help="CSV with faa, lat, lon")
    arguments = parser.parse_args()
    vectors = load_embeddings(arguments.folder)[arguments.column]
    places = pd.DataFrame.from_dict(CAPITALS, orient="index", columns=["lat", "lon"])
    if arguments.airports:
        places = pd.read_csv(arguments.airports).set_index("faa")[["lat", "lon"]]
    both = vectors.index.intersection(places.index)
    correlation, share = mantel(vectors.loc[both].to_numpy(), places.loc[both].to_numpy())
    print(
        f"{arguments.column}: {len(both)} places of {len(vectors)}, rank correlation "
        f"{correlation:.3f}, as high in {share:.2%} of the permutations"
    )


def mantel(vectors, places, permutations=9999, seed=0):
    """(rank correlation, share of permutations that correlate as well)."""
    ours = rankdata(pdist(vectors, "cosine"))
    map_ranks = squareform(
        rankdata(squareform(haversine_distances(np.radians(places)), checks=False))
    )
    upper = np.triu_indices(len(vectors), 1)
    random = np.random.default_rng(seed)
    found = np.corrcoef(ours, map_ranks[upper])[0, 1]
    as_high = 0
    for _ in range(permutations):
        order = random.permutation(len(vectors))
        as_high += np.corrcoef(ours, map_ranks[np.ix_(order, order)][upper])[0, 1] >= found
    return found, (as_high + 1) / (permutations + 1)


if __name__ == "__main__":
    main()
