"""Everything that is compiled: functions of arrays and scalars, nothing of the package.

Each file holds one noun; :mod:`~sk_dbn.kernels.compile` says how a function becomes a
kernel and where its machine code is kept.
"""
