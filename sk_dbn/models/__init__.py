"""The models behind the estimators: networks, stacks, and what trains and watches them.

Arrays in, arrays out; nothing here knows scikit-learn.
"""

from pathlib import Path

from sk_dbn.kernels.sources import Sources

SOURCES = Sources(Path(__file__).parent, __name__)  # before its other modules are read
