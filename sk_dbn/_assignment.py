"""Fitted parameters as attributes that can be assigned to."""

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sk_dbn._architecture import real_array


class LayerArrays(list):
    """A list with the parameters of each layer. Assigning an item changes the model.

    The arrays are views of the model's parameters, so in-place edits change the model too. Copies
    and pickles of the list are plain lists.

    Parameters
    ----------
    estimator : object
    name : str
        Name of the attribute.
    arrays : list of ndarrays
    """

    def __init__(self, estimator, name, arrays):
        super().__init__(arrays)
        self._estimator, self._name = estimator, name

    def __setitem__(self, layer, array):
        arrays = list(getattr(self._estimator, self._name))
        arrays[layer] = array
        setattr(self._estimator, self._name, arrays)
        super().__setitem__(slice(None), getattr(self._estimator, self._name))

    def __reduce__(self):
        return list, (list(self),)

    def _refuse(self, *args, **kwargs):
        raise TypeError(
            f"{self._name} has one array for each of {len(self)} layers, no more and no fewer; "
            "assign arrays to its items, or change a copy: list(...)."
        )

    append = extend = insert = pop = remove = clear = reverse = sort = _refuse
    __delitem__ = __iadd__ = __imul__ = _refuse


def assignable(name, model, arrays, doc):
    """Make a fitted attribute that holds an array for each layer and can be assigned to.

    Parameters
    ----------
    name : str
        Name of the attribute.
    model : str
        The estimator's attribute that holds the model. The model has the method `replaced`.
    arrays : str
        The model's attribute that holds the list of arrays.
    doc : str
        Docstring of the attribute.

    Returns
    -------
    property
        Assigned arrays are copied, in the model's precision. The previous arrays do not change,
        so they can be assigned again. Assignment raises ValueError if the number of arrays, a
        shape or a value is wrong.
    """

    def model_of(estimator, remedy=""):
        if not hasattr(estimator, model):
            raise NotFittedError(
                f"{name} is available after fit; this {type(estimator).__name__} instance is not "
                f"fitted yet{remedy}."
            )
        return getattr(estimator, model)

    def fget(estimator):
        return LayerArrays(estimator, name, getattr(model_of(estimator), arrays))

    def fset(estimator, values):
        old = model_of(estimator, "; give first weights by init")
        values = checked_arrays(name, values, getattr(old, arrays))
        setattr(estimator, model, old.replaced(arrays, values))

    return property(fget, fset, doc=doc)


def derived(instead):
    """Make a decorator for a read-only fitted attribute that is computed from the model.

    Parameters
    ----------
    instead : str
        What to do instead of an assignment.

    Returns
    -------
    callable
        Decorator of a method that returns a new array or None. It makes a property whose arrays
        are read-only; assignment raises AttributeError.
    """

    def decorator(method):
        def fget(estimator):
            check_is_fitted(estimator)
            array = method(estimator)
            if array is not None:
                array.flags.writeable = False
            return array

        def fset(estimator, _):
            raise AttributeError(
                f"{method.__name__} cannot be assigned to: it is computed from the training data; "
                f"{instead}."
            )

        return property(fget, fset, doc=method.__doc__)

    return decorator


def checked_arrays(name, values, present):
    """Check new arrays for an attribute against the present ones.

    Parameters
    ----------
    name : str
    values : sequence of array-likes
    present : list of ndarrays

    Returns
    -------
    list of ndarrays

    Raises
    ------
    ValueError
        If the number of arrays or a shape differs, or a value is not finite.
    """
    shapes = [W.shape for W in present]
    try:
        values = list(values)
    except TypeError:
        values = [values]
    if len(values) != len(shapes):
        raise ValueError(
            f"{name} must have one array for each of {len(shapes)} layers, of shapes {shapes}, got "
            f"{len(values)} of shapes {[np.shape(value) for value in values]}."
        )
    return [
        real_array(f"{name}[{layer}]", value, W.shape, W.dtype)
        for layer, (value, W) in enumerate(zip(values, present, strict=True))
    ]
