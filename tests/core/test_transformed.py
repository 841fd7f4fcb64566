"""Features that are made: extrapolated positives and interpolated negatives (FT), mixed hard samples (NCL)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats
from tests.algebra import QK, batch
from tests.reference import formulas as ref
from tests.small import method_of, second

from contrapose import Method
from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError
from contrapose.sources import transformed
from contrapose.sources.transformed import beta_quantile
from contrapose.types import Rows


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.6, 2.0, 9.0])
def test_beta_quantiles_are_scipys(alpha: float) -> None:
    u = torch.cat(
        [torch.tensor([0.0, 1e-9, 1 - 1e-9]), torch.rand(5000, generator=torch.Generator().manual_seed(0))]
    ).double()
    wanted = torch.from_numpy(stats.beta.ppf(u.numpy(), alpha, alpha))
    torch.testing.assert_close(beta_quantile(u, alpha), wanted, rtol=0, atol=1e-6 if alpha >= 1 else 1e-5)
    x = beta_quantile(keyed_uniform(torch.arange(5000), 1, 3)[:, 0], alpha)
    assert stats.kstest(x.numpy(), stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def ft(**sources: Any) -> Method:
    return method_of("ft", QK, changes={"sources": {"queue": {"size": 16}, **sources}})


def tables(method: Method) -> dict[str, Rows]:
    assert method._out is not None
    return {name: method._out.rows(name) for name in ("pair.query", "pair.key", "mixed", "queue")}


def test_scalar_extrapolation_makes_a_positive_harder_by_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformed, "beta_quantile", lambda u, alpha: torch.full_like(u, 0.3))
    method = ft()
    s, loss = second(method, QK)
    cosine = (ref.unit(s.z("online")) * ref.unit(s.z("key"))).sum(1)
    made = tables(method)
    moved = (made["pair.query"].z * made["pair.key"].z).sum(1)
    torch.testing.assert_close(moved, cosine - 2 * 1.3 * 0.3 * (1 - cosine))
    assert (moved < cosine).all()
    assert loss.isfinite()


def test_features_are_not_normalised_again_and_the_queue_keeps_raw_keys() -> None:
    method = ft()
    s, _ = second(method, QK)
    made = tables(method)
    for name in ("pair.query", "pair.key", "mixed"):
        assert made[name].ready
        assert (made[name].z.norm(dim=1) - 1).abs().max() > 1e-3
    first = method_of("moco-v2", QK, changes={"sources": {"queue": {"size": 16}}})
    second(first, QK)
    torch.testing.assert_close(made["queue"].z, first.sources["queue"].get_buffer("z")[:7])
    inside = (made["mixed"].z.amin(0) >= made["queue"].z.amin(0)) & (made["mixed"].z.amax(0) <= made["queue"].z.amax(0))
    assert inside.all()  # interpolated, coordinate by coordinate
    u, v = ref.unit(s.z("online")), ref.unit(s.z("key"))
    share = (made["pair.query"].z - v) / (u - v)
    assert ((share >= 1) & (share <= 2)).all()
    assert share.std(1).min() > 0  # each coordinate its own
    torch.testing.assert_close(made["pair.key"].z, share * v + (1 - share) * u)


def test_before_its_start_it_is_moco() -> None:
    later = {"start": {"steps": 2}}
    method = ft(pair=later, mixed=later)
    s, loss = second(method, QK)
    torch.testing.assert_close(loss, ref.moco(s.z("online"), s.z("key"), s.source("queue"), 0.2))
    method.advance()
    assert not torch.equal(second(method, QK)[1], loss)


def test_draws_change_with_the_step_and_not_with_the_batch() -> None:
    method = ft()
    data = batch(QK, 7, 1)
    second(method, QK)
    whole = tables(method)["pair.query"]
    method.loss(data.take(torch.tensor([4, 2])))
    assert torch.equal(tables(method)["pair.query"].z, whole.z[[4, 2]])
    mixed = tables(method)["mixed"].z
    method.clock.tick()
    method.loss(data)
    assert not torch.equal(tables(method)["mixed"].z, mixed)


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ({"pair": {"alpha": 0.2}}, "at least 0.5"),
        ({"mixed": {"start": {"epoch": 3}}}, "expected \\{epochs: n\\}"),
    ],
)
def test_wrong_arguments_are_said(sources: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ft(**sources)


def test_an_extrapolated_pair_has_two_tables() -> None:
    with pytest.raises(ConfigError, match=r"pair\.query and pair\.key"):
        method_of("ft", QK, changes={"terms": {"info_nce": {"query": "pair"}}})


def ncl(**mixes: Any) -> Method:
    sources = {
        "queue": {"size": 16},
        "mixes": {"easiest": 4, "rounds": 2, "hardest": 5, "start": {"epochs": 0}} | mixes,
    }
    return method_of("ncl", QK, changes={"sources": sources, "terms": {"ncl": {"annotate": {"near": {"count": 3}}}}})


def _mixes(method: Method) -> Rows:
    assert method._out is not None
    return method._out.rows("mixes")


def test_the_hardest_mixes_are_kept_hardest_first() -> None:
    found = []
    for hardest in (16, 5):
        method = ncl(hardest=hardest)
        s, _ = second(method, QK)
        found.append(_mixes(method).z)
    every, kept = found
    assert every.shape == (7, 16, 4)  # 4 easy ones, 2 rounds, 2 shares
    torch.testing.assert_close(kept, every[:, :5])
    near = torch.einsum("qd,qnd->qn", ref.unit(s.z("online")), every)
    assert torch.equal(near, near.sort(descending=True).values)
    torch.testing.assert_close(every.norm(dim=-1), torch.ones(7, 16).double())


def test_others_may_be_another_table() -> None:
    """With one row to mix with, every mix lies between it and an easy negative."""
    method = ncl(others="key", hardest=16)
    method.loss(batch(QK, 7, 0))
    method.advance()
    data = batch(QK, 7, 1).take(torch.tensor([3]))
    method.loss(data)
    tables = method.encode(data)
    q, other, queue = (
        ref.unit(tables["online"].z[0]),
        ref.unit(tables["key"].z[0]),
        method.sources["queue"].get_buffer("z"),
    )
    easy = queue[:7][(queue[:7] @ q).argsort()[:4]]
    wanted = torch.cat([ref.unit(share * easy + (1 - share) * other) for share in (1 / 3, 2 / 3)] * 2)
    wanted = wanted[(wanted @ q).argsort(descending=True)]
    torch.testing.assert_close((_mixes(method).z[0] @ q), wanted @ q)


def test_before_its_start_there_are_no_mixes() -> None:
    method = ncl(start={"epochs": 1})
    second(method, QK)
    assert len(_mixes(method)) == 0


@pytest.mark.parametrize("argument", ["easiest", "rounds", "hardest"])
def test_a_mix_needs_at_least_one_of_each(argument: str) -> None:
    with pytest.raises(ConfigError, match="at least 1") as caught:
        ncl(**{argument: 0})
    assert caught.value.path == ("method", "sources", "mixes", argument)
