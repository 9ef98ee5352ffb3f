"""Vectors of many dimensions in a plane, and where the plane misleads."""

import functools

import numpy as np

from data.reports.neighbours import nearest

TSNE_FROM = 30  # fewer categories are too few for neighbourhoods to mean anything
LOOKED_AT = 60  # most frequent categories that may be named as misplaced


def map_coordinates(vectors, seed=0):
    """Project vectors to two dimensions: (float32 [n, 2], a few words on how).

    PCA, except where 30 or more vectors keep less than half of their variance in two components:
    there t-SNE (van der Maaten and Hinton 2008), by cosine like the lists of neighbours. The same
    vectors and seed give the same coordinates. Vectors that are all alike lie at the origin.

    Args:
        vectors: float [n, size], finite. Give the most frequent 500 at most: t-SNE takes about a
            second for them.
        seed: of t-SNE.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    return _map_coordinates(vectors.tobytes(), vectors.shape, seed)


@functools.lru_cache(maxsize=64)  # the report asks for the maps that were just drawn
def _map_coordinates(data, shape, seed):
    vectors = np.frombuffer(data, dtype=np.float32).reshape(shape).astype(np.float64)
    coordinates = np.zeros((len(vectors), 2), dtype=np.float32)
    coordinates.flags.writeable = False
    spread = vectors - vectors.mean(axis=0) if len(vectors) else vectors
    variance = np.square(spread).sum()
    if not variance > 1e-12 * np.square(vectors).sum():
        return coordinates, "all vectors are alike"

    from sklearn.decomposition import PCA

    components = min(2, *shape)
    pca = PCA(components, svd_solver="full").fit(spread)
    kept = np.square(pca.transform(spread)).sum(axis=0) / variance
    coordinates = np.zeros((len(vectors), 2), dtype=np.float32)
    if len(vectors) < TSNE_FROM or kept.sum() >= 0.5:
        coordinates[:, :components] = pca.transform(spread)
        across, up = (*np.minimum(kept, 1), 0.0)[:2]
        how = f"PCA: {across:.0%} of the variance from left to right, {up:.0%} from bottom to top"
    else:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits  # comes with scikit-learn

        tsne = TSNE(init="pca", metric="cosine", max_iter=500, random_state=seed)
        tsne.set_params(perplexity=min(30, (len(vectors) - 1) / 3))
        with threadpool_limits(1):  # on so few points threads wait more than they work
            placed = tsne.fit_transform(vectors)
        # turned so that it is widest from left to right
        coordinates[:] = PCA(2, svd_solver="full").fit_transform(placed)
        how = f"t-SNE of {shape[1]} dimensions: near ones lie together, far distances mean little"
    coordinates.flags.writeable = False
    return coordinates, how


def misplaced(vectors, coordinates):
    """The category that the map misplaces most: (itself, beside which, its nearest), or None.

    One is misplaced whose neighbour on the map is not among its three nearest by cosine (among its
    two nearest, of fewer than twelve) and is less similar than the nearest by more than 0.25.

    Args:
        vectors: float [n, size], most frequent first; coordinates: float [n, 2].

    Returns:
        three indices, or None.
    """
    if len(vectors) < 5 or not np.ptp(coordinates, axis=0).any():
        return None
    true, similarities = nearest(vectors, 3 if len(vectors) >= 12 else 2)
    apart = np.linalg.norm(coordinates[:LOOKED_AT, None] - coordinates[None], axis=2)
    apart[np.arange(len(apart)), np.arange(len(apart))] = np.inf
    beside = apart.argmin(axis=1)
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    looked_at = np.arange(len(beside))
    lost = similarities[: len(beside), 0] - (units[looked_at] * units[beside]).sum(axis=1)
    lost[(true[: len(beside)] == beside[:, None]).any(axis=1)] = 0.0
    worst = int(lost.argmax())
    return (worst, int(beside[worst]), int(true[worst, 0])) if lost[worst] > 0.25 else None
