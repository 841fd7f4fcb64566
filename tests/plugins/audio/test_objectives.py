"""The losses of BYOL-A, CLAR, CLAP, CPC and wav2vec 2.0 against independent formulas in float64, values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose import Method
from contrapose.config import build
from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError
from contrapose.testing import assert_ddp_equivalent
from contrapose.testing.toy import outputs
from contrapose.types import Batch, ViewBatch, ident
from contrapose_audio.candidates import Candidates
from contrapose_audio.quantiser import Diversity, Quantiser

N, PLACES, WIDTH = 4, 9, 6
HEAD = {"use": "mlp", "out": 5, "hidden": 7, "norm": "none"}
SMALL: dict[str, dict[str, Any]] = {
    "byol-a": {"branches": {"online": {"projector": HEAD, "predictor": {"use": "mlp", "hidden": 7, "norm": "none"}}}},
    "clar": {"branches": {"online": {"projector": {**HEAD, "layers": 3}}}},
    "clap": {"branches": {"audio": {"projector": HEAD}, "text": {"projector": HEAD}}},
    "cpc-audio": {},
    "wav2vec2": {
        "branches": {"context": {"projector": {"use": "linear", "out": 5}}},
        "sources": {"codes": {"groups": 2, "entries": 3, "width": 4, "out": 5}, "candidates": {"count": 7}},
    },
}
"""Each method's heads and sources made small."""
ARGUMENTS = {"cpc-audio": {"steps": 3, "negatives": 6, "width": WIDTH, "hidden": 5}}
VIEWS = {
    "byol-a": ("audio/a", "audio/b"),
    "clar": ("audio/a", "audio/b"),
    "clap": ("audio/0", "text/0"),
    "cpc-audio": ("audio/clip",),
    "wav2vec2": ("audio/clip",),
}


class Toy(nn.Module):
    """(n, places, 5) to its taps by one linear layer each."""

    def __init__(self, modality: str) -> None:
        super().__init__()
        self.modality = modality
        self.layer, self.other = nn.Linear(5, WIDTH), nn.Linear(5, WIDTH)
        self.dims = dict.fromkeys(("pooled", "dense", "masked", "targets"), WIDTH)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        dense, other = self.layer(data), self.other(data)
        return {"pooled": dense.mean(1), "dense": dense, "masked": dense, "targets": other}


def method(name: str) -> Method:
    torch.manual_seed(0)
    data: Any = build("method", {"use": f"audio/{name}", **ARGUMENTS.get(name, {})})
    for section, parts in SMALL[name].items():
        data = {**data, section: {n: {**part, **parts.get(n, {})} for n, part in data[section].items()}}
    encoders = {modality: Toy(modality) for modality in {view.partition("/")[0] for view in VIEWS[name]}}
    made = Method.from_data(data, encoders).double()
    made.clock.start(steps_per_epoch=2, epochs=2)
    return made


def batch(name: str, seed: int) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    views = {}
    for view in VIEWS[name]:
        data = torch.randn(N, PLACES, 5, dtype=torch.float64, generator=draw)
        views[view] = ViewBatch(data, view.partition("/")[0], torch.arange(N), {})
    return Batch(torch.arange(N) + 10 * seed, views, {})


def same_value_and_gradient(made: Method, now: Batch, expected: Callable[[], Tensor]) -> None:
    value = made(now).loss
    value.backward()
    grads = {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}
    made.zero_grad()
    wanted = expected()
    torch.testing.assert_close(value, wanted, rtol=1e-9, atol=1e-12)
    wanted.backward()
    reached = [n for n, p in made.named_parameters() if p.grad is not None]
    assert grads
    assert sorted(grads) == sorted(reached)
    for name, parameter in made.named_parameters():
        if name in grads:
            assert parameter.grad is not None
            torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-7, atol=1e-10)


def test_byol_a_predicts_both_ways() -> None:
    """BYOL.forward of the authors' byol_pytorch: 2 - 2 cos, both ways, added, and a momentum of 0.99."""
    made, now = method("byol-a"), batch("byol-a", 0)

    def expected() -> Tensor:
        out = outputs(made, now)
        p, t = (F.normalize(out.rows(name).z, dim=1).chunk(2) for name in ("online", "target"))
        return ((2 - 2 * (p[0] * t[1].detach()).sum(1)) + (2 - 2 * (p[1] * t[0].detach()).sum(1))).mean()

    same_value_and_gradient(made, now, expected)
    encoder, twin = made.encoders["audio"], made.towers.twins["twin_0"].encoders["audio"]
    before = twin.layer.weight.clone()
    with torch.no_grad():
        encoder.layer.weight += 1.0
    made.advance()
    torch.testing.assert_close(twin.layer.weight, 0.99 * before + 0.01 * encoder.layer.weight)


def test_clar_is_nt_xent_at_a_half() -> None:
    """nt_xent_loss of CLAR's utils.py."""
    made, now = method("clar"), batch("clar", 0)

    def expected() -> Tensor:
        one, two = F.normalize(outputs(made, now).rows("online").z, dim=1).chunk(2)
        out = torch.cat([one, two])
        sim = torch.exp(out @ out.T / 0.5)
        neg = sim[~torch.eye(2 * N, dtype=torch.bool)].view(2 * N, -1).sum(-1)
        pos = torch.exp((one * two).sum(-1) / 0.5).repeat(2)
        return -torch.log(pos / neg).mean()

    same_value_and_gradient(made, now, expected)


def test_clap_is_a_cross_entropy_both_ways() -> None:
    """ClipLoss of LAION's code: logit_scale audio text', its rows and its columns against the diagonal."""
    made, now = method("clap"), batch("clap", 0)

    def expected() -> Tensor:
        out = outputs(made, now)
        audio, text = (F.normalize(out.rows(name).z, dim=1) for name in ("audio", "text"))
        scale = next(p for n, p in made.named_parameters() if p.ndim == 0).exp()
        torch.testing.assert_close(scale.detach(), torch.tensor(1 / 0.07, dtype=torch.float64))
        logits = scale * audio @ text.T
        return (F.cross_entropy(logits, torch.arange(N)) + F.cross_entropy(logits.T, torch.arange(N))) / 2

    same_value_and_gradient(made, now, expected)


def test_cpc_tells_each_step_from_drawn_frames() -> None:
    """CPCUnsupersivedCriterion with linear predictors: (W_k c_t) z averaged over the width, the losses of the steps added."""
    made, now = method("cpc-audio"), batch("cpc-audio", 0)
    steps, windows = 3, PLACES - 3

    def expected() -> Tensor:
        out = outputs(made, now)
        drawn = out.rows("negatives").z.view(N, windows, steps, 6, WIDTH)
        z = made.encoders["audio"](now.views["audio/clip"].data)["dense"]
        head: Any = next(m for m in made.modules() if type(m).__name__ == "Forecast")
        c = head.context(z)[0][:, :windows]
        total = torch.zeros(())
        for k in range(1, steps + 1):
            predicted = c @ head.ahead.weight[(k - 1) * WIDTH : k * WIDTH].T
            candidates = torch.cat([z[:, k : k + windows, None], drawn[:, :, k - 1]], dim=2)
            scores = (predicted[:, :, None] * candidates).mean(-1)
            total = total + F.cross_entropy(scores.flatten(0, 1), torch.zeros(N * windows, dtype=torch.int64))
        return total

    same_value_and_gradient(made, now, expected)


def test_cpcs_negatives_are_frames_of_the_whole_batch() -> None:
    made, now = method("cpc-audio"), batch("cpc-audio", 0)
    z = made.encoders["audio"](now.views["audio/clip"].data)["dense"].flatten(0, 1)
    drawn = outputs(made, now).rows("negatives")
    assert drawn.z.shape == (N * (PLACES - 3) * 3, 6, WIDTH)
    found = (drawn.z.flatten(0, 1)[:, None] == z[None]).all(-1)
    assert found.any(1).all()
    assert found.any(0).all()


def quantised(made: Method, now: Batch) -> tuple[Tensor, Tensor]:
    """The targets (N, PLACES, out) and their codes (N, PLACES, groups), by the formula of torch's ``gumbel_softmax``."""
    source: Any = made.sources["codes"]
    y = made.encoders["audio"](now.views["audio/clip"].data)["targets"]
    logits = source.choose(y).view(N * PLACES, 2, 3)
    noise = gumbel(made, now).view_as(logits)
    soft = F.softmax((logits + noise) / 2.0, dim=-1)
    index = soft.max(-1, keepdim=True)[1]
    hard = torch.zeros_like(logits).scatter_(-1, index, 1.0)
    words = (hard - soft.detach() + soft)[..., None] * source.words
    z = F.linear(words.sum(-2).view(N, PLACES, -1), source.project.weight, source.project.bias)
    return z, index.view(N, PLACES, 2)


def gumbel(made: Method, now: Batch) -> Tensor:
    """The noise that the source must have added, by what it chose."""
    rows = outputs(made, now).rows("local")
    keys = [rows.meta[c] for c in ("sample", "view", "position")]
    return -(-keyed_uniform(keys, 6, made.seed, made.clock.steps, ident("codes")).log()).log()


def test_wav2vec2_is_fairseqs_loss() -> None:
    """Wav2Vec2Model and Wav2vecCriterion: cosine over 0.1 to the target and to distractors of the clip that aren't its code, and
    0.1 times (GV - perplexity) / GV."""
    made, now = method("wav2vec2"), batch("wav2vec2", 0)
    left_out = 0

    def expected() -> Tensor:
        nonlocal left_out
        x = made.encoders["audio"](now.views["audio/clip"].data)["masked"]
        head: Any = made.towers.projectors["context"]
        x = head(x)
        y, codes = quantised(made, now)
        drawn = outputs(made, now).rows("candidates").meta["position"].view(N, PLACES, 8)
        assert (drawn[..., 0] == torch.arange(PLACES)).all()
        assert (drawn[..., 1:] != torch.arange(PLACES)[:, None]).all()
        losses = []
        for b in range(N):
            for t in range(PLACES):
                negatives, same = y[b, drawn[b, t, 1:]], (codes[b, drawn[b, t, 1:]] == codes[b, t]).all(-1)
                logits = torch.cosine_similarity(x[b, t], torch.cat([y[b, t][None], negatives])) / 0.1
                logits = torch.cat([logits[:1], logits[1:].masked_fill(same, -torch.inf)])
                left_out += int(same.sum())
                losses.append(F.cross_entropy(logits[None], torch.zeros(1, dtype=torch.int64)))
        source: Any = made.sources["codes"]
        targets = made.encoders["audio"](now.views["audio/clip"].data)["targets"]
        mean = torch.softmax(source.choose(targets).view(N * PLACES, 2, 3), dim=-1).mean(0)
        perplexity = torch.exp(-torch.sum(mean * torch.log(mean + 1e-7), dim=-1)).sum()
        return torch.stack(losses).mean() + 0.1 * (6 - perplexity) / 6

    same_value_and_gradient(made, now, expected)
    assert left_out > 10


def test_the_quantiser_is_transformers_own_in_eval_mode() -> None:
    transformers = pytest.importorskip("transformers")
    from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2GumbelVectorQuantizer

    made, now = method("wav2vec2").eval(), batch("wav2vec2", 0)
    config = transformers.Wav2Vec2Config(
        num_codevector_groups=2, num_codevectors_per_group=3, codevector_dim=4, conv_dim=[WIDTH] * 7
    )
    theirs, mine = Wav2Vec2GumbelVectorQuantizer(config).double().eval(), made.sources["codes"]
    theirs.load_state_dict(
        {
            "codevectors": mine.words.flatten(0, 1)[None],
            "weight_proj.weight": mine.choose.weight,
            "weight_proj.bias": mine.choose.bias,
        }
    )
    y = made.encoders["audio"](now.views["audio/clip"].data)["targets"]
    wanted = mine.project(theirs(y)[0]).flatten(0, 1)
    torch.testing.assert_close(outputs(made, now).rows("codes").z, wanted)


def test_words_are_drawn_by_their_share() -> None:
    """The Gumbel maximum draws a word with the probability of its softmax, whatever the temperature."""
    made = method("wav2vec2")
    source: Any = made.sources["codes"]
    with torch.no_grad():
        source.choose.weight.zero_()
        source.choose.bias.copy_(torch.tensor([0.0, 1.0, 2.0, 0.5, 0.0, -1.0]))
    counts = torch.zeros(2, 3)
    for _ in range(150):
        code = outputs(made, batch("wav2vec2", 0)).rows("codes").meta["code"]
        for group, chosen in enumerate((code % 3, code // 3)):
            counts[group] += torch.bincount(chosen, minlength=3)
        made.clock.tick()
    share = source.choose.bias.view(2, 3).softmax(-1).float()
    torch.testing.assert_close(counts / counts.sum(1, keepdim=True), share, atol=0.025, rtol=0)


def test_the_temperature_falls_to_its_end() -> None:
    """Twice the decay to the power of the step, and never less than the end."""
    made, now = method("wav2vec2"), batch("wav2vec2", 0)
    source = Quantiser("local", entries=3, width=4, decay=0.5, end=0.3, name="codes")
    source.setup(lambda ref: WIDTH, {})
    source.double()
    for steps in (0, 1, 2, 3, 9):
        made.clock.step.fill_(steps)
        out = outputs(made, now)
        logits = source.choose(out.rows("local").z).unflatten(1, (2, 3))
        _, share = source._chosen(logits, out.rows("local"), out)
        wanted = ((logits + gumbel(made, now).view_as(logits)) / max(2.0 * 0.5**steps, 0.3)).softmax(-1)
        torch.testing.assert_close(share, wanted)


def test_distractors_are_even_over_the_clips_other_frames() -> None:
    made = method("wav2vec2")
    counts = torch.zeros(PLACES, PLACES)
    for _ in range(80):
        rows = outputs(made, batch("wav2vec2", 0)).rows("candidates")
        frames = rows.meta["position"].view(N, PLACES, 8)[..., 1:]
        for place in range(PLACES):
            counts[place] += torch.bincount(frames[:, place].flatten(), minlength=PLACES)
        made.clock.tick()
    assert (counts.diagonal() == 0).all()
    share = counts / counts.sum(1, keepdim=True)
    wanted = (1 - torch.eye(PLACES)) / (PLACES - 1)
    torch.testing.assert_close(share, wanted, atol=0.03, rtol=0)


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(ConfigError, match="can't be shared among 3 codebooks"):
        Quantiser("local", groups=3)
    with pytest.raises(ConfigError, match="aren't those of 3 codebooks"):
        Diversity(3).setup("codes.logits", 640)
    with pytest.raises(ConfigError, match="there are two tables"):
        Quantiser("local").width(lambda ref: 3, "logit")
    made, now = method("wav2vec2"), batch("wav2vec2", 0)
    with pytest.raises(ConfigError, match="no column 'cod' in codes; did you mean 'code'"):
        Candidates("codes", "context", 2, unlike="cod").rows(outputs(made, now))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in ("cpc-audio", "wav2vec2") else pytest.mark.slow) for n in VIEWS]
)
def test_two_processes_equal_one(name: str) -> None:
    assert_ddp_equivalent(method(name), [batch(name, 1), batch(name, 2)])
