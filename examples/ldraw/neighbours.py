"""docs/figures/ldraw-neighbours.png: held-out parts and the training parts nearest to each, by frozen features of one run.

Beside it a .json names the parts and, as their licence asks, their authors.

python examples/ldraw/neighbours.py simclr --seed 0      # after measure.py
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
import torch
from measure import HERE, RESULTS, config_of, parts, table
from PIL import Image, ImageDraw

OUT = HERE.parents[1] / "docs/figures/ldraw-neighbours.png"
QUERIES, NEIGHBOURS, SIDE, GAP, LINE = 8, 5, 112, 14, 16


def nearest(name: str, seed: int, queries: int) -> list[list[int]]:
    """Rows of the table: held-out parts, each of another category, drawn by ``seed``, each with its nearest of the train side."""
    import contrapose as cp
    from contrapose.engine.build import Parts
    from contrapose.plugins import registry

    registry().load_file(HERE / "stretch.py")
    run = Parts(cp.Config.of(config_of(name, table(), seed)))
    encoder = run.make_method().encoders["pointcloud"].eval()
    encoder.load_state_dict(torch.load(RESULTS / "split" / f"{name}-{seed}.pt", weights_only=True))
    found = parts(run.run.data)
    train, test = (np.flatnonzero(found["split"] == side) for side in ("train", "test"))
    drawn = np.random.default_rng(seed)
    categories = drawn.permutation(np.unique(found["category"][test]))[:queries]
    chosen = [int(drawn.choice(test[found["category"][test] == category])) for category in categories]
    show = run.eval_plan.planned[0].generator.batched  # type: ignore[attr-defined]
    with torch.no_grad():
        clouds = torch.from_numpy(found["cloud"])
        made = [
            encoder(show(clouds[rows], torch.Generator()))["pooled"] for rows in (chosen, *np.array_split(train, 8))
        ]
    there, near = (torch.nn.functional.normalize(z, dim=1) for z in (torch.cat(made[1:]), made[0]))
    order = (near @ there.T).topk(NEIGHBOURS, dim=1).indices.tolist()
    return [[query, *train[row].tolist()] for query, row in zip(chosen, order, strict=True)]


def sheet(rows: list[list[int]], data: str) -> Image.Image:
    """The picture: a query to the left, its neighbours to the right, each with its category; those of the query's in green."""
    from contrapose_pointcloud.modality import PointCloud

    found, modality = parts(data), PointCloud()
    page = Image.new("RGB", (SIDE * (1 + NEIGHBOURS) + GAP, (SIDE + LINE) * len(rows)), "white")
    pen = ImageDraw.Draw(page)
    for y, row in enumerate(rows):
        for x, part in enumerate(row):
            corner = (x * SIDE + (GAP if x else 0), y * (SIDE + LINE))
            page.paste(Image.open(io.BytesIO(modality.preview(found["cloud"][part])["image/png"])), corner)
            category = str(found["category"][part])
            same = category == found["category"][row[0]]
            colour = "black" if not x else "#16794c" if same else "#8a8a8a"
            pen.text((corner[0] + SIDE / 2, corner[1] + SIDE + 2), category, colour, anchor="ma")
    pen.line([(SIDE + GAP / 2, 0), (SIDE + GAP / 2, page.height)], "#bbbbbb")
    return page


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=OUT)
    args = parser.parse_args()
    rows, found = nearest(args.name, args.seed, QUERIES), parts(table()["base"]["data"])
    sheet(rows, table()["base"]["data"]).quantize(64).save(args.out, optimize=True)
    authors = sorted({str(found["author"][part]) for row in rows for part in row})
    said = {
        "row": args.name,
        "seed": args.seed,
        "authors": authors,
        "parts": [found["id"][row].tolist() for row in rows],
    }
    args.out.with_suffix(".json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
