"""The assertion fails where it must, and says why; so do the ranks."""

from __future__ import annotations

import re

import pytest
import torch

from contrapose import ConfigError, Method
from contrapose.losses.head import HeadLoss
from contrapose.sources.base import Source
from contrapose.testing import assert_ddp_equivalent
from tests.algebra import CASES, QK, TWO, Net, batch


class Uniform(HeadLoss):
    """The mean squared dot product of each row with all: right."""

    def setup(self, query, dim):
        pass

    def forward(self, out, batch):
        rows = out.rows("online")
        products = rows.z @ self.keys(out).T
        return self.mean(out, products.square().mean(1))

    def keys(self, out):
        return out.rows("online", "global").z

    def mean(self, out, values):
        return out.mean(values, torch.ones_like(values))


class Detached(Uniform):
    """Gathers without gradient: only the rank's own rows have one."""

    def keys(self, out):
        everyone, mine = super().keys(out).detach(), out.mine("online")
        return torch.cat([everyone[: mine.start], out.rows("online").z, everyone[mine.stop :]])


class MeanOfMeans(Uniform):
    """Averages over its own rows alone."""

    def mean(self, out, values):
        return values.mean()


class Broken(Uniform):
    """Works on a whole batch alone."""

    def mean(self, out, values):
        if len(values) < 18:
            raise RuntimeError("too few\nrows")
        return super().mean(out, values)


class Own(Source):
    """Keeps this rank's rows, so that each rank keeps others."""

    refs = ("online",)

    def __init__(self):
        super().__init__()
        self.register_buffer("last", torch.zeros(()))

    def rows(self, out, table=""):
        return None

    def commit(self, out):
        self.last = out.rows("online").z.sum()


def method(loss: type[HeadLoss], **more) -> Method:
    data = {"branches": {"online": {"views": "*"}}, "terms": {"t": {"query": "online", "loss": loss()}}, **more}
    return Method.from_data(data, {"pulse": Net("pulse")})


def test_it_holds_for_what_is_right_whatever_the_split() -> None:
    made = method(Uniform)
    before = {k: v.clone() for k, v in made.state_dict().items()}
    for split in (None, (9, 0), (1, 8)):
        assert_ddp_equivalent(made, batch(TWO, 9), split=split)
    after = made.state_dict()
    assert all(torch.equal(after[k], v) and after[k].dtype == v.dtype for k, v in before.items())


@pytest.mark.parametrize("loss", [Detached, MeanOfMeans])
def test_it_fails_where_ranks_do_not_add_up(loss: type[HeadLoss]) -> None:
    with pytest.raises(AssertionError, match=r"differs by .*2 processes with 4, 5 samples.*out.rows\(ref, 'global'\)"):
        assert_ddp_equivalent(method(loss), batch(TWO, 9))


def test_equal_parts_would_hide_a_mean_of_means() -> None:
    """Why the default split is uneven."""
    assert_ddp_equivalent(method(MeanOfMeans), batch(TWO, 8), split=(4, 4))
    with pytest.raises(AssertionError, match="3, 5 samples"):
        assert_ddp_equivalent(method(MeanOfMeans), batch(TWO, 8))


def test_it_names_the_state_that_differs_between_ranks() -> None:
    with pytest.raises(AssertionError, match=re.escape("sources.own.last differs")):
        assert_ddp_equivalent(method(Uniform, sources={"own": Own()}), batch(TWO, 9))


def test_a_rank_that_fails_is_told_in_one_line_and_others_take_its_place() -> None:
    with pytest.raises(AssertionError, match=r"^rank [01] of 2: RuntimeError: too few rows$"):
        assert_ddp_equivalent(method(Broken), batch(TWO, 9))
    assert_ddp_equivalent(method(Uniform), batch(TWO, 9))


def test_what_can_not_be_compared_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"split=\(4, 4\) doesn't share 9 samples among 2"):
        assert_ddp_equivalent(method(Uniform), batch(TWO, 9), split=(4, 4))
    with pytest.raises(AssertionError, match="no parameter has a gradient"):  # its queue is empty
        assert_ddp_equivalent(CASES["moco-v2"].method(), batch(QK, 9))
    made = method(Uniform)
    made.encoders["pulse"].hook = lambda x: x
    with pytest.raises(AssertionError, match="must be picklable"):
        assert_ddp_equivalent(made, batch(TWO, 9))
    assert_ddp_equivalent(make, batch(TWO, 9))


def make() -> Method:
    return method(Uniform)
