"""Conversion to ONNX. Importing this module registers the estimators with skl2onnx.

After ``import sk_dbn.onnx``, ``skl2onnx.to_onnx`` converts the estimators of this package, alone or
in a pipeline. The converted model computes in the precision of `dtype`, as the estimator does; its
outputs have the floating-point type of its input.

A :class:`~sk_dbn.DBNClassifier` has the options ``zipmap``, ``nocl`` and ``output_class_labels`` of
other classifiers. With its option ``transform`` the model returns what `transform` returns, instead
of labels and probabilities. That is necessary if another step of a pipeline follows.
"""

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils.validation import check_is_fitted

from sk_dbn._autoencoder import DBNAutoencoder
from sk_dbn._dbn import DBNClassifier
from sk_dbn._deep_mlp import DeepMLPRegressor
from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn.models.units import HIDDEN_KINDS

try:
    from onnx import TensorProto
    from onnx.numpy_helper import from_array
    from skl2onnx import update_registered_converter
    from skl2onnx._parse import _parse_sklearn_classifier
    from skl2onnx.common.data_types import (
        Int64TensorType,
        StringTensorType,
        guess_proto_type,
        guess_tensor_type,
    )
    from skl2onnx.common.utils import check_input_and_output_numbers
    from skl2onnx.common.utils_classifier import get_label_classes
except ImportError as error:
    raise ImportError(
        "sk_dbn.onnx needs skl2onnx. Install it with the extra 'onnx': pip install 'sk-dbn[onnx]'."
    ) from error

__all__ = []

SINGLE, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
LEAK = 0.01  # slope of leaky_relu below zero
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


class Graph:
    """What an estimator adds to an ONNX graph. Tensors are known by their names.

    Parameters
    ----------
    scope, container : as skl2onnx passes them to a converter
    dtype : dtype
        Precision of the parameters.
    """

    def __init__(self, scope, container, dtype):
        self.scope, self.container, self.dtype = scope, container, np.dtype(dtype)
        self.type = SINGLE if self.dtype == np.float32 else DOUBLE

    def __call__(self, operator, *inputs, result=None, **attributes):
        """Apply an operator of ONNX.

        Parameters
        ----------
        operator : str
        *inputs : str, ndarray or float
            Names of tensors, or constants.
        result : str, default=None
            Name of the result; a new one by default.
        **attributes
            Those of the operator.

        Returns
        -------
        str
            Name of the result.
        """
        inputs = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        result = result or self.scope.get_unique_variable_name(operator)
        name = self.scope.get_unique_operator_name(operator)
        self.container.add_node(operator, inputs, result, name=name, **attributes)
        return result

    def constant(self, value):
        """Store an array, or a number in the precision of the parameters; return its name."""
        name = self.scope.get_unique_variable_name("constant")
        if isinstance(value, float):
            value = np.array(value, self.dtype)
        if value.dtype == object:
            self.container.add_initializer(name, TensorProto.STRING, value.shape, value)
        else:
            tensor = from_array(value)  # much faster than from a list of numbers
            self.container.add_initializer(name, tensor.data_type, value.shape, tensor)
        return name


# ---------------------------------------------------------------------------
# Layers
# ---------------------------------------------------------------------------


def _elu(graph, x, scale=1.0, alpha=1.0):
    below = graph("Mul", scale * alpha, graph("Sub", graph("Exp", x), 1.0))
    return graph("Where", graph("Less", x, 0.0), below, graph("Mul", scale, x))


def _gelu(graph, x):
    # onnxruntime has no error function in double precision.
    erf = graph("Erf", graph("Cast", graph("Mul", x, 0.5**0.5), to=SINGLE))
    p = graph("Mul", 0.5, graph("Add", 1.0, graph("Cast", erf, to=graph.type)))
    return graph("Mul", x, p)


def _softplus(graph, x):
    tail = graph("Exp", graph("Neg", graph("Abs", x)))
    return graph("Add", graph("Relu", x), graph("Log", graph("Add", 1.0, tail)))


def _swish(graph, x):
    # Of x Sigmoid(x), some versions of onnxruntime make an operator without double precision.
    return graph("Div", x, graph("Add", 1.0, graph("Exp", graph("Neg", x))))


def _step(graph, x):
    return graph("Ceil", graph("Mul", 0.5, graph("Add", 1.0, graph("Sign", x))))


# With operators that onnxruntime has in both precisions.
FORMULAS = {
    "identity": lambda graph, x: x,
    "logistic": lambda graph, x: graph("Sigmoid", x),
    "tanh": lambda graph, x: graph("Tanh", x),
    "softsign": lambda graph, x: graph("Div", x, graph("Add", 1.0, graph("Abs", x))),
    "relu": lambda graph, x: graph("Relu", x),
    "leaky_relu": lambda graph, x: graph("Max", x, graph("Mul", LEAK, x)),
    "elu": _elu,
    "selu": lambda graph, x: _elu(graph, x, SELU_SCALE, SELU_ALPHA),
    "gelu": _gelu,
    "swish": _swish,
    "softplus": _softplus,
    "step": _step,
    "exp": lambda graph, x: graph("Exp", x),
    "softmax": lambda graph, x: graph("Softmax", x, axis=1),
}


def _visible_values(graph, x, visible):
    """The input as the first layer reads it, see `VisibleUnits`; None: as it is.

    It is scaled in double precision, so that a large mean costs no digits.
    """
    if visible is not None and visible.shift is not None:
        x = graph("Cast", x, to=DOUBLE)
        x = graph("Mul", graph("Sub", x, visible.shift), visible.scale)
    x = graph("Cast", x, to=graph.type)
    if visible is not None and visible.reference is not None:
        x = graph("Where", graph("IsNaN", x), visible.reference.astype(graph.dtype), x)
    if visible is not None and not visible.gaussian.all():
        low, high = (limit.astype(graph.dtype) for limit in visible.limits)
        x = graph("Min", graph("Max", x, low), high)
    return x


def _layer(graph, x, W, b, activation):
    return FORMULAS[activation](graph, graph("Gemm", x, W, b))


def _add_shortcut(graph, below, x, p, q, branch):
    """below + branch x, for as many of the p and q units as both layers have."""
    factor = np.where(np.arange(q) < p, branch, 1.0).astype(graph.dtype)
    if p != q:  # zeros, or negative for units to leave out
        below = graph("Pad", below, np.array([0, 0, 0, q - p]))
    return graph("Add", below, graph("Mul", x, factor))


def _network_output(graph, x, estimator, n_above=0):
    """The activations of the network's layer with n_above others above it."""
    network = estimator._network
    x = _visible_values(graph, x, estimator._visible)
    layers = list(zip(network.coefs, network.intercepts, network.activations, strict=True))
    for layer, (W, b, activation) in enumerate(layers[: network.n_layers - n_above]):
        below = x
        x = _layer(graph, below, W, b, activation)
        if network.branch > 0 and 0 < layer < network.n_layers - 1:
            x = _add_shortcut(graph, below, x, *W.shape, network.branch)
    return x


# ---------------------------------------------------------------------------
# Estimators: what skl2onnx calls, with its names of arguments
# ---------------------------------------------------------------------------


def check_convertible(operator):
    """Check that an estimator is fitted, and reads one matrix of numbers.

    Parameters
    ----------
    operator : skl2onnx.common._topology.Operator

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If a feature has categories.
    """
    estimator = operator.raw_operator
    check_is_fitted(estimator)
    visible = estimator._visible
    if visible is not None and visible.categories is not None:
        raise ValueError(
            "visible='categorical', or columns with pandas' dtype for categories, cannot be "
            "converted to ONNX; encode the categories before, with OneHotEncoder in the same "
            "pipeline."
        )
    check_input_and_output_numbers(operator, input_count_range=1)


def set_shape(operator):
    """Set type and shape of the result of a transformer or regressor."""
    check_convertible(operator)
    estimator, x = operator.raw_operator, operator.inputs[0]
    n_columns = estimator.n_outputs_ if is_regressor(estimator) else estimator._n_features_out
    _set_real(operator.outputs[0], x, n_columns)


def set_shapes_of_classifier(operator):
    """Set types and shapes of labels and probabilities, or of the features."""
    if len(operator.outputs) == 1:
        set_shape(operator)
        return
    check_convertible(operator)
    estimator, x = operator.raw_operator, operator.inputs[0]
    is_text = _labels(operator.scope_inst, estimator).dtype == object
    n_rows, n_classes = x.get_first_dimension(), len(estimator.classes_)
    shape = [n_rows, n_classes] if estimator._is_multilabel else [n_rows]
    operator.outputs[0].set_type(StringTensorType(shape) if is_text else Int64TensorType(shape))
    _set_real(operator.outputs[1], x, n_classes)


def _set_real(output, x, n_columns):
    """Give an output the floating-point type that belongs to an input."""
    real = guess_tensor_type(x.type)
    real.shape = [x.get_first_dimension(), n_columns]
    output.set_type(real)


def convert_stack(scope, operator, container):
    """Add the means of the last layer's hidden units."""
    model = operator.raw_operator.model_
    stack, names = model.stack, {code: name for name, code in HIDDEN_KINDS.items()}
    graph = Graph(scope, container, stack.theta.dtype)
    x = _visible_values(graph, operator.inputs[0].full_name, model.inputs)
    for W, c, code in zip(stack.coefs, stack.intercepts_hidden, stack.kinds[1:], strict=True):
        x = _layer(graph, x, W, c, names[code])
    _write(graph, x, operator.outputs[0])


def convert_autoencoder(scope, operator, container):
    """Add the code."""
    _convert_layer(scope, operator, container, operator.raw_operator._network.n_layers // 2)


def convert_regressor(scope, operator, container):
    """Add the predictions."""
    _convert_layer(scope, operator, container, n_above=0)


def convert_classifier(scope, operator, container):
    """Add labels and probabilities, or the top hidden layer."""
    if len(operator.outputs) == 1:
        _convert_layer(scope, operator, container, n_above=1)
        return
    estimator = operator.raw_operator
    graph = Graph(scope, container, estimator._network.theta.dtype)
    outputs = _network_output(graph, operator.inputs[0].full_name, estimator)
    p = _probabilities(graph, outputs, estimator)
    _write(graph, p, operator.outputs[1])
    labels = operator.outputs[0].full_name
    if estimator._is_multilabel:
        graph("Cast", graph("Greater", p, 0.5), result=labels, to=TensorProto.INT64)
    else:
        best = graph("ArgMax", p, axis=1, keepdims=0)
        graph("Gather", _labels(scope, estimator), best, result=labels)


def _convert_layer(scope, operator, container, n_above):
    estimator, x = operator.raw_operator, operator.inputs[0].full_name
    graph = Graph(scope, container, estimator._network.theta.dtype)
    _write(graph, _network_output(graph, x, estimator, n_above), operator.outputs[0])


def _write(graph, x, output):
    """Make a tensor a result of the operator."""
    graph("Cast", x, result=output.full_name, to=guess_proto_type(output.type))


def _probabilities(graph, outputs, estimator):
    if len(estimator.classes_) == 1 and not estimator._is_multilabel:
        return graph("Softmax", outputs, axis=1)  # of one column: 1
    if estimator.n_outputs_ < len(estimator.classes_):
        return graph("Concat", graph("Sub", 1.0, outputs), outputs, axis=1)
    return outputs


def _labels(scope, estimator):
    """The labels as ONNX has them: int64, or bytes in an array of objects."""
    classes = get_label_classes(scope, estimator)
    if classes.dtype.kind in "biuf":  # whole numbers, also as floats
        return classes.astype(np.int64)
    return np.array([str(label).encode() for label in classes], dtype=object)


def parse_classifier(scope, model, inputs, custom_parsers=None):
    """Declare what a classifier computes."""
    check_is_fitted(model)
    if not scope.get_options(model, {"transform": False})["transform"]:
        return _parse_sklearn_classifier(scope, model, inputs, custom_parsers)
    operator = scope.declare_local_operator("SkDbnDBNClassifier", model)
    operator.inputs = inputs
    real = guess_tensor_type(inputs[0].type)
    operator.outputs.append(scope.declare_local_variable("variable", real))
    return operator.outputs


update_registered_converter(BernoulliRBMStack, "SkDbnBernoulliRBMStack", set_shape, convert_stack)
update_registered_converter(DBNAutoencoder, "SkDbnDBNAutoencoder", set_shape, convert_autoencoder)
update_registered_converter(DeepMLPRegressor, "SkDbnDeepMLPRegressor", set_shape, convert_regressor)
update_registered_converter(
    DBNClassifier,
    "SkDbnDBNClassifier",
    set_shapes_of_classifier,
    convert_classifier,
    parser=parse_classifier,
    options={
        "zipmap": [True, False, "columns"],
        "output_class_labels": [False, True],
        "nocl": [True, False],
        "transform": [False, True],
    },
)
