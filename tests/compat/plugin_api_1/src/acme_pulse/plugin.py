"""What this plugin offers: one of everything that API 1 has a hook for."""

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1


@hookimpl
def register_modalities():
    return [Spec("pulse", "acme_pulse.modality:Pulse", "eight numbers", modality="pulse")]


@hookimpl
def register_view_generators():
    return [
        Spec("jitter", "acme_pulse.views:jitter", "noise", modality="pulse"),
        Spec("halves", "acme_pulse.views:Halves", "two views, each blind on one side", modality="pulse"),
        Spec("eval", "acme_pulse.views:still", "as it is", modality="pulse"),
    ]


@hookimpl
def register_encoders():
    return [
        Spec("net", "acme_pulse.nets:Net", "one hidden layer", modality="pulse", paper="Nobody, 2026"),
        Spec(
            "cloud",
            "acme_pulse.cloud:Net",
            "lacks a package",
            requires=("acme_no_such_package",),
            extra="acme-pulse[cloud]",
        ),
    ]


@hookimpl
def register_heads():
    return (Spec("scaled", "acme_pulse.nets:Scaled", "a linear layer, scaled"),)


@hookimpl
def register_loss_heads():
    yield Spec("pull", "acme_pulse.losses:Pull", "positives alone")
    yield Spec("recall", "acme_pulse.losses:Recall", "the pulse's mean, told from its embedding")


@hookimpl
def register_relations():
    return [Spec("loud", "acme_pulse.keys:Loud", "anchors weighed by a number")]


@hookimpl
def register_sources():
    return [Spec("last", "acme_pulse.keys:Last", "the rows of the last step")]


@hookimpl
def register_readers():
    return [Spec("made-up", "acme_pulse.reader:MadeUp", "pulses out of nothing", modality="pulse")]


@hookimpl
def register_evaluators():
    return [Spec("spread", "acme_pulse.evaluator:spread", "standard deviation of the embeddings")]


@hookimpl
def register_methods():
    return [
        Spec("pair", "acme_pulse:methods/pair.yaml", "two views of a pulse"),
        Spec("memory", "acme_pulse.method:memory", "against the last step too", example="tau: 0.2"),
    ]


@hookimpl
def register_recipes():
    return [Spec("small", "acme_pulse:methods/small.yaml", "a whole run")]


@hookimpl
def register_loggers():
    return [Spec("lines", "acme_pulse.logger:Lines", "a line a step")]


@hookimpl
def register_commands(cli):
    @cli.command()
    def pulse_hello(name: str = "you") -> None:
        """Greet."""
        print(f"hello {name}")


@hookimpl
def reader_for(uri):
    return "pulse/made-up" if uri.startswith("pulse:") else None
