import math

import pytest

from contrapose.engine.schedule import lr_factor
from contrapose.errors import ConfigError


def curve(schedule: str, warmup: float = 2.0) -> list[float]:
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


def test_no_negative_rate_past_the_end() -> None:
    assert lr_factor("linear", 500, steps_per_epoch=10, epochs=10) == 0.0


def test_unknown_schedule_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cosine'") as e:
        curve("cosin")
    assert e.value.path == ("train", "schedule")
