"""MNIST with few labels: test accuracy by the number of labels, with and without pre-training.

A stack learns from all training images without labels, once. Then some of them get their labels,
several times. Three models are trained on these: a network that starts from the stack, the same
network from random weights, and logistic regression on the stack's features. A fourth model uses
the images without labels once more: labels spread from the labelled images over the graph of
nearest neighbours, in features of the stack [1], and the network is fine-tuned on all images with
the labels that they got, weighted by their certainty [2]. Published accuracies stand beside ours.

    python examples/studies/mnist_few_labels.py --data mnist.npz
    python examples/studies/mnist_few_labels.py --data mnist.npz --validate
    python examples/studies/mnist_few_labels.py --quick

Settings for 100 and 1000 labels were chosen on images that --validate holds out of the training
set, the others were fixed in advance; the test images were scored once, at the end. Ctrl-C
interrupts; the same command continues.

[1] Zhou, D. et al. (2004). Learning with local and global consistency. NIPS 16
[2] Iscen, A. et al. (2019). Label propagation for deep semi-supervised learning. CVPR
[3] https://github.com/yell/boltzmann-machines: an RBM of 1024 units, fine-tuned
[4] Lee, D.-H. (2013). Pseudo-label: the simple and efficient semi-supervised learning method for
    deep neural networks. ICML workshop. Pseudo-labels after denoising pre-training
"""

import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import kneighbors_graph
from sklearn.preprocessing import normalize
from sklearn.semi_supervised import LabelSpreading
from study import MNIST_NEEDED, Parts, fit_timed, load_images, parse_arguments, run

from sk_dbn import BernoulliRBMStack, DBNClassifier, WarmStart

SIZES = (1024,)
STACK = {
    "batch_size": 100,
    "max_iter": 30,
    "tol": 0.0,
    "annealing": 0.5,
    "sparsity_target": 0.1,
    "random_state": 0,
}
COMMON = {"early_stopping": False, "trace": None, "dropout": (0.2, 0.5)}
# Number of labels: number of draws, and settings of the networks.
GENTLE = {"dropout": 0.5, "pretrained_learning_rate": 0.02}
RECIPE = {
    100: (10, {"batch_size": 10, "max_iter": 100} | GENTLE),
    1000: (10, {"batch_size": 50, "max_iter": 60}),
    10_000: (3, {"batch_size": 100, "max_iter": 30}),
    60_000: (1, {"batch_size": 200, "max_iter": 15}),
}
SPREAD = {"batch_size": 100, "max_iter": 2}  # on all images, with the fewest labels only
N_COMPONENTS, N_NEIGHBOURS = 60, 7
QUICK = {"batch_size": 10, "max_iter": 20}
QUICK_RECIPE = {50: (2, QUICK), 500: (2, QUICK)}
PUBLISHED = {
    (100, "pre-trained"): "81.7 [3]",
    (100, "random"): "76.0 [3]",
    (100, "spread"): "89.5 [4]",
    (1000, "pre-trained"): "93.7 [3]",
    (1000, "random"): "88.7 [3]",
    (10_000, "pre-trained"): "97.3 [3]",
    (10_000, "random"): "94.7 [3]",
    (60_000, "pre-trained"): "98.7 [3]",
    (60_000, "random"): "98.2 [3]",
    (60_000, "linear"): "98.2 [3]",
}


def labelled(y, n_labels, seed):
    """Return the rows that get their labels, stratified by class."""
    rows = np.arange(len(y))
    if n_labels >= len(y):
        return rows
    return train_test_split(rows, train_size=n_labels, stratify=y, random_state=seed)[0]


def neighbour_graph(H):
    """Return the symmetric graph of nearest neighbours by the cosine of principal components."""
    Z = normalize(PCA(N_COMPONENTS, random_state=0).fit_transform(H))
    graph = kneighbors_graph(Z, N_NEIGHBOURS)
    return graph.maximum(graph.T)


def spread(graph, y, rows):
    """Return labels of all images, spread from the labelled rows, and their certainties."""
    known = np.full(len(y), -1)
    known[rows] = y[rows]
    model = LabelSpreading(lambda *_: graph, alpha=0.99, max_iter=200)
    with warnings.catch_warnings():  # labels hardly change any more
        warnings.simplefilter("ignore", ConvergenceWarning)
        p = model.fit(np.zeros((len(y), 1)), known).label_distributions_
    entropy = -(p * np.log(p + 1e-12)).sum(axis=1)
    return model.transduction_, 1 - entropy / np.log(p.shape[1])


def network(pretrainer, settings, seed):
    """Return a network with these settings, as far as they concern it."""
    settings = COMMON | settings
    if pretrainer is None:
        settings.pop("pretrained_learning_rate", None)
    return DBNClassifier(SIZES, pretrainer=pretrainer, random_state=seed, **settings)


def accuracies(stack, spreading, rows, settings, seed, data):
    """Return the test accuracy in percent of every model, trained on the labelled rows."""
    (X_train, H_train), (X_test, H_test), y_train, y_test = data
    X, H, y = X_train[rows], H_train[rows], y_train[rows]
    scores = {
        "pre-trained": network(WarmStart(stack), settings, seed).fit(X, y).score(X_test, y_test),
        "random": network(None, settings, seed).fit(X, y).score(X_test, y_test),
        "linear": LogisticRegression(max_iter=1000).fit(H, y).score(H_test, y_test),
    }
    if spreading is not None:
        graph, settings = spreading
        y, certainty = spread(graph, y_train, rows)
        model = network(WarmStart(stack), settings, seed).fit(X_train, y, certainty)
        scores["spread"] = model.score(X_test, y_test)
    return {name: 100 * score for name, score in scores.items()}


def table(results):
    """Return lines with mean and standard deviation of the draws, and what was published."""
    names = "pre-trained", "random", "linear", "spread"
    yield "labels draws" + "".join(f"{name:>16} {'published':>9}" for name in names)
    for n_labels, scores in results.items():
        line = f"{n_labels:>6} {len(scores):>5}"
        for name in names:
            values = [score[name] for score in scores if name in score]
            ours = f"{np.mean(values):.2f}" if values else "-"
            if len(values) > 1:
                ours += f" ± {np.std(values):.2f}"
            line += f"{ours:>16} {PUBLISHED.get((n_labels, name), '-'):>9}"
        yield line


def main():
    """Train, score and print."""
    arguments = parse_arguments(__doc__, MNIST_NEEDED)
    quick = arguments.quick
    X_unlabelled, X_train, X_test, y_train, y_test = load_images(arguments)
    recipe = QUICK_RECIPE if quick else RECIPE
    settings = [SIZES, STACK, COMMON, SPREAD, N_COMPONENTS, N_NEIGHBOURS, list(recipe.items())]
    parts = Parts(arguments, "mnist_few_labels", settings)
    stack = BernoulliRBMStack(SIZES, verbose=not quick, **STACK | (QUICK if quick else {}))
    stack, seconds = parts.cached(fit_timed)(stack, X_unlabelled)
    print(f"{len(X_train)} images to train on, {len(X_test)} to test")
    print(f"the stack learned from {len(X_unlabelled)} images in {seconds:.0f} s", flush=True)
    data = *((X, stack.transform(X)) for X in (X_train, X_test)), y_train, y_test
    spreading = parts.cached(neighbour_graph)(data[0][1]), QUICK if quick else SPREAD
    results = {}
    for n_labels, (n_draws, settings) in recipe.items():
        results[n_labels] = []
        for seed in range(n_draws):
            rows = labelled(y_train, n_labels, seed)
            name = f"{n_labels} labels, draw {seed}"
            job = stack, spreading, rows, settings, seed, data
            scores, seconds = parts.result(name, accuracies, *job)
            results[n_labels].append(scores)
            shown = ", ".join(f"{model} {score:.2f}" for model, score in scores.items())
            print(f"{name}: {shown} ({seconds:.0f} s)", flush=True)
        spreading = None  # only with the fewest labels
    print("\ntest accuracy in percent", *table(results), sep="\n")


if __name__ == "__main__":
    run(main)
