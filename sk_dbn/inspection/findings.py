"""The findings of a diagnosis, and how they are printed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

# Kinds that concern the data, not an epoch or a layer.
SCALES = {"scale of X", "scale of y"}


@dataclass(frozen=True)
class Finding:
    """A problem that keeps a network or a stack from learning, with a remedy.

    Parameters
    ----------
    kind : {'scale of X', 'scale of y', 'equal units', 'vanishing', 'exploding', \
            'dead units', 'saturated units', 'stalled layer', 'diverged', 'unstable step size', \
            'too much dropout', 'too strong a penalty', 'overfitting', 'no better than a constant'}
        The problem.
    layers : tuple of int
        The layers that have it, as indices into `coefs_` and columns of the gradient trace.
        Empty if it concerns all layers together.
    where : str
        The layers in words, named as in the displays: 'hidden 1' or 'encoder 1' has index 0. For
        scales, the features or targets with mean and standard deviation.
    epoch : float
        The first epoch in which it is seen. 0 is before the first update; scales have 0 too.
    evidence : dict of str to float
        The numbers behind the finding, by name.
    remedy : str
        What to change, in words. What is most likely to help comes first.
    parameters : dict, default={}
        The first remedy as parameters for `set_params`. Empty if it is not a parameter of the
        estimator.

    See Also
    --------
    diagnose : Returns the findings.

    References
    ----------
    .. [1] Glorot, X. & Bengio, Y. (2010). Understanding the difficulty of training deep
       feedforward neural networks. AISTATS. Sections 3 and 4.

    Examples
    --------
    >>> from sk_dbn.inspection import Finding
    >>> finding = Finding(
    ...     kind="dead units",
    ...     layers=(1,),
    ...     where="hidden 2",
    ...     epoch=3.0,
    ...     evidence={"dead_fraction": 0.9},
    ...     remedy="learning_rate_init=0.001",
    ...     parameters={"learning_rate_init": 0.001},
    ... )
    >>> finding.kind
    'dead units'
    """

    kind: str
    layers: tuple
    where: str
    epoch: float
    evidence: dict
    remedy: str
    parameters: dict = field(default_factory=dict)

    @property
    def numbers(self):
        """The evidence in words."""
        return ", ".join(f"{name} {value:.2g}" for name, value in self.evidence.items())


class Diagnosis(Sequence):
    """The findings of `diagnose`, printed as a short table.

    Parameters
    ----------
    findings : sequence of Finding
        The problems, likely causes before their consequences.
    subject : str
        What was examined.
    notes : sequence of str, default=()
        Additional information, such as what could not be checked.

    See Also
    --------
    diagnose : Returns the diagnosis.

    References
    ----------
    .. [1] Glorot, X. & Bengio, Y. (2010). Understanding the difficulty of training deep
       feedforward neural networks. AISTATS. Sections 3 and 4.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sk_dbn import DeepMLPRegressor
    >>> from sk_dbn.inspection import diagnose
    >>> X, y = load_diabetes(return_X_y=True)
    >>> y = (y - y.mean()) / y.std()
    >>> network = DeepMLPRegressor((20,) * 10, init="glorot_uniform", random_state=0)
    >>> diagnosis = diagnose(network, X, y)
    >>> [finding.kind for finding in diagnosis]
    ['vanishing']
    """

    def __init__(self, findings, subject, notes=()):
        self.findings = tuple(findings)
        self.subject = subject
        self.notes = tuple(notes)

    def __len__(self):
        return len(self.findings)

    def __getitem__(self, index):
        return self.findings[index]

    def __repr__(self):
        lines = [self._title()]
        for finding in self.findings:
            since = "" if finding.kind in SCALES else f", from epoch {finding.epoch:g} on"
            lines.append(f"  {finding.kind}: {finding.where}{since}")
            lines.append(f"    seen:   {finding.numbers}")
            lines.append(f"    remedy: {finding.remedy}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def _repr_html_(self):
        rows = "".join(
            f"<tr><td>{escape(finding.kind)}</td><td>{escape(finding.where)}</td>"
            f"<td>{'' if finding.kind in SCALES else f'{finding.epoch:g}'}</td>"
            f"<td>{escape(finding.numbers)}</td>"
            f"<td>{escape(finding.remedy)}</td></tr>"
            for finding in self.findings
        )
        title = f"<p>{escape(self._title())}</p>"
        notes = "".join(f"<p>Note: {escape(note)}</p>" for note in self.notes)
        if not rows:
            return title + notes
        names = ("finding", "where", "from epoch", "seen", "remedy")
        head = "".join(f"<th>{name}</th>" for name in names)
        return f"{title}<table><tr>{head}</tr>{rows}</table>{notes}"

    def _title(self):
        n = len(self.findings)
        count = "nothing found" if n == 0 else "1 finding" if n == 1 else f"{n} findings"
        return f"{self.subject}: {count}"
