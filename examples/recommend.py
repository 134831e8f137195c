"""Recommendation from ratings
===========================

An RBM of ratings, compared with biases and a matrix factorisation.

Each item is a group of softmax units, one for each rating, and a user's sample has only the items
that the user has rated (Salakhutdinov, Mnih & Hinton 2007). All others are missing: they take no
part in training, and `complete` fills them with their expected ratings.

By default 2,000 users rate 400 items, and 7 % of the ratings exist. They are simulated, but not by
an RBM. A rating is the sum of 3.5, what a user tends to give, what an item tends to get, a match
between the user's and the item's eight taste factors, and noise, rounded to 1 to 5. Who rates what
is not random. Users rate between 10 and 100 items, popular ones more often; good items are more
popular, and users rather rate what suits their taste.

A tenth of the ratings is for validation and a tenth for the test, drawn from all ratings. Models
train on the rest. Their settings, in brackets, have the lowest validation RMSE. Test ratings are
used for the table alone:

* RMSE of the expected rating, clipped to the range of ratings.
* recall@10 and NDCG@10. For each user, all items without a rating in training or validation are
  ranked by expected rating. A hit is a test item that the user rated 4 or more (`--liked`) among
  the first ten. Recall divides the hits by the number of such items, at most ten. NDCG weights a
  hit at rank r by 1 / log2(r + 1) and divides by the best possible sum. Both are means over users
  with at least one such item. "popularity" ranks by the number of ratings, and is hard to beat
  by expected ratings, which ignore who rates what.

Then the script prints ten recommendations for one user (`--user`) with their reasons: the ratings
without which the expected rating of the item would fall most.

`--data` reads user, item and rating from the first three columns of a file: separated by commas,
with or without a header, like MovieLens' ratings.csv, by tabs like u.data, or by `::` like
ratings.dat. A dense matrix of all users and items must fit in memory.

.. code-block:: bash

    python examples/recommend.py
    python examples/recommend.py --quick
    python examples/recommend.py --data ml-100k/u.data
"""

# %%
# More about this: :doc:`/ratings`.

import argparse
import itertools
import re
from pathlib import Path

import numpy as np
import scipy.sparse

from sk_dbn import BernoulliRBMStack

N_BEST = 10


def simulate(n_users, n_items, n_factors=8, seed=0):
    """Return users, items and ratings, as the docstring of this script describes them."""
    rng = np.random.default_rng(seed)
    generosity = 0.4 * rng.normal(size=(n_users, 1))
    quality = 0.5 * rng.normal(size=n_items)
    importance = 0.8 ** np.arange(n_factors)
    tastes = rng.normal(size=(n_users, n_factors)) * importance / np.linalg.norm(importance)
    match = tastes @ rng.normal(size=(n_factors, n_items))
    noise = 0.8 * rng.normal(size=match.shape)
    ratings = np.clip(np.rint(3.5 + generosity + quality + 0.55 * match + noise), 1, 5)
    # The largest sums of log-odds and Gumbel noise are a draw without replacement.
    appeal = rng.normal(size=n_items) + quality + 0.5 * match + rng.gumbel(size=match.shape)
    n_rated = np.clip(rng.lognormal(np.log(25), 0.6, size=(n_users, 1)), 10, n_items // 4)
    rank = np.argsort(np.argsort(-appeal, axis=1), axis=1)
    users, items = np.nonzero(rank < n_rated.astype(int))
    return users, items, ratings[users, items]


def load(path):
    """Return users, items and ratings from a file."""
    rows = [re.split("::|[,\t]", line)[:3] for line in path.read_text().splitlines()]
    has_header = not rows[0][2].replace(".", "").isdigit()
    users, items, ratings = zip(*rows[has_header:], strict=True)
    return users, items, np.array(ratings, dtype=float)


def split(users, items, ratings, seed=0):
    """Return training, validation and test ratings as CSR matrices of users and items."""
    shape = users.max() + 1, items.max() + 1
    part = np.random.default_rng(seed).choice(3, size=len(ratings), p=[0.8, 0.1, 0.1])
    return [
        scipy.sparse.csr_array((ratings[rows], (users[rows], items[rows])), shape=shape)
        for rows in (part == 0, part == 1, part == 2)
    ]


def ratio(total, count, otherwise):
    """Return total / count, where nothing was counted `otherwise`."""
    return np.divide(total, count, out=np.full(len(count), otherwise), where=count > 0)


def mean_ratings(train):
    """Map names to predictions by a mean rating, and by popularity."""
    mean = train.data.mean()
    counts = [np.diff(train.indptr), np.diff(train.tocsc().indptr)]
    by_user, by_item = (ratio(train.sum(axis=1 - i), counts[i], mean) for i in (0, 1))
    zeros = np.zeros(train.shape)
    return {
        "popularity": zeros + counts[1],
        "global mean": zeros + mean,
        "user mean": zeros + by_user[:, np.newaxis],
        "item mean": zeros + by_item,
    }


def ridge_by_row(ratings, columns, alpha):
    """Return each row's bias and factors that predict its ratings from those of the columns."""
    rows = np.zeros((ratings.shape[0], columns.shape[1]))
    for row, start, stop in zip(rows, ratings.indptr, ratings.indptr[1:]):
        features = columns[ratings.indices[start:stop]]
        target = ratings.data[start:stop] - features[:, 0]
        features[:, 0] = 1
        gram = features.T @ features + alpha * np.eye(len(row))
        row[:] = np.linalg.solve(gram, features.T @ target)
    return rows


def factorise(train, rank, alpha, n_rounds=15):
    """Return predictions and parameters of biases and factors, by alternating least squares."""
    mean = train.data.mean()
    by_user = train.copy()
    by_user.data -= mean
    by_item = by_user.T.tocsr()
    items = 0.1 * np.random.default_rng(0).normal(size=(train.shape[1], 1 + rank))
    for _ in range(n_rounds):
        users = ridge_by_row(by_user, items, alpha)
        items = ridge_by_row(by_item, users, alpha)
    predictions = mean + users[:, :1] + items[:, 0] + users[:, 1:] @ items[:, 1:].T
    return predictions, (users, items)


def fit_rbm(train, n_hidden, max_iter):
    """Return predictions of an RBM, and the RBM, whose epochs have 20 minibatches."""
    stack = BernoulliRBMStack(
        (n_hidden,),
        visible="categorical",
        categories=np.unique(train.data),
        not_stored="missing",
        learning_rate=0.25,
        annealing=1.0,
        alpha=0.001,
        dropout=0.5,
        batch_size=max(train.shape[0] // 20, 1),
        max_iter=max_iter,
        n_iter_no_change=max_iter,
        random_state=0,
    ).fit(train)
    return stack.complete(train, n_steps=0), stack


def rmse(predictions, part):
    """Return the root mean squared error of the ratings of a part."""
    part = part.tocoo()
    return np.sqrt(np.mean((predictions[part.row, part.col] - part.data) ** 2))


def choose(fit, train, validation, **grid):
    """Return settings, predictions and model with the lowest RMSE on the validation ratings."""
    best = np.inf
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values))
        predictions, model = fit(train, **settings)
        predictions = np.clip(predictions, train.data.min(), train.data.max())
        error = rmse(predictions, validation)
        if error < best:
            best, chosen = error, (settings, predictions, model)
    return chosen


def stored(ratings):
    """Return a Boolean matrix of which ratings there are."""
    mask = np.zeros(ratings.shape, dtype=bool)
    mask[ratings.tocoo().coords] = True
    return mask


def ranking(predictions, seen, liked):
    """Return recall and NDCG of the liked items among those not seen."""
    best = np.argsort(np.where(seen, np.inf, -predictions), axis=1, kind="stable")[:, :N_BEST]
    users = liked.any(axis=1)
    hits = np.take_along_axis(liked, best, axis=1)[users]
    n_possible = np.minimum(liked.sum(axis=1)[users], N_BEST)
    weights = 1 / np.log2(np.arange(N_BEST) + 2)
    ideal = np.cumsum(weights)[n_possible - 1]
    return np.mean(hits.sum(axis=1) / n_possible), np.mean(hits @ weights / ideal)


def influences(stack, ratings):
    """Return how much each of one user's ratings raises the expected rating of every item."""
    n_rated = ratings.nnz
    kept = np.vstack([np.ones(n_rated, dtype=bool), ~np.eye(n_rated, dtype=bool)])
    rows, entries = np.nonzero(kept)
    variants = scipy.sparse.csr_array(
        (ratings.data[entries], (rows, ratings.indices[entries])),
        shape=(n_rated + 1, ratings.shape[1]),
    )
    expected = stack.complete(variants, n_steps=0)
    return expected[0] - expected[1:]


def print_recommendations(stack, train, seen, predictions, user, items):
    """Print the best unseen items of a user, each with the three ratings that speak most for it."""
    ratings = train[[user]]
    rated = items[ratings.indices]
    influence = influences(stack, ratings)
    best = np.argsort(np.where(seen[user], np.inf, -predictions[user]), kind="stable")[:N_BEST]
    print(f"{ratings.nnz} ratings\n{'item':>8}  expected  because of")
    for item in best:
        reasons = ", ".join(
            f"item {rated[i]} rated {ratings.data[i]:g} ({influence[i, item]:+.2f})"
            for i in np.argsort(-influence[:, item])[:3]
        )
        print(f"{items[item]:>8}  {predictions[user, item]:>8.2f}  {reasons}")


def parse_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer users and items, in seconds")
    parser.add_argument("--data", type=Path, help="file of ratings (default: simulated ones)")
    parser.add_argument("--liked", type=float, default=4, help="least rating of a liked item")
    parser.add_argument("--user", help="user to recommend to (default: the first)")
    return parser.parse_args()


def print_row(name, settings, predictions, test, seen, liked):
    """Print a line of the table."""
    label = f"{name} ({', '.join(f'{k}={v}' for k, v in settings.items())})" if settings else name
    error = "" if name == "popularity" else f"{rmse(predictions, test):.3f}"
    recall, ndcg = ranking(predictions, seen, liked)
    print(f"{label:<48}{error:>9}{recall:>11.3f}{ndcg:>9.3f}", flush=True)


def main():
    """Train and print."""
    arguments = parse_arguments()
    quick = arguments.quick
    if arguments.data is None:
        users, items, ratings = simulate(*((500, 100) if quick else (2_000, 400)))
    else:
        users, items, ratings = load(arguments.data)
    user_names, users = np.unique(users, return_inverse=True)
    item_names, items = np.unique(items, return_inverse=True)
    train, validation, test = split(users, items, ratings)
    seen = stored(train) | stored(validation)
    table = test, seen, (test >= arguments.liked).toarray()
    n_users, n_items = train.shape
    print(f"{n_users} users, {n_items} items, {len(ratings)} ratings\n")
    print(f"{'':<48}{'RMSE':>9}{'recall@10':>11}{'NDCG@10':>9}")
    for name, predictions in mean_ratings(train).items():
        print_row(name, {}, predictions, *table)
    grids = {
        "biases": (factorise, {"rank": [0], "alpha": [1, 3, 10]}),
        "factorisation": (factorise, {"rank": [1, 2, 4, 8], "alpha": [3, 6, 10, 15]}),
        "RBM": (fit_rbm, {"n_hidden": [20] if quick else [100, 200], "max_iter": [100, 150, 200]}),
    }
    for name, (fit, grid) in grids.items():
        settings, predictions, model = choose(fit, train, validation, **grid)
        print_row(name, settings, predictions, *table)
    user = arguments.user or str(user_names[0])
    print(f"\nrecommendations for user {user}, from ", end="")
    number = user_names.astype(str).tolist().index(user)
    print_recommendations(model, train, seen, predictions, number, item_names)


if __name__ == "__main__":
    main()
