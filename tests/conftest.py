"""Settings of all tests: one numerical thread each, for two of them run side by side."""

import os

from hypothesis import settings

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("MPLBACKEND", "agg")

settings.register_profile("book", deadline=None)  # no test asks how long something takes: machines are busy
settings.load_profile("book")
