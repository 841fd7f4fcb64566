"""The conformance kit: contracts that a plugin's author subclasses, a class for each component, and runs with pytest.

    from contrapose.testing import EncoderContract

    class TestNet(EncoderContract):
        spec = "acme/net"
        arguments = {"width": 32}
        cells = [{"wave": "a.txt"}, {"wave": "b.txt"}, {"wave": "c.txt"}]

and once for the whole plugin::

    class TestPlugin(PluginContract):
        plugin = "acme"

Every check fails with one line that says what the contract asks, and, where hypothesis drew the input, the smallest that fails. Our
own plugins pass the same checks.
"""

try:
    import hypothesis
    import pytest
except ImportError as error:
    raise ImportError(f"contrapose.testing needs {error.name}: pip install 'contrapose[testing]'") from error

from contrapose.testing.compare import same_distribution
from contrapose.testing.contract import Contract
from contrapose.testing.ddp import assert_ddp_equivalent
from contrapose.testing.encoder import EncoderContract
from contrapose.testing.evaluator import EvaluatorContract
from contrapose.testing.head import HeadContract
from contrapose.testing.loss import LossContract
from contrapose.testing.method import MethodContract
from contrapose.testing.mixer import MixerContract
from contrapose.testing.modality import ModalityContract
from contrapose.testing.plugin import PluginContract
from contrapose.testing.reader import ReaderContract
from contrapose.testing.relation import RelationContract
from contrapose.testing.resume import assert_resume_exact
from contrapose.testing.source import SourceContract
from contrapose.testing.view import ViewContract

del hypothesis, pytest

__all__ = [
    "Contract",
    "EncoderContract",
    "EvaluatorContract",
    "HeadContract",
    "LossContract",
    "MethodContract",
    "MixerContract",
    "ModalityContract",
    "PluginContract",
    "ReaderContract",
    "RelationContract",
    "SourceContract",
    "ViewContract",
    "assert_ddp_equivalent",
    "assert_resume_exact",
    "same_distribution",
]
