"""Who belongs to whom by more than the sample: steps ahead, mixed shares, neighbours in time, groups and tracklets."""

import math

import torch
from torch import Tensor

from .basics import cross_entropy, unit


def gru(x: Tensor, w_in: Tensor, w_hidden: Tensor, b_in: Tensor, b_hidden: Tensor) -> Tensor:
    """All states (n, P, H) of a GRU over x (n, P, D), from zero (Cho et al. 2014, as torch.nn.GRU documents it)."""
    h = x.new_zeros(len(x), w_hidden.shape[1])
    states = []
    for t in range(x.shape[1]):
        a, b = (x[:, t] @ w_in.T + b_in).chunk(3, -1), (h @ w_hidden.T + b_hidden).chunk(3, -1)
        reset, update = torch.sigmoid(a[0] + b[0]), torch.sigmoid(a[1] + b[1])
        h = (1 - update) * torch.tanh(a[2] + reset * b[2]) + update * h
        states.append(h)
    return torch.stack(states, 1)


def cpc(z: Tensor, c: Tensor, maps: list[Tensor]) -> Tensor:
    """CPC (van den Oord et al. 2018, arXiv 1807.03748, eqs. 3 and 4), as facebookresearch/CPC_audio adds it up.

    z (n, P, D), contexts c (n, P, H), maps W_k (D, H) for k = 1..K. Scores are the mean over D of z * W_k c; contexts are the first
    P - K positions; each step's mean over them is added. The code draws 128 negatives, here all other positions are negatives.
    """
    steps, (n, places, width) = len(maps), z.shape
    everything = z.reshape(-1, width)
    total = z.new_zeros(())
    for k, w in enumerate(maps, 1):
        losses = []
        for i in range(n):
            for t in range(places - steps):
                scores = everything @ (w @ c[i, t]) / width
                losses.append(scores.logsumexp(0) - scores[i * places + t + k])
        total = total + torch.stack(losses).mean()
    return total


def mixco(
    q: Tensor,
    k: Tensor,
    queue: Tensor,
    mixed: Tensor,
    share: Tensor,
    first: Tensor,
    second: Tensor,
    tau: float,
    mix_tau: float,
) -> Tensor:
    """MoCo on (q, k), and MixCo's soft cross-entropy of the mixed rows (Kim et al. 2020, arXiv 2010.06300; its code's encoder.py).

    Row m of ``mixed`` is share[m] of item first[m] and 1 - share[m] of item second[m]; its logits are over all keys and the queue.
    """
    q, k, queue, mixed = unit(q), unit(k), unit(queue), unit(mixed)
    own = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], 1) / tau
    target = torch.zeros(len(mixed), len(k) + len(queue), dtype=q.dtype)
    for m in range(len(mixed)):
        target[m, first[m]] = share[m]
        target[m, second[m]] = 1 - share[m]
    soft = cross_entropy(torch.cat([mixed @ k.T, mixed @ queue.T], 1) / mix_tau, target)
    return cross_entropy(own, torch.zeros(len(q), dtype=torch.long)) + soft


def related_nce(z: Tensor, positive: list[list[bool]], counts: list[list[bool]], tau: float) -> Tensor:
    """SupCon's L_out (arXiv 2004.11362, eq. 2) over any relation: positive[i][j] and counts[i][j] for each pair of rows."""
    z, losses = unit(z), []
    for i in range(len(z)):
        partition = torch.stack([z[i] @ z[a] / tau for a in range(len(z)) if counts[i][a]]).logsumexp(0)
        wins = [z[i] @ z[p] / tau - partition for p in range(len(z)) if positive[i][p]]
        if wins:
            losses.append(-torch.stack(wins).mean())
    return torch.stack(losses).mean()


def temporal(z: Tensor, sample: Tensor, sequence: Tensor, time: Tensor, window: float, tau: float) -> Tensor:
    """Rows of a sequence at most ``window`` apart are positives, those more than twice that or of another sequence negatives."""
    near, far = [], []
    for i in range(len(z)):
        gap = [abs(float(time[i] - time[j])) if sequence[i] == sequence[j] else math.inf for j in range(len(z))]
        near.append([i != j and (bool(sample[i] == sample[j]) or gap[j] <= window) for j in range(len(z))])
        far.append([i != j and (near[i][j] or gap[j] > 2 * window) for j in range(len(z))])
    return related_nce(z, near, far, tau)


def tracklet(z: Tensor, track: Tensor, camera: Tensor, tau: float) -> Tensor:
    """Rows of one tracklet are positives, those of the same camera negatives."""
    rows = range(len(z))
    alike = [[i != j and bool(track[i] == track[j]) for j in rows] for i in rows]
    seen = [[i != j and (alike[i][j] or bool(camera[i] == camera[j])) for j in rows] for i in rows]
    return related_nce(z, alike, seen, tau)


def same_group(q: Tensor, k: Tensor, queue: Tensor, group: Tensor, tau: float) -> Tensor:
    """Each anchor's mean InfoNCE over its group's keys, each against the queue (Ayush et al. 2021, arXiv 2011.09980, eq. 2)."""
    q, k, queue, losses = unit(q), unit(k), unit(queue), []
    for i in range(len(q)):
        each = []
        for j in range(len(k)):
            if group[i] == group[j]:
                logits = torch.cat([(q[i] @ k[j])[None], queue @ q[i]]) / tau
                each.append(logits.logsumexp(0) - logits[0])
        losses.append(torch.stack(each).mean())
    return torch.stack(losses).mean()
