"""``record.py NOTES train ...``: the command line, noting in ``NOTES.<rank>`` which samples each step of a process saw."""

from __future__ import annotations

import os
import sys

from contrapose.cli import main
from contrapose.engine import train as loop

step = loop.train_step


def noted(model, method, optimizer, batch, *rest):
    with open(f"{sys.argv[1]}.{os.environ.get('RANK', '0')}", "a") as notes:
        print(int(method.clock.step), *batch.sample.tolist(), file=notes)
    return step(model, method, optimizer, batch, *rest)


loop.train_step = noted
sys.exit(main(sys.argv[2:]))
