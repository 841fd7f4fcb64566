"""What this plugin offers. Imports neither torch nor numpy nor transformers."""

from __future__ import annotations

from typing import Any

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1

_SIMCSE = "Gao et al., SimCSE, EMNLP 2021, arXiv:2104.08821"
_EDA = "Wei & Zou, EDA, EMNLP 2019, arXiv:1901.11196"
_CONTRIEVER = "Izacard et al., Contriever, TMLR 2022, arXiv:2112.09118"
_BERT = "Devlin et al., BERT, NAACL 2019, arXiv:1810.04805"
_SENTENCE_BERT = "Reimers & Gurevych, Sentence-BERT, EMNLP 2019, arXiv:1908.10084"
_FASTTEXT = "Joulin et al., Bag of Tricks for Efficient Text Classification, EACL 2017, arXiv:1607.01759"


def _view(name: str, attr: str, summary: str, paper: str | None = None) -> Spec:
    return Spec(name, f"contrapose_text.views:{attr}", summary, modality="text", paper=paper)


def _encoder(name: str, attr: str, summary: str, paper: str | None = None) -> Spec:
    return Spec(name, f"contrapose_text.{attr}", summary, modality="text", paper=paper)


@hookimpl
def register_modalities() -> list[Spec]:
    """Text."""
    return [
        Spec(
            "text",
            "contrapose_text.modality:Text",
            "words in a table or in .txt files, UTF-8; its tokenizer is trained on the corpus or loaded",
            modality="text",
        )
    ]


@hookimpl
def register_view_generators() -> list[Spec]:
    """SimCSE's view, which changes nothing, and changes of words."""
    return [
        _view("dropout", "dropout", "the text itself: the encoder's dropout makes the difference", _SIMCSE),
        _view("delete", "delete", "a random share of the words left out", _EDA),
        _view("swap", "swap", "random words change places", _EDA),
        _view("crop", "crop", "a random span of the words", _CONTRIEVER),
        _view("eval", "evaluation", "the text itself"),
    ]


@hookimpl
def register_encoders() -> list[Spec]:
    """Transformers of Hugging Face, from scratch or pretrained, and a bag of tokens."""
    return [
        _encoder("transformer", "encoders:Transformer", "a small BERT with random weights", _BERT),
        _encoder(
            "pretrained", "encoders:Pretrained", "a transformer from a folder, or from the hub by name", _SENTENCE_BERT
        ),
        _encoder(
            "from-config", "encoders:FromConfig", "any model of transformers with random weights, from its config"
        ),
        _encoder("bag", "bag:Bag", "the mean of the tokens' vectors: cheap, and what to beat", _FASTTEXT),
    ]


@hookimpl
def register_commands(cli: Any) -> None:
    """``contrapose export``."""
    from contrapose_text.commands import export

    cli.command("export")(export)
