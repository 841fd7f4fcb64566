"""What every test gets: one thread, no window, and no plugin list from the caller's shell."""

from __future__ import annotations

import os
from datetime import date

DAYS = 3
"""In so many days the tests that are run in turn have all run; those of other days are marked slow."""

# Before torch is imported anywhere. The tests' tensors are small, and the processes that run them would fight for the cores.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("TRITON_INTERPRET", "1")  # kernels on the CPU; Triton reads it once, as it is imported
os.environ.pop("CONTRAPOSE_PLUGINS_ALLOW", None)
os.environ.pop("CONTRAPOSE_PLUGINS_DENY", None)


def pytest_report_header() -> str:
    return f"the catalogue on two processes: part {date.today().toordinal() % DAYS + 1} of {DAYS}, by the date; all with slow"
