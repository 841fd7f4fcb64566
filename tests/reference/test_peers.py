"""The references agree with other people's packages: values and gradients, float64, fresh random inputs.

Tolerance 1e-12, or as said where a peer adds its own epsilon.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from . import formulas as ref

pytestmark = pytest.mark.reference
SEEDS = pytest.mark.parametrize("seed", range(3))


def agree(
    ours: Callable[..., Tensor],
    peer: Callable[..., Tensor],
    seed: int,
    shapes: list[tuple[int, ...]],
    tolerance: float = 1e-12,
) -> None:
    """Both see the same leaves; compare the value and the gradient at every leaf."""
    generator = torch.Generator().manual_seed(seed)
    data = [torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes]
    results = []
    for function in (ours, peer):
        leaves = [d.clone().requires_grad_() for d in data]
        value = function(*leaves).squeeze()
        results.append([value, *torch.autograd.grad(value, leaves)])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, atol=tolerance, rtol=tolerance)


PAIR: list[tuple[int, ...]] = [(7, 5), (7, 5)]


@SEEDS
def test_lightly_nt_xent_and_decoupled(seed: int) -> None:
    loss = pytest.importorskip("lightly.loss")
    dcl = pytest.importorskip("lightly.loss.dcl_loss")
    agree(lambda a, b: ref.nt_xent(a, b, 0.2), loss.NTXentLoss(temperature=0.2), seed, PAIR)
    agree(lambda a, b: ref.dcl(a, b, 0.2), dcl.DCLLoss(temperature=0.2), seed, PAIR)


@SEEDS
@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
def test_lightly_dclw_detaches_its_weight(seed: int) -> None:
    dcl = pytest.importorskip("lightly.loss.dcl_loss")
    agree(lambda a, b: ref.dclw(a, b, 0.2, 0.5), dcl.DCLWLoss(temperature=0.2, sigma=0.5), seed, PAIR)


@SEEDS
def test_lightly_set_losses(seed: int) -> None:
    loss = pytest.importorskip("lightly.loss")
    agree(lambda a, b: ref.barlow_twins(a, b, 0.005), loss.BarlowTwinsLoss(), seed, PAIR, 1e-9)
    agree(ref.vicreg, loss.VICRegLoss(), seed, PAIR)


@SEEDS
def test_lightly_mmcr_on_unit_views_without_momentum(seed: int) -> None:
    """lightly neither normalises nor leaves out a momentum half: unit rows, the second view in the momentum's place."""
    loss = pytest.importorskip("lightly.loss")

    def peer(a: Tensor, b: Tensor) -> Tensor:
        return loss.MMCRLoss(lmda=0.1)(ref.unit(a)[:, None], ref.unit(b)[:, None])

    agree(lambda a, b: ref.mmcr([a, b], 0.1), peer, seed, PAIR, 1e-10)


@SEEDS
def test_lightly_simsiam(seed: int) -> None:
    loss = pytest.importorskip("lightly.loss")
    cosine = loss.NegativeCosineSimilarity()

    def peer(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
        return (cosine(p1, z2.detach()) + cosine(p2, z1.detach())) / 2 + 0 * (z1 + z2).sum()

    def ours(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
        return ref.simsiam(p1, p2, z1, z2) + 0 * (z1 + z2).sum()

    agree(ours, peer, seed, PAIR * 2)


@SEEDS
@pytest.mark.parametrize("queued", [False, True])
def test_lightly_swav_multicrop(seed: int, queued: bool) -> None:
    swav = pytest.importorskip("lightly.loss.swav_loss")
    generator = torch.Generator().manual_seed(seed)
    queue = [torch.randn(9, 4, dtype=torch.float64, generator=generator) / 4 for _ in range(2)] if queued else None

    def ours(*scores: Tensor) -> Tensor:
        return ref.swav_from_scores([s / 4 for s in scores], queue)

    def peer(*scores: Tensor) -> Tensor:
        crops = [s / 4 for s in scores]
        return swav.SwaVLoss()(crops[:2], crops[2:], queue)

    agree(ours, peer, seed, [(7, 4)] * 4)
    scores = torch.randn(12, 4, dtype=torch.float64, generator=generator) / 4
    torch.testing.assert_close(ref.sinkhorn(scores), swav.sinkhorn(scores), atol=1e-12, rtol=0)


@SEEDS
def test_lightly_dino_multicrop_and_centre(seed: int) -> None:
    """lightly holds its temperatures in float32: tolerance 1e-6."""
    loss = pytest.importorskip("lightly.loss")
    generator = torch.Generator().manual_seed(seed)
    teacher = [torch.randn(7, 6, dtype=torch.float64, generator=generator) for _ in range(2)]
    centre = torch.randn(6, dtype=torch.float64, generator=generator)
    peer = loss.DINOLoss(output_dim=6, teacher_temp=0.07).double()

    def theirs(*student: Tensor) -> Tensor:
        peer.center.data = centre.reshape(1, 1, 6).clone()
        return peer(teacher, list(student), teacher_temp=0.07)

    agree(lambda *s: ref.dino(s, teacher, centre, 0.1, 0.07), theirs, seed, [(7, 6)] * 5, 1e-6)
    updated = ref.dino_centre(centre, teacher, 0.9)
    torch.testing.assert_close(updated, peer.center.flatten(), atol=1e-12, rtol=0)


@SEEDS
def test_pytorch_metric_learning(seed: int) -> None:
    """Its log and its mean add an epsilon: tolerance 1e-6."""
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    unique, labels = torch.arange(7).repeat(2), torch.tensor([0, 0, 1, 1, 1, 2, 3]).repeat(2)
    lonely = torch.tensor([0, 0, 0, 1, 1, 2, 3])

    def nt_xent(a: Tensor, b: Tensor) -> Tensor:
        return losses.NTXentLoss(temperature=0.2)(torch.cat([a, b]), unique)

    agree(lambda a, b: ref.nt_xent(a, b, 0.2), nt_xent, seed, PAIR, 1e-6)
    for of in (labels, lonely.repeat(2)):
        agree(
            lambda a, b, of=of: ref.supcon_out(torch.cat([a, b]), of, 0.2),
            lambda a, b, of=of: losses.SupConLoss(temperature=0.2)(torch.cat([a, b]), of),
            seed,
            PAIR,
            1e-6,
        )
    supcon = losses.SupConLoss(temperature=0.2)  # classes 2 and 3 have one row: skipped on both sides
    agree(lambda z: ref.supcon_out(z, lonely, 0.2), lambda z: supcon(z, lonely), seed, [(7, 5)], 1e-6)


@SEEDS
def test_open_clip(seed: int) -> None:
    """Value and gradients of the towers, the scale and the bias; open_clip wants unit features."""
    loss = pytest.importorskip("open_clip.loss")
    clip, siglip = loss.ClipLoss(), loss.SigLipLoss()
    agree(
        lambda a, b, s: ref.clip(a, b, s.exp()),
        lambda a, b, s: clip(ref.unit(a), ref.unit(b), s.exp()),
        seed,
        [*PAIR, ()],
    )
    agree(
        lambda a, b, s, bias: ref.siglip(a, b, s.exp(), bias),
        lambda a, b, s, bias: siglip(ref.unit(a), ref.unit(b), s.exp(), bias),
        seed,
        [*PAIR, (), ()],
    )


@SEEDS
def test_sentence_transformers_ranking_loss(seed: int) -> None:
    """Scale 20 is InfoNCE at 0.05; both directions apart are CLIP; with query_to_query, NT-Xent's half."""
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")

    def peer(**options: object) -> Callable[[Tensor, Tensor], Tensor]:
        loss = losses.MultipleNegativesRankingLoss(model=None, **options)
        if not hasattr(loss, "compute_loss_from_embeddings"):
            pytest.skip("this version of sentence-transformers takes no embeddings")
        return lambda a, b: loss.compute_loss_from_embeddings([a, b], None)

    agree(lambda a, b: ref.info_nce(a, b, 0.05), peer(), seed, PAIR)
    both = peer(directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction")
    agree(lambda a, b: ref.clip(a, b, 20.0), both, seed, PAIR)
    half = peer(directions=("query_to_doc", "query_to_query"))
    agree(lambda a, b: ref.nt_xent_per_anchor(a, b, 0.05)[:7].mean(), half, seed, PAIR)
