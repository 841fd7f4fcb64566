"""Keys beyond the batch, and weights of the anchors."""

import torch

from contrapose import Rows
from contrapose.relations.relation import Weigher
from contrapose.sources.base import Source


class Last(Source):
    """The rows of the last step."""

    def __init__(self, of: str) -> None:
        super().__init__()
        self.refs = (of,)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.kept = None

    def rows(self, out, table=""):
        return self.kept

    def commit(self, out):
        rows = out.rows(self.refs[0], "global").detach()
        self.kept = Rows(rows.z, rows.meta, replicated=True)
        self.steps += 1


class Loud(Weigher):
    """Every anchor's positive part by one number."""

    def __init__(self, by: float = 2.0) -> None:
        super().__init__()
        self.by = by

    def weigh(self, q, out):
        return torch.full((len(q),), self.by)
