"""What this plugin offers. Imports neither torch nor numpy nor transformers."""

from __future__ import annotations

from typing import Any

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1

_SIMCSE = "Gao et al., SimCSE, EMNLP 2021, arXiv:2104.08821"
_EDA = "Wei & Zou, EDA, EMNLP 2019, arXiv:1901.11196"
_CONTRIEVER = "Izacard et al., Contriever, TMLR 2022, arXiv:2112.09118"
_BERT = "Devlin et al., BERT, NAACL 2019, arXiv:1810.04805"
_CONSERT = "Yan et al., ConSERT, ACL 2021, arXiv:2105.11741"
_DECLUTR = "Giorgi et al., DeCLUTR, ACL 2021, arXiv:2006.03659"
_MNRL = "Henderson et al., Efficient Natural Language Response Suggestion, 2017, arXiv:1705.00652"
_E5 = "Wang et al., E5, 2022, arXiv:2212.03533"
_SENTENCE_BERT = "Reimers & Gurevych, Sentence-BERT, EMNLP 2019, arXiv:1908.10084"
_FASTTEXT = "Joulin et al., Bag of Tricks for Efficient Text Classification, EACL 2017, arXiv:1607.01759"


def _view(name: str, attr: str, summary: str, paper: str | None = None) -> Spec:
    return Spec(name, f"contrapose_text.views:{attr}", summary, modality="text", paper=paper)


def _pairs(name: str, attr: str, summary: str, paper: str | None = None) -> Spec:
    return Spec(name, f"contrapose_text.pairs:{attr}", summary, modality="text", paper=paper)


def _method(name: str, summary: str, paper: str) -> Spec:
    return Spec(name, f"contrapose_text:methods/{name}.yaml", summary, modality="text", paper=paper)


def _run(name: str, summary: str, paper: str) -> Spec:
    return Spec(name, f"contrapose_text:recipes/{name}.yaml", summary, modality="text", paper=paper)


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
    """SimCSE's view, which changes nothing, changes of words and of tokens, and views that belong together."""
    return [
        _view("dropout", "dropout", "the text itself: the encoder's dropout makes the difference", _SIMCSE),
        _view("delete", "delete", "a random share of the words left out", _EDA),
        _view("swap", "swap", "random words change places", _EDA),
        _view("crop", "crop", "a random span of the words", _CONTRIEVER),
        _view("shuffle", "shuffle", "the tokens in random order", _CONSERT),
        _view("mask", "mask", "random tokens masked, to be predicted", _BERT),
        _view("cutoff", "cutoff", "a share of the embeddings' entries, or of the tokens, at zero", _CONSERT),
        _view("prefix", "prefix", "the text after a prefix that says what it is for", _E5),
        _pairs("column", "column", "one of a text's columns"),
        _pairs("columns", "ColumnPairs", "pairs and triples of one's own, a column for each slot"),
        _pairs("short-long", "ShortLong", "a title, or a first sentence, and what follows", _E5),
        _pairs("spans", "Spans", "spans of a long document, and spans near them", _DECLUTR),
        _view("eval", "evaluation", "the text itself"),
    ]


@hookimpl
def register_heads() -> list[Spec]:
    """BERT's."""
    return [Spec("pooler", "contrapose_text.heads:Pooler", "a linear layer and tanh, as BERT's pooler", paper=_SIMCSE)]


@hookimpl
def register_loss_heads() -> list[Spec]:
    """Masked language modelling."""
    return [Spec("mlm", "contrapose_text.mlm:MaskedTokens", "predict masked tokens", modality="text", paper=_BERT)]


@hookimpl
def register_methods() -> list[Spec]:
    """Losses of sentence embeddings."""
    return [
        _method("simcse", "a text against itself under other dropout, among the batch's", _SIMCSE),
        _method("simcse-supervised", "pairs among the batch's, with a hard negative for each", _SIMCSE),
        _method("consert", "two augmentations of a text against the batch, without a projector", _CONSERT),
        _method(
            "declutr", "spans of a document against the mean of spans near them, and their masked tokens", _DECLUTR
        ),
        _method("mnrl", "pairs among the batch's at a scale of 20 (multiple negatives ranking loss)", _MNRL),
        _method("e5", "queries and passages, at a temperature of 0.01", _E5),
    ]


@hookimpl
def register_recipes() -> list[Spec]:
    """The papers' runs, of which a config needs to give the data, the encoder's path and its tokenizer's."""
    return [
        _run("simcse", "unsupervised SimCSE: one epoch of sentences, batches of 64", _SIMCSE),
        _run("simcse-supervised", "supervised SimCSE: three epochs of triples, batches of 512", _SIMCSE),
        _run("consert", "unsupervised ConSERT: ten epochs, batches of 96", _CONSERT),
        _run("declutr", "DeCLUTR: one epoch of documents, batches of 4", _DECLUTR),
        _run("mnrl", "pairs as sentence-transformers trains on them: one epoch, batches of 128", _MNRL),
        _run("e5", "E5's contrastive pretraining: 20,000 steps, batches of 32,768", _E5),
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
