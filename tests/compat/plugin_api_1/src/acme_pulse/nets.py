"""An encoder with two taps, and a head."""

from torch import nn


class Net(nn.Module):
    """One hidden layer."""

    modality = "pulse"

    def __init__(self, receptors: int, width: int = 16) -> None:
        super().__init__()
        self.dims = {"pooled": width, "hidden": 2 * width}
        self.first = nn.Sequential(nn.Linear(receptors, 2 * width), nn.ReLU())
        self.last = nn.Linear(2 * width, width)

    def forward(self, data):
        hidden = self.first(data)
        return {"pooled": self.last(hidden), "hidden": hidden}


class Scaled(nn.Module):
    """A linear layer, scaled."""

    def __init__(self, dim: int, out: int = 8, by: float = 2.0) -> None:
        super().__init__()
        self.by, self.out = by, out
        self.linear = nn.Linear(dim, out)

    def forward(self, x):
        return self.by * self.linear(x)
