"""What every test gets: one thread, no window, and no plugin list from the caller's shell."""

from __future__ import annotations

import os

# Before torch is imported anywhere. The tests' tensors are small, and those with two processes would fight for two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MPLBACKEND"] = "Agg"
os.environ.pop("CONTRAPOSE_PLUGINS_ALLOW", None)
os.environ.pop("CONTRAPOSE_PLUGINS_DENY", None)
