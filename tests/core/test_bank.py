"""The memory bank: what it holds, when it moves, what is drawn of it, and that a checkpoint brings it back."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy.special import hyp0f1
from scipy.stats import chi2
from tests.algebra import CASES, HEAD, Net, batch, merge, prepare
from tests.reference import formulas as ref
from torch import Tensor

from contrapose import Method, registry
from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError
from contrapose.methods.banked import noise_bias
from contrapose.sources.bank import direction
from contrapose.types import Batch, ident


def npid(**changes: Any) -> Method:
    torch.manual_seed(0)
    data = registry().load("method", "npid")(negatives=5, out=4)  # type: ignore[operator]
    return Method.from_data(merge(data, changes), {"pulse": Net("pulse")}).double()


def some(samples: list[int], seed: int = 0, views: tuple[str, ...] = ("pulse/a",)) -> Batch:
    """A batch of these samples."""
    made = batch(views, len(samples), seed)
    made.sample = torch.tensor(samples)
    return made


def step(method: Method, data: Batch) -> Tensor:
    loss = method.loss(data).loss
    method.advance()
    return loss.detach()


class Plain:
    """The same bank, as a dictionary."""

    def __init__(self, name: str = "bank") -> None:
        self.entries: dict[int, Tensor] = {}
        self.name = name

    def entry(self, sample: int) -> Tensor:
        return self.entries.get(sample, direction(torch.tensor([sample]), 4, 0, ident(self.name))[0])

    def loss(self, z: Tensor, samples: list[int], steps: int) -> Tensor:
        pool = sorted({*self.entries, *samples})
        ids = torch.tensor(samples)
        identity = [ids, torch.full_like(ids, ident("pulse/a")), torch.zeros_like(ids)]
        u = keyed_uniform(identity, 5, 0, steps, ident("noise"))
        drawn = torch.stack([torch.stack([self.entry(pool[int(x * len(pool))]) for x in row]) for row in u])
        own = torch.stack([self.entry(n) for n in samples])
        return ref.nce_binary(z, own, drawn, float(hyp0f1(2, (0.5 / 0.07) ** 2)), 1)

    def commit(self, z: Tensor, samples: list[int]) -> None:
        for n, row in zip(samples, z, strict=True):
            self.entries[n] = ref.bank_update(self.entry(n)[None], row[None])[0]


def test_every_step_equals_a_plain_dictionary_and_never_meets_its_own_embeddings() -> None:
    method, plain = npid(), Plain()
    for seed, samples in enumerate([[3, 0, 7], [7, 4], [0, 3, 12, 7], [12]]):
        data = some(samples, seed)
        z = method.encode(data)["online"].z.detach()
        torch.testing.assert_close(step(method, data), plain.loss(z, samples, seed), rtol=1e-10, atol=1e-12)
        plain.commit(z, samples)
        bank = method.sources["bank"]
        assert bank.seen.nonzero().flatten().tolist() == sorted(plain.entries)
        wanted = torch.stack([plain.entries[n] for n in sorted(plain.entries)])
        torch.testing.assert_close(bank.z[bank.seen], wanted)


def test_several_rows_of_a_sample_count_as_their_mean() -> None:
    method = npid(branches={"online": {"views": "*"}})
    data = some([2, 5], views=("pulse/a", "pulse/b"))
    z = ref.unit(method.encode(data)["online"].z.detach()).unflatten(0, (2, 2)).mean(0)
    step(method, data)
    entries = torch.stack([Plain().entry(n) for n in (2, 5)])
    torch.testing.assert_close(method.sources["bank"].z[[2, 5]], ref.unit((entries + z) / 2))


def test_a_checkpoint_brings_the_bank_whatever_its_size() -> None:
    first = npid()
    for seed, samples in enumerate([[3, 0], [9, 3]]):
        step(first, some(samples, seed))
    for before in ([], [[1]], [[40, 2]]):  # into a new bank, a smaller one, a larger one
        again = npid()
        for samples in before:
            step(again, some(samples))
        missing, unexpected = again.load_state_dict(first.state_dict())
        assert not missing
        assert not unexpected
        assert again.sources["bank"].seen.nonzero().flatten().tolist() == [0, 3, 9]
        for seed, samples in enumerate([[9, 5], [0, 12]], 2):
            data = some(samples, seed)
            assert torch.equal(again.loss(data).loss, first.loss(data).loss)
        step(again, some([9, 5], 2))
        assert len(again.sources["bank"].seen) == 10
    empty = npid()
    again.load_state_dict(empty.state_dict())
    assert torch.equal(again.loss(some([1, 2])).loss, empty.loss(some([1, 2])).loss)


def test_an_entry_that_was_never_seen_is_a_random_direction_of_its_sample() -> None:
    v = direction(torch.arange(4000), 6, 3, ident("bank"))
    torch.testing.assert_close(v.norm(dim=1), torch.ones(4000).double())
    assert v.mean(0).abs().max() < 5 / math.sqrt(6 * 4000)
    assert (v.T @ v / 4000 - torch.eye(6) / 6).abs().max() < 0.02
    assert torch.equal(v[[7, 2]], direction(torch.tensor([7, 2]), 6, 3, ident("bank")))
    assert not torch.equal(v, direction(torch.arange(4000), 6, 4, ident("bank")))


def test_the_whole_bank_as_keys_is_the_nonparametric_softmax() -> None:
    """NPID without sampling: the softmax over all entries (Wu et al. 2018, eq. 2; LinearAverage of the authors' code)."""
    term = {"query": "online", "keys": ["bank"], "positives": "same(sample)", "denominator": "all", "tau": 0.07}
    method = npid(terms={"softmax": term, "npid": {"weight": 0.0}})
    step(method, some([3, 0, 7]))
    data = some([7, 4], 1)
    bank = method.sources["bank"]
    keys = torch.cat([bank.z[[0, 3]], Plain().entry(4)[None], bank.z[[7]]])  # by the sample: 0, 3, 4, 7
    logits = ref.unit(method.encode(data)["online"].z) @ keys.T / 0.07
    wanted = torch.nn.functional.cross_entropy(logits, torch.tensor([3, 2]))
    torch.testing.assert_close(method.loss(data).loss, wanted)


def test_the_proximal_term_is_the_squared_distance_from_the_entry() -> None:
    data: Any = registry().load("method", "npid")(negatives=5, proximal=3.0, out=4)  # type: ignore[operator]
    torch.manual_seed(0)
    method, bare = Method.from_data(data, {"pulse": Net("pulse")}).double(), npid()
    for made in (method, bare):
        step(made, some([3, 0, 7]))
    later = some([7, 0], 1)
    far = (ref.unit(bare.encode(later)["online"].z) - bare.sources["bank"].z[[7, 0]]).square().sum(1)
    torch.testing.assert_close(method.loss(later).loss, bare.loss(later).loss + 3 * far.mean())


def drawn(method: Method, data: Batch, name: str = "noise") -> Any:
    method.loss(data)
    assert method._out is not None
    return method._out.rows(name, "global")


def test_noise_is_drawn_uniformly_with_replacement_for_each_anchor_and_step() -> None:
    method = npid(sources={"noise": {"count": 4000}})
    step(method, some(list(range(10))))
    data = some([3, 5], 1)
    rows = drawn(method, data)
    assert rows.private
    assert rows.z.shape == (2, 4000, 4)
    assert torch.equal(rows.z, method.sources["bank"].z[rows.meta["sample"]])
    counts = torch.stack([torch.bincount(row, minlength=10) for row in rows.meta["sample"]])
    assert ((counts - 400) ** 2 / 400).sum(1).max() < chi2.ppf(1 - 1e-4, 9)
    assert not torch.equal(*rows.meta["sample"])
    other = drawn(method, some([5, 8], 2)).meta["sample"]
    assert torch.equal(other[0], rows.meta["sample"][1])  # a matter of the row alone, not of its batch
    step(method, data)
    assert not torch.equal(drawn(method, data).meta["sample"], rows.meta["sample"])


def test_anchors_may_share_their_noise() -> None:
    method = npid(sources={"noise": {"query": None, "count": 6}})
    step(method, some(list(range(10))))
    data = some([3, 5], 1)
    rows = drawn(method, data)
    assert (rows.private, rows.replicated) == (False, True)
    assert rows.z.shape == (6, 4)
    own = method.sources["bank"].z[[3, 5]]
    wanted = ref.nce_binary(
        method.encode(data)["online"].z, own, rows.z.expand(2, 6, 4), 5 / 6 * float(hyp0f1(2, (0.5 / 0.07) ** 2)), 1
    )  # the preset's bias is for 5
    torch.testing.assert_close(method.loss(data).loss, wanted)


@pytest.mark.parametrize(("dim", "tau"), [(2, 0.2), (16, 0.5), (128, 0.07), (64, 0.1), (2048, 0.05), (128, 0.01)])
def test_the_constant_of_nce_is_the_mean_over_random_directions(dim: int, tau: float) -> None:
    wanted = math.log(float(hyp0f1(dim / 2, (0.5 / tau) ** 2)))
    assert -noise_bias(1, dim, tau) == pytest.approx(wanted, rel=1e-12)
    assert -noise_bias(4096, dim, tau) == pytest.approx(wanted + math.log(4096), rel=1e-12)
    if tau >= 0.07:
        v = direction(torch.arange(20000), dim, 1)
        assert (v[:, 0] / tau).exp().mean().log().item() == pytest.approx(wanted, abs=0.05)


def test_a_batch_without_rows_leaves_the_bank_alone() -> None:
    case = CASES["cmc-bank"]
    method, _ = prepare(case)
    before = {k: v.clone() for k, v in method.state_dict().items() if "video_bank" in k}
    data = batch(case.views, 7, 1, {"video": range(7)})
    out = method.loss(data)
    assert out.loss == 0  # nobody has an entry in the other's bank
    out.loss.backward()
    method.advance()
    assert all(torch.equal(v, method.state_dict()[k]) for k, v in before.items())


@pytest.mark.parametrize(
    ("node", "key", "says"),
    [
        ({"use": "bank", "of": "online"}, "s.old", "no table 'old'; there is s and s.batch"),
        ({"use": "bank", "of": "online", "momentum": 1.0}, "s", "less than 1"),
        ({"use": "drawn", "of": "online", "count": 0}, "s", "at least 1"),
    ],
)
def test_wrong_arguments_are_said(node: dict[str, Any], key: str, says: str) -> None:
    data = {
        "branches": {"online": {"views": "*", "projector": HEAD}},
        "sources": {"s": node},
        "terms": {"t": {"query": "online", "keys": [key]}},
    }
    with pytest.raises(ConfigError, match=says):
        Method.from_data(data, {"pulse": Net("pulse")})


def test_cmc_needs_two_modalities_and_sound_numbers_and_has_two_graphs() -> None:
    cmc: Any = registry().load("method", "cmc-bank")
    for wrong in ({"negatives": 0}, {"tau": 0.0}, {"out": -1}):
        with pytest.raises(ConfigError, match="more than 0") as caught:
            cmc(["a", "b"], **wrong)
        assert caught.value.path == (*wrong,)
    with pytest.raises(ConfigError, match="two modalities, got a"):
        cmc(["a"])
    assert len(cmc(["a", "b", "c"])["terms"]) == 6
    assert sorted(cmc(["a", "b", "c"], graph="core")["terms"]) == ["a to b", "a to c", "b to a", "c to a"]
