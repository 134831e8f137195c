"""Deep belief networks and deep multilayer perceptrons as scikit-learn estimators."""

from sk_dbn import inspection, likelihood
from sk_dbn._autoencoder import DBNAutoencoder
from sk_dbn._dbn import DBNClassifier
from sk_dbn._deep_mlp import DeepMLPRegressor
from sk_dbn._imputer import RBMImputer
from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn._version import __version__ as __version__
from sk_dbn._warm_start import WarmStart
from sk_dbn.models.traces import GradientTrace

__all__ = [
    "BernoulliRBMStack",
    "DBNAutoencoder",
    "DBNClassifier",
    "DeepMLPRegressor",
    "GradientTrace",
    "RBMImputer",
    "WarmStart",
    "inspection",
    "likelihood",
]
