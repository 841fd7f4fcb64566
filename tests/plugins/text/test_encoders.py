from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from contrapose import ConfigError, build
from contrapose.types import Encoder
from contrapose_text.modality import Text
from contrapose_text.pooling import Pooling, by_length, pool

POOLINGS: list[Pooling] = ["cls", "mean", "max", "first-last", "last-two"]
TEXTS = ["A corner sofa with an ottoman of green velvet", "Bed", "Bedside table of oak", "Oak chair"]
Batch = dict[str, Tensor]


def make(text: Text, **arguments: Any) -> Any:
    torch.manual_seed(0)
    return build("encoder", {"use": "text/transformer", "layers": 2, "width": 32, **arguments}, **text.facts())


@pytest.fixture
def batch(text: Text) -> Batch:
    return text.collate(TEXTS)


def wider(batch: Batch, columns: int) -> Batch:
    """The same with ``columns`` more that nobody may look at: tokens, not pads."""
    n = len(batch["ids"])
    ids = torch.cat([batch["ids"], torch.randint(1, 200, (n, columns))], dim=1)
    ids = torch.where(torch.nn.functional.pad(batch["mask"], (0, columns)), ids, torch.randint_like(ids, 1, 200))
    return {"ids": ids, "mask": torch.nn.functional.pad(batch["mask"], (0, columns))}


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooled_has_its_width_for_any_number_of_texts(text: Text, batch: Batch, pooling: str) -> None:
    encoder = make(text, pooling=pooling).eval()
    assert isinstance(encoder, Encoder)
    assert encoder.modality == "text"
    for rows in (0, 1, 4):
        taps = encoder({name: t[:rows] for name, t in batch.items()})
        assert taps.keys() == encoder.dims.keys() == {"pooled", "masked"}
        assert not taps["masked"].numel(), "nothing is masked"
        assert taps["pooled"].shape == (rows, 32)


def test_two_passes_differ_in_train_mode_and_agree_in_eval_mode(text: Text, batch: Batch) -> None:
    encoder = make(text)
    assert encoder.training
    a, b = encoder(batch)["pooled"], encoder(batch)["pooled"]
    assert (a - b).abs().amin(dim=1).max() > 0
    assert (a - b).norm(dim=1).min() > 0.05 * a.norm(dim=1).max()
    together = {name: torch.cat([t, t]) for name, t in batch.items()}
    first, second = encoder(together)["pooled"].chunk(2)
    assert (first - second).norm(dim=1).min() > 0.05 * a.norm(dim=1).max(), "in one forward too"
    encoder.eval()
    assert torch.equal(encoder(batch)["pooled"], encoder(batch)["pooled"])
    still = make(text, dropout=0.0)
    assert torch.equal(still(batch)["pooled"], still(batch)["pooled"])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_fills_up_a_row_changes_nothing(text: Text, batch: Batch, pooling: str) -> None:
    encoder = make(text, pooling=pooling, max_length=64).eval()
    with torch.no_grad():
        alone = torch.cat([encoder({name: t[i : i + 1] for name, t in batch.items()})["pooled"] for i in range(4)])
        torch.testing.assert_close(encoder(batch)["pooled"], alone, atol=1e-6, rtol=0)
        torch.testing.assert_close(encoder(wider(batch, 20))["pooled"], alone, atol=1e-6, rtol=0)
        # Without the grouping by length, which leaves most of the filling out before the transformer sees it.
        full = encoder._run(**wider(batch, 20))[0]
        torch.testing.assert_close(full, alone, atol=1e-6, rtol=0)
        last = encoder(text.collate([*TEXTS, " ".join(TEXTS * 3)]))["pooled"][:4]
        torch.testing.assert_close(last, alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradients_reach_every_parameter_and_come_from_tokens_alone(text: Text, batch: Batch, pooling: str) -> None:
    encoder = make(text, pooling=pooling)
    encoder(batch)["pooled"].pow(3).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if "key.bias" not in name:  # adds one number to all of a softmax's logits, which changes nothing
            assert parameter.grad.abs().sum() > 0, name
    words = encoder.net.get_input_embeddings().weight.grad
    assert set(words.abs().sum(dim=1).nonzero().flatten().tolist()) == set(batch["ids"][batch["mask"]].tolist())


def test_no_text_leaves_every_parameter_a_gradient_of_nothing(text: Text, batch: Batch) -> None:
    encoder = make(text)
    pooled = encoder({name: t[:0] for name, t in batch.items()})["pooled"]
    pooled.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in encoder.parameters())


def test_pooling_is_a_loop_over_tokens() -> None:
    torch.manual_seed(0)
    hidden = [torch.randn(5, 7, 3, dtype=torch.float64) for _ in range(4)]
    mask = torch.arange(7) < torch.tensor([1, 7, 3, 5, 6])[:, None]
    mask[3, 2] = False
    for h in hidden:
        h[~mask] = math.nan
    for row in range(5):
        here = [i for i in range(7) if mask[row, i]]
        first, last = ([[float(x) for x in h[row, i]] for i in here] for h in (hidden[1], hidden[-1]))
        mean = [sum(column) / len(here) for column in zip(*last, strict=True)]
        both = [
            (sum(a) + sum(b)) / (2 * len(here))
            for a, b in zip(zip(*first, strict=True), zip(*last, strict=True), strict=True)
        ]
        expected = {"cls": last[0], "mean": mean, "max": [max(c) for c in zip(*last, strict=True)]}
        expected |= {"first-last": both, "last-two": both}
        for how in POOLINGS:
            torch.testing.assert_close(pool(hidden[-1], mask, how, hidden[1])[row].tolist(), expected[how])


def test_poolings_are_of_transformers_hidden_states(text: Text, batch: Batch) -> None:
    encoder = make(text, layers=3, pooling="first-last").eval()
    ids, mask = batch["ids"], batch["mask"].long()
    with torch.no_grad():
        hidden = encoder.net(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        assert len(hidden) == 4
        n = mask.sum(dim=1, keepdim=True)
        first, last = (torch.einsum("nld,nl->nd", h, mask.float()) / n for h in (hidden[1], hidden[3]))
        torch.testing.assert_close(encoder(batch)["pooled"], (first + last) / 2)
        encoder.pooling = "last-two"
        before = torch.einsum("nld,nl->nd", hidden[2], mask.float()) / n
        torch.testing.assert_close(encoder(batch)["pooled"], (before + last) / 2)
        encoder.pooling = "mean"
        torch.testing.assert_close(encoder(batch)["pooled"], last)
        encoder.pooling = "cls"
        torch.testing.assert_close(encoder(batch)["pooled"], hidden[3][:, 0])


@pytest.mark.reference
@pytest.mark.parametrize("how", ["cls", "mean", "max"])
def test_poolings_are_those_of_sentence_transformers(how: Pooling) -> None:
    modules = pytest.importorskip("sentence_transformers.models", reason="sentence-transformers isn't installed")
    torch.manual_seed(0)
    tokens, mask = torch.randn(4, 9, 6), torch.arange(9) < torch.tensor([2, 9, 5, 1])[:, None]
    reference = modules.Pooling(6, pooling_mode=how)
    expected = reference({"token_embeddings": tokens, "attention_mask": mask.long()})["sentence_embedding"]
    torch.testing.assert_close(pool(tokens, mask, how), expected)


def test_rows_are_grouped_by_length_each_once() -> None:
    lengths = [1, 3, 5, 8, 9, 20, 3]
    mask = torch.arange(20) < torch.tensor(lengths)[:, None]
    mask[3, 0] = False  # a hole doesn't shorten the text
    groups = [(rows.tolist(), columns) for rows, columns in by_length(mask)]
    assert groups == [([0, 1, 6], 3), ([2, 3], 8), ([4], 9), ([5], 20)]


def test_weights_are_a_function_of_the_seed(text: Text, batch: Batch) -> None:
    states = [make(text).state_dict() for _ in range(2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    torch.manual_seed(5)
    passes = []
    for _ in range(2):
        torch.manual_seed(7)
        passes.append(make(text)(batch)["pooled"])
    assert torch.equal(*passes)


def test_it_can_be_copied_as_a_twin_and_pickled(text: Text, batch: Batch) -> None:
    encoder = make(text, pooling="first-last").eval()
    encoder(batch)
    for again in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert torch.equal(again(batch)["pooled"], encoder(batch)["pooled"])


def test_bf16_autocast_is_finite_and_near(text: Text, batch: Batch) -> None:
    encoder = make(text, dropout=0.0)
    exact = encoder(batch)["pooled"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = encoder(batch)["pooled"]
        encoder(batch)["pooled"].pow(3).sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())
    assert (rough.float() - exact).norm() < 0.05 * exact.norm()


def test_making_one_is_silent(text: Text, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    make(text)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_wrong_arguments_are_told_in_one_line(text: Text) -> None:
    with pytest.raises(ConfigError, match="a width of 30 can't be shared among 4 heads"):
        make(text, width=30)
    with pytest.raises(ConfigError, match="expected one of 'cls', 'mean', 'max', 'first-last', 'last-two'"):
        make(text, pooling="sum")
    with pytest.raises(ConfigError, match="last-two needs two layers, and the network has one"):
        make(text, layers=1, pooling="last-two")
    with pytest.raises(ConfigError, match="needs 'vocabulary'"):
        build("encoder", "text/transformer")
