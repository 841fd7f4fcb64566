"""Masked language modelling: which tokens are masked and how, what the loss is worth, and DeCLUTR, which trains by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tests.algebra import gradients
from tests.plugins.text.tokens import declutr, spans
from tests.reference import formulas as ref
from tokenizers import Tokenizer, models
from torch import Tensor
from torch.nn import functional as F

import contrapose as cp
from contrapose import Batch, ConfigError, Method, ViewBatch, build
from contrapose.engine.build import Parts
from contrapose.engine.gradcache import backward_in_chunks
from contrapose.losses.engine import Engine
from contrapose.testing import assert_ddp_equivalent
from contrapose.types import Sample
from contrapose.views import ViewPlan
from contrapose_text.masking import NONE, hide, mask_of
from contrapose_text.modality import Text
from contrapose_text.texts import Marked

BOOK = "a small round table of dark oak with three legs and a drawer for the cutlery of a household"
IDS = np.arange(1000, 1010)


def masked(text: Text, count: int, rate: float = 0.15, **marks: Any) -> tuple[dict[str, Any], Tensor]:
    """A batch of one text that is masked by so many seeds, and its tokens."""
    whole = text.collate([BOOK])
    return text.collate([Marked(BOOK, seed, masked=rate, **marks) for seed in range(count)]), whole["ids"][0]


def test_of_the_tokens_15_percent_are_chosen_and_of_those_80_10_10() -> None:
    before, after, drawn = np.tile(IDS, 20_000), np.tile(IDS, 20_000), np.arange(200_000)
    chosen = hide(after, drawn, 0.15, 0, mask=7, vocabulary=500)
    assert len(chosen) / 200_000 == pytest.approx(0.15, abs=0.003)
    assert (np.diff(chosen) > 0).all()
    rest = np.setdiff1d(drawn, chosen)
    assert (after[rest] == before[rest]).all()
    became, was = after[chosen], before[chosen]
    other = became[(became != 7) & (became != was)]
    assert (became == 7).mean() == pytest.approx(0.8, abs=0.01)
    assert (became == was).mean() == pytest.approx(0.1, abs=0.01)
    assert len(other) / len(chosen) == pytest.approx(0.1, abs=0.01)
    counts = np.bincount(other, minlength=500)
    assert len(counts) == 500
    chi = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert chi < 620, "any token of the vocabulary alike: the 99.98th percentile of 498 degrees of freedom"
    assert np.bincount(chosen % 10).std() < 3 * np.sqrt(3000)


def test_marks_and_what_fills_up_are_never_masked(text: Text) -> None:
    batch, whole = masked(text, 200, rate=0.9)
    length = int(text.collate([BOOK])["mask"].sum())
    assert (batch["ids"][:, 0] == whole[0]).all(), "[CLS]"
    assert (batch["ids"][:, length:] == whole[length:]).all()
    place, token = batch["masked"]["place"], batch["masked"]["token"]
    real = place != NONE
    assert torch.equal(real, token != NONE)
    assert place[real].min() == 1
    assert place[real].max() == length - 1
    assert torch.equal(token[real], whole[place[real]]), "what stood there"
    assert real.sum(dim=1).float().mean() == pytest.approx(0.9 * (length - 1), rel=0.05)
    moved = batch["ids"] != whole
    at = torch.zeros_like(moved).scatter(1, place.clamp(min=0), real)
    assert not (moved & ~at).any(), "nothing else changes"
    assert (batch["ids"][moved] == mask_of(text._fitted())).float().mean() > 0.8


def test_masks_are_a_function_of_seed_epoch_sample_and_view(text: Text) -> None:
    plan = ViewPlan.from_config(
        {"text": {"use": "text/mask"}}, ["a", "b"], lambda k, n, p, **c: build(k, n, p), ["text"]
    )

    def ids(seed: int, epoch: int, sample: int) -> list[Tensor]:
        views, failed = plan.maker(seed)(Sample(sample, {"text": BOOK}), epoch)
        assert not failed
        return [text.collate([v.data])["ids"] for v in views]

    first = ids(0, 0, 0)
    assert all(torch.equal(a, b) for a, b in zip(first, ids(0, 0, 0), strict=True))
    others = [first[0], first[1], ids(1, 0, 0)[0], ids(0, 1, 0)[0], ids(0, 0, 1)[0]]
    assert len({tuple(o.flatten().tolist()) for o in others}) == 5
    alone, beside = masked(text, 1)[0], masked(text, 9)[0]
    assert torch.equal(alone["ids"][0], beside["ids"][0]), "whatever the rest of the batch"


def test_shuffled_tokens_are_masked_where_they_come_to_stand(text: Text) -> None:
    plain = text.collate([Marked(BOOK, 3, shuffled=True)])["ids"][0]
    batch = text.collate([Marked(BOOK, 3, shuffled=True, masked=0.5)])
    place, token = batch["masked"]["place"][0], batch["masked"]["token"][0]
    assert torch.equal(token, plain[place])


def test_a_trained_tokenizer_masks_by_a_byte_that_no_text_has(text: Text, bert: Any) -> None:
    tokenizer = text._fitted()
    id = mask_of(tokenizer)
    odd = [chr(c) for c in (0xFF, 0xFFFF, 0x10FFFF, 0x7FF, 0x80)]
    assert all(id not in tokenizer.encode(c * 3).ids for c in odd)
    given = Text(tokenizer=str(bert), max_length=32)
    assert mask_of(given._fitted()) == given._fitted().token_to_id("[MASK]")
    with pytest.raises(ConfigError, match=r"no token for what is masked, neither \[MASK\] nor <mask>"):
        mask_of(Tokenizer(models.WordLevel({"ÿ": 0}, unk_token="ÿ")))


def test_the_preview_tells(text: Text) -> None:
    assert text.preview(Marked("oak", 0, masked=0.15)) == {"text/plain": "oak [15% of its tokens masked]"}


@pytest.mark.parametrize("pooling", ["mean", "first-last"])
def test_an_encoder_gives_the_states_of_masked_tokens(text: Text, pooling: str) -> None:
    torch.manual_seed(0)
    encoder = build(
        "encoder", {"use": "text/transformer", "layers": 2, "width": 32, "pooling": pooling}, **text.facts()
    ).eval()
    batch = text.collate(
        [Marked("oak bed", 0, masked=0.5), Marked(BOOK, 1, masked=0.4), "oak", Marked("a sofa", 5, masked=0.9)]
    )
    taps = encoder(batch)
    place = batch["masked"]["place"]
    assert taps["masked"].shape == (4, place.shape[1], 32)
    whole = encoder.net(input_ids=batch["ids"], attention_mask=batch["mask"].long()).last_hidden_state
    for row, k in (place != NONE).nonzero().tolist():
        torch.testing.assert_close(taps["masked"][row, k], whole[row, place[row, k]], atol=1e-5, rtol=1e-5)
    plain = encoder({"ids": batch["ids"], "mask": batch["mask"]})
    torch.testing.assert_close(plain["pooled"], taps["pooled"])
    assert plain["masked"].shape == (4, 0, 32)


# -- the loss, in float64 ---------------------------------------------------------------------------------------------


def reference(method: Method, batch: Batch) -> Tensor:
    """BERT's masked language modelling by loops over views, texts and masked tokens, and DeCLUTR's eqs. 1 to 3."""
    encoder, head = method.towers.encoders["text"], method.terms["mlm"].loss.layers
    errors, z = [], {}
    for name, view in batch.views.items():
        for row in range(len(view)):
            embedded = torch.tanh(encoder.vectors[view.data["ids"][row]])
            z.setdefault(name, []).append(embedded[view.data["mask"][row]].mean(0))
            for place, token in zip(
                *(view.data.get("masked", {}).get(k, [[]] * len(view))[row] for k in ("place", "token")), strict=True
            ):
                if place >= 0:
                    h = F.gelu(head[0].weight @ embedded[place] + head[0].bias)
                    h = (h - h.mean()) / (h.var(unbiased=False) + 1e-5).sqrt() * head[2].weight + head[2].bias
                    logits = head[3].weight @ h + head[3].bias
                    errors.append(logits.exp().sum().log() - logits[token])
    anchors = [z[f"text/anchor_{a}"] for a in (0, 1)]
    means = [
        [(p + q) / 2 for p, q in zip(z[f"text/positive_{a}_0"], z[f"text/positive_{a}_1"], strict=True)] for a in (0, 1)
    ]
    rows = ref.unit(torch.stack([*anchors[0], *anchors[1], *means[0], *means[1]]))
    n, losses = len(rows) // 2, []
    for i in range(2 * n):
        scores = {k: rows[i] @ rows[k] / 0.05 for k in range(2 * n) if k != i}
        losses.append(torch.stack(list(scores.values())).exp().sum().log() - scores[(i + n) % (2 * n)])
    return torch.stack(losses).mean() + torch.stack(errors).mean()


@pytest.mark.parametrize("engine", [Engine("dense"), Engine("tiled", 3)], ids=["dense", "tiled"])
def test_declutr_is_worth_its_two_losses(engine: Engine) -> None:
    method, batch = declutr(), spans(5)
    method.engine = engine
    expected, found = reference(method, batch), method.loss(batch).loss
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    wanted = gradients(method, expected)
    assert all(g.abs().max() > 1e-4 for g in wanted.values())
    for parameter, gradient in gradients(method, found).items():
        torch.testing.assert_close(gradient, wanted[parameter], atol=1e-10, rtol=0, msg=parameter)


def test_two_processes_equal_one() -> None:
    assert_ddp_equivalent(declutr(), [spans(5, 0), spans(5, 1)])


def test_in_chunks_it_is_the_same() -> None:
    one, other, batch = declutr(), declutr(), spans(7)
    one.loss(batch).loss.backward()
    out = backward_in_chunks(other, batch, 2)
    torch.testing.assert_close(out.terms["mlm"], one.loss(batch).terms["mlm"])
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-12, rtol=0, msg=name)


def test_it_is_a_mean_over_masked_tokens_whatever_the_order_of_samples() -> None:
    method, batch = declutr(), spans(6)
    found = method.loss(batch).terms["mlm"]
    torch.testing.assert_close(method.loss(batch.take(torch.tensor([3, 1, 5, 0, 4, 2]))).terms["mlm"], found)
    parts = [method.loss(batch.take(rows)).terms["mlm"] for rows in torch.arange(6).split(3)]
    counts = [
        sum(int((v.data["masked"]["token"][rows] != NONE).sum()) for n, v in batch.views.items() if "anchor" in n)
        for rows in torch.arange(6).split(3)
    ]
    assert counts[0] != counts[1]
    torch.testing.assert_close((parts[0] * counts[0] + parts[1] * counts[1]) / sum(counts), found)


def test_texts_without_a_masked_token_have_no_loss_and_views_without_any_mask_are_told() -> None:
    method, batch = declutr(), spans(4)
    for view in batch.views.values():
        if "masked" in view.data:
            view.data["masked"] = {
                part: values.new_full(values.shape, NONE) for part, values in view.data["masked"].items()
            }
    assert method.loss(batch).terms["mlm"] == 0

    def bare(v: ViewBatch) -> ViewBatch:
        return ViewBatch({k: v.data[k] for k in ("ids", "mask")}, "text", v.index, v.meta)

    with pytest.raises(ConfigError, match="no view masks tokens: make one by text/mask"):
        method.loss(Batch(batch.sample, {n: bare(v) for n, v in batch.views.items()}))


def test_a_term_or_a_branch_that_is_null_is_left_out() -> None:
    names = ["oak chair for the garden with arms", "a bed of ash", "sofa"] * 6
    said = {
        "data": pa.table({"name": names}),
        "modalities": {"text": "name"},
        "views": {"text": {"use": "text/spans", "shortest": 1, "longest": 4, "mask": 0}},
        "encoders": {"text": {"use": "text/bag", "width": 8}},
        "method": {"use": "text/declutr", "branches": {"hidden": None}, "terms": {"mlm": None}},
    }
    assert {*Parts(cp.Config.of(said)).make_method().terms} == {"nt_xent"}
    with pytest.raises(ConfigError, match="the encoder 'text' has no tap 'masked'"):
        Parts(cp.Config.of({**said, "method": "text/declutr"})).make_method()
