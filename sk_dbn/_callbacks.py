"""scikit-learn's callbacks: a fit and its parts are tasks of `sklearn.callback`."""

import contextlib
import copy

from sk_dbn.models.loop import Listener

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9 has no callbacks

    class NoContext:
        """Stands for a task of which nobody is told."""

        def subcontext(self, **_):
            """Return the context of a part of the task."""
            return self

        def propagate_callback_context(self, sub_estimator):
            """Return a context in which another estimator is fitted."""
            return contextlib.nullcontext()

        def call_on_fit_task_begin(self, **_):
            """Tell nobody that the task begins."""

        def call_on_fit_task_end(self, **_):
            """Tell nobody that the task ends."""

    class CallbackSupportMixin:
        """Base class of estimators, without callbacks."""

        def _init_callback_context(self, **_):
            return NoContext()

    def with_callbacks(method):
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "FitCallbacks", "with_callbacks"]


class FitCallbacks(Listener):
    """Tells the callbacks of an estimator of its fit, of the tasks in it, and of their epochs.

    Parameters
    ----------
    estimator : estimator
        Has `_changed_in_place`, the names of the attributes that training changes in place: with
        copies of them, a copy of the estimator stays as the estimator now is.
    X : array-like or sparse matrix
        The caller's samples.
    y : array-like, default=None
        The caller's targets.
    sample_weight : array-like, default=None
    n_tasks : int, default=None
        Maximum number of tasks, None if unknown.
    """

    def __init__(self, estimator, X, y=None, sample_weight=None, n_tasks=None):
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._estimator = estimator
        self._given = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._task = self._epoch = None
        self._fit = estimator._init_callback_context(max_subtasks=n_tasks)
        self._fit.call_on_fit_task_begin(**self._given)

    @property
    def listeners(self):
        """This listener in a list, which is empty if the estimator has no callbacks."""
        return [self] if getattr(self._estimator, "_skl_callbacks", None) else []

    @contextlib.contextmanager
    def other_fit(self, name, estimator):
        """Context in which another estimator is fitted, as a task of this fit.

        Parameters
        ----------
        name : str
            Of the task.
        estimator : estimator
        """
        task = self._fit.subcontext(task_name=name)
        with task.propagate_callback_context(estimator):
            task.call_on_fit_task_begin(**self._given)
            yield
            task.call_on_fit_task_end(**self._given)

    def fit_ended(self):
        """Tell of the end of the fit; the estimator has all fitted attributes."""
        self._fit.call_on_fit_task_end(**self._given, reconstruction_attributes={})

    def task_began(self, task):
        """Tell of a task."""
        self._task = self._begin(self._fit, task_name=task.stage, max_subtasks=task.n_epochs)
        for _ in range(task.n_iter):  # epochs of a checkpoint, so that others keep their numbers
            self._task.subcontext(task_name=task.unit)

    def epoch_began(self, task):
        """Tell of an epoch."""
        self._epoch = self._begin(self._task, task_name=task.unit)

    def epoch_ended(self, task):
        """Tell of its end; the answer is whether a callback ends the task."""
        epoch, self._epoch = self._epoch, None
        return self._end(epoch, task)

    def task_ended(self, task):
        """Tell of the end of the task; the answer is whether a callback wants no other."""
        if self._epoch is not None:  # it failed
            self._epoch.call_on_fit_task_end(estimator=self._estimator)
            self._epoch = None
        return self._end(self._task, task)

    def task_loaded(self, task):
        """The same for a task that was read from a cache."""
        self.task_began(task)
        return self.task_ended(task)

    def _begin(self, parent, **task):
        """The context of a new task."""
        context = parent.subcontext(**task)
        context.call_on_fit_task_begin(**self._given)
        return context

    def _end(self, context, task):
        """End a task; callbacks may see what the estimator has learned so far."""
        copied = None if task.is_preparation else self._copied_model
        return context.call_on_fit_task_end(**self._given, reconstruction_attributes=copied)

    def _copied_model(self):
        """Copies of what training changes in place; None if the estimator is not fitted yet."""
        of_estimator = vars(self._estimator)
        names = [name for name in self._estimator._changed_in_place if name in of_estimator]
        return {name: copy.deepcopy(of_estimator[name]) for name in names} or None
