"""Shared by all tests: one thread for every numerical library, and no deadlines."""

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # read by numpy and torch when they are first imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from hypothesis import settings  # noqa: E402

settings.register_profile("here", deadline=None, print_blob=True)
settings.load_profile("here")
