"""The training of scikit-learn's MLPs, for tests that compare with it or rely on its simplicity.

Every epoch has the same rate, all units and the labels as they are; all samples are trained on,
until the training loss says so.
"""

from sk_dbn import DBNClassifier, DeepMLPRegressor

_BOTH = {
    "learning_rate": "constant",
    "learning_rate_init": 0.001,
    "early_stopping": False,
    "dropout": 0.0,
}
AS_SCIKIT_LEARN = {
    DeepMLPRegressor: _BOTH,
    DBNClassifier: _BOTH | {"label_smoothing": 0.0},
}
