"""Greedy training of a stack, one RBM after the other."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sk_dbn.models.data import Data
from sk_dbn.models.loop import Patience, train
from sk_dbn.models.observed_training import ObservedTraining
from sk_dbn.models.orders import Orders
from sk_dbn.models.rbm import Stack
from sk_dbn.models.rbm_training import (
    RBMRecorder,
    RBMTraining,
    Settings,
    learning_rate_scale,
    prepare,
    probe_of,
)
from sk_dbn.models.schedules import Annealing
from sk_dbn.models.transaction import Snapshot
from sk_dbn.models.visible import VisibleUnits


@dataclass
class StoppingRule:
    """When the training of an RBM ends.

    Parameters
    ----------
    tol : float
        The smallest improvement that counts, in nats a sample.
    n_iter_no_change : int
        Epochs without one after which the learning rate begins to fall, or training stops.
    annealing : float
        Share of the maximum number of epochs over which the rate falls.
    keeps_best : bool
        Whether training ends with the parameters of the best epoch rather than the last.
    watches_gap : bool
        Whether the gap of free energies is judged instead of the reconstruction.
    """

    tol: float
    n_iter_no_change: int
    annealing: float
    keeps_best: bool
    watches_gap: bool


@dataclass
class StackTraining:
    """What a stack is trained on, and how.

    Parameters
    ----------
    run : callable, from `threads`
    stack : Stack
    visible : VisibleUnits
    plain : Data
        What the caller gave.
    clip : bool
        Whether values may lie beyond those of the visible units.
    data : Data
        The same as the visible units read it.
    orders : Orders
        Of the samples to train on.
    held_out : int64 ndarray or None
        Validation samples.
    means : ndarray of shape (n_units,)
        Of the visible units' values.
    counts : ndarray of shape (n_units,) or None
        How many values these are the means of; None: one of each sample, which are no categories.
    background : ndarray of shape (n_rows, n_units)
        Some of the samples, as the visible units read them.
    settings : Settings
    stopping : StoppingRule
    rates : list of float
        Learning rate of each layer.
    max_iters : list of int
        Maximum number of epochs of each layer.
    recorders : list of RBMRecorder, or None
    n_before : list of int or None
        Epochs of each layer in calls before, where this is one epoch of many.

    Attributes
    ----------
    n_iter : list of int
        Complete epochs of each layer.
    """

    run: object
    stack: Stack
    visible: VisibleUnits
    plain: Data
    clip: bool
    data: Data
    orders: Orders
    held_out: np.ndarray | None
    means: np.ndarray
    counts: np.ndarray | None
    background: np.ndarray
    settings: Settings
    stopping: StoppingRule
    rates: list
    max_iters: list
    recorders: list[RBMRecorder] | None
    n_before: list | None

    def __post_init__(self):
        self.n_iter = [0] * self.stack.n_layers

    @property
    def changing(self):
        """The objects that training changes in place."""
        return self.orders.random, self.stack, *self.stack.memories, *(self.recorders or ())

    def train(self, listeners, cache=None):
        """Train every RBM, from the first layer up.

        Parameters
        ----------
        listeners : sequence of Listener
            Told of an `RBMTask` for each.
        cache : LayerCache, default=None
            Keeps trained layers.
        """
        for layer in range(self.stack.n_layers):
            task = RBMTask(self, layer)
            is_last = cache.train(task, listeners) if cache else task.train(listeners)
            if is_last:
                break

    @cached_property
    def samples_digest(self):
        """Hashes of the samples to train on, in their order, and of those held out; weights."""
        parts = self.orders.rows, self.held_out
        digests = [rows is not None and self.plain.digest(rows) for rows in parts]
        return [*digests, self.orders.weight]

    def data_of(self, layer):
        """The data as the lowest weights act on them that an RBM's input has passed.

        Gaussian units are divided by their variance for the layers above the first.
        """
        if layer == 0 or len(self.stack.variance) == 0:
            return self.data
        over = self.visible.over(self.stack.variance)
        return over.data(self.plain, self.clip)


class RBMTask:
    """The training of one RBM, as `loop.train` works at it.

    Parameters
    ----------
    whole : StackTraining
    layer : int

    Attributes
    ----------
    has_diverged : bool
        Whether the parameters are those of an epoch before training went wrong.
    is_lost : bool
        Whether that was seen at the end of an epoch, which then is not counted.
    """

    stage, unit, is_preparation, message = "layer", "epoch", False, None

    def __init__(self, whole, layer):
        self.whole, self.layer = whole, layer
        self.place = f"layer {layer + 1} of {whole.stack.n_layers}"
        self.name = f"{self.place}, {self.unit}"
        self.schedule = Annealing(whole.max_iters[layer], whole.stopping.annealing)
        self.n_epochs = self.schedule.max_iter if whole.n_before is None else None
        self.n_before = 0 if whole.n_before is None else whole.n_before[layer]
        self.measures, self.has_diverged, self.is_lost = {}, False, False
        # After n_iter_no_change epochs, where scikit-learn's networks wait for one more.
        self._patience = Patience(whole.stopping.n_iter_no_change - 1)

    def train(self, listeners):
        """Train the RBM.

        Parameters
        ----------
        listeners : sequence of Listener

        Returns
        -------
        bool
            Whether a listener wants no other task to follow.
        """
        self._prepare()
        return train(self, listeners)

    def _prepare(self):
        """Make buffers, and first values of what depends on the input."""
        whole, layer = self.whole, self.layer
        stack, data = whole.stack, whole.data_of(layer)
        if stack.memories[layer].n_steps == 0:
            known = (whole.means, whole.counts) if layer == 0 else ()
            prepare(whole.run, stack, layer, data, whole.orders.listed, *known)
        self._begin(data)
        if self._recorder and self._recorder.is_empty:
            self._recorder.record_start(whole.run, self.training)
        self._state = self._snapshot()
        self._worst = self.training.worst()
        self._best = self._good = None

    def _begin(self, data):
        """Make buffers for training from the present state."""
        whole, layer = self.whole, self.layer
        scale = learning_rate_scale(whole.stack, layer, whole.settings.batch_size)
        self._rate = whole.rates[layer] * scale
        parts = whole.stack, layer, data, whole.settings, self._rate
        is_observed = layer == 0 and whole.counts is not None
        kind = ObservedTraining if is_observed else RBMTraining
        rows = probe_of(whole.orders.listed), whole.held_out
        self.training = kind(*parts, *rows, whole.stopping.watches_gap)

    def _snapshot(self):
        return Snapshot(*self.training.changing, *self._not_returning)

    @property
    def _recorder(self):
        recorders = self.whole.recorders
        return recorders and recorders[self.layer]

    @property
    def _not_returning(self):
        """Objects that stay as they are when parameters return to an earlier epoch."""
        return self.whole.orders.random, self._recorder

    @property
    def n_iter(self):
        """Complete epochs."""
        return self.schedule.n_epochs

    @property
    def is_over(self):
        """Whether there is no epoch to follow."""
        return self.schedule.is_over

    def run_epoch(self):
        """Run one epoch; if it diverged, restore the state before it and return False."""
        training, whole = self.training, self.whole
        training.rate = self._rate * self.schedule.factor
        training.epoch(whole.run, whole.orders.next(), self._recorder)
        value, margin = training.verdict(whole.stopping.tol)
        if not (np.isfinite(value) and training.is_finite()):
            self._state.restore()
            self.is_lost = True
            return False
        before, self._state = self._state, self._state.renewed()
        self._end_epoch(before, value, margin)
        return True

    def _end_epoch(self, before, value, margin):
        """Count a good epoch, and remember the states that training may return to."""
        if self.training.divergence() <= self._worst:
            self._good = None
        elif self._good is None:
            self._good = before
        improved = self._patience.improved(value, margin)
        if self.whole.stopping.keeps_best and improved:
            self._best = self._state
        self.schedule.end_epoch()
        if self._patience.is_exhausted:
            self.schedule.on_plateau()
        self.whole.n_iter[self.layer] = self.n_iter
        self.measures = {"reconstruction KL": self.training.divergence()}

    def finish(self):
        """Restore the best epoch with early stopping; restore a good one if training diverged."""
        if self._best is not None:
            self._best.restore(*self._not_returning)
        self.has_diverged = not self.training.divergence() <= self._worst
        if self.has_diverged and self._good is not None:
            self._good.restore(*self._not_returning)
        self.has_diverged |= self.is_lost
        self._best = self._good = None

    def state(self):
        """All that a trained RBM keeps of its training, in a form that can be pickled and hashed.

        Returns
        -------
        dict
        """
        stack, random = self.whole.stack, self.whole.orders.random
        return {
            "parameters": list(stack.rbm(self.layer).parameters),
            "memory": vars(stack.memories[self.layer]),
            "recorder": self._recorder and self._recorder.__getstate__(),
            "random": random.get_state(legacy=False),
            "n_iter": self.n_iter,
            "has_diverged": self.has_diverged,
            "is_lost": self.is_lost,
        }

    def set_state(self, state):
        """Take over the state of the same training.

        Parameters
        ----------
        state : dict
            As `state` returns it.
        """
        stack = self.whole.stack
        parameters = Snapshot(*stack.rbm(self.layer).parameters)
        parameters.filled(state["parameters"]).restore()
        stack.memories[self.layer].__setstate__(state["memory"])
        stack.check()
        if self._recorder:
            self._recorder.__setstate__(state["recorder"])
        self.whole.orders.random.set_state(state["random"])
        self.schedule.n_epochs = self.whole.n_iter[self.layer] = state["n_iter"]
        self.has_diverged, self.is_lost = state["has_diverged"], state["is_lost"]

    def progress(self):
        """The state between two epochs, with what training needs to go on, see `TrainingFile`."""
        return self.state() | {
            "own": Snapshot(*self.training.own).contents(),
            "best": self._best and self._best.contents(),
            "good": self._good and self._good.contents(),
            "schedule": vars(self.schedule),
            "patience": vars(self._patience),
            "measures": self.measures,
        }

    def resume(self, progress):
        """Take over the state of the same training, and what it needs to go on."""
        self.set_state(progress)
        data = self.training.data
        self.training = self._state = None  # whose buffers would take memory beside the new ones
        self._begin(data)
        Snapshot(*self.training.own).filled(progress["own"]).restore()
        self._state = self._snapshot()
        for name in ("best", "good"):
            kept = progress[name]
            setattr(self, f"_{name}", kept and self._state.filled(kept))
        vars(self.schedule).update(progress["schedule"])
        vars(self._patience).update(progress["patience"])
        self.measures = progress["measures"]
