"""Fitted parameters as attributes: what is assigned to them is what the model goes on with."""

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sk_dbn._architecture import real_array


class LayerArrays(list):
    """A list with the parameters of each layer; to assign an item is to assign the attribute.

    The arrays are views of the model's parameters, so that edits in place count too. Copies and
    pickles of the list are plain lists.

    Parameters
    ----------
    estimator : object
    name : str
        The attribute.
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
            "assign arrays to its items, or change a copy, list(...)."
        )

    append = extend = insert = pop = remove = clear = reverse = sort = _refuse
    __delitem__ = __iadd__ = __imul__ = _refuse


def assignable(name, model, arrays, doc):
    """A fitted attribute that holds an array for each layer and may be assigned to.

    Parameters
    ----------
    name : str
        What the attribute is called.
    model : str
        The estimator's attribute that holds the model, which has `replaced`.
    arrays : str
        The model's attribute that holds the list of arrays.
    doc : str
        What the attribute is.

    Returns
    -------
    property
        Arrays that are assigned are copied, in the model's precision; arrays that were there
        before stay what they are, so that they can be assigned again. Assignment raises
        ValueError if their number, a shape or a value does not fit.
    """

    def model_of(estimator, todo=""):
        if not hasattr(estimator, model):
            raise NotFittedError(
                f"{name} is there after fit; this {type(estimator).__name__} instance is not "
                f"fitted yet{todo}."
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
    """A decorator for a fitted attribute that follows from the model, and is not assigned to.

    Parameters
    ----------
    instead : str
        What to do in place of an assignment.

    Returns
    -------
    callable
        Of a method that returns a new array or None. Makes a property of it, whose arrays cannot
        be written to; assignment raises AttributeError.
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
                f"{method.__name__} cannot be assigned to, since it follows from what fit saw; "
                f"{instead}."
            )

        return property(fget, fset, doc=method.__doc__)

    return decorator


def checked_arrays(name, values, present):
    """Values for an attribute, one array for each layer, that fit in place of the present ones.

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
        If there are more or fewer, or one of them has another shape or is not finite.
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
