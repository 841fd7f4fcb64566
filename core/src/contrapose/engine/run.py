"""``train`` and ``load``: from a config, or a run folder, to a ``Run``."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from rich.console import Console

from contrapose.config import Config
from contrapose.data import Loader, StreamLoader
from contrapose.errors import ConfigError
from contrapose.methods.method import Method
from contrapose.plugins import registry
from contrapose.types import Batch, Rows, StreamReader, ViewGenerator

from . import checkpoint, folder
from .build import Parts, fingerprint
from .checkpoint import Checkpoint
from .device import accelerator_for
from .early_stopping import require_split, validation_batches, verdict
from .embed import table
from .extend import prepared
from .fitted import load_fitted, save_fitted
from .frozen import frozen_line
from .learnt import LearntViews
from .metrics import read_metrics
from .origin import changes, origin
from .shard import wanted
from .shortage import told
from .summary import summary
from .taps import keep, require_keepable
from .train import Feed, check, fit
from .trained import Run, require_own

__all__ = ["Run", "load", "train"]

Source = str | Path | Mapping[str, Any] | Config


def train(
    config: Source | None = None,
    *,
    set: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    resume: str | Path | None = None,
    extend: str | Path | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
) -> Run:
    """Pretrain by ``config``, or go on with a run, and return it.

    Args:
        config: a YAML file, or the same as a dict, whose values may be component objects. May be left out to resume.
        set: overrides, ``"train.lr=3e-4"``.
        plugins: Python files whose components are offered too.
        resume: a run folder to go on from, at its last whole checkpoint.
        extend: a run folder whose towers go on in the new run, as the config's ``extend`` says too.
        out: the run folder; by default the config's ``out``, or ``runs/<config's name>``.
        quiet: print nothing.

    Raises:
        ConfigError: the config can't be used, or isn't that of the run to resume.
        DataError: the data can't be read, or a loader worker died.
        CheckpointError: the folder holds another run, or a checkpoint can't be read or saved (a full disk).
        Interrupted: Ctrl-C or SIGTERM; a checkpoint is saved.
        ContraposeError: a loss is not finite, memory ran out, or another process trains into the folder.
    """
    for file in plugins:
        registry().load_file(file)
    if resume is not None:
        if extend is not None:
            raise ConfigError("--extend begins a new run, and --resume goes on with one: give one of them")
        return _resume(Path(resume), None if config is None else _open(config, set).config, set, quiet)
    if config is None:
        raise ConfigError("give a config, or the run to resume")
    parts = _open(config, set, extend)
    wanted = parts.config
    where = Path(out or wanted.run.out or Path("runs") / (wanted.source.stem if wanted.source else "run"))
    with wanted.located():  # a config's error says its file and line here too
        folder.require_free(where)
        accelerator = accelerator_for(wanted.run.train)
        console = Console(quiet=quiet or not accelerator.is_main_process)
        method, loader = _prepare(parts, accelerator)  # what is wrong with the config is said before a folder is made
        fitted, tree = parts.fitted(), folder.resolved(wanted)
        accelerator.wait_for_everyone()
        with folder.only_writer(where) if accelerator.is_main_process else nullcontext():
            if accelerator.is_main_process:
                folder.require_free(where)  # another process may have begun since
                save_fitted(where, fitted)
                folder.write_config(where, tree)
            accelerator.wait_for_everyone()
            return _fit(where, parts, method, loader, accelerator, None, console, quiet)


def load(path: str | Path, config: Source | None = None) -> Run:
    """The run in a folder, with the weights of its last whole checkpoint.

    ``config`` is needed only where the run was started from Python with objects, which a folder can't hold.

    Raises:
        CheckpointError: it is no run, or its checkpoint is damaged or of another method.
    """
    where = Path(path)
    saved = folder.read_config(where)
    if config is None:
        folder.require_rebuildable(saved)
    parts = Parts(saved if config is None else _open(config, ()).config, load_fitted(where))
    return Run(where, parts)


def _open(config: Source, overrides: Sequence[str], extend: str | Path | None = None) -> Parts:
    opened = Config.load(config, overrides) if isinstance(config, (str, Path)) else Config.of(config, overrides)
    if extend is not None:
        opened.data = {**opened.data, "extend": str(Path(extend).resolve())}
    with opened.located():
        return prepared(opened)


def _resume(where: Path, config: Config | None, overrides: Sequence[str], quiet: bool) -> Run:
    saved = folder.read_config(where)
    if config is None:
        folder.require_rebuildable(saved)
        config = Config.of(saved, overrides)
    folder.require_same(saved, config)
    accelerator = accelerator_for(config.run.train)
    console = Console(quiet=quiet or not accelerator.is_main_process)
    parts = Parts(config, load_fitted(where))
    method, loader = _prepare(parts, accelerator)
    last = None
    with folder.only_writer(where) if accelerator.is_main_process else nullcontext():
        if any((where / "checkpoints").glob("step-*")):
            last = checkpoint.newest(
                where / "checkpoints", lambda m: console.print(f"warning: {m}", highlight=False, soft_wrap=True)
            )
            require_own(last, parts, method)
            console.print(f"resuming {where} after step {last.step}", highlight=False, soft_wrap=True)
            here = origin(accelerator, config.run.train)
            for change in changes(last.state, here, stream=isinstance(loader, StreamLoader)):
                console.print(change, highlight=False, soft_wrap=True)
            if isinstance(loader, StreamLoader) and (notice := loader.restore(last.state["stream"])):
                console.print(notice, highlight=False, soft_wrap=True)
        else:
            console.print(
                f"{where} has no checkpoint yet: starting from its beginning", highlight=False, soft_wrap=True
            )
        tree = folder.resolved(config)
        if accelerator.is_main_process:
            folder.write_config(where, tree)
        return _fit(where, parts, method, loader, accelerator, last, console, quiet)


def _prepare(parts: Parts, accelerator: Accelerator) -> tuple[Method, Loader]:
    method = parts.make_method()
    check(method, parts.run.train)
    require_split(parts)
    if isinstance(parts.splits["train"], StreamReader):
        needy: list[tuple[str, ...]] = [("method", "sources", name) for name in method.needs_positions]
        needy += [("views", key.partition("/")[0]) for key in parts.plan.learning]
        if needy:
            raise ConfigError("it needs to know all samples, and a stream doesn't say; pack the data", needy[0])
    if parts.run.train.cache:
        require_keepable(parts, method)
    return method, parts.train_loader(accelerator.process_index, accelerator.num_processes, accelerator.device)


def _fit(
    where: Path,
    parts: Parts,
    method: Method,
    loader: Loader,
    accelerator: Accelerator,
    last: Checkpoint | None,
    console: Console,
    quiet: bool,
) -> Run:
    if line := frozen_line(method):
        console.print(line, highlight=False, soft_wrap=True)
    if parts.run.train.cache:
        if last is not None:
            method.load_state_dict(last.tensors("model"))  # what is kept is of these weights
        kept = keep(parts, method, accelerator, console)
        loader = parts.train_loader(accelerator.process_index, accelerator.num_processes, accelerator.device, kept)

    def batches(epoch: int, start: int) -> Iterable[Batch]:
        loader.set_epoch(epoch, start)
        return loader

    def embed_train(ref: str) -> Rows:
        return table(
            method, parts.eval_loader(parts.splits["train"], parts.run.train.batch_size, accelerator.device), ref
        )

    def look(view: ViewGenerator, ref: str) -> Iterator[Rows]:
        seen = parts.eval_loader(parts.splits["train"], parts.run.train.batch_size, accelerator.device, view)
        return (method.table(batch, ref) for batch in seen)

    views = LearntViews(parts.plan, look, loader) if parts.plan.learning else None
    if views is not None and last is not None:
        views.load(last.tensors("views"))
    identity = {"fingerprint": fingerprint(parts.recipe, method), **origin(accelerator, parts.run.train)}
    stream = loader.state if isinstance(loader, StreamLoader) else None
    feed = Feed(batches, len(loader), embed_train, stream, validation_batches(parts, accelerator), views)
    split = wanted(parts.run.train)
    if split:
        method = copy.deepcopy(method)  # its weights stay split; encoders that the config holds as objects must not
    with told(method, parts.run.train, where, accelerator.num_processes):
        fit(method, feed, parts.run.train, where, accelerator, console, identity=identity, resume=last, quiet=quiet)
    early = parts.run.train.early_stopping
    run = Run(where, parts, None if split or early else method)
    if accelerator.is_main_process:
        console.print(summary(read_metrics(where / "metrics.csv"), method))
        if early and (line := verdict(where, early.patience)):
            console.print(line, highlight=False, soft_wrap=True)
    if run.unread.samples:
        console.print(f"{run.unread}: see {where / 'skipped.csv'}", highlight=False, soft_wrap=True)
    console.print(
        f"saved in {where}; next: contrapose report {where}{registry().options}", highlight=False, soft_wrap=True
    )
    return run
