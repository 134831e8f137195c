"""Suggestions for unknown names in parameters."""

import difflib
import re
from numbers import Real

from sklearn.utils._param_validation import InvalidParameterError, StrOptions

# Names in other libraries, in lower case and without dashes.
SYNONYMS = {
    "sigmoid": ("logistic",),
    "linear": ("identity",),
    "none": ("identity",),
    "rectifier": ("relu",),
    "leakyrelu": ("leaky_relu",),
    "silu": ("swish",),
    "heaviside": ("step",),
    "xavier": ("glorot_uniform", "glorot_normal"),
    "xavieruniform": ("glorot_uniform",),
    "xaviernormal": ("glorot_normal",),
    "kaiming": ("he_uniform", "he_normal"),
    "kaiminguniform": ("he_uniform",),
    "kaimingnormal": ("he_normal",),
    "glorot": ("glorot_uniform", "glorot_normal"),
    "he": ("he_uniform", "he_normal"),
    "lecun": ("lecun_uniform", "lecun_normal"),
    "gaussian": ("normal",),
    "zero": ("zeros",),
    "mse": ("squared_error",),
    "meansquarederror": ("squared_error",),
    "l2": ("squared_error",),
    "mae": ("absolute_error",),
    "meanabsoluteerror": ("absolute_error",),
    "l1": ("absolute_error",),
    "smoothl1": ("huber",),
    "pinball": ("quantile",),
    "nesterov": ("sgd",),
    "momentum": ("sgd",),
    "bfgs": ("lbfgs",),
    "onecyclelr": ("one_cycle",),
    "cosineannealing": ("cosine",),
    "reducelronplateau": ("adaptive",),
    "binary": ("bernoulli",),
    "normal": ("gaussian",),
    "contrastivedivergence": ("cd",),
    "sml": ("pcd",),
    "paralleltempering": ("pt",),
}


class Names(StrOptions):
    """A constraint like StrOptions that lists the names in alphabetical order."""

    def __str__(self):
        return f"a str among {{{', '.join(map(repr, sorted(self.options)))}}}"


def suggestions(name, options):
    """The options that an unknown name may refer to.

    Parameters
    ----------
    name : str
    options : iterable of str

    Returns
    -------
    list of str
        Another spelling, a name in other libraries, or the closest match; may be empty.
    """
    by_letters = {_letters(option): option for option in sorted(options)}
    letters = _letters(name)
    if letters in by_letters:
        return [by_letters[letters]]
    synonyms = [option for option in SYNONYMS.get(letters, ()) if option in by_letters.values()]
    near = difflib.get_close_matches(letters, by_letters, n=1)
    return synonyms or [by_letters[found] for found in near]


def _letters(name):
    return re.sub(r"[\W_]", "", name.lower())


def did_you_mean(name, options):
    """A question to append to an error about an unknown name; empty if no option is close.

    Parameters
    ----------
    name : object
    options : iterable of str

    Returns
    -------
    str
    """
    meant = suggestions(name, options) if isinstance(name, str) else []
    return f" Did you mean {' or '.join(map(repr, meant))}?" if meant else ""


class SuggestsNames:
    """Mixin of estimators whose errors suggest the right name for an unknown one.

    A number as `learning_rate`, which is the name of a schedule, is meant for another parameter.
    """

    def _validate_params(self):
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            raise InvalidParameterError(f"{error}{self._suggestion(str(error))}") from None

    def _suggestion(self, message):
        for parameter, value in self.get_params(deep=False).items():
            constraints = self._parameter_constraints[parameter]
            if message.startswith(f"The {parameter!r} parameter") and isinstance(constraints, list):
                if isinstance(value, Real) and f"{parameter}_init" in self.get_params(deep=False):
                    return f" Did you mean {parameter}_init={value!r}?"
                names = [c.options for c in constraints if isinstance(c, StrOptions)]
                return did_you_mean(value, set().union(*names))
        return ""
