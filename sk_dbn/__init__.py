"""Deep belief networks and deep multilayer perceptrons as scikit-learn estimators."""

__version__ = "0.1.0"

__all__ = []
