"""What this plugin offers. Imports neither torch nor numpy."""

from __future__ import annotations

from typing import Any

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1

_SCARF = "Bahri et al., SCARF, ICLR 2022, arXiv:2106.15147"
_VIME = "Yoon et al., VIME, NeurIPS 2020"
_SAINT = "Somepalli et al., SAINT, 2021, arXiv:2106.01342"
_SUBTAB = "Ucar et al., SubTab, NeurIPS 2021, arXiv:2110.04361"
_RTDL = "Gorishniy et al., NeurIPS 2021, arXiv:2106.11959"


def _rows(name: str, target: str, summary: str, paper: str | None = None) -> Spec:
    return Spec(name, f"contrapose_tabular.{target}", summary, modality="tabular", paper=paper)


@hookimpl
def register_modalities() -> list[Spec]:
    """Rows of a table."""
    return [
        _rows(
            "tabular",
            "modality:Tabular",
            "columns of numbers, words and booleans, by a schema fitted on the training split",
        )
    ]


@hookimpl
def register_view_generators() -> list[Spec]:
    """Corruption by marginals and by the batch, subsets of columns, and the row itself."""
    return [
        _rows("scarf", "scarf:Scarf", "a share of the columns redrawn from the training split's marginals", _SCARF),
        _rows("vime", "scarf:Vime", "each column at random redrawn from the training split's marginal", _VIME),
        _rows(
            "conditional",
            "conditional:Conditional",
            "a share of the columns redrawn from rows of the same label or group",
            "Cui et al. 2024, arXiv:2404.17489",
        ),
        _rows("in-batch", "mixers:InBatch", "a share of the columns redrawn from the batch's other rows"),
        _rows("saint", "mixers:Saint", "CutMix on the cells, and mixup of their embeddings", _SAINT),
        _rows("subset", "subsets:Subset", "one subset of the columns, with noise", _SUBTAB),
        _rows("subsets", "subsets:Subsets", "overlapping subsets of the columns, with noise", _SUBTAB),
        _rows("eval", "scarf:evaluation", "the row as it is"),
    ]


@hookimpl
def register_encoders() -> list[Spec]:
    """A multi-layer perceptron, a residual network, and a transformer."""
    return [
        _rows("mlp", "encoders:MLP", "fully connected layers on numbers, missing masks and one-hot categories", _SCARF),
        _rows("resnet", "resnet:ResNet", "residual blocks on numbers, missing masks and learnt categories", _RTDL),
        _rows("ft-transformer", "transformer:FTTransformer", "self-attention among a row's columns", _RTDL),
    ]


@hookimpl
def register_loss_heads() -> list[Spec]:
    """Heads that predict cells."""
    return [
        _rows("reconstruct", "losses:Reconstruct", "predict a row's cells", _VIME),
        _rows("changed", "losses:Changed", "tell which of a row's cells were changed", _VIME),
        _rows("denoise", "denoise:Denoise", "predict each cell from its column's state", _SAINT),
    ]


@hookimpl
def register_methods() -> list[Spec]:
    """SCARF, VIME, SAINT and SubTab."""
    return [
        Spec(
            "scarf",
            "contrapose_tabular:methods/scarf.yaml",
            "a row against its own corruption among the batch's",
            paper=_SCARF,
        ),
        Spec(
            "vime",
            "contrapose_tabular:methods/vime.yaml",
            "which cells of a corrupted row changed, and what they were",
            paper=_VIME,
        ),
        Spec(
            "saint",
            "contrapose_tabular:methods/saint.yaml",
            "a row against its mix with others, and its cells from that",
            paper=_SAINT,
        ),
        Spec(
            "subtab",
            "contrapose_tabular.presets:subtab",
            "subsets of a row's columns agree, and each tells the whole row",
            paper=_SUBTAB,
            example="subsets: 4",
        ),
    ]


@hookimpl
def register_recipes() -> list[Spec]:
    """Whole runs as in the papers."""
    said = {
        "scarf": ("until the validation loss rises, by the paper's protocol", _SCARF),
        "vime": ("mask and shuffle, one hidden layer", _VIME),
        "saint": ("CutMix, mixup and a transformer", _SAINT),
        "subtab": ("four subsets, embedded by their mean", _SUBTAB),
    }
    return [
        Spec(name, f"contrapose_tabular:recipes/{name}.yaml", summary, modality="tabular", paper=paper)
        for name, (summary, paper) in said.items()
    ]


@hookimpl
def register_commands(cli: Any) -> None:
    """``contrapose schema``: what a table's columns would be taken for."""
    from contrapose_tabular.command import schema

    cli.command()(schema)
