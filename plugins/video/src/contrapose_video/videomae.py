"""The vision transformer of VideoMAE (Tong et al., NeurIPS 2022, arXiv:2203.12602) as transformers has it.

transformers is imported when an encoder is made, since that takes seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from contrapose.config.json import parse
from contrapose.errors import ConfigError, did_you_mean
from contrapose_video.encoders import Normalise

Share = Annotated[float, Field(ge=0, lt=1)]

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class VideoMAE(nn.Module):
    """VideoMAE's encoder: ``dense`` are its tokens (n, P, D), time by time, ``pooled`` their mean. For ViT-B, D is 768.

    It reads clips of the one length and size that its positions are of: 16 frames of 224 x 224 unless the config says otherwise.

    With ``masked`` it sees but a share of each training clip, as in pretraining by reconstruction, where 0.9 is hidden: tubes, the
    same places of all frames, others for each clip. Hidden tokens cost nothing (Li et al., FLIP, CVPR 2023, hide half for that); in
    evaluation nothing is hidden. ``dense`` then has no fixed places, so only ``pooled`` is of use.

    Args:
        path: a folder that transformers saved a VideoMAE to, of which the encoder is taken. Its ``preprocessor_config.json``, where
            there is one, says how clips are normalised, else ImageNet's statistics do. Nothing is fetched.
        config: without a path, what differs from ViT-B's config with random weights, by transformers' names: ``{image_size: 112,
            num_frames: 8, hidden_size: 384, num_attention_heads: 6, intermediate_size: 1536}``.
        masked: share of the tubes that are hidden in training.

    Raises ``ConfigError`` where transformers isn't installed, for a config or a folder that holds no VideoMAE.
    """

    modality = "video"

    def __init__(self, path: str | None = None, config: dict[str, Any] | None = None, masked: Share = 0.0) -> None:
        super().__init__()
        if path is not None and config is not None:
            raise ConfigError("a folder has a config of its own: give either", ("config",))
        self.net = _random(config or {}) if path is None else _saved(path)
        self.normalise = Normalise(*(IMAGENET if path is None else _statistics(Path(path).expanduser())))
        self.masked = masked
        said: Any = self.net.config
        sides = self.net.embeddings.patch_embeddings
        (height, width), (down, across) = sides.image_size, sides.patch_size
        self.reads = (said.num_frames, height, width)
        self.grid = (said.num_frames // said.tubelet_size, height // down, width // across)
        self.dims: Mapping[str, int] = {"pooled": said.hidden_size, "dense": said.hidden_size}

    def features(self, data: Tensor) -> Tensor:
        """(n, 3, T, H, W) in [0, 1] to all tokens as a map (n, D, T', H', W')."""
        return self._tokens(data, None).mT.unflatten(-1, self.grid)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 3, T, H, W) in [0, 1] to the taps. Raises ``ConfigError`` for clips of another length or size."""
        hidden = self.tubes(len(data), data.device) if self.training and self.masked else None
        tokens = self._tokens(data, hidden)
        return {"pooled": tokens.mean(dim=1), "dense": tokens}

    def tubes(self, clips: int, device: torch.device | None = None) -> Tensor:
        """Which tokens are hidden, bool (clips, P): for each clip a draw of places, of which one at least is seen, at all times."""
        times, places = self.grid[0], self.grid[1] * self.grid[2]
        count = min(round(self.masked * places), places - 1)
        chosen = torch.rand(clips, places, device=device).argsort(dim=1)[:, :count]
        hidden = torch.zeros(clips, places, dtype=torch.bool, device=device).scatter(1, chosen, True)
        return hidden.repeat(1, times)

    def _tokens(self, data: Tensor, hidden: Tensor | None) -> Tensor:
        if tuple(data.shape[2:]) != self.reads:
            (t, h, w), (frames, height, width) = data.shape[2:], self.reads
            raise ConfigError(
                f"this VideoMAE reads {frames} frames of {width} x {height}, not {t} of {w} x {h}", ("config",)
            )
        if not len(data):  # attention takes no empty batch; a clip that is thrown away leaves each parameter a gradient
            return self._tokens(data.new_zeros(1, *data.shape[1:]), None)[:0]
        frames_first = self.normalise(data).transpose(1, 2)
        tokens: Tensor = self.net(pixel_values=frames_first, bool_masked_pos=hidden).last_hidden_state
        return tokens


def _library() -> Any:
    try:
        import transformers
    except ImportError:
        raise ConfigError("needs transformers: pip install 'contrapose-video[transformers]'") from None
    return transformers


def _random(config: Mapping[str, Any]) -> Any:
    library = _library()
    known = library.VideoMAEConfig().to_dict()
    if wrong := next((name for name in config if name not in known), None):
        raise ConfigError(f"VideoMAE's config has no {wrong!r}{did_you_mean(wrong, known)}", ("config", wrong))
    try:  # tokens are normalised at the end, which transformers leaves to a classifier otherwise
        return library.VideoMAEModel(library.VideoMAEConfig(**{"use_mean_pooling": False, **config}))
    except Exception as error:  # it checks sizes, or fails on them, in its own way
        raise ConfigError(f"transformers can't make a VideoMAE of it: {_line(error)}", ("config",)) from error


def _saved(path: str) -> Any:
    library, folder = _library(), Path(path).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {path}", ("path",))
    try:
        with _quiet():
            net, report = library.VideoMAEModel.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
    except Exception as error:  # transformers raises a dozen kinds for a broken folder
        raise ConfigError(f"the folder {path} can't be loaded: {_line(error)}", ("path",)) from error
    if absent := sorted(report["missing_keys"]):
        raise ConfigError(f"{path} lacks weights of a VideoMAE: {', '.join(absent[:3])}, ...", ("path",))
    return net.train()


def _statistics(folder: Path) -> Statistics:
    """Mean and deviation by channel that the folder says, or ImageNet's."""
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return IMAGENET
    try:
        said = parse(file.read_text(encoding="utf-8"))
        mean, deviation = (tuple(float(x) for x in said[name]) for name in ("image_mean", "image_std"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} says no image_mean and image_std: {_line(error)}", ("path",)) from error
    if len(mean) != 3 or len(deviation) != 3:
        raise ConfigError(f"{file} says image_mean and image_std of other than three channels", ("path",))
    return mean, deviation


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and reports: of a decoder's weights, which aren't wanted."""
    from transformers.utils import logging as hf

    disabled, bars = logging.root.manager.disable, hf.is_progress_bar_enabled()
    logging.disable(logging.WARNING)
    hf.disable_progress_bar()
    try:
        yield
    finally:
        logging.disable(disabled)
        if bars:
            hf.enable_progress_bar()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
