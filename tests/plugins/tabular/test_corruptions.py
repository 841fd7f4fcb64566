"""Views that redraw or drop columns: exact counts, and each new value from where it should come, in both forms."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from tests.plugins.tabular.rows import BOTH

from contrapose import Batch, ConfigError, Sample, ViewBatch
from contrapose.config import build
from contrapose.errors import ContraposeWarning
from contrapose.views import ViewPlan
from contrapose_tabular.choice import Choice
from contrapose_tabular.conditional import Conditional
from contrapose_tabular.mixers import InBatch, Saint
from contrapose_tabular.modality import Row, Tabular
from contrapose_tabular.scarf import Scarf, Vime
from contrapose_tabular.schema import MISSING
from contrapose_tabular.subsets import Subset, Subsets, columns_of

ALPHA = 1e-5
STRANGE: Row = {"numeric": np.full(7, -1, np.float32), "categories": np.full(4, 99, np.int64)}
"""A row of values that the training split lacks: whatever differs from them was redrawn."""
DRAWS = 2000


def fitted(view: Any, samples: list[Sample]) -> Any:
    view.fit(samples)
    return view


def per_sample(view: Any, row: Row, count: int = DRAWS, label: int = -1) -> Row:
    rows = [view(Sample(i, {"tabular": row}, {"label": label}), np.random.default_rng(i))[0].data for i in range(count)]
    return {part: np.stack([r[part] for r in rows]) for part in row}


def batched(view: Any, row: Row, count: int = DRAWS, label: int = -1) -> Row:
    told = [{"label": torch.full((count,), label)}] if hasattr(view, "columns") else []
    made = view.batched(Tabular().collate([row] * count), torch.Generator().manual_seed(0), *told)
    return {part: t.numpy() for part, t in made.items()}


FORMS = pytest.mark.parametrize("form", [per_sample, batched])


def redrawn(made: Row) -> NDArray[np.bool_]:
    return np.concatenate([made["numeric"] != STRANGE["numeric"], made["categories"] != STRANGE["categories"]], axis=1)


@pytest.fixture(scope="module")
def labelled(samples: list[Sample], table: Row) -> list[Sample]:
    """The label is 0 where the skewed number is below its median, 1 or 5 above, and a tenth has none."""
    high = table["numeric"][:, 0] > np.median(table["numeric"][:, 0])
    labels = np.where(high, np.where(np.arange(500) % 2, 1, 5), 0)
    told = [{} if s.id % 10 == 3 else {"label": int(labels[s.id])} for s in samples]
    return [Sample(s.id, s.data, meta) for s, meta in zip(samples, told, strict=True)]


@FORMS
@pytest.mark.parametrize("view", [Vime(0.3), Scarf(0.3, "bernoulli")])
def test_each_column_for_itself(samples: list[Sample], table: Row, form: Any, view: Any) -> None:
    """So many of a row's columns as a binomial gives, and from the marginals."""
    made = form(fitted(view, samples), STRANGE)
    counts = np.bincount(redrawn(made).sum(axis=1), minlength=12)
    expected = stats.binom(11, 0.3).pmf(np.arange(12)) * DRAWS
    often = expected > 5
    found = [*counts[often], counts[~often].sum()]
    assert stats.chisquare(found, [*expected[often], expected[~often].sum()], sum_check=False).pvalue > ALPHA
    drawn = made["numeric"][made["numeric"][:, 0] != -1, 0]
    assert stats.ks_2samp(drawn, table["numeric"][:, 0]).pvalue > ALPHA


@FORMS
@pytest.mark.parametrize("label", [0, 1, 5, -1, 7])
def test_conditional_draws_from_rows_of_the_same_label(
    labelled: list[Sample], table: Row, form: Any, label: int
) -> None:
    """Rows without a label, and of one that training lacks, draw from all."""
    made = form(fitted(Conditional(), labelled), STRANGE, DRAWS, label)
    assert (redrawn(made).sum(axis=1) == 6).all()
    same = [s.id for s in labelled if s.meta.get("label") == label] or [s.id for s in labelled]
    for column in (0, 6):
        drawn = made["numeric"][made["numeric"][:, column] != -1, column]
        train = table["numeric"][same, column]
        assert set(drawn) <= set(train)
        assert stats.ks_2samp(drawn, train).pvalue > ALPHA
    codes, counts = np.unique(table["categories"][same, 3], return_counts=True)
    drawn = made["categories"][made["categories"][:, 3] != 99, 3]
    seen = np.array([(drawn == code).sum() for code in codes])
    assert seen.sum() == len(drawn)
    assert stats.chisquare(seen, counts / counts.sum() * len(drawn)).pvalue > ALPHA


def test_conditional_columns_are_drawn_from_rows_of_their_own(labelled: list[Sample]) -> None:
    """Columns 0 and 1 are equal in training; within a label, drawn apart, they are unrelated."""
    made = batched(fitted(Conditional(rate=1.0), labelled), STRANGE, label=1)["numeric"]
    assert abs(stats.spearmanr(made[:, 0], made[:, 1]).statistic) < 4 / np.sqrt(DRAWS)


CONDITIONAL = {"use": "tabular/conditional", "rate": 1.0}


@pytest.mark.parametrize("node", [CONDITIONAL, {"use": ["tabular/eval", CONDITIONAL]}], ids=["alone", "after another"])
def test_the_loader_gives_conditional_its_column(labelled: list[Sample], table: Row, node: dict[str, Any]) -> None:
    """By the plan that a run makes; each row by its own label. In a list workers make the rest."""
    make = lambda kind, node, path, **context: build(kind, node, path, **context)  # noqa: E731
    views = {"tabular": {**node, "batched": True}}
    plan = ViewPlan.from_config(views, None, make, ["tabular"])
    plan.fit(lambda modality: labelled)
    rows = Tabular().collate([s.data["tabular"] for s in labelled])
    index = torch.arange(500).flip(0)
    data = {part: cells[index] for part, cells in rows.items()}
    meta = {"label": torch.tensor([int(s.meta.get("label", -1)) for s in labelled])}
    batch = Batch(torch.arange(500), {"tabular/0": ViewBatch(data, "tabular", index)}, meta)
    made = plan.maker(seed=0).finish(batch, 0, 0).views["tabular/0"].data["numeric"][:, 0].numpy()
    median = np.median(table["numeric"][:, 0])
    told = meta["label"][index].numpy()
    assert (made[told == 0] <= median).all()
    assert (made[told > 0] > median).all()
    assert 0.2 < (made[told == -1] > median).mean() < 0.8


def collated(samples: list[Sample]) -> ViewBatch:
    return ViewBatch(Tabular().collate([s.data["tabular"] for s in samples]), "tabular", torch.arange(len(samples)))


def whole(views: ViewBatch) -> torch.Tensor:
    numeric = views.data["numeric"].nan_to_num(-7)
    return torch.cat([numeric, views.data["categories"].to(numeric.dtype)], 1)


def unlike(count: int) -> ViewBatch:
    """Rows of which each cell tells the row and the column: 100 row + column."""
    cells = 100 * torch.arange(count)[:, None] + torch.arange(11)
    data = {"numeric": cells[:, :7].float(), "categories": cells[:, 7:].clone()}
    return ViewBatch(data, "tabular", torch.arange(count))


def mixed(mixer: Any, views: ViewBatch, seed: int = 0) -> ViewBatch:
    return mixer.mix(views, 1000 + torch.arange(len(views)), torch.Generator().manual_seed(seed))  # type: ignore[no-any-return]


def test_in_batch_takes_another_rows_value_of_the_same_column() -> None:
    views = unlike(DRAWS)
    made = whole(mixed(InBatch("x"), views)).long()
    row, column = made // 100, made % 100
    assert (column == torch.arange(11)).all()
    foreign = row != torch.arange(DRAWS)[:, None]
    assert (foreign.sum(1) == 6).all()  # another row's always, so each redrawn cell is seen
    share = foreign.double().mean(0).numpy()
    assert np.abs(share - 6 / 11).max() < 4 * np.sqrt(0.25 / DRAWS)
    step = ((row - torch.arange(DRAWS)[:, None]) % DRAWS)[foreign].numpy()
    assert stats.kstest(step / DRAWS, "uniform").pvalue > ALPHA
    donors = [len(set(r[f].tolist())) for r, f in zip(row, foreign, strict=True)]
    assert np.mean(donors) > 5.9  # each column from a row of its own


def test_in_batch_may_take_all_from_one_row() -> None:
    made = whole(mixed(InBatch("x", 0.5, "bernoulli", "one"), unlike(DRAWS))).long() // 100
    foreign = made != torch.arange(DRAWS)[:, None]
    assert all(len(set(r[f].tolist())) <= 1 for r, f in zip(made, foreign, strict=True))
    assert abs(foreign.double().mean() - 0.5) < 4 * np.sqrt(0.25 / DRAWS / 11)


@pytest.mark.parametrize("mixer", [InBatch("x", 1.0), Saint("x", 1.0)])
def test_a_batch_of_one_row_stays_as_it_is(mixer: Any) -> None:
    views = unlike(1)
    assert torch.equal(whole(mixed(mixer, views)), whole(views))


def test_saint_cuts_from_one_row_and_mixes_with_another() -> None:
    views = mixed(Saint("x", cutmix=0.1, mixup=0.3), unlike(DRAWS))
    made = whole(views).long() // 100
    foreign = made != torch.arange(DRAWS)[:, None]
    assert all(len(set(r[f].tolist())) <= 1 for r, f in zip(made, foreign, strict=True))
    assert abs(foreign.double().mean() - 0.1) < 4 * np.sqrt(0.09 / DRAWS / 11)
    assert (views.data["share"] == 0.3).all()
    # What it is mixed with is a corrupted row, those of a permutation, and not that which was cut from.
    other = views.meta["other"] - 1000
    assert torch.equal(other.sort().values, torch.arange(DRAWS))
    for part in ("numeric", "categories"):
        assert torch.equal(views.data[f"with_{part}"], views.data[part][other])
    torch.testing.assert_close(views.meta["other_share"], torch.full((DRAWS,), 0.7, dtype=torch.float64))
    cut = foreign.any(1)
    donor = torch.where(foreign, made, -1).amax(1)
    assert (donor[cut] == other[cut]).double().mean() < 0.05


@pytest.mark.parametrize(
    ("of", "overlap", "columns", "expected"),
    [
        (4, 0.75, 64, [(0, 28), (4, 32), (20, 48), (36, 64)]),
        (4, 0.75, 11, [(0, 3), (1, 4), (3, 6), (5, 8)]),
        (2, 0.0, 7, [(0, 3), (3, 6)]),
        (1, 0.0, 5, [(0, 5)]),
    ],
)
def test_the_columns_of_subsets(of: int, overlap: float, columns: int, expected: list[tuple[int, int]]) -> None:
    assert [columns_of(n, of, overlap, columns) for n in range(of)] == [range(*e) for e in expected]


@FORMS
def test_a_subset_has_its_columns_and_swaps_some(samples: list[Sample], table: Row, form: Any) -> None:
    made = form(fitted(Subset(which=1, rate=0.3), samples), STRANGE)
    kept = [1, 2, 3]
    assert np.isnan(np.delete(made["numeric"], kept, axis=1)).all()
    assert (made["categories"] == MISSING).all()
    swapped = made["numeric"][:, 1] != -1
    assert abs(swapped.mean() - 0.3) < 4 * np.sqrt(0.21 / DRAWS)
    assert stats.ks_2samp(made["numeric"][swapped, 1], table["numeric"][:, 1]).pvalue > ALPHA


@FORMS
def test_gaussian_noise_is_added_to_numbers_alone(samples: list[Sample], form: Any) -> None:
    view = fitted(Subset(of=1, overlap=0, noise="gaussian", rate=0.5, sigma=0.2), samples)
    made = form(view, {**STRANGE, "numeric": np.array([-1, -1, np.nan, 0, 0, 0, 0], np.float32)})
    assert (made["categories"] == 99).all()
    assert np.isnan(made["numeric"][:, 2]).all()
    added = made["numeric"][:, 0] + 1
    assert abs((added != 0).mean() - 0.5) < 4 * np.sqrt(0.25 / DRAWS)
    assert stats.kstest(added[added != 0] / 0.2, "norm").pvalue > ALPHA
    assert made["numeric"].dtype == np.float32


def test_subsets_are_views_of_one_row(samples: list[Sample], table: Row) -> None:
    view = fitted(Subsets(noise="none"), samples)
    made = view(samples[4], np.random.default_rng(0))
    assert [v.name for v in made] == list(view.view_names) == [f"subset_{n}" for n in range(4)]
    row = samples[4].data["tabular"]
    shown = np.zeros(11, bool)
    for n, v in enumerate(made):
        kept = np.isin(np.arange(11), columns_of(n, 4, 0.75, 11))
        np.testing.assert_array_equal(v.data["numeric"][kept[:7]], row["numeric"][kept[:7]])
        np.testing.assert_array_equal(v.data["categories"][kept[7:]], row["categories"][kept[7:]])
        shown |= kept
    assert shown[:8].all()  # 11 columns aren't divided by 4, and the last three are left over


def test_counts_are_not_cut_by_rounding() -> None:
    for rate, columns, count in [(0.6, 5, 3), (0.7, 10, 7), (0.29, 100, 29), (0.57, 100, 57), (0.6, 3, 1)]:
        assert Choice(rate).count(columns) == count


def test_messages(samples: list[Sample]) -> None:
    rng = np.random.default_rng(0)
    for view in (Vime(), Conditional(), Subset(), Subsets()):
        with pytest.raises(ConfigError, match="isn't fitted"):
            view(Sample(0, {"tabular": STRANGE}), rng)
    with pytest.raises(ConfigError, match="has no row to learn"):
        Conditional().fit([])
    with pytest.raises(ConfigError, match="11 columns can't be divided into 12 subsets"):
        Subsets(of=12).fit(samples)
    with pytest.raises(ConfigError, match="of 4 subsets the last is number 3, not 4"):
        build("view", {"use": "tabular/subset", "which": 4})


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ({"label": 1, "kind": 2}, "no column 'Kind' under meta; did you mean 'kind'?"),
        ({"label": 1}, "no column 'Kind' under meta; there is label"),
        ({}, "no column 'Kind' under meta: add meta: {Kind: COLUMN}"),
        ({"Kind": -1}, "'Kind' is blank in the whole training split"),
    ],
)
def test_conditional_refuses_a_column_that_tells_no_group(
    samples: list[Sample], meta: dict[str, int], says: str
) -> None:
    """At its key, in a list too."""
    rows = [replace(s, meta=meta) for s in samples]
    for node, at in [(Conditional("Kind"), ()), ([Scarf(), Conditional("Kind")], (1,))]:
        plan = ViewPlan.from_config({"tabular.a": node}, None, build, ["tabular"])
        with pytest.raises(ConfigError) as error:
            plan.fit(lambda modality: rows)
        assert error.value.message == says
        assert error.value.path == ("tabular.a", *at, "within")


def test_in_batch_refuses_a_rate_that_redraws_nothing() -> None:
    """By chance alone it may redraw nothing."""
    with pytest.raises(ConfigError, match=r"tabular/in-batch at rate 0.05 redraws none of 11 columns") as error:
        mixed(InBatch("x", 0.05), unlike(4))
    assert error.value.path == ("rate",)
    mixed(InBatch("x", 0.05, "bernoulli"), unlike(4))


def test_subsets_name_the_columns_that_are_in_none() -> None:
    row = {"numeric": np.zeros(3, np.float32), "categories": np.full(2, 2)}
    rows = [Sample(0, {"tabular": row})]
    for view in ({"use": "tabular/subsets", "of": 3}, {"use": "tabular/subset", "of": 3, "which": 2}):
        with pytest.warns(ContraposeWarning, match="^5 columns don't divide into 3 subsets; in none is: c, d$") as told:
            build("view", view, schema=BOTH).fit(rows)
        assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build("view", {"use": "tabular/subsets", "of": 5}, schema=BOTH).fit(rows)
