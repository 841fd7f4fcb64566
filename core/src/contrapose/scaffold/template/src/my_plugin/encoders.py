"""Encoders: plain modules from a collated batch to embeddings."""

from torch import Tensor, nn


class Small(nn.Module):
    """Two convolutions and the mean over the grid, of any height and width.

    Args:
        width: numbers of the embedding.
    """

    modality = "my_modality"

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.dims = {"pooled": width}
        first, second = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.net = nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU())

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """``(n, H, W)`` to ``{"pooled": (n, width)}``."""
        return {"pooled": self.net(data[:, None]).mean((-2, -1))}
