"""VideoMAE as an encoder: its input's order, its taps, its folder, and what it hides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from contrapose import build
from contrapose.errors import ConfigError

transformers: Any = pytest.importorskip(
    "transformers", reason="transformers isn't installed: pip install 'contrapose-video[transformers]'"
)

CONFIG = {
    "image_size": 32,
    "patch_size": 8,
    "num_frames": 6,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}


def encoder(**arguments: Any) -> Any:
    torch.manual_seed(0)
    return build("encoder", {"use": "video/videomae", **({"config": CONFIG} | arguments)})


@pytest.fixture
def clips() -> torch.Tensor:
    return torch.rand(3, 3, 6, 32, 32, generator=torch.Generator().manual_seed(1))


def test_tokens_are_those_of_the_model_on_frames_first(clips: torch.Tensor) -> None:
    """transformers' (n, T, C, H, W), normalised as the authors do; a token is a place of two frames, time by time."""
    made = encoder().eval()
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    wanted = made.net(pixel_values=(clips.transpose(1, 2) - mean) / std).last_hidden_state
    out = made(clips)
    assert out["dense"].shape == (3, 3 * 4 * 4, 16)
    torch.testing.assert_close(out["dense"], wanted)
    torch.testing.assert_close(out["pooled"], wanted.mean(dim=1))
    assert made.features(clips).shape == (3, 16, 3, 4, 4)
    torch.testing.assert_close(made.features(clips).flatten(2).mT, wanted)
    torch.testing.assert_close(wanted.mean(dim=2), torch.zeros(3, 48), atol=1e-5, rtol=0)  # normalised at the end


def test_tubes_hide_the_same_places_at_all_times_and_cost_nothing(clips: torch.Tensor) -> None:
    made = encoder(masked=0.9)
    hidden = made.tubes(500).view(500, 3, 16)
    assert torch.equal(hidden, hidden[:, :1].expand_as(hidden))
    assert hidden.sum(dim=2).unique().tolist() == [14]
    assert (hidden[:, 0].double().mean(dim=0) - 14 / 16).abs().max() < 0.06
    assert made.train()(clips)["dense"].shape == (3, 2 * 3, 16)
    assert not torch.equal(made(clips)["pooled"], made(clips)["pooled"])
    made.eval()
    torch.testing.assert_close(made(clips)["dense"], encoder().eval()(clips)["dense"])
    assert int((~encoder(masked=0.99).tubes(1)).sum()) == 3


def test_a_saved_folder_gives_its_encoder(tmp_path: Path, clips: torch.Tensor) -> None:
    """Also of a model with a decoder, whose weights aren't wanted."""
    config = transformers.VideoMAEConfig(**CONFIG, use_mean_pooling=False)
    whole = transformers.VideoMAEForPreTraining(config).eval()
    whole.save_pretrained(tmp_path / "whole")
    made = build("encoder", {"use": "video/videomae", "path": str(tmp_path / "whole")}).eval()
    other = encoder().eval()
    other.net.load_state_dict(whole.videomae.state_dict())
    torch.testing.assert_close(made(clips)["pooled"], other(clips)["pooled"])
    (tmp_path / "whole/preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1]}')
    made = build("encoder", {"use": "video/videomae", "path": str(tmp_path / "whole")}).eval()
    torch.testing.assert_close(
        made(clips)["pooled"], other.net(clips.transpose(1, 2) - 0.5).last_hidden_state.mean(dim=1)
    )
    with pytest.raises(ConfigError, match="give either"):
        encoder(path=str(tmp_path / "whole"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "bert").mkdir()
    transformers.BertModel(
        transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ).save_pretrained(tmp_path / "bert")
    for folder, said in (
        ("empty", "can't be loaded"),
        ("bert", "can't be loaded|lacks weights"),
        ("none", "no folder"),
    ):
        with pytest.raises(ConfigError, match=said) as found:
            build("encoder", {"use": "video/videomae", "path": str(tmp_path / folder)})
        assert len(str(found.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("config", "said"),
    [({"hidden_sise": 8}, "did you mean"), ({"hidden_size": 15}, "can't make a VideoMAE of it")],
)
def test_wrong_configs_are_told(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as found:
        encoder(config=CONFIG | config)
    assert len(str(found.value).splitlines()) == 1


def test_other_clips_are_refused(clips: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match="reads 6 frames of 32 x 32, not 4 of 32 x 32"):
        encoder()(clips[:, :, :4])


def test_without_transformers_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"contrapose-video\[transformers\]"):
        encoder()
