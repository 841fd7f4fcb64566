"""What kept tokens and batches of like lengths save on Debian's long descriptions: the table of plugins/text/README.md.

python examples/text_debian/lengths.py       # a minute; runs/data/debian.parquet is that of build_debian.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from contrapose.data.buckets import BucketSampler
from contrapose.data.sampler import EpochSampler
from contrapose_text.modality import Text

DATA = Path("runs/data/debian.parquet")
TEXTS, BATCH, LONGEST = 12_800, 64, 256


def filling(sampler: EpochSampler, lengths: np.ndarray) -> float:
    """The share of an epoch's places that hold no token, where each batch is as wide as its longest text."""
    batches = lengths[sampler.order(0)].reshape(-1, BATCH)
    return float(1 - lengths.sum() / (batches.max(axis=1) * BATCH).sum())


def seconds_a_text(text: Text, texts: list[str]) -> float:
    """CPU time of collating batches, for each text."""
    began = time.process_time()
    for start in range(0, len(texts), BATCH):
        text.collate(texts[start : start + BATCH])
    return (time.process_time() - began) / len(texts)


def main() -> None:
    """Measure, and print."""
    torch.set_num_threads(1)
    texts = pq.read_table(DATA, columns=["long"])["long"].drop_null().to_pylist()[:TEXTS]
    with tempfile.TemporaryDirectory() as folder:
        kept, plain = Text(max_length=LONGEST, cache=folder), Text(max_length=LONGEST)
        kept.fit([{"long": one} for one in texts])
        plain.load_state_dict({"tokenizer": kept.state_dict()["tokenizer"]})
        lengths = np.array(kept.lengths(texts))
        made, read = (1e6 * seconds_a_text(text, texts) for text in (plain, kept))
    print(f"{len(texts):,} texts of {lengths.mean():.0f} tokens on average, at most {LONGEST}, batches of {BATCH}")
    print(f"cache: {made:.0f} us to tokenise and collate a text, {read:.0f} with kept tokens")
    samplers = EpochSampler(len(lengths), BATCH), BucketSampler(lengths, BATCH)
    shuffled, alike = (100 * filling(sampler, lengths) for sampler in samplers)
    print(f"buckets: {shuffled:.0f} % of a batch as wide as its longest text is filling, {alike:.0f} % with them")


if __name__ == "__main__":
    main()
