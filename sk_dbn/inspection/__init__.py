"""Inspection of fitted estimators: displays of their training, and a diagnosis of its problems.

`diagnose` reads an estimator's gradient trace and reports problems, the layers that have them, and
remedies. The `from_estimator` method of a display creates it from public fitted attributes. The
display stores the data that it draws, and `plot` draws them again. Displays need matplotlib
(``pip install '.[plot]'``).
"""

from sk_dbn.inspection.activations import ActivationDisplay
from sk_dbn.inspection.diagnosis import diagnose
from sk_dbn.inspection.filters import RBMFiltersDisplay
from sk_dbn.inspection.findings import Diagnosis, Finding
from sk_dbn.inspection.gradients import GradientTraceDisplay
from sk_dbn.inspection.latent_space import LatentSpaceDisplay
from sk_dbn.inspection.losses import LossDisplay
from sk_dbn.inspection.reconstructions import ReconstructionDisplay

__all__ = [
    "ActivationDisplay",
    "Diagnosis",
    "Finding",
    "GradientTraceDisplay",
    "LatentSpaceDisplay",
    "LossDisplay",
    "RBMFiltersDisplay",
    "ReconstructionDisplay",
    "diagnose",
]
