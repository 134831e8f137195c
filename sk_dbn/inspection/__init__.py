"""Looking at fitted estimators: displays of what training did, and what keeps it from learning.

`diagnose` reads an estimator's gradient trace and names what it finds, where, and a remedy. A
display is made by its `from_estimator` from public fitted attributes, keeps the data that it
draws, and can draw them again with `plot`. They need matplotlib (``pip install '.[plot]'``).
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
