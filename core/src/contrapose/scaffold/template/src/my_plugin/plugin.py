"""What this plugin offers. A target is imported when it is first used, so this file needs neither numpy nor torch."""

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1


@hookimpl
def register_modalities() -> list[Spec]:
    """Grids of numbers."""
    return [
        Spec(
            "my_modality",
            "my_plugin.modality:MyModality",
            "grids of numbers",
            modality="my_modality",
        ),
    ]


@hookimpl
def register_view_generators() -> list[Spec]:
    """Another sight of a grid."""
    return [
        Spec(
            "drift",
            "my_plugin.views:drift",
            "rolled, another gain, noise",
            modality="my_modality",
        ),
    ]


@hookimpl
def register_encoders() -> list[Spec]:
    """A network for grids."""
    return [
        Spec(
            "small",
            "my_plugin.encoders:Small",
            "two convolutions",
            modality="my_modality",
        ),
    ]


@hookimpl
def register_readers() -> list[Spec]:
    """Many grids in one file."""
    return [
        Spec(
            "recording",
            "my_plugin.readers:Recording",
            "the grids of one .npz file",
        ),
    ]


@hookimpl
def register_methods() -> list[Spec]:
    """A method as a file."""
    return [
        Spec(
            "contrast",
            "my_plugin:methods/contrast.yaml",
            "two views of a sample against the batch's others",
        ),
    ]
