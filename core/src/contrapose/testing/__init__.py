"""The conformance kit: contracts that a plugin's author subclasses, a class for each component, and runs with pytest.

    from contrapose.testing import EncoderContract

    class TestNet(EncoderContract):
        spec = "acme/net"
        arguments = {"width": 32}
        cells = [{"wave": "a.txt"}, {"wave": "b.txt"}, {"wave": "c.txt"}]

Every check fails with one line that says what to do. Our own plugins pass the same checks.
"""

try:
    import pytest
except ImportError as error:
    raise ImportError("contrapose.testing needs pytest: pip install 'contrapose[testing]'") from error

from contrapose.testing.compare import same_distribution
from contrapose.testing.contract import Contract
from contrapose.testing.ddp import assert_ddp_equivalent
from contrapose.testing.encoder import EncoderContract
from contrapose.testing.loss import LossContract
from contrapose.testing.mixer import MixerContract
from contrapose.testing.modality import ModalityContract
from contrapose.testing.resume import assert_resume_exact
from contrapose.testing.view import ViewContract

del pytest

__all__ = [
    "Contract",
    "EncoderContract",
    "LossContract",
    "MixerContract",
    "ModalityContract",
    "ViewContract",
    "assert_ddp_equivalent",
    "assert_resume_exact",
    "same_distribution",
]
