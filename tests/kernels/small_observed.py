"""RBMs of a few units for rows with missing values, and such rows.

Features are named as in `reference_observed`: "binary", "gaussian", or a number of categories.
"""

import numpy as np

from sk_dbn.kernels.units import FIRST_CATEGORY, NEXT_CATEGORY
from sk_dbn.models.data import Data
from sk_dbn.models.rbm import Stack
from sk_dbn.models.units import VISIBLE_KINDS
from tests import reference_observed as slow
from tests.kernels.small_rbms import SEED

CODES = {"binary": VISIBLE_KINDS["bernoulli"], "gaussian": VISIBLE_KINDS["gaussian"]}
MIXED = "binary", 3, "gaussian", "gaussian", 2, "binary"


def codes_of(features):
    """The kinds of the units of some features."""
    codes = []
    for each in features:
        if isinstance(each, int):
            codes += [FIRST_CATEGORY] + [NEXT_CATEGORY] * (each - 1)
        else:
            codes.append(CODES[each])
    return np.array(codes)


def stack_of(features, hidden="logistic", n_hidden=4, dtype=np.float64, scale=0.5):
    """A stack with random parameters and references."""
    random, codes = np.random.RandomState(0), codes_of(features)
    stack = Stack((len(codes), n_hidden), codes, hidden, [SEED], dtype)
    stack.theta[:] = scale * random.normal(size=stack.theta.size)
    if len(stack.variance):
        gaussian = codes == CODES["gaussian"]
        stack.variance[:] = np.where(gaussian, np.linspace(0.4, 0.9, len(codes)), 1.0)
    stack.reference[:] = np.where(codes == CODES["binary"], 0.3, 0.0)
    return stack


def data_of(features, X, dtype=np.float64, **kwargs):
    """Values of the features, of which categories are 0, 1, ..., as units read them."""
    units = slow.units_of(features)
    first = np.array([0] + [each.stop for each in units])
    category = [np.arange(each) if isinstance(each, int) else [np.nan] for each in features]
    units = (first, np.concatenate(category)) if first[-1] > len(features) else None
    return Data(X, dtype, np.zeros(first[-1]), 1.0, units=units, **kwargs)


def values_of(features, n_rows, share=0.4, seed=1):
    """Rows of values, of which a share are missing."""
    random, columns = np.random.RandomState(seed), []
    for each in features:
        if isinstance(each, int):
            columns.append(random.randint(each, size=n_rows))
        else:
            columns.append(getattr(random, {"binary": "rand", "gaussian": "randn"}[each])(n_rows))
    X = np.column_stack(columns).astype(float)
    X[random.uniform(size=X.shape) < share] = np.nan
    return X
