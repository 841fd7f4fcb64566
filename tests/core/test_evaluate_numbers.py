import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from contrapose.evaluate import Embedded, Table, linear
from contrapose.evaluate.bootstrap import interval, resample
from contrapose.evaluate.builtin import label_retrieval
from contrapose.evaluate.geometry import alignment, effective_rank, modality_gap, uniformity
from contrapose.evaluate.knn import knn
from contrapose.evaluate.linear import probe, splits
from contrapose.evaluate.retrieval import ranks


def blobs(rng, n, classes=3, dim=5, noise=0.8):
    centres = np.random.default_rng(99).normal(size=(classes, dim))
    y = rng.integers(classes, size=n)
    return torch.tensor(centres[y] + noise * rng.normal(size=(n, dim)), dtype=torch.float32), y


# kNN


def test_knn_agrees_with_sklearn_weighted_the_same_way():
    rng = np.random.default_rng(0)
    (x, y), (q, _) = blobs(rng, 200), blobs(rng, 77)
    y = y * 10 - 3  # classes are codes, not positions
    peer = KNeighborsClassifier(20, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07)).fit(x, y)
    assert np.array_equal(knn(x, y, q), peer.predict(q))
    assert np.array_equal(knn(x, y, q, chunk=10), peer.predict(q))


def test_knn_by_hand_weights_beat_numbers_and_k_is_cut():
    bank = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    labels = np.array([7, 2, 2])
    query = torch.tensor([[5.0, 0.2]])
    assert knn(bank, labels, query, k=3, tau=0.07).tolist() == [7]  # one near neighbour outweighs two far ones
    assert knn(bank, labels, query, k=20, tau=100.0).tolist() == [2]  # flat weights: the majority
    assert knn(bank, labels, query[:0]).shape == (0,)


# retrieval


def brute_recall(similarity, positive, k, orders=4000):
    """R@k by shuffling the gallery and sorting it, many times: ties fall as they may."""
    rng = np.random.default_rng(1)
    hits = np.zeros(len(similarity))
    for _ in range(orders):
        order = rng.permutation(similarity.shape[1])
        top = np.argsort(-similarity[:, order], axis=1, kind="stable")[:, :k]
        hits += np.take_along_axis(positive[:, order], top, axis=1).any(axis=1)
    return hits / orders


def test_recall_equals_brute_force_with_ties_and_several_positives():
    rng = np.random.default_rng(0)
    corners = torch.tensor([[1.0, 0], [0, 1.0], [-1.0, 0], [0.6, 0.8]])
    queries, gallery = corners[rng.integers(4, size=12)], corners[rng.integers(4, size=30)]
    gallery_ids = np.concatenate([np.arange(12), rng.integers(12, size=18)])
    found = ranks(queries, gallery, np.arange(12), gallery_ids, chunk=5)
    similarity = (queries @ gallery.T).numpy().round(5)
    positive = np.arange(12)[:, None] == gallery_ids
    for k in (1, 5, 10):
        np.testing.assert_allclose(found.recall(k), brute_recall(similarity, positive, k), atol=0.04)


def test_recall_and_rank_without_ties_are_the_plain_ones():
    rng = np.random.default_rng(3)
    a, b = torch.tensor(rng.normal(size=(2, 40, 8)), dtype=torch.float32)
    found = ranks(a, b, np.arange(40), np.arange(40))
    cosine = torch.nn.functional.cosine_similarity(a[:, None], b[None], dim=2).numpy()
    plain = 1 + (cosine > np.diag(cosine)[:, None]).sum(axis=1)
    assert np.array_equal(found.rank(), plain)
    for k in (1, 5, 10, 40):
        assert np.array_equal(found.recall(k), plain <= k)


def embedded(train, y, test, x):
    """An ``Embedded`` of one modality's features and classes."""
    tables = {"train": Table(train, np.arange(len(train)), y), "test": Table(test, np.arange(len(test)), x)}
    return Embedded(lambda split, head: {"wave": tables[split]})


def test_label_retrieval_is_a_plain_loop():
    """10-clip retrieval as papers do it: from the gallery's mean, unit length, cosine, any of the first k of the class."""
    rng = np.random.default_rng(5)
    (x, y), (q, c) = blobs(rng, 70, classes=6, noise=2.0), blobs(rng, 40, classes=7, noise=2.0)
    x, q, y, c = x + 3, q + 3, y.astype(float), c.astype(float)  # far from the origin: without the mean all look alike
    y[:4], c[5:8] = np.nan, np.nan  # unlabelled
    scores = {s.metric: s for s in label_retrieval(embedded(x, y, q, c))}
    assert list(scores) == [f"class R@{k}" for k in (1, 5, 10, 20, 50)]
    gallery, classes = x.numpy()[4:].astype(np.float64), y[4:]
    centre = gallery.mean(axis=0)
    asked = [i for i in range(40) if not np.isnan(c[i])]
    for k in (1, 5, 10, 20, 50):
        hits = []
        for i in asked:
            query = q[i].numpy().astype(np.float64) - centre
            cosines = [query @ (g - centre) / np.linalg.norm(query) / np.linalg.norm(g - centre) for g in gallery]
            nearest = sorted(range(len(gallery)), key=lambda j: -cosines[j])[:k]
            hits.append(any(classes[j] == c[i] for j in nearest))
        score = scores[f"class R@{k}"]
        assert score.values.tolist() == hits
        assert score.queries.ids.tolist() == asked
        assert score.value >= score.chance
    assert (c == 6).sum() > 0
    assert f"{(c == 6).sum()} queries of classes that train lacks" in score.note
    shuffled = [label_retrieval(embedded(x, rng.permutation(y), q, c))[1].value for _ in range(200)]
    assert np.mean(shuffled) == pytest.approx(scores["class R@5"].chance, abs=0.03)


def test_label_retrieval_of_a_collapsed_model_is_chance_and_of_no_classes_nothing():
    y = np.arange(30) % 3.0
    flat = torch.ones(30, 4)
    for score in label_retrieval(embedded(flat, y, flat, y)):
        assert score.value == pytest.approx(score.chance)
    assert label_retrieval(embedded(flat, y, flat, np.full(30, 5.0)))[0].value == 0
    assert label_retrieval(embedded(flat, np.ones(30), flat, y)) == []
    assert label_retrieval(embedded(flat, None, flat, None)) == []


def test_a_collapsed_model_scores_exactly_chance():
    z = torch.ones(50, 4)
    found = ranks(z, z, np.arange(50), np.arange(50))
    assert found.recall(10).mean() == pytest.approx(10 / 50)
    assert found.chance(10) == pytest.approx(10 / 50)
    assert found.chance(5000) == pytest.approx(1.0)
    assert np.median(found.rank()) == found.chance_rank() == 25.5


def test_every_query_needs_its_positive():
    with pytest.raises(ValueError, match="1 queries have no positive"):
        ranks(torch.ones(2, 3), torch.ones(2, 3), np.array([0, 1]), np.array([0, 5]))


# geometry


def test_geometry_golden_cases():
    axes = torch.eye(4)
    assert effective_rank(axes) == pytest.approx(4.0)
    assert effective_rank(torch.ones(10, 1) @ torch.ones(1, 3)) == pytest.approx(1.0)
    assert effective_rank(torch.zeros(5, 3)) == 0.0
    spectrum = torch.diag(torch.tensor([3.0, 1.0]))
    assert effective_rank(spectrum) == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))

    assert uniformity(axes) == pytest.approx(-4.0)  # every two rows are sqrt(2) apart: log exp(-2 * 2)
    assert uniformity(torch.ones(5, 3), chunk=2) == pytest.approx(0.0)
    two = torch.tensor([[1.0, 0], [-3.0, 0], [0, 2.0]])
    assert uniformity(two, chunk=2) == pytest.approx(np.log((np.exp(-8) + 2 * np.exp(-4)) / 3))
    assert np.isnan(uniformity(axes[:1]))

    assert alignment(axes, 7 * axes).tolist() == [0, 0, 0, 0]
    assert alignment(axes, -axes).tolist() == [4, 4, 4, 4]
    assert modality_gap(axes[:1].repeat(3, 1), -axes[:1]) == pytest.approx(2.0)
    assert modality_gap(axes, axes) == 0.0


# bootstrap


def test_interval_covers_the_truth_with_dependent_groups_where_a_naive_one_does_not():
    rng = np.random.default_rng(0)
    covered = naive = 0
    runs = 200
    for _ in range(runs):
        groups = np.repeat(np.arange(40), 8)
        values = (rng.normal(size=40)[groups] + 0.3 * rng.normal(size=320))[None]
        for cluster, ids in ((True, groups), (False, np.arange(320))):
            low, high = interval(resample(values, ids, draws=300)[0])
            inside = low <= 0 <= high
            covered += inside if cluster else 0
            naive += inside if not cluster else 0
    assert 0.87 <= covered / runs <= 0.99
    assert naive / runs < 0.7


def test_pairing_removes_what_the_queries_share():
    rng = np.random.default_rng(0)
    hard = rng.normal(size=300) * 5
    values = np.stack([hard + 0.5 + 0.1 * rng.normal(size=300), hard])
    drawn = resample(values, np.arange(300))
    low, high = interval(drawn[0] - drawn[1])
    assert 0.4 < low < 0.5 < high < 0.6
    apart = interval(drawn[0])
    assert apart[1] - apart[0] > 5 * (high - low)


def test_mean_and_median_equal_the_loop_and_the_seed_decides(monkeypatch):
    rng = np.random.default_rng(4)
    values, groups = rng.integers(9, size=(2, 31)).astype(float), rng.integers(6, size=31)
    for statistic, plain in (("mean", np.mean), ("median", np.median)):
        drawn = resample(values, groups, statistic, draws=50, seed=8)
        taken = np.random.default_rng(8).multinomial(6, np.full(6, 1 / 6), size=50)
        for i in range(50):
            rows = np.concatenate([np.flatnonzero(groups == g) for g in range(6) for _ in range(taken[i, g])])
            np.testing.assert_allclose(drawn[:, i], plain(values[:, rows], axis=1))
        assert np.array_equal(drawn, resample(values, groups, statistic, draws=50, seed=8))
        assert not np.array_equal(drawn, resample(values, groups, statistic, draws=50, seed=9))
        with monkeypatch.context() as small:
            small.setattr("contrapose.evaluate.bootstrap._CELLS", 100)
            assert resample(values, groups, statistic, draws=50, seed=8).shape == (2, 50)


# linear classifiers


def test_probe_beats_the_majority_and_learns_from_train_alone():
    rng = np.random.default_rng(0)
    (x, y), (q, t) = blobs(rng, 150, noise=0.3), blobs(rng, 60, noise=0.3)
    for kind in ("linear", "svm"):
        fit = probe(kind, x.numpy(), y, q.numpy())
        assert fit.folds == 5
        assert (fit.predicted == t).mean() > 0.9
        alone = probe(kind, x.numpy(), y, q[:7].numpy())  # C and weights can't depend on the test rows
        assert alone.C == fit.C
        assert np.array_equal(alone.predicted, fit.predicted[:7])


@pytest.mark.parametrize("kind", ["linear", "svm"])
def test_cross_validation_never_splits_a_group(kind, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = blobs(rng, 120)
    groups = rng.integers(15, size=120)
    seen = []

    class Spy(linear.GridSearchCV):
        def fit(self, rows, labels):
            seen.extend(self.cv)
            return super().fit(rows, labels)

    monkeypatch.setattr(linear, "GridSearchCV", Spy)
    probe(kind, x.numpy(), y, x.numpy(), groups)
    assert len(seen) == 5
    for fit, held in seen:
        assert not set(groups[fit]) & set(groups[held])
        assert len(fit) + len(held) == 120
    assert sorted(np.concatenate([held for _, held in seen])) == list(range(120))


def test_folds_shrink_with_the_data():
    assert splits(np.array([0, 1]), None) == []
    assert splits(np.array([0, 0, 1, 1]), np.zeros(4)) == []  # one group can't be split
    assert len(splits(np.array([0, 0, 0, 1, 1]), None)) == 3
    x = np.array([[0.0], [1.0]])
    fit = probe("linear", x, np.array([3, 5]), x)
    assert (fit.folds, fit.predicted.tolist()) == (0, [3, 5])
