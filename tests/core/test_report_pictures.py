import csv
import io
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest

from contrapose.report.canvas import DPI, HIT, Canvas
from contrapose.report.plots import embedding_map, loss_curves
from contrapose.report.preview import as_text, fit_text
from contrapose.report.sheets import retrieval_sheet, view_sheet


def png(value):
    buffer = io.BytesIO()
    grid = np.kron(np.random.default_rng(value).random((4, 4, 3)), np.ones((8, 8, 1)))
    plt.imsave(buffer, grid, format="png")
    return {"image/png": buffer.getvalue()}


def read(path):
    drawn = plt.imread(path)[..., :3]
    assert drawn.std() > 0.02, "blank"
    edges = (drawn[:3], drawn[-3:], drawn[:, :3], drawn[:, -3:])
    assert all((edge == 1).all() for edge in edges), "something is clipped at an edge"
    return drawn


def near(drawn, colour, within=0.03):
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.abs(drawn - rgb).max(axis=2) < within


PREVIEWS = {
    "text": {"text/plain": "it costs $5 and $6, " * 30},
    "html": {
        "text/html": "<style>td{}</style><table><tr><th>a</th><td>1.5</td></tr><tr><td>b &amp; c</td></tr></table>"
    },
    "other": {"application/x-thing": b"0" * 2048},
    "missing": None,
}


def test_view_sheet_draws_every_preview_and_grows_with_rows_and_columns(tmp_path):
    columns = [("wave", "original"), ("wave", "query"), ("note", "original"), ("note", "a_slot_of_a_very_long_name")]
    cells = [png(0), png(1), PREVIEWS["html"], None]
    small = read(view_sheet([("#0", cells)], columns, tmp_path / "deep" / "a.png", "my.yaml" * 20, "a remark " * 40))
    rows = [(f"#{i} a label", cells) for i in range(3)]
    tall = read(view_sheet(rows, columns, tmp_path / "b.png"))
    assert tall.shape[0] > small.shape[0] + 2.5 * DPI
    assert tall.shape[1] == small.shape[1]
    narrow = read(view_sheet([("#0", cells[:2])], columns[:2], tmp_path / "c.png"))
    assert narrow.shape[1] < small.shape[1]


@pytest.mark.parametrize("name", PREVIEWS)
def test_each_kind_of_preview_leaves_ink(name, tmp_path):
    drawn = read(view_sheet([("#0", [PREVIEWS[name]])], [("m", "original")], tmp_path / "a.png"))
    inside = drawn[int(1.1 * DPI) : int(2.3 * DPI), int(1.05 * DPI) : int(2.3 * DPI)]
    assert inside.std() > 0.02


def test_retrieval_sheet_frames_the_hits_alone(tmp_path):
    def sheet(hits, name):
        rows = [(png(0), [(png(9), 0.9 - j / 10, hit) for j, hit in enumerate(hits)])]
        return read(retrieval_sheet(rows, "wave", "note", tmp_path / name, "a note"))

    none, one = (near(sheet(hits, f"{i}.png"), HIT).sum() for i, hits in enumerate([[0, 0, 0], [0, 1, 0]]))
    assert one - none > 4 * DPI  # a frame's worth


def test_loss_curves(tmp_path):
    file = tmp_path / "metrics.csv"
    header = ["step", "epoch", "loss", "loss/near", "loss/far", "lr"]
    with open(file, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(header)
    assert loss_curves(file, tmp_path / "none.png") is None
    with open(file, "a", newline="") as out:
        csv.writer(out).writerows([i, 0, 9 / (i + 1), 4 / (i + 1), "", 1e-4] for i in range(120))
    read(loss_curves(file, tmp_path / "loss.png"))


def test_embedding_map_colours_by_label(tmp_path):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 6))
    labels = np.repeat([0.0, 1.0], 20)
    grey = read(embedding_map({"wave": z, "note": z[:5]}, None, tmp_path / "a.png"))
    drawn = read(
        embedding_map({"wave": z}, {"wave": labels}, tmp_path / "b.png", {0.0: "a name of some length", 1.0: "b"})
    )
    for colour in ("#4269d0", "#efb118"):
        assert near(drawn, colour, 0.15).sum() > 200
        assert near(grey, colour, 0.15).sum() == 0
    read(embedding_map({"one": z[:1]}, {"one": np.array([np.nan])}, tmp_path / "c.png"))
    many = {"wave": np.arange(40) % 15.0}
    read(embedding_map({"wave": z}, many, tmp_path / "d.png"))


def test_html_reads_as_rows_of_words():
    assert as_text(PREVIEWS["html"]).splitlines() == ["a  1.5", "b & c"]
    assert as_text({"text/plain": "ä".encode()}) == "ä"
    assert as_text(PREVIEWS["other"]) == "application/x-thing\n2,048 bytes"


def test_text_is_cut_to_its_box():
    for width, height, points in itertools.product((0.5, 1.4), (0.2, 1.4), (7, 10)):
        lines = fit_text("word and another_very_long_word " * 20, width, height, points).splitlines()
        assert len(lines) * points * 1.2 <= max(height * 72, points * 1.2)
        assert max(map(len, lines)) * points * 0.62 <= width * 72
        assert lines[-1].endswith("…")
    assert fit_text("short\n\nlines", 2, 2, 8) == "short\n\nlines"


def test_a_note_is_wrapped_not_cut(tmp_path, monkeypatch):
    said = []
    words = Canvas.words
    monkeypatch.setattr(
        Canvas, "words", lambda self, x, y, text, **more: said.append(text) or words(self, x, y, text, **more)
    )
    note = "4 of 280 train samples, drawn with seed 0; views of epoch 0, and more than a line of a narrow sheet holds"
    view = view_sheet([("#0", [png(0)])], [("m", "original")], tmp_path / "a.png", note=note)
    assert note in [text.replace("\n", " ") for text in said]
    plain = view_sheet([("#0", [png(0)])], [("m", "original")], tmp_path / "b.png", note="short")
    assert read(view).shape[0] > read(plain).shape[0]
    rows = [(png(0), [(png(1), 0.5, True)])]
    retrieval_sheet(rows, "wave", "note", tmp_path / "c.png", note)
    assert [text.replace("\n", " ") for text in said].count(note) == 2
