import math

import pytest

from contrapose.engine.schedule import lr_factor
from contrapose.errors import ConfigError


def curve(schedule: str | dict[str, object], warmup: float = 2.0) -> list[float]:
    return [lr_factor(schedule, s, steps_per_epoch=10, epochs=10, warmup=warmup) for s in range(100)]


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_warmup_rises_linearly_to_the_base_rate(schedule: str) -> None:
    factors = curve(schedule)
    assert factors[:20] == pytest.approx([(s + 1) / 20 for s in range(20)])
    assert factors[19] == factors[20] == 1.0


def test_what_follows_warmup() -> None:
    assert set(curve("constant")[20:]) == {1.0}
    assert curve("linear")[60] == pytest.approx(0.5)
    assert curve("cosine")[40] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert curve("cosine")[99] < 1e-3
    assert curve("cosine", warmup=0)[0] == 1.0


def test_falls_that_end_above_nothing() -> None:
    for name in ("linear", "cosine"):
        plain, raised = curve(name), curve({"use": name, "end": 0.1})
        assert raised[20:] == pytest.approx([0.1 + 0.9 * factor for factor in plain[20:]])
        assert raised[:20] == plain[:20]


def test_steps_count_epochs_from_the_beginning() -> None:
    factors = curve({"use": "steps", "at": [4, 7]})
    assert factors[20:] == pytest.approx([1.0] * 20 + [0.1] * 30 + [0.01] * 30)
    halves = curve({"use": "steps", "at": [4], "factor": 0.5})
    assert halves[40] == 0.5


@pytest.mark.parametrize(
    ("node", "message", "at"),
    [
        ("steps", "needs 'at'", ()),
        ({"use": "steps", "at": [3], "by": 2}, "no argument 'by'", ("by",)),
        ({"use": "cosine", "end": "low"}, "expected a number", ("end",)),
        ({"end": 0.1}, "no schedule None", ()),
    ],
)
def test_wrong_arguments_are_config_errors(node: object, message: str, at: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=message) as e:
        lr_factor(node, 0, steps_per_epoch=1, epochs=1)
    assert e.value.path == ("train", "schedule", *at)


def test_no_negative_rate_past_the_end() -> None:
    assert lr_factor("linear", 500, steps_per_epoch=10, epochs=10) == 0.0


def test_unknown_schedule_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cosine'") as e:
        curve("cosin")
    assert e.value.path == ("train", "schedule")
