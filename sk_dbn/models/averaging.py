"""The average of models that were trained apart: from the same start, on different samples."""

import numpy as np


def mean_of(arrays, weights):
    """The weighted mean of arrays.

    It is computed from the differences to the first one. So what is equal in all of them, or was
    trained once only, keeps its bits.

    Parameters
    ----------
    arrays : list of ndarrays of the same shape
    weights : array-like of shape (n_arrays,)

    Returns
    -------
    ndarray
        A new one, with the dtype of the first.
    """
    first, shares = arrays[0].astype(np.float64), np.asarray(weights) / np.sum(weights)
    step = np.zeros_like(first)
    for x, share in zip(arrays[1:], shares[1:], strict=True):
        step += share * (x - first)
    return (first + step).astype(arrays[0].dtype)


def average_stacks(stacks, weights):
    """Write the average of stacks into the first one.

    Velocities and running means are averaged like the parameters, since they are linear in
    gradients and means. Persistent chains are samples, which have no mean: the first one is from
    the first stack, the second from the second, and so on in turns.

    Parameters
    ----------
    stacks : list of Stack
    weights : array-like of shape (n_stacks,)
    """
    _average_into([[stack.theta, stack.reference] for stack in stacks], weights)
    for memories in zip(*(stack.memories for stack in stacks), strict=True):
        _average_into([memory.averages for memory in memories], weights)
        first = memories[0]
        first.n_steps = _mean_count([memory.n_steps for memory in memories], weights)
        if first.chains is not None:
            for i, memory in enumerate(memories):
                first.chains[i :: len(memories)] = memory.chains[i :: len(memories)]


def average_networks(networks, optimisers, weights):
    """Write the average of networks, and that of their optimisers, into the first ones.

    The running means of gradients and of their squares are averaged like the parameters: they are
    then those of the gradients' mean and of the mean square.

    Parameters
    ----------
    networks : list of Network
    optimisers : list of OptimiserState
    weights : array-like of shape (n_networks,)
    """
    _average_into([[network.theta] for network in networks], weights)
    _average_into([optimiser.averages for optimiser in optimisers], weights)
    optimisers[0].n_steps = _mean_count([each.n_steps for each in optimisers], weights)


def _average_into(lists, weights):
    """Write the mean of each array into that of the first list."""
    for arrays in zip(*lists, strict=True):
        arrays[0][:] = mean_of(arrays, weights)


def _mean_count(counts, weights):
    return round(float(np.average(counts, weights=weights)))
