"""MNIST, 784-500-500-2000-10: test error with and without pre-training, and with dropout.

A stack of three RBMs learns from the training images without labels. It is the start of a network
that is fine-tuned by backpropagation, without and with dropout; each time the same network is
trained from random weights as well. Published errors stand beside ours.

    python examples/studies/mnist_classification.py --data mnist.npz
    python examples/studies/mnist_classification.py --data mnist.npz --validate
    python examples/studies/mnist_classification.py --quick

Learning rate and dropout were chosen by short training on 10,000 images, and scores on images that
--validate holds out of the training set. Ctrl-C interrupts; the same command continues. Both
trainings are short: docs/studies.rst tells what was tried.

[1] Hinton, G. E. & Salakhutdinov, R. R. (2006). Reducing the dimensionality of data with neural
    networks. Science 313; 1.15 % is in slides of Hinton's talks
[2] Srivastava, N. et al. (2014). Dropout: a simple way to prevent neural networks from
    overfitting. JMLR 15, table 2; without pre-training it has wider networks of rectified linear
    units
"""

from study import MNIST_NEEDED, Parts, fit_timed, load_images, parse_arguments, run

from sk_dbn import BernoulliRBMStack, DBNClassifier, WarmStart

SIZES = 500, 500, 2000
STACK = {
    "batch_size": 100,
    "max_iter": 30,
    "tol": 0.0,
    "annealing": 0.5,
    "alpha": 0.0002,
    "random_state": 0,
}
COMMON = {"early_stopping": False, "trace": None, "random_state": 0}
TUNING = {
    "no dropout": {"dropout": 0.0, "max_iter": 20, "batch_size": 200},
    "dropout": {
        "dropout": (0.2, 0.0),
        "max_iter": 30,
        "batch_size": 100,
        "learning_rate_init": 0.003,
    },
}
STARTS = "pre-trained", "random"
QUICK = {"batch_size": 20, "max_iter": 5}
PUBLISHED = {
    "no dropout, pre-trained": "1.15 to 1.2 [1]",
    "no dropout, random": "1.6 [1]",
    "dropout, pre-trained": "0.92 [2]",
    "dropout, random": "1.06 [2]",
}


def network(start, tuning, stack, quick):
    """Return a network that starts from the stack or from random weights."""
    settings = COMMON | TUNING[tuning]
    pretrainer = WarmStart(stack) if start == "pre-trained" else None
    if quick:
        settings |= QUICK
    return DBNClassifier(SIZES, pretrainer=pretrainer, verbose=not quick, **settings)


def error(model, X_train, X_test, y_train, y_test):
    """Train the model; return its error on the test set in percent."""
    return 100 * (1 - model.fit(X_train, y_train).score(X_test, y_test))


def main():
    """Train, score and print."""
    arguments = parse_arguments(__doc__, MNIST_NEEDED)
    quick = arguments.quick
    X_unlabelled, *labelled = load_images(arguments)
    settings = [SIZES, STACK, COMMON, TUNING, QUICK]
    parts = Parts(arguments, "mnist_classification", settings)
    stack = BernoulliRBMStack(SIZES, verbose=not quick, **STACK | (QUICK if quick else {}))
    stack, seconds = parts.cached(fit_timed)(stack, X_unlabelled)
    print(f"{len(labelled[0])} images to train on, {len(labelled[1])} to test")
    print(f"the stack learned from {len(X_unlabelled)} images in {seconds:.0f} s", flush=True)
    rows = []
    for tuning in TUNING:
        for start in STARTS:
            name = f"{tuning}, {start}"
            model = network(start, tuning, stack, quick)
            result, seconds = parts.result(name, error, model, *labelled)
            published = "-" if quick else PUBLISHED[name]
            rows.append(f"{name:<24} {result:6.2f} {published:>18} {seconds:9.0f}")
            print(rows[-1], flush=True)
    print(f"\n{'test error, %':<24} {'ours':>6} {'published':>18} {'seconds':>9}", *rows, sep="\n")


if __name__ == "__main__":
    run(main)
