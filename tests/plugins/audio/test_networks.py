"""The published encoders against their libraries and sizes, which frames wav2vec 2.0 masks, and what doesn't fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from contrapose.errors import ConfigError
from contrapose_audio.backbones import Torchvision
from contrapose_audio.byol_a import ByolA
from contrapose_audio.cpc import CPC
from contrapose_audio.htsat import HTSAT
from contrapose_audio.masks import spans
from contrapose_audio.spectrogram_transformer import AST
from contrapose_audio.wav2vec2 import Wav2Vec2, WeightNormed

SMALL: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
WAV2VEC2 = SMALL | {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
HTSAT_SMALL: dict[str, Any] = {
    "spec_size": 128,
    "window_size": 4,
    "depths": [1, 1],
    "num_attention_heads": [2, 2],
    "patch_embeds_hidden_size": 8,
}
AST_SMALL = SMALL | {"num_mel_bins": 32, "max_length": 46}


def waves(samples: int = 3200, rows: int = 2) -> torch.Tensor:
    return torch.randn(rows, 1, samples, generator=torch.Generator().manual_seed(0))


# -- wav2vec 2.0 ------------------------------------------------------------------------------------------------------


def test_wav2vec2_is_transformers_own(tmp_path: Path) -> None:
    """Frames and targets of a folder's network, and in training those of its masked frames."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    theirs = Wav2Vec2Model(Wav2Vec2Config(**WAV2VEC2, layerdrop=0.0)).eval()
    theirs.save_pretrained(tmp_path)
    encoder = Wav2Vec2(path=str(tmp_path), mask=0.065, span=3).eval()
    with torch.no_grad():
        wanted, taps = theirs(waves()[:, 0]), encoder(waves())
    torch.testing.assert_close(taps["dense"], wanted.last_hidden_state, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(taps["targets"], wanted.extract_features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(taps["masked"], taps["dense"])
    encoder.train()
    encoder.context.eval()  # without dropout
    encoder.projection.eval()
    torch.manual_seed(1)
    at = spans(2, taps["dense"].shape[1], 0.065, 3)
    hidden = torch.zeros(taps["dense"].shape[:2], dtype=torch.bool).scatter_(1, at, True)
    torch.manual_seed(1)
    with torch.no_grad():
        masked, taps = theirs(waves()[:, 0], mask_time_indices=hidden).last_hidden_state, encoder(waves())
    torch.testing.assert_close(taps["masked"], masked[hidden].view(2, at.shape[1], -1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        taps["targets"], wanted.extract_features[hidden].view(2, at.shape[1], -1), rtol=1e-4, atol=1e-5
    )


def test_a_tenth_of_the_gradient_reaches_the_convolutions() -> None:
    grads = []
    for share in (1.0, 0.1):
        torch.manual_seed(0)
        encoder = Wav2Vec2(WAV2VEC2, feature_gradient=share).eval()
        encoder(waves())["dense"][..., 0].sum().backward()
        grads.append({name: p.grad for name, p in encoder.named_parameters()})
    for name, whole in grads[0].items():
        share = 0.1 if name.startswith("convolutions") else 1.0
        torch.testing.assert_close(grads[1][name], share * whole, rtol=1e-4, atol=1e-6)


def test_a_weight_normed_convolution_is_torchs() -> None:
    torch.manual_seed(0)
    theirs = torch.nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 6, padding=3, groups=2), dim=2)
    mine, x = WeightNormed(theirs), torch.randn(2, 4, 9)
    torch.testing.assert_close(mine(x), theirs(x))
    for made in (mine(x), theirs(x)):
        made.square().sum().backward()
    original = theirs.parametrizations.weight
    torch.testing.assert_close(mine.length.grad, original.original0.grad)
    torch.testing.assert_close(mine.weight.grad, original.original1.grad)


def test_spans_cover_what_the_paper_says() -> None:
    """Baevski et al., section 4.2: of 15 seconds about 49 % in spans of 14.7 frames (299 ms) on average, 10 in the median."""
    torch.manual_seed(0)
    frames, rows = 749, 200
    one = torch.cat([spans(1, frames, 0.065, 10).squeeze(0) + n * (frames + 1) for n in range(rows)])
    assert abs(len(one) / (rows * frames) - 0.49) < 0.01
    ends = (one.diff() > 1).nonzero().flatten()
    lengths = torch.cat([ends, torch.tensor([len(one) - 1])]).diff(prepend=torch.tensor([-1]))
    assert lengths.min() >= 10
    assert abs(float(lengths.double().mean()) - 14.7) < 0.4
    assert float(lengths.median()) == 10


def test_spans_begin_anywhere_evenly_and_all_rows_have_as_many() -> None:
    torch.manual_seed(0)
    found = spans(4000, 12, 1 / 12, 4)
    begin = found[:, 0]
    assert found.shape == (4000, 4)
    assert (found == begin[:, None] + torch.arange(4)).all()
    share = torch.bincount(begin, minlength=9) / 4000
    torch.testing.assert_close(share, torch.full((9,), 1 / 9), atol=0.02, rtol=0)
    many = spans(50, 200, 0.065, 10)
    assert (many.diff(dim=1) > 0).all()
    assert spans(0, 200, 0.065, 10).shape == (0, 0)


# -- the others -------------------------------------------------------------------------------------------------------


def test_ast_is_transformers_own(tmp_path: Path) -> None:
    from transformers import ASTConfig, ASTModel

    torch.manual_seed(0)
    theirs = ASTModel(ASTConfig(**AST_SMALL)).eval()
    theirs.save_pretrained(tmp_path)
    encoder, data = AST(path=str(tmp_path)).eval(), torch.randn(2, 1, 32, 46)
    with torch.no_grad():
        wanted, taps = theirs(data[:, 0].mT), encoder(data)
    torch.testing.assert_close(taps["pooled"], wanted.pooler_output)
    frequencies, times = 2, 4  # (32 - 16) / 10 + 1, (46 - 16) / 10 + 1
    for time in range(times):
        tokens = [wanted.last_hidden_state[:, 2 + f * times + time] for f in range(frequencies)]
        torch.testing.assert_close(taps["dense"][:, time], torch.stack(tokens).mean(0))


def test_htsat_is_transformers_own_and_in_the_order_of_time() -> None:
    torch.manual_seed(0)
    encoder, data = HTSAT(HTSAT_SMALL).eval(), torch.randn(2, 1, 64, 98)
    later = data.clone()
    later[..., 80:] += 3
    with torch.no_grad():
        wanted, taps, other = encoder.net(data.mT), encoder(data), encoder(later)
    torch.testing.assert_close(taps["pooled"], wanted.pooler_output)
    assert tuple(taps["dense"].shape) == (2, 32, 16)
    changed = (taps["dense"] - other["dense"]).abs().amax(dim=(0, 2)) > 1e-4
    assert not changed[:16].any()
    assert changed[-6:].all()


def test_byol_a_has_the_sizes_of_both_versions() -> None:
    """AudioNTT2022 has 3072 features and puts 1024 before the MLP's, AudioNTT2020 has 2048 of the MLP alone."""
    data = torch.randn(2, 1, 64, 96)
    second = ByolA().eval()
    with torch.no_grad():
        taps = second(data)
        read = second.features(data).permute(0, 3, 2, 1).flatten(2)
    assert tuple(taps["dense"].shape) == (2, 24, 3072)
    torch.testing.assert_close(taps["dense"][..., :1024], read)
    torch.testing.assert_close(taps["dense"][..., 1024:], second.fc(read))
    torch.testing.assert_close(taps["pooled"], taps["dense"].max(1)[0] + taps["dense"].mean(1))
    first = ByolA(width=2048, layers=3, stack=False)
    assert [tuple(m.weight.shape) for m in first.fc if isinstance(m, nn.Linear)] == [(2048, 512), (2048, 2048)]
    assert tuple(first(data)["dense"].shape) == (2, 12, 2048)
    with pytest.raises(ConfigError, match="3 frames are too few, it needs 4"):
        second(torch.zeros(2, 1, 64, 3))


def test_cpc_makes_a_frame_of_each_160_samples() -> None:
    """CPC_audio's windows of 20,480 samples are 128 frames, of which each sees 465 samples."""
    encoder = CPC(8)
    data = waves(20480).requires_grad_()
    dense = encoder(data)["dense"]
    assert tuple(dense.shape) == (2, 128, 8)
    dense[0, 60].sum().backward()
    assert data.grad is not None
    seen = data.grad[0, 0].nonzero().flatten()
    assert int(seen[-1] - seen[0]) + 1 == 465
    assert not data.grad[1].any()


def test_an_efficientnet_pools_over_frequency_and_time() -> None:
    encoder, data = Torchvision().eval(), torch.randn(1, 1, 64, 98)
    with torch.no_grad():
        taps, places = encoder(data), encoder.features(data)
    assert tuple(taps["dense"].shape) == (1, 4, 1280)
    torch.testing.assert_close(taps["dense"][0, 2], places[0, :, :, 2].max(-1)[0])
    torch.testing.assert_close(taps["pooled"], taps["dense"].max(1)[0])


def test_a_resnet_may_average_what_its_classifier_would_read() -> None:
    encoder, data = Torchvision("resnet18", pool="mean", channels=2).eval(), torch.randn(1, 2, 64, 98)
    with torch.no_grad():
        taps, places = encoder(data), encoder.features(data)
    torch.testing.assert_close(taps["pooled"], places.mean((2, 3)))
    torch.testing.assert_close(taps["dense"], places.mean(2).mT)


# -- mistakes ---------------------------------------------------------------------------------------------------------


def test_mistakes_are_told(tmp_path: Path) -> None:
    log_mels = torch.zeros(1, 1, 64, 98)
    with pytest.raises(ConfigError, match="did you mean 'efficientnet_b0'"):
        Torchvision("efficientnet-b0")
    with pytest.raises(ConfigError, match="no 'hidden_sise'; did you mean 'hidden_size'"):
        Wav2Vec2({"hidden_sise": 8})
    with pytest.raises(ConfigError, match="transformers can't make a Wav2Vec2 of it"):
        Wav2Vec2(WAV2VEC2 | {"num_attention_heads": 3})
    with pytest.raises(ConfigError, match="there is no folder"):
        AST(path=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"config.json of .* can't be read"):
        AST(path=str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "audio-spectrogram-transformer"}')
    with pytest.raises(ConfigError, match="can't be loaded"):
        AST(path=str(tmp_path))
    with pytest.raises(ConfigError, match="a config or a path"):
        AST(AST_SMALL, str(tmp_path))
    with pytest.raises(ConfigError, match="reads 32 mel bands of 46 frames, not 64 mel bands of 98 frames"):
        AST(AST_SMALL)(log_mels)
    with pytest.raises(ConfigError, match="reads 256 frames at most, not 300"):
        HTSAT(HTSAT_SMALL)(torch.zeros(1, 1, 64, 300))
    with pytest.raises(ConfigError, match="fusion of a long sound"):
        HTSAT(HTSAT_SMALL | {"enable_fusion": True, "fusion_type": "aff_2d"})
    with pytest.raises(ConfigError, match="expected waves"):
        CPC(2)(log_mels)
    with pytest.raises(ConfigError, match="reads one channel, not 2"):
        CPC(2)(torch.zeros(1, 2, 400))
    with pytest.raises(ConfigError, match="100 samples makes no frame"):
        CPC(2)(torch.zeros(1, 1, 100))
    with pytest.raises(ConfigError, match="399 samples makes no frame: 400 do"):
        Wav2Vec2(WAV2VEC2)(torch.zeros(1, 1, 399))
    with pytest.raises(ConfigError, match="spans of 10 frames don't fit into 9"):
        spans(1, 9, 0.065, 10)
    with pytest.raises(ConfigError, match="expected log-mels"):
        ByolA(width=48, maps=2)(waves())
    with pytest.raises(ConfigError, match="must be more than the 1024"):
        ByolA(width=1024)
    with pytest.raises(ConfigError, match="can't be halved 4 times"):
        ByolA(mels=8, layers=4)


def test_a_folder_of_another_network_is_told(tmp_path: Path) -> None:
    from transformers import ASTConfig, ASTModel

    ASTModel(ASTConfig(**AST_SMALL)).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="of the type 'audio-spectrogram-transformer', no Wav2Vec2"):
        Wav2Vec2(path=str(tmp_path))
