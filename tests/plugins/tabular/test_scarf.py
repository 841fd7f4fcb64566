"""SCARF's corruption is the paper's: the exact count, the marginals of the whole training split, each row for itself."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from contrapose import ConfigError, Sample, build
from contrapose.engine.fitted import load_fitted, save_fitted
from contrapose_tabular.marginals import Marginals
from contrapose_tabular.modality import Row, Tabular
from contrapose_tabular.scarf import Scarf

ALPHA = 1e-5
"""There are some hundred tests of significance below."""
STRANGE = {"numeric": np.full(7, -1, np.float32), "categories": np.full(4, 99, np.int64)}
"""A row of values that the training split lacks: whatever differs from them was redrawn, and whatever doesn't was not."""


def fitted(samples: list[Sample], rate: float = 0.6) -> Scarf:
    made = Scarf(rate)
    made.fit(samples)
    return made


def per_sample(scarf: Scarf, row: Row, count: int, seed: int = 0) -> Row:
    """``count`` views of one row, below each other."""
    rows = [scarf(Sample(i, {"tabular": row}), np.random.default_rng((seed, i)))[0].data for i in range(count)]
    return {part: np.stack([r[part] for r in rows]) for part in row}


def batched(scarf: Scarf, row: Row, count: int, seed: int = 0) -> Row:
    """The same by the batched form."""
    data = Tabular().collate([row] * count)
    return {part: t.numpy() for part, t in scarf.batched(data, torch.Generator().manual_seed(seed)).items()}


FORMS = pytest.mark.parametrize("form", [per_sample, batched])


def redrawn(made: Row) -> NDArray[np.bool_]:
    """(n, M): which cells of the strange row were redrawn."""
    return np.concatenate([made["numeric"] != STRANGE["numeric"], made["categories"] != STRANGE["categories"]], axis=1)


@FORMS
@pytest.mark.parametrize(("rate", "count"), [(0.6, 6), (0.2, 2), (0.1, 1), (0.99, 10), (1.0, 11)])
def test_exactly_so_many_columns_are_redrawn_in_every_row(
    samples: list[Sample], form: Any, rate: float, count: int
) -> None:
    """Of 11 columns, and the rate is what changes, not what stays."""
    mask = redrawn(form(fitted(samples, rate), STRANGE, 300))
    assert (mask.sum(axis=1) == count).all()


@FORMS
def test_columns_are_chosen_uniformly_and_for_each_row_anew(samples: list[Sample], form: Any) -> None:
    mask = redrawn(form(fitted(samples), STRANGE, 4000))
    n, m, q = *mask.shape, 6
    alone, pairs = q / m, q * (q - 1) / (m * (m - 1))
    assert np.abs(mask.mean(axis=0) - alone).max() < 4 * np.sqrt(alone * (1 - alone) / n)
    together = (mask.T.astype(float) @ mask / n)[np.triu_indices(m, 1)]
    assert np.abs(together - pairs).max() < 4.5 * np.sqrt(pairs * (1 - pairs) / n)
    # Neighbours of a batch share what two independent draws share, hypergeometric with mean q²/m; a shared mask would share q.
    shared = np.bincount((mask[1:] & mask[:-1]).sum(axis=1), minlength=q + 1)[1 : q + 1]
    expected = stats.hypergeom(m, q, q).pmf(np.arange(1, q + 1)) * (n - 1)
    assert stats.chisquare(shared, expected, sum_check=False).pvalue > ALPHA


@FORMS
def test_numbers_are_drawn_from_the_training_splits_marginals(samples: list[Sample], table: Row, form: Any) -> None:
    made = form(fitted(samples), STRANGE, 3000)["numeric"]
    for column in range(7):
        drawn = made[made[:, column] != -1, column]
        train = table["numeric"][:, column]
        missing = np.isnan(train).mean()
        assert abs(np.isnan(drawn).mean() - missing) <= 4 * np.sqrt(missing * (1 - missing) / len(drawn))
        drawn, train = drawn[~np.isnan(drawn)], train[~np.isnan(train)]
        assert set(drawn) <= set(train)
        assert stats.ks_2samp(drawn, train).pvalue > ALPHA
        # What some re-implementations draw, Uniform[min, max], is far from it.
        assert stats.kstest(drawn, stats.uniform(train.min(), np.ptp(train)).cdf).pvalue < 1e-12


@FORMS
def test_categories_are_drawn_from_the_training_splits_marginals(samples: list[Sample], table: Row, form: Any) -> None:
    made = form(fitted(samples), STRANGE, 3000)["categories"]
    for column in range(4):
        drawn = made[made[:, column] != 99, column]
        codes, counts = np.unique(table["categories"][:, column], return_counts=True)
        seen = np.array([(drawn == code).sum() for code in codes])
        assert seen.sum() == len(drawn)
        assert stats.chisquare(seen, counts / counts.sum() * len(drawn)).pvalue > ALPHA


@FORMS
def test_each_column_is_drawn_from_a_row_of_its_own(samples: list[Sample], table: Row, form: Any) -> None:
    """Columns 0 and 1 are equal in training; drawn from one row they would stay so."""
    made = form(fitted(samples, 1.0), STRANGE, 2000)["numeric"]
    assert np.array_equal(table["numeric"][:, 0], table["numeric"][:, 1])
    assert abs(stats.spearmanr(made[:, 0], made[:, 1]).statistic) < 4 / np.sqrt(2000)


def test_both_forms_are_of_one_distribution(samples: list[Sample]) -> None:
    scarf, row = fitted(samples), samples[5].data["tabular"]
    a, b = (form(scarf, row, 3000) for form in (per_sample, batched))
    for part in row:
        for column in range(a[part].shape[1]):
            x, y = (np.nan_to_num(made[part][:, column], nan=-5.0) for made in (a, b))
            assert stats.ks_2samp(x, y, method="asymp").pvalue > ALPHA
            changed = [(made[part][:, column] != row[part][column]).sum() for made in (a, b)]
            assert (
                stats.chi2_contingency([changed, [3000 - c for c in changed]]).pvalue > ALPHA if all(changed) else True
            )


@FORMS
def test_a_column_of_few_values_may_redraw_its_own(samples: list[Sample], table: Row, form: Any) -> None:
    """Column 2 is 1 in nine tenths of the rows: redrawn is more than changed."""
    row = {"numeric": np.where(np.arange(7) == 2, 1, STRANGE["numeric"]), "categories": STRANGE["categories"]}
    made = form(fitted(samples), row, 3000)["numeric"][:, 2]
    rest = (table["numeric"][:, 2] != 1).mean() * 6 / 11
    assert abs((made != 1).mean() - rest) < 4 * np.sqrt(rest / 3000)


@FORMS
def test_what_is_missing_is_replaced_as_anything_is(samples: list[Sample], form: Any) -> None:
    row = {**STRANGE, "numeric": np.full(7, np.nan, np.float32)}
    made = form(fitted(samples), row, 2000)["numeric"]
    assert abs((~np.isnan(made[:, 0])).mean() - 6 / 11) < 4 * np.sqrt(0.25 / 2000)
    assert abs((~np.isnan(made[:, 3])).mean() - 0.8 * 6 / 11) < 0.06


def test_the_row_itself_stays(samples: list[Sample], table: Row) -> None:
    scarf, sample = fitted(samples), samples[0]
    before = {part: values.copy() for part, values in sample.data["tabular"].items()}
    scarf(sample, np.random.default_rng(0))
    (same,) = build("view", "tabular/eval")(sample, np.random.default_rng(0))
    for part, values in before.items():
        np.testing.assert_array_equal(sample.data["tabular"][part], values)
        np.testing.assert_array_equal(same.data[part], values)
    batch = Tabular().collate([s.data["tabular"] for s in samples[:50]])
    kept = {part: t.clone() for part, t in batch.items()}
    scarf.batched(batch, torch.Generator().manual_seed(0))
    assert all(torch.equal(batch[part].nan_to_num(-9), t.nan_to_num(-9)) for part, t in kept.items())


def test_same_draws_from_the_same_generator_and_after_saving(samples: list[Sample], tmp_path: Path) -> None:
    scarf = fitted(samples)
    save_fitted(tmp_path, {"view": scarf.state_dict()})
    loaded = Scarf()
    loaded.load_state_dict(load_fitted(tmp_path)["view"])
    batch = Tabular().collate([s.data["tabular"] for s in samples[:50]])
    first = scarf.batched(batch, torch.Generator().manual_seed(4))
    for other in (scarf, loaded, pickle.loads(pickle.dumps(scarf))):
        for sample in samples[:20]:
            (a,), (b,) = (s(sample, np.random.default_rng((1, sample.id))) for s in (scarf, other))
            for part in a.data:
                np.testing.assert_array_equal(a.data[part], b.data[part])
                assert a.data[part].dtype == sample.data["tabular"][part].dtype
        for part, again in other.batched(batch, torch.Generator().manual_seed(4)).items():
            torch.testing.assert_close(again, first[part], rtol=0, atol=0, equal_nan=True)
            assert again.dtype == batch[part].dtype


def test_searched_values_are_those_that_are_written_out(table: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = torch.randint(500, (300, 7))
    made = Marginals.of(table["numeric"]).draw_batched(tickets)
    np.testing.assert_array_equal(made, Marginals.of(table["numeric"]).draw(tickets.numpy()))
    monkeypatch.setattr("contrapose_tabular.marginals.MOST", 100)
    searched = Marginals.of(table["numeric"]).draw_batched(tickets)
    torch.testing.assert_close(searched, made, rtol=0, atol=0, equal_nan=True)


def test_the_state_holds_values_not_rows(samples: list[Sample]) -> None:
    """500 rows of a column of three categories are three values and three counts."""
    state = fitted(samples).state_dict()
    assert len(state["categories"]["values"]) <= 3 + 4 + 5 + 6
    assert state["categories"]["counts"].sum() == 4 * 500
    assert state["numeric"]["rows"] == 500


@FORMS
@pytest.mark.parametrize("part", ["numeric", "categories"])
def test_a_table_may_lack_numbers_or_categories(samples: list[Sample], part: str, form: Any) -> None:
    def without(row: Row) -> Row:
        return {**row, part: row[part][:0]}

    scarf = fitted([Sample(s.id, {"tabular": without(s.data["tabular"])}) for s in samples])
    made = form(scarf, without(STRANGE), 20)
    other = "categories" if part == "numeric" else "numeric"
    assert made[part].shape == (20, 0)
    assert ((made[other] != STRANGE[other]).sum(axis=1) == int(0.6 * len(STRANGE[other]))).all()


def test_no_rows_are_a_batch_too(samples: list[Sample]) -> None:
    data = {"numeric": torch.zeros(0, 7), "categories": torch.zeros(0, 4, dtype=torch.int64)}
    made = fitted(samples).batched(data, torch.Generator())
    assert {part: tuple(t.shape) for part, t in made.items()} == {"numeric": (0, 7), "categories": (0, 4)}


def test_messages() -> None:
    with pytest.raises(ConfigError, match="isn't fitted"):
        Scarf()(Sample(0, {"tabular": STRANGE}), np.random.default_rng(0))
    with pytest.raises(ConfigError, match="no row to learn the marginals from"):
        Scarf().fit([])
    one = {"numeric": np.zeros(1, np.float32), "categories": np.zeros(0, np.int64)}
    with pytest.raises(ConfigError, match=r"rate 0\.6 redraws none of 1 columns"):
        Scarf().fit([Sample(0, {"tabular": one})])
    for rate in (0, 1.1, -0.5):
        with pytest.raises(ConfigError):
            build("view", {"use": "tabular/scarf", "rate": rate})
