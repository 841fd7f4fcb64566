"""LoRA: small trained matrices beside those of a pretrained transformer, which stay as they are. peft makes them."""

from __future__ import annotations

import copy
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from contrapose.errors import ConfigError


class Lora(BaseModel):
    """What LoRA trains (Hu et al., 2022): W x + alpha / rank * B A x, where B (out, rank) begins as zero.

    ``targets`` are names of linear layers, ``[query, value]``, or ``[all-linear]``; by default peft's choice for the model.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[int, Field(ge=1)] = 16
    targets: list[str] | None = None


def attach(net: nn.Module, lora: Lora) -> None:
    """Put LoRA's matrices into ``net``, in place; only they are trained from now on.

    Raises ``ConfigError`` where peft isn't installed, or no layer is called as ``targets`` say.
    """
    try:
        import peft
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        raise ConfigError("needs peft: pip install 'contrapose-text[lora]'", ("lora",)) from None
    targets: Any = "all-linear" if lora.targets == ["all-linear"] else lora.targets
    try:
        peft.inject_adapter_in_model(peft.LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=targets), net)
    except ValueError as error:
        known = sorted({name.rpartition(".")[2] for name, m in net.named_modules() if isinstance(m, nn.Linear)})
        reason = str(error).splitlines()[0].partition(". ")[0].rstrip(".")
        raise ConfigError(f"{reason}; its linear layers are {', '.join(known)}", ("lora", "targets")) from None


def merged(net: nn.Module) -> nn.Module:
    """A copy of ``net`` with LoRA's products added to the weights that they stand beside, and no trace of it left."""
    net = copy.deepcopy(net)
    for name, module in list(net.named_modules()):
        if hasattr(module, "get_base_layer"):
            module.merge()
            net.set_submodule(name, module.get_base_layer())
    if hasattr(net, "peft_config"):
        del net.peft_config
    return net
