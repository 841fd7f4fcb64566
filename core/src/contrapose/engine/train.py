"""The training loop."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from rich.console import Console
from torch.nn.parallel import DistributedDataParallel

from contrapose.branches.syncnorm import synchronise
from contrapose.clock import check_schedule
from contrapose.data.passes import own_ids
from contrapose.errors import warn
from contrapose.methods.gather import average, share
from contrapose.plugins import registry
from contrapose.types import Batch, Rows

from . import checkpoint
from .checkpoint import Checkpoint
from .early_stopping import Validation
from .estimate import rehearse
from .finite import require_finite_weights
from .gradcache import backward_in_chunks, require_exact
from .learnt import LearntViews
from .loggers import make_loggers
from .logs import Metrics
from .optim import load_optimizer_tensors, make_optimizer, optimizer_tensors, set_decay, set_lr
from .progress import ProgressLine
from .randomness import reproducible, reseed
from .schedule import lr_factor
from .shard import clip, gathered, shard, wanted, whole_parameters
from .skipped import Skipped
from .stop import Agreement, Interrupted, StopRequest

if TYPE_CHECKING:
    from contrapose.config.schema import TrainConfig
    from contrapose.methods.method import Method
    from contrapose.methods.score import LossOut


@dataclass(frozen=True)
class Feed:
    """What the loop is fed.

    ``batches(epoch, start)`` yields the batches of an epoch from the one numbered ``start`` on, on the
    training device; ``embed(ref)`` is a table of the method over the whole training set (what ``method.epoch`` asks for);
    ``state()`` is where in a stream this process stands, JSON-able, None where the step tells it; ``validation()`` gives the
    batches by which training stops early, None where it doesn't; ``views`` are those that learn.
    """

    batches: Callable[[int, int], Iterable[Batch]]
    steps_per_epoch: int
    embed: Callable[[str], Rows]
    state: Callable[[], dict[str, Any]] | None = None
    validation: Callable[[], Iterable[Batch]] | None = None
    views: LearntViews | None = None


def check(method: Method, train: TrainConfig) -> None:
    """Make ready what the config says of ``method``, and raise ``ConfigError`` for what can't be trained so.

    That is an optimiser or a schedule that there isn't, and a BatchNorm in chunks, or one that can't be synchronised.
    """
    if train.shard and not wanted(train):
        warn("train.shard: a single process holds all of the weights, so there is nothing to split")
    if train.sync_batchnorm:
        synchronise(method.towers)
    if isinstance(train.weight_decay, Mapping):
        check_schedule(train.weight_decay, ("train", "weight_decay"))
    make_optimizer(train.optimizer, method.param_groups(1.0), train.lr)
    lr_factor(train.schedule, 0, steps_per_epoch=1, epochs=1)
    if train.chunk_size is not None:
        require_exact(method.train(), train.chunk_batchnorm)


def backward(
    model: torch.nn.Module, method: Method, batch: Batch, accelerator: Accelerator, train: TrainConfig
) -> LossOut:
    """The loss of a batch, and its gradient over all processes in the parameters' ``grad``."""
    if train.chunk_size is None:
        out: LossOut = model(batch)
        accelerator.backward(out.loss)
    else:
        out = backward_in_chunks(
            method, batch, train.chunk_size, batchnorm=train.chunk_batchnorm, autocast=accelerator.autocast
        )
    if not isinstance(model, DistributedDataParallel):
        average(whole_parameters(method))
    return out


def train_step(
    model: torch.nn.Module,
    method: Method,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    accelerator: Accelerator,
    train: TrainConfig,
) -> LossOut:
    """One optimiser step on a batch that lies on the device. ``model`` is ``method``, or what wraps it under DDP."""
    out = backward(model, method, batch, accelerator, train)
    for p in method.frozen():
        p.grad = None
    if train.clip is not None:
        clip(method.parameters(), train.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    method.advance()
    return out


def fit(
    method: Method,
    feed: Feed,
    train: TrainConfig,
    folder: Path,
    accelerator: Accelerator,
    console: Console,
    *,
    identity: dict[str, Any],
    resume: Checkpoint | None = None,
    quiet: bool = False,
) -> None:
    """Train ``method`` in place, logging and saving into the run's ``folder``.

    Args:
        method: the method; its forward is its loss. With ``train.shard`` its weights stay split afterwards.
        feed: the batches.
        train: the config's ``train`` section.
        folder: the run folder.
        accelerator: device, precision and processes.
        console: where a person looks.
        identity: what each checkpoint's ``state.json`` says of the run (fingerprint, versions).
        resume: the checkpoint to go on from.
        quiet: show nothing.

    Raises:
        ContraposeError: a loss, or a weight, is not finite.
        CheckpointError: a checkpoint can't be saved.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint is saved.
    """
    per_epoch = feed.steps_per_epoch
    steps = train.steps or train.epochs * per_epoch
    epochs = steps / per_epoch
    step = 0
    if resume is not None:
        step = resume.step
        # Before the method goes to its device: sources take their buffers' shapes from what they load.
        method.load_state_dict(resume.tensors("model"))
    method.to(accelerator.device)
    split = wanted(train)
    # The wrapper for several processes reduces gradients during the backward pass: once a chunk, with weights that it takes for
    # whole, and in no fixed order with the messages of the norms. Else they are averaged after it.
    bare = split or train.sync_batchnorm or train.chunk_size is not None
    if bare:
        share([*method.parameters()])  # as the wrapper does when it is made
    if split:
        shard(method, accelerator.device)
    method.clock.start(per_epoch, epochs)
    optimizer = make_optimizer(train.optimizer, method.param_groups(1.0), train.lr)
    shares = [group["weight_decay"] for group in optimizer.param_groups]
    if resume is not None:
        load_optimizer_tensors(optimizer, method, resume.tensors("optimizer"))
    with warnings.catch_warnings():
        # torch 2.14 deprecates the option that keeps buffers apart, before there is another that does.
        warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
        model = accelerator.prepare_model(method, evaluation_mode=bare)

    main, rank = accelerator.is_main_process, accelerator.process_index
    line = ProgressLine(console, step, steps, per_epoch, train.batch_size, quiet or not main)
    loggers = make_loggers(train.loggers, folder, step) if main else []
    metrics = Metrics(folder if main else None, step, accelerator, line.show, loggers)
    skipped = Skipped(folder / ("skipped.csv" if main else f"skipped.rank{rank}.csv"))
    validation = None
    if feed.validation is not None and train.early_stopping is not None:
        validation = Validation(feed.validation, train.early_stopping, folder, train.seed, step, accelerator, skipped)

    def save(batch: Batch) -> None:
        metrics.sync()
        require_finite_weights(method, step, own_ids(batch.sample))
        stream = {} if feed.state is None else {"stream": gather_object([feed.state()])}
        parts = {
            "model": gathered(method.state_dict(), main),
            "optimizer": gathered(optimizer_tensors(optimizer, method), main),
        }
        if feed.views is not None:
            parts["views"] = feed.views.state()
        if main:
            state, spare = {**identity, **stream, "step": step}, validation.spare if validation else None
            checkpoint.save(folder / "checkpoints", parts, state, train.keep, spare)
        accelerator.wait_for_everyone()

    told = quiet
    try:
        with StopRequest() as stop, reproducible(train.deterministic, train.threads):
            agreed = Agreement(accelerator)
            over = validation is not None and validation.over
            while step < steps and not over:
                epoch, done = divmod(step, per_epoch)
                if done == 0 and method.needs_epoch:
                    reseed(train.seed, "epoch", epoch)
                    method.epoch(feed.embed)
                if done == 0 and feed.views is not None:
                    reseed(train.seed, "views", epoch)
                    feed.views.epoch(method.clock)
                model.train()
                batches = iter(feed.batches(epoch, done))
                if not told:
                    batches = _tell(batches, model, method, accelerator, steps - step, train, console)
                    told = True
                for batch in batches:
                    factor = lr_factor(
                        train.schedule, step, steps_per_epoch=per_epoch, epochs=epochs, warmup=train.warmup
                    )
                    set_lr(optimizer, factor)
                    set_decay(optimizer, shares, method.clock.at(train.weight_decay))
                    reseed(train.seed, "step", step, rank)
                    out = train_step(model, method, optimizer, batch, accelerator, train)
                    step += 1
                    metrics.add({"step": step, "epoch": epoch, "lr": train.lr * factor}, out, own_ids(batch.sample))
                    skipped.add(batch.skipped)
                    signum, best = agreed(stop), False
                    if validation is not None and (step % per_epoch == 0 or step == steps):
                        best = validation(method, step, epoch)
                        over = validation.over
                        model.train()
                    due = step % (train.checkpoint_every or per_epoch) == 0
                    if step == steps or signum or due or best or over:
                        save(batch)
                    if signum and step < steps and not over:
                        again = f"contrapose train --resume {folder}{registry().options}"
                        message = f"stopped after step {step} of {steps}; go on with: {again}"
                        raise Interrupted(message, signum)
                    if step == steps or over:
                        break
    finally:
        metrics.close()
        if validation is not None:
            validation.close()
        line.close()
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        method.eval()


def batch_line(train: TrainConfig, processes: int) -> str:
    """How large a batch is: over all processes, in each, and at a time."""
    least, rest = divmod(train.batch_size, processes)
    size = f"{least:,} or {least + 1:,}" if rest else f"{least:,}"
    each = f", {size} in each of {processes} processes" if processes > 1 else ""
    chunk = f", {train.chunk_size:,} at a time through the encoders" if train.chunk_size else ""
    split = ", which split the weights" if wanted(train) else ""
    return f"batches of {train.batch_size:,} samples{each}{split}{chunk}"


def _tell(
    batches: Iterator[Batch],
    model: torch.nn.Module,
    method: Method,
    accelerator: Accelerator,
    steps: int,
    train: TrainConfig,
    console: Console,
) -> Iterator[Batch]:
    """Print what the run will cost, by a rehearsal on the first batch; give the batches back, that one included."""
    began = time.perf_counter()
    first = next(batches)
    waited = 0.0 if train.workers else time.perf_counter() - began  # workers load while the model computes
    estimate = rehearse(
        method, lambda: backward(model, method, first, accelerator, train), accelerator.device, steps, waited
    )
    if accelerator.is_main_process:
        console.print(batch_line(train, accelerator.num_processes), highlight=False, soft_wrap=True)
        console.print(str(estimate), highlight=False, soft_wrap=True)
    return chain([first], batches)
