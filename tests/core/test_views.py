"""Views: the decorator's uses, composition, the plan's names, its randomness and its fitted state."""

import inspect
import pickle
import re
import sys

import numpy as np
import pytest
import torch

from contrapose.config import build as config_build
from contrapose.errors import CheckpointError, ConfigError
from contrapose.plugins import configure
from contrapose.types import Sample, View, ViewGenerator
from contrapose.views import Compose, Identity, ViewPlan, rng_for, view
from contrapose.views.compose import parted


@view("pulse")
def jitter(pulse, rng, sigma: float = 0.1):
    """Add noise."""
    return pulse + rng.normal(0, sigma, pulse.shape)


@view("pulse")
def scale(pulse, rng, by: float):
    """Multiply."""
    return pulse * by


@view("pulse", makes="echo")
def echo(pulse, rng):
    return pulse[::-1]


@view("pulse", names=("low", "high"))
def bands(pulse, rng, cut: int = 2):
    return [View("low", "pulse", pulse[:cut], {"cut": cut}), View("high", "pulse", pulse[cut:])]


@view("pulse")
class Centre:
    """Subtract the training set's mean."""

    def __init__(self) -> None:
        self.mean = 0.0

    def fit(self, samples):
        self.mean = float(np.mean([s.data["pulse"].mean() for s in samples]))

    def state_dict(self):
        return {"mean": self.mean}

    def load_state_dict(self, state):
        self.mean = state["mean"]

    def __call__(self, sample, rng):
        return [View("", "pulse", sample.data["pulse"] - self.mean)]


KNOWN = {"jitter": jitter, "scale": scale, "echo": echo, "bands": bands, "centre": Centre, "identity": Identity}


def build(kind, node, path=(), **context):
    assert kind == "view"
    args = dict(node) if isinstance(node, dict) else {"use": node}
    known = KNOWN[args.pop("use")]
    wanted = inspect.signature(known).parameters
    return known(**args, **{k: v for k, v in context.items() if k in wanted})


def plan(views, slots=None, modalities=("pulse",)):
    return ViewPlan.from_config(views, slots, build, modalities)


SAMPLE = Sample(5, {"pulse": np.arange(4.0)}, {"label": 1})


def rng():
    return np.random.default_rng(0)


# the decorator


def test_a_decorated_view_applies_to_data():
    data = SAMPLE.data["pulse"]
    wanted = data + rng().normal(0, 0.1, 4)
    np.testing.assert_array_equal(jitter(data, rng()), wanted)
    np.testing.assert_array_equal(jitter(data, rng=rng(), sigma=0.1), wanted)
    np.testing.assert_array_equal(jitter(pulse=data, rng=rng()), wanted)


def test_a_decorated_view_binds_and_makes_views():
    bound = jitter(sigma=0.5)
    assert isinstance(bound, ViewGenerator)
    assert (bound.modality, repr(bound)) == ("pulse", "jitter(sigma=0.5)")
    (made,) = bound(SAMPLE, rng())
    assert made.modality == "pulse"
    np.testing.assert_array_equal(made.data, SAMPLE.data["pulse"] + rng().normal(0, 0.5, 4))
    (plain,) = jitter(SAMPLE, rng())  # itself a generator, with its defaults
    np.testing.assert_array_equal(plain.data, jitter()(SAMPLE, rng())[0].data)
    with pytest.raises(TypeError, match="sgima"):
        jitter(sgima=1)
    with pytest.raises(TypeError, match="by"):
        scale()


def test_config_sees_the_bindable_parameters_alone():
    parameters = inspect.signature(jitter).parameters
    assert {n: (p.default, p.annotation) for n, p in parameters.items()} == {"sigma": (0.1, float)}
    assert (jitter.__name__, jitter.__doc__, jitter.__module__) == ("jitter", "Add noise.", __name__)
    with pytest.raises(TypeError, match="a view is a function"):

        @view("pulse")
        def wrong(data):
            return data


# batched forms


def scale_all(batch, generator, by: float):
    return batch * by + torch.rand(len(batch), 1, generator=generator) * 0


@view("pulse", batched=scale_all)
def scaled(pulse, rng, by: float):
    return pulse * by


@view("pulse", batched=True)
def doubled(pulse, rng):
    """Made of a view that serves a sample and a batch."""
    return scaled(pulse, rng, by=2.0)


BATCH = torch.arange(6.0).view(2, 3)


def test_a_batched_form_is_there_only_where_it_was_given():
    gen = torch.Generator()
    assert torch.equal(scaled(by=3.0).batched(BATCH, gen), 3 * BATCH)
    assert torch.equal(scaled.batched(BATCH, gen, by=3.0), 3 * BATCH)
    assert torch.equal(scaled(BATCH, gen, by=3.0), 3 * BATCH)
    assert torch.equal(pickle.loads(pickle.dumps(doubled())).batched(BATCH, gen), 2 * BATCH)
    assert doubled(SAMPLE.data["pulse"], rng()).tolist() == [0, 2, 4, 6]
    for plain in (jitter, jitter(), bands(), echo()):
        assert not hasattr(plain, "batched")
    with pytest.raises(AttributeError, match=r"jitter.* has no batched form"):
        jitter(BATCH, gen)


def test_a_batched_form_has_the_parameters_of_the_function():
    for form in (lambda batch, generator: batch, lambda batch, generator, by=1.0: batch):
        with pytest.raises(TypeError, match=r"other\(\*, by: float\) has a batched form with other parameters"):

            @view("pulse", batched=form)
            def other(pulse, rng, by: float):
                return pulse

    with pytest.raises(TypeError, match="a view is a function"):
        view("pulse", batched=lambda batch: batch)(lambda pulse, rng: pulse)
    for facts in ({"makes": "echo"}, {"names": ("a", "b")}):
        with pytest.raises(TypeError, match="one view of its own modality"):
            view("pulse", batched=True, **facts)(lambda pulse, rng: pulse)
    with pytest.raises(TypeError, match="Centre: batched= is for a function"):
        view("pulse", batched=True)(Centre)


def test_a_composition_is_batched_where_all_its_parts_are():
    both = Compose([scaled(by=3.0), doubled()])
    assert torch.equal(pickle.loads(pickle.dumps(both)).batched(BATCH, torch.Generator()), 6 * BATCH)
    for last in (jitter(), echo(), bands()):
        assert not hasattr(Compose([doubled(), last]), "batched")


def test_of_a_list_the_device_does_the_longest_end_that_has_batched_forms():
    first, before, after = jitter(), scaled(by=3.0), doubled()
    workers, device = parted(Compose([before, first, before, after]))
    assert workers.generators == [before, first]
    assert device.generators == [before, after]
    assert parted(Compose([before, after]))[0] is None
    assert parted(after) == (None, after)
    for none in (first, Compose([before, first]), echo(), Compose([before, bands()])):
        assert parted(none)[1] is None


PLUGIN = """
import contrapose.views
@contrapose.views.view("pulse")
def stretch(pulse, rng, by: float = 2.0):
    return pulse * by
"""


def test_a_plugin_file_serves_yaml(tmp_path, monkeypatch):
    (tmp_path / "my_stretches.py").write_text(PLUGIN)
    monkeypatch.setattr(sys, "path", [*sys.path])
    configure().load_file(tmp_path / "my_stretches.py")
    made = ViewPlan.from_config({"pulse": {"use": "stretch", "by": 3, "count": 2}}, None, config_build, ["pulse"])
    assert [(v.name, v.data.tolist()) for v in made.make(SAMPLE, 0, 0)] == [
        ("pulse/0", [0, 3, 6, 9]),
        ("pulse/1", [0, 3, 6, 9]),
    ]
    with pytest.raises(ConfigError, match="did you mean 'by'") as error:
        ViewPlan.from_config({"pulse": {"use": "stretch", "bye": 3}}, None, config_build, ["pulse"])
    assert error.value.path[:2] == ("views", "pulse")
    assert repr(pickle.loads(pickle.dumps(made.maker(7))).plan.generators) == "{'pulse': stretch(by=3.0)}"
    configure()


# composition


def test_composition_reads_the_view_before():
    both = Compose([scale(by=2.0), scale(by=5.0)])
    assert both(SAMPLE, rng())[0].data.tolist() == [0, 10, 20, 30]
    rendered = Compose([scale(by=2.0), echo()])
    assert (rendered.modality, rendered.makes) == ("pulse", "echo")
    assert [(v.modality, v.data.tolist()) for v in rendered(SAMPLE, rng())] == [("echo", [6, 4, 2, 0])]
    assert [v.data.tolist() for v in Compose([scale(by=2.0), bands()])(SAMPLE, rng())] == [[0, 2], [4, 6]]
    assert SAMPLE.data["pulse"].tolist() == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match=r"scale.* reads pulse, but echo.* makes echo"):
        Compose([echo(), scale(by=2.0)])
    with pytest.raises(ConfigError, match="can only stand last"):
        Compose([bands(), scale(by=2.0)])
    with pytest.raises(ConfigError, match="empty list"):
        Compose([])


# the plan


@pytest.mark.parametrize(
    ("views", "slots", "names"),
    [
        ({"pulse": "jitter"}, None, ["0"]),
        ({"pulse": {"use": "jitter", "count": 3}}, None, ["0", "1", "2"]),
        ({"pulse": "jitter"}, ["query", "key"], ["query", "key"]),
        ({"pulse": "jitter"}, {"global": 2, "local": 1}, ["global_0", "global_1", "local_0"]),
        ({"pulse": {"use": "jitter", "count": 1}}, ["query", "key"], ["0"]),
        ({"pulse": "jitter", "pulse.key": "centre"}, ["query", "key"], ["query", "key"]),
        ({"pulse.a": "jitter", "pulse.b": "centre"}, None, ["a", "b"]),
        (
            {"pulse.global_*": "jitter", "pulse": "centre"},
            {"global": 2, "local": 1},
            ["global_0", "global_1", "local_0"],
        ),
        ({"pulse": "bands"}, None, ["low", "high"]),
        ({"pulse": "bands"}, ["low", "high"], ["low", "high"]),
        ({"pulse": "bands"}, ["q", "k"], ["q_low", "q_high", "k_low", "k_high"]),
        ({"pulse": {"use": "bands", "count": 2}}, None, ["0_low", "0_high", "1_low", "1_high"]),
        ({"pulse.q": "bands"}, ["q"], ["q_low", "q_high"]),
        ({"pulse": [{"use": "scale", "by": 2}, "jitter"]}, ["q", "k"], ["q", "k"]),
        ({"pulse": {"use": ["jitter", "bands"]}}, None, ["low", "high"]),
        ({}, None, ["0"]),
    ],
)
def test_names(views, slots, names):
    made = plan(views, slots)
    assert made.names == {f"pulse/{n}": "pulse" for n in names}
    assert sorted(v.name for v in made.make(SAMPLE, 0, 0)) == sorted(made.names)


def test_the_method_slots_get_the_generators_named_for_them():
    made = plan({"pulse": {"use": "scale", "by": 2}, "pulse.key": {"use": "scale", "by": 3}}, ["query", "key"])
    assert {v.name: v.data[1] for v in made.make(SAMPLE, 0, 0)} == {"pulse/query": 2, "pulse/key": 3}


def test_a_glob_stands_for_the_slots_that_no_key_names():
    scaled = {key: {"use": "scale", "by": by} for key, by in (("pulse", 2), ("pulse.local_*", 3), ("pulse.local_1", 5))}
    made = plan(scaled, {"global": 1, "local": 3})
    found = {v.name: v.data[1] for v in made.make(SAMPLE, 0, 0)}
    assert found == {"pulse/global_0": 2, "pulse/local_0": 3, "pulse/local_1": 5, "pulse/local_2": 3}


def test_a_rendering_belongs_to_the_modality_that_it_makes():
    made = plan({"pulse": "jitter", "echo": "echo"})
    assert made.names == {"pulse/0": "pulse", "echo/0": "echo"}
    assert [v.name for v in made.make(Sample(0, {"echo": 1}), 0, 0)] == []


@pytest.mark.parametrize(
    ("views", "slots", "message", "path"),
    [
        ({"pluse": "jitter"}, None, "did you mean 'pulse'", ("views", "pluse")),
        ({"pulse.qeury": "jitter"}, ["query", "key"], "did you mean 'query'", ("views", "pulse.qeury")),
        (
            {"pulse.lokal_*": "jitter"},
            {"local": 2},
            "no slot like 'lokal_\\*'; there is local_0, local_1",
            ("views", "pulse.lokal_*"),
        ),
        ({"pulse.*": "jitter"}, None, "no slot like '\\*'; it declares none", ("views", "pulse.*")),
        ({"pulse": {"use": "jitter", "count": 0}}, None, "whole number from 1, not 0", ("views", "pulse", "count")),
        ({"pulse.a": {"use": "jitter", "count": 2}}, None, "belongs to views.pulse", ("views", "pulse.a", "count")),
        ({"pulse": "echo"}, None, "echo.* makes views of echo, not of pulse", ("views", "pulse")),
        ({"pulse": ["echo", "jitter"]}, None, "reads pulse, but echo", ("views", "pulse")),
        ({"pulse": "jitter", "pulse.a": "jitter"}, ["a"], "never used", ("views", "pulse")),
        ({"pulse": "jitter", "pulse.0": "jitter"}, None, "pulse/0 would be made twice", ("views",)),
        ({}, ["query", "key"], "modality 'pulse' has no views", ("views",)),
    ],
)
def test_plan_errors_have_their_path(views, slots, message, path):
    with pytest.raises(ConfigError, match=message) as error:
        plan(views, slots)
    assert error.value.path == path


def test_an_undeclared_second_view_is_an_error():
    @view("pulse")
    def two(pulse, rng):
        return [View("a", "pulse", pulse), View("b", "pulse", pulse)]

    made = ViewPlan.from_config({"pulse": "two"}, None, lambda *a, **k: two, ["pulse"])
    with pytest.raises(ConfigError, match=re.escape("made 2 views; declare their names")):
        made.make(SAMPLE, 0, 0)


def test_randomness_is_keyed_by_seed_epoch_sample_and_view():
    made = plan({"pulse": "jitter"}, ["query", "key"])

    def draw(seed=0, epoch=0, sample=SAMPLE):
        return [tuple(v.data) for v in made.make(sample, seed, epoch)]

    assert draw() == draw()
    other = Sample(6, SAMPLE.data)
    drawn = [x for d in (draw(), draw(seed=1), draw(epoch=1), draw(sample=other)) for x in d]
    assert len(set(drawn)) == 8
    alone = plan({"pulse.key": "jitter"}, ["query", "key"])  # a view doesn't depend on which others are made
    assert tuple(alone.make(SAMPLE, 0, 0)[0].data) == draw()[1]
    assert rng_for(1, 2, 3, "pulse/0").integers(1 << 40) == rng_for(1, 2, 3, "pulse/0").integers(1 << 40)


def test_randomness_is_the_same_in_every_release():
    assert rng_for(0, 1, 2, "pulse/query").integers(0, 1000, 4).tolist() == [36, 597, 896, 592]


def test_fitted_state_is_made_saved_and_given_back():
    samples = {"pulse": [SAMPLE, Sample(7, {"pulse": np.array([5.0])})]}
    made = plan({"pulse": "jitter", "pulse.key": ["centre", "centre"]}, ["query", "key"])
    assert made.state_dict() == {"pulse.key": {"0": {"mean": 0.0}, "1": {"mean": 0.0}}}
    made.fit(samples.__getitem__)
    state = made.state_dict()
    assert state == {"pulse.key": {"0": {"mean": 3.25}, "1": {"mean": 3.25}}}
    again = plan({"pulse": "jitter", "pulse.key": ["centre", "centre"]}, ["query", "key"])
    again.load_state_dict(state)
    assert again.make(SAMPLE, 0, 0)[1].data.tolist() == [-6.5, -5.5, -4.5, -3.5]
    with pytest.raises(CheckpointError, match=r"'pulse.key' fits no generator"):
        plan({"pulse": "jitter"}).load_state_dict(state)


def test_a_maker_outlives_what_a_generator_cannot_do():
    @view("pulse")
    def picky(pulse, rng):
        raise ValueError("too short")

    generators = {"pulse": jitter(), "pulse.b": picky(), "echo": echo()}
    made = ViewPlan.from_config(
        {k: k for k in generators}, None, lambda kind, node, *a, **k: generators[node], ["pulse", "echo"]
    )
    views, failed = made.maker(0)(SAMPLE, 0)
    assert [v.name for v in views] == ["echo/0"]
    assert [(name, modality, str(error)) for name, modality, error in failed] == [("pulse/b", "pulse", "too short")]
    with pytest.raises(ValueError, match="too short"):
        made.make(SAMPLE, 0, 0)
