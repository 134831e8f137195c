"""Everything that is compiled: functions of arrays and scalars, nothing of the package.

Each file holds one noun; :mod:`~sk_dbn.kernels.compile` says how a function becomes a
kernel and where its machine code is kept.
"""

from pathlib import Path

from sk_dbn.kernels.sources import Sources

SOURCES = Sources(Path(__file__).parent, __name__)  # before the kernels themselves are read
