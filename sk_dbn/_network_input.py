"""How a network reads X: with missing values and categories, if a stack pre-trains it."""

from sk_dbn._frames import coded, labels_of
from sk_dbn._input import numeric_dtype, read_input_again
from sk_dbn._pretraining import WRAPPERS, reads_missing


class NetworkInput:
    """The methods of a network that read X."""

    def _read_again(self, X):
        """Check X after `fit`; only what a stack has learned to read may be missing."""
        rules = {"ensure_all_finite": self._finite(reset=False), "dtype": numeric_dtype(X)}
        return read_input_again(self, self._coded(X, reset=False), **rules)

    _nan_remedy = (
        "A network reads missing values only through a stack that pre-trains it: set "
        "pretrainer=BernoulliRBMStack(), with one of its activations (logistic, tanh, relu) and "
        "algorithm='cd'. Or fill them before, with sklearn.impute.SimpleImputer or "
        "sk_dbn.RBMImputer in a pipeline."
    )

    def _finite(self, reset):
        """What `ensure_all_finite` is: a stack reads missing values.

        Parameters
        ----------
        reset : bool
            Whether a network is to be made; otherwise the present one reads X.
        """
        reads_missing = self._reads_missing
        if not reset:
            reads_missing &= getattr(self, "_visible", None) is not None
        return "allow-nan" if reads_missing else True

    def _coded(self, X, reset):
        """X with codes in the columns of a data frame that have categories, for the stack."""
        stack = getattr(self, "pretrainer_", None)
        if reset:
            is_wrapped = isinstance(self.pretrainer, WRAPPERS)
            stack = self.pretrainer.estimator if is_wrapped else None
            labels = labels_of(X) if self._takes_categories else {}
            self._category_labels = getattr(stack, "_category_labels", {}) if is_wrapped else labels
        return coded(X, self._category_labels, getattr(stack, "handle_unknown", "error"))

    _category_labels = {}  # of columns with categories, by their index

    @property
    def _takes_categories(self):
        """Whether columns of data frames may have a dtype of pandas' for categories."""
        return self._reads_missing

    @property
    def _reads_missing(self):
        """Whether X may have missing values."""
        return reads_missing(self)
