"""JSON that a stranger may have written: whatever is wrong with it is a ``ValueError``, deep nesting too."""

from __future__ import annotations

import json
from typing import Any


def parse(text: str | bytes) -> Any:
    """What ``json.loads`` gives. Raises ``ValueError``."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
