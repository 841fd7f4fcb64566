"""What this plugin offers. Imports neither torch nor numpy."""

from __future__ import annotations

from typing import Any

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1

_SCARF = "Bahri et al., SCARF, ICLR 2022, arXiv:2106.15147"


@hookimpl
def register_modalities() -> list[Spec]:
    """Rows of a table."""
    return [
        Spec(
            "tabular",
            "contrapose_tabular.modality:Tabular",
            "columns of numbers, words and booleans, by a schema fitted on the training split",
            modality="tabular",
        )
    ]


@hookimpl
def register_view_generators() -> list[Spec]:
    """SCARF's corruption, and the row itself."""
    return [
        Spec(
            "scarf",
            "contrapose_tabular.scarf:Scarf",
            "a share of the columns redrawn from the training split's marginals",
            modality="tabular",
            paper=_SCARF,
        ),
        Spec("eval", "contrapose_tabular.scarf:evaluation", "the row as it is", modality="tabular"),
    ]


@hookimpl
def register_encoders() -> list[Spec]:
    """A multi-layer perceptron."""
    return [
        Spec(
            "mlp",
            "contrapose_tabular.encoders:MLP",
            "fully connected layers on numbers, missing masks and one-hot categories",
            modality="tabular",
            paper=_SCARF,
        )
    ]


@hookimpl
def register_methods() -> list[Spec]:
    """SCARF."""
    return [
        Spec(
            "scarf",
            "contrapose_tabular:methods/scarf.yaml",
            "a row against its own corruption among the batch's",
            paper=_SCARF,
        )
    ]


@hookimpl
def register_commands(cli: Any) -> None:
    """``contrapose schema``: what a table's columns would be taken for."""
    from contrapose_tabular.command import schema

    cli.command()(schema)
