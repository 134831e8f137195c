"""The stack as a generator: its units drawn, instead of their means passed on.

An RBM is sampled by Gibbs steps, each of which draws one whole side given the other. A stack
is a deep belief network (Hinton, Osindero & Teh, 2006): its last RBM is sampled, and what
that shows on its visible side goes down through the layers, each drawn given the one above.
"""

from dataclasses import dataclass, replace

import numpy as np

from sk_dbn.kernels.activations import RELU
from sk_dbn.models.units import draw, draw_given, means
from sk_dbn.models.work import product_work, row_pieces


def generator(random):
    """A generator that draws in either precision, and fast, seeded by a slower one.

    Parameters
    ----------
    random : numpy.random.RandomState

    Returns
    -------
    numpy.random.Generator
    """
    return np.random.default_rng(random.randint(0, 2**32, size=4, dtype=np.uint32))


@dataclass(frozen=True)
class GibbsSampler:
    """One RBM, whose sides are drawn in turn.

    Parameters
    ----------
    W : ndarray of shape (n_visible, n_hidden)
    b : ndarray of shape (n_visible,)
    c : ndarray of shape (n_hidden,) or (n_rows, n_hidden)
        Biases, of the hidden units for all rows or for each.
    deviation : ndarray of shape (n_visible,), or (0,)
        Standard deviation of Gaussian visible units.
    visible, hidden : int
        Codes of the units' kinds; visible may be an int64 ndarray of shape (n_visible,).
    random : numpy.random.Generator
    """

    W: np.ndarray
    b: np.ndarray
    c: np.ndarray
    deviation: np.ndarray
    visible: int
    hidden: int
    random: np.random.Generator

    @classmethod
    def of(cls, stack, layer, random):
        """The sampler of an RBM of a stack."""
        parts = stack.coefs, stack.intercepts_visible, stack.intercepts_hidden
        deviation = np.sqrt(stack.variance if layer == 0 else stack.variance[:0])
        kinds = stack.kinds[layer : layer + 2]
        return cls(*(part[layer] for part in parts), deviation, *kinds, random)

    def visible_products(self, h):
        """What P(v | h) depends on, (n_rows, n_visible)."""
        return h @ self.W.T + self.b

    def hidden_products(self, v):
        """What P(h | v) depends on, (n_rows, n_hidden)."""
        return (v / self.deviation**2 if self.deviation.size else v) @ self.W + self.c

    def visible_means(self, h):
        """E[v | h], (n_rows, n_visible)."""
        return self._in_pieces(GibbsSampler._visible_means, h)

    def draw_visible(self, h):
        """A sample of P(v | h), (n_rows, n_visible)."""
        return self._in_pieces(GibbsSampler._draw_visible, h)

    def draw_hidden(self, v):
        """A sample of P(h | v), (n_rows, n_hidden)."""
        return self._in_pieces(GibbsSampler._draw_hidden, v)

    def _in_pieces(self, method, side):
        """What a method makes of one side, whose rows it draws in their order."""
        parts = list(row_pieces(len(side), product_work(self.W.size, sum(self.W.shape))))
        if len(parts) == 1:
            return method(self, side)
        return np.concatenate([method(self._of_rows(part), side[part]) for part in parts])

    def _of_rows(self, part):
        """The sampler of some rows."""
        return self if self.c.ndim == 1 else replace(self, c=self.c[part])

    def _visible_means(self, h):
        return means(self.visible, self.visible_products(h))

    def _draw_visible(self, h):
        return draw_given(self.visible, self.visible_products(h), self.random, self._spread)

    def around(self, mean):
        """Samples of visible units with these means, (n_rows, n_visible)."""
        return draw(self.visible, mean, self.random, self._spread)

    @property
    def _spread(self):
        return self.deviation if self.deviation.size else 1.0

    def _draw_hidden(self, v):
        return draw_given(self.hidden, self.hidden_products(v), self.random)

    def steps(self, h, n_steps):
        """Hidden units after some steps, each of which draws the visible ones first."""
        for _ in range(n_steps):
            h = self.draw_hidden(self.draw_visible(h))
        return h


def gibbs(stack, v, n_steps, random):
    """Gibbs steps of the first RBM.

    Parameters
    ----------
    stack : Stack
    v : ndarray of shape (n_rows, units[0])
    n_steps : int
        At least 1.
    random : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_rows, units[0])
        Samples of the visible units after the last step.
    """
    rbm = GibbsSampler.of(stack, 0, random)
    return rbm.draw_visible(rbm.steps(rbm.draw_hidden(v), n_steps - 1))


def generate(stack, n_samples, n_steps, random, return_means=False):
    """Samples of the deep belief network (Hinton, Osindero & Teh, 2006, section 6).

    Parameters
    ----------
    stack : Stack
    n_samples : int
        Number of independent chains.
    n_steps : int
        Gibbs steps of the last RBM.
    random : numpy.random.Generator
    return_means : bool, default=False
        Whether to give the visible units' means in place of samples.

    Returns
    -------
    ndarray of shape (n_samples, units[0])
    """
    rbms = [GibbsSampler.of(stack, layer, random) for layer in range(stack.n_layers)]
    h = rbms[-1].steps(first_states(stack, n_samples, rbms[-1]), n_steps)
    for rbm in reversed(rbms[1:]):
        h = rbm.draw_visible(h)
    return rbms[0].visible_means(h) if return_means else rbms[0].draw_visible(h)


def first_states(stack, n_samples, top):
    """Hidden units of the last RBM for chains to start from.

    Parameters
    ----------
    stack : Stack
    n_samples : int
    top : GibbsSampler
        The last RBM.

    Returns
    -------
    ndarray of shape (n_samples, units[-1])
        Where training left its persistent chains, each as often as any other but for one.
        Without such: given visible units that are independent and have the means of the
        last RBM's input.
    """
    memory = stack.memories[-1]
    if memory.chains is not None:
        chosen = top.random.permutation(memory.n_chains)
        return memory.chains[np.resize(chosen, n_samples)]
    v = np.tile(memory.mu, (n_samples, 1))
    return top.draw_hidden(v if np.all(top.visible == RELU) else top.around(v))


def expectations(stack, v):
    """Means of the first RBM's visible units given the means of its hidden ones.

    For the units that were not observed, that is one step of the mean-field approximation of
    Salakhutdinov, Mnih & Hinton (2007, equations 8 to 10).

    Parameters
    ----------
    stack : Stack
    v : ndarray of shape (n_rows, units[0])
        NaN where a value is missing.

    Returns
    -------
    ndarray of shape (n_rows, units[0])
    """
    h = means(stack.kinds[1], stack.hidden_products(v))
    return GibbsSampler.of(stack, 0, None).visible_means(h)


def complete(stack, v, n_steps, n_burn_in, random, sample_posterior=False):
    """Visible units that were not observed, given the others, in the first RBM.

    The observed units are clamped, which leaves an RBM of the missing units, in which
    they add to the biases of the hidden ones.

    Parameters
    ----------
    stack : Stack
    v : ndarray of shape (n_rows, units[0])
        NaN where a value is missing.
    n_steps : int
        Steps whose mean is taken, at least 1.
    n_burn_in : int
        Steps before these.
    random : numpy.random.Generator
    sample_posterior : bool, default=False
        Whether to give the sample of the last step in place of the mean.

    Returns
    -------
    ndarray of shape (n_rows, units[0])
        v, with the mean over the steps of E[v_i | h] where v_i is missing.
    """
    whole, missing = GibbsSampler.of(stack, 0, random), np.isnan(v)
    c = whole.hidden_products(np.where(missing, v.dtype.type(0), v))  # (n_rows, n_hidden)
    columns = missing.any(axis=0)  # missing in some row
    deviation = whole.deviation[columns] if whole.deviation.size else whole.deviation
    visible = whole.visible[columns] if np.ndim(whole.visible) else whole.visible
    W, b = whole.W[columns], whole.b[columns]
    rbm = replace(whole, W=W, b=b, c=c, deviation=deviation, visible=visible)
    missing_here = missing[:, columns]
    start = np.tile(stack.memories[0].mu[columns], (len(v), 1))
    x, total = rbm.around(start), np.zeros_like(start)
    for step in range(n_burn_in + n_steps):
        mean = rbm.visible_means(rbm.draw_hidden(np.where(missing_here, x, 0)))
        x = rbm.around(mean)
        if step >= n_burn_in:
            total += mean
    result = v.copy()
    found = x if sample_posterior else total / n_steps
    result[:, columns] = np.where(missing_here, found, v[:, columns])
    return result
