"""Time of a training epoch: BernoulliRBMStack with one RBM compared with scikit-learn and torch.

Contrastive divergence with one Gibbs step on binary data. Each line has the time of one epoch
(after a warm-up, the best of several) and its ratio to ours. All libraries take turns in one run.
torch (the `bench` extra) is skipped if it is not installed.

    python examples/benchmarks/rbm_epoch.py
    python examples/benchmarks/rbm_epoch.py --quick
"""

import argparse
import time

import numpy as np
from sklearn.neural_network import BernoulliRBM

from sk_dbn import BernoulliRBMStack

SHAPES = [  # rows, visible units, hidden units, batch size
    (1_797, 64, 100, 10),
    (20_000, 784, 500, 100),
]
QUICK_SHAPES = [(500, 64, 100, 10)]


def ours(X, n_hidden, batch_size, n_epochs, dtype="float32"):
    """Return a function that trains as users do: with shuffling, trace and stopping rule."""
    settings = {"max_iter": n_epochs, "n_iter_no_change": n_epochs, "batch_size": batch_size}
    stack = BernoulliRBMStack((n_hidden,), random_state=0, dtype=dtype, **settings)
    return lambda: stack.fit(X)


def scikit_learn(X, n_hidden, batch_size, n_epochs):
    """Return a function that trains scikit-learn's RBM, in the precision of X."""
    rbm = BernoulliRBM(n_hidden, batch_size=batch_size, n_iter=n_epochs, random_state=0)
    return lambda: rbm.fit(X)


def torch_training(X, n_hidden, batch_size, n_epochs, n_threads=None):
    """Return a function that trains an RBM in torch, with momentum and without autograd."""
    import torch

    n, n_visible = X.shape
    X = torch.from_numpy(X)

    def mean(bias, units, weights):
        return torch.addmm(bias, units, weights).sigmoid_()

    def sample(mean):  # up to ten times as fast as torch.bernoulli
        return torch.rand_like(mean).lt_(mean)

    @torch.inference_mode()
    def train():
        torch.set_num_threads(n_threads or torch.get_num_threads())
        W = 0.01 * torch.randn(n_visible, n_hidden, dtype=X.dtype)
        b, c = torch.zeros(n_visible, dtype=X.dtype), torch.zeros(n_hidden, dtype=X.dtype)
        velocity, rate = torch.zeros_like(W), 0.1
        for _ in range(n_epochs):
            for rows in torch.randperm(n).split(batch_size):
                v = X[rows]
                h = mean(c, v, W)
                v_neg = sample(mean(b, sample(h), W.T))
                h_neg = mean(c, v_neg, W)
                scale = rate / len(v)
                velocity.mul_(0.9).addmm_(v.T, h, alpha=scale).addmm_(v_neg.T, h_neg, alpha=-scale)
                W.add_(velocity)
                b.add_((v - v_neg).sum(0), alpha=scale)
                c.add_((h - h_neg).sum(0), alpha=scale)

    return train


def runs_of(X, n_hidden, batch_size, n_epochs):
    """Map the name of each library to a function that trains for n_epochs."""
    args = n_hidden, batch_size, n_epochs
    runs = {
        "sk_dbn float32": ours(X, *args),
        "sk_dbn float64": ours(X, *args, dtype="float64"),
        "scikit-learn float32": scikit_learn(X, *args),
        "scikit-learn float64": scikit_learn(X.astype(np.float64), *args),
    }
    try:
        runs["torch float32"] = torch_training(X, *args)
    except ImportError:
        pass
    return runs


def best_times(runs, n_rounds):
    """Return the best time of each run in seconds, in turns after a warm-up."""
    best = dict.fromkeys(runs, np.inf)
    for i in range(n_rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if i:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def main(quick):
    """Print a table for each shape."""
    for n, n_visible, n_hidden, batch_size in QUICK_SHAPES if quick else SHAPES:
        X = (np.random.default_rng(0).random((n, n_visible)) < 0.13).astype(np.float32)
        n_epochs = max(1, (10_000 if quick else 100_000) // n)
        runs = runs_of(X, n_hidden, batch_size, n_epochs)
        times = best_times(runs, 1 if quick else 3)
        print(f"\n{n_visible}-{n_hidden}, {n} rows, minibatches of {batch_size}")
        for name, seconds in times.items():
            ratio = seconds / times["sk_dbn float32"]
            print(f"  {name:<22} {1000 * seconds / n_epochs:9.2f} ms an epoch {ratio:6.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small shape, in seconds")
    main(parser.parse_args().quick)
